"""A storage integration of The Things Stack on 127.0.0.1: answers as the real one does, and fails when told to."""

import json
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "NNSXS.THE-KEY.OF-THE-TESTS"


class StorageIntegration:
    """`lines` are what is stored: a time and the line's bytes. `faults` are used up, one a request, in their order:

    a status (with Retry-After), "cut" (the connection ends in the middle of a line), "error" (an error object after
    half of the page), "html" and "backwards".
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.lines: list[tuple[datetime, bytes]] = []
        self.faults: deque[int | str] = deque()
        self.requests: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.most_a_page = 1000
        self.retry_after_s: str | None = None

    def add(self, message: dict[str, Any]) -> None:
        """Store an uplink as the real one does: wrapped, without correlation ids and session key id."""
        uplink = {k: v for k, v in message["uplink_message"].items() if k != "session_key_id"}
        result = {k: v for k, v in message.items() if k != "correlation_ids"} | {"uplink_message": uplink}
        at = datetime.fromisoformat(message["received_at"]).astimezone(UTC)
        self.lines.append((at, json.dumps({"result": result}).encode()))

    def page(self, query: dict[str, str]) -> list[bytes]:
        after = datetime.fromisoformat(query["after"])
        found = sorted((line for line in self.lines if line[0] > after), key=lambda line: line[0])
        return [line for _, line in found[: min(int(query["limit"]), self.most_a_page)]]


def _handler(server: StorageIntegration) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments: Any) -> None:
            pass

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            server.requests.append(query)
            server.paths.append(parts.path)
            if self.headers["Authorization"] != f"Bearer {KEY}":
                return self._refuse(401)
            fault = server.faults.popleft() if server.faults else None
            if isinstance(fault, int):
                return self._refuse(fault)
            if fault == "html":
                return self._answer("text/html; charset=utf-8", [b"<html>a portal</html>"])
            lines = server.page(query)
            if fault == "backwards":
                lines.reverse()
            if fault == "error":
                lines = [*lines[: len(lines) // 2], b'{"error":{"grpc_code":14,"message":"store is busy"}}']
            return self._answer("text/event-stream", lines, cut=fault == "cut")

        def _refuse(self, status: int) -> None:
            self.send_response(status)
            if status in (429, 503) and server.retry_after_s:
                self.send_header("Retry-After", server.retry_after_s)
            if status == 302:
                self.send_header("Location", f"{server.url}/elsewhere")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def _answer(self, content_type: str, lines: list[bytes], *, cut: bool = False) -> None:
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for number, line in enumerate(lines):
                if cut and number == len(lines) // 2:
                    self.wfile.write(b"%x\r\n%s" % (len(line), line[: len(line) // 2]))
                    self.close_connection = True
                    return
                data = line + b"\n\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.write(b"0\r\n\r\n")

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that have enough hang up."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def storage_integration() -> Iterator[StorageIntegration]:
    server = StorageIntegration("")
    http = _Server(("127.0.0.1", 0), _handler(server))
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join(10)
        http.server_close()


def rfc3339(at: datetime) -> str:
    """With nine fraction digits, as the server writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"


def times(first: datetime, count: int, step_s: float = 10.0) -> list[datetime]:
    """Evenly spaced."""
    return [first + timedelta(seconds=step_s * number) for number in range(count)]
