"""The HTTP edge of The Things Stack's Storage Integration: the uplinks that it kept, line by line in bounded memory.

Sources: lorawan-stack `applicationserver_integrations_storage.proto` (8d403e92) for the parameters, lorawan-stack-docs
"Storage Integration", and records that users published: one JSON object a line, empty lines between them. An object has
`result`, or `error` when the server fails in the middle.
"""

import http.client
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from ingest.times import parse_time
from roadtwin import __version__
from roadtwin.errors import SettingsError, StorageApiAwayError, StorageApiError

TIMEOUT_S = 8.0
"""Longest silence of the server [s]; shorter than what the end of an ingester waits for."""
READ_BYTES = 65_536
_ACCEPT = "text/event-stream"
_PASSING = (408, 425, 429)  # and 5xx: another try may succeed
_LONGEST_RETRY_AFTER_S = 3600.0
_RIGHT = "RIGHT_APPLICATION_TRAFFIC_READ"

_is_application = re.compile(r"[a-z0-9](?:-?[a-z0-9]){1,35}(?:@[a-z0-9](?:-?[a-z0-9]){1,35})?").fullmatch


class Application(NamedTuple):
    """An application of The Things Stack; `tenant` is empty where the edition has none."""

    name: str
    tenant: str = ""

    @classmethod
    def parse(cls, text: str) -> "Application":
        """Read `application@tenant`, or `application` alone. Raises SettingsError.

        Examples
        --------
        >>> Application.parse("roads@essen")
        Application(name='roads', tenant='essen')
        """
        if not _is_application(text):
            raise SettingsError(
                f"Got application {text!r}, expected application@tenant in lower-case letters, digits and dashes, as "
                "in the MQTT user name, such as roads@essen."
            )
        name, _, tenant = text.partition("@")
        return cls(name, tenant)

    def __str__(self) -> str:
        """As in topics and in the device's identity."""
        return f"{self.name}@{self.tenant}" if self.tenant else self.name

    def topic(self, device_id: str) -> str:
        """The topic on which MQTT brings uplinks of this device."""
        return f"v3/{self}/devices/{device_id}/up"


NO_DEVICE = "-"
"""Stands for the device in the topic of a line that names none; no device can have this id."""


class StoredUplink(NamedTuple):
    """A line as the server gave it, of an overlong one the first bytes. `received_at` and `device_id` if it has them.

    `received_at` is that of the application server, by which the storage integration orders and selects.
    """

    payload: bytes
    payload_bytes: int
    device_id: str
    received_at: datetime | None


class _DeviceIds(msgspec.Struct):
    device_id: str = NO_DEVICE


class _Result(msgspec.Struct):
    end_device_ids: _DeviceIds = msgspec.field(default_factory=_DeviceIds)
    received_at: str | None = None


class _Error(msgspec.Struct):
    message: str = "no reason given"


class _Line(msgspec.Struct):
    result: _Result | None = None
    error: _Error | None = None


_DECODER = msgspec.json.Decoder(_Line)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The key would go along to wherever the server points."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


class StorageApi:
    """Reads the stored uplinks of applications of one server. Certificates are checked; redirects are not followed."""

    def __init__(self, url: str, api_key: str, *, max_line_bytes: int, timeout_s: float = TIMEOUT_S) -> None:
        """`url` is that of the cluster or tenant, without path. Raises SettingsError for a key that no header takes."""
        if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            raise SettingsError("ROADTWIN_TTS_API_KEY: got no key as the console shows it, expected NNSXS.….")
        self._url = url.rstrip("/")
        self._api_key = api_key
        self._max_line_bytes = max_line_bytes
        self._timeout_s = timeout_s
        context = urllib.request.HTTPSHandler(context=ssl.create_default_context())
        self._opener = urllib.request.build_opener(_NoRedirects, context)

    def uplinks(self, application: Application, *, after: datetime, limit: int) -> Generator[StoredUplink, None, None]:
        """One request: at most `limit` uplinks received after this time, oldest first.

        Raises StorageApiAwayError for what another try may mend, also after some lines: those are good. Raises
        StorageApiError for what it will not.
        """
        with self._open(application, after, limit) as response:
            try:
                for number, line in enumerate(self._lines(response)):
                    if number == 0 and not line[0].startswith(b"{"):
                        raise StorageApiError(
                            f"{self._url} answered with {_content_type(response)} that is no JSON object a line, "
                            "expected stored uplinks: is ROADTWIN_TTS_URL the address of The Things Stack?"
                        )
                    yield self._read(application, *line)
            except (http.client.HTTPException, OSError) as exc:
                raise StorageApiAwayError(
                    f"The connection to {self._url} ended in the middle of stored uplinks: {_said(exc)}."
                ) from exc

    def _open(self, application: Application, after: datetime, limit: int) -> http.client.HTTPResponse:
        query = {"after": after.isoformat().replace("+00:00", "Z"), "order": "received_at", "limit": str(limit)}
        request = urllib.request.Request(  # noqa: S310 — the settings take https:// only
            f"{self._url}/api/v3/as/applications/{application.name}/packages/storage/uplink_message?"
            + urllib.parse.urlencode(query),
            headers={"Accept": _ACCEPT, "User-Agent": f"roadtwin/{__version__}"},
        )
        request.add_unredirected_header("Authorization", f"Bearer {self._api_key}")
        try:
            response: http.client.HTTPResponse = self._opener.open(request, timeout=self._timeout_s)
        except urllib.error.HTTPError as exc:
            with exc:
                raise self._refusal(application, exc.code, exc.headers.get("Retry-After")) from None
        except (http.client.HTTPException, OSError) as exc:  # urllib's own URLError is an OSError
            reason = getattr(exc, "reason", exc)
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise StorageApiError(
                    f"{self._url} has a certificate that cannot be trusted: {reason.verify_message}."
                ) from None
            raise StorageApiAwayError(f"{self._url} cannot be reached: {_said(reason)}.") from None
        if _content_type(response).startswith("text/html"):
            response.close()
            raise StorageApiError(
                f"{self._url} answered with a web page (text/html), expected one JSON object a line: is "
                "ROADTWIN_TTS_URL the address of The Things Stack?"
            )
        return response

    def _refusal(self, application: Application, status: int, retry_after: str | None) -> StorageApiError:
        if status in _PASSING or status >= 500:
            seconds = float(retry_after) if retry_after is not None and retry_after.isdecimal() else 0.0
            return StorageApiAwayError(
                f"{self._url} answered {status} for application {application.name}: "
                + ("too many requests." if status == 429 else "it cannot serve us now."),
                retry_after_s=min(seconds, _LONGEST_RETRY_AFTER_S),
            )
        told = {
            401: "the API key is not valid there: make a new one and set ROADTWIN_TTS_API_KEY.",
            403: f"the API key may not read stored uplinks: give it {_RIGHT} for this application.",
            404: "there is no such application, or this server has no storage integration (the open-source edition has "
            "none): check ROADTWIN_TTS_APPLICATIONS and ROADTWIN_TTS_URL.",
        }
        what = told.get(status, "expected 200: check ROADTWIN_TTS_URL.")
        return StorageApiError(f"{self._url} answered {status} for application {application.name}: {what}")

    def _read(self, application: Application, payload: bytes, size: int) -> StoredUplink:
        """What we need of a line to ask on; whatever else it is, the decoder says."""
        try:
            line = _DECODER.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return StoredUplink(payload, size, NO_DEVICE, None)
        if line.error is not None and line.result is None:
            message = line.error.message.replace(self._api_key, "(key)")[:200]
            raise StorageApiAwayError(f"{self._url} ended the uplinks of application {application.name}: {message}.")
        result = line.result or _Result()
        return StoredUplink(payload, size, result.end_device_ids.device_id, parse_time(result.received_at))

    def _lines(self, response: http.client.HTTPResponse) -> Iterator[tuple[bytes, int]]:
        """Lines that are not empty, with their sizes [B]; of an overlong one the first bytes."""
        most = self._max_line_bytes
        length = response.headers.get("Content-Length")
        missing = int(length) if length is not None and length.isdecimal() and not response.chunked else None
        buffer, dropped = bytearray(), 0
        while chunk := response.read1(READ_BYTES):
            missing = None if missing is None else missing - len(chunk)
            first, *rest = chunk.split(b"\n")
            for number, part in enumerate((first, *rest)):
                if number:
                    if buffer := _stripped(buffer):
                        yield bytes(buffer), len(buffer) + dropped
                    buffer, dropped = bytearray(), 0
                room = max(0, most + 1 - len(buffer))
                buffer += part[:room]
                dropped += max(0, len(part) - room)
        if missing:  # more was promised; http.client does not say so
            raise http.client.IncompleteRead(b"", missing)
        if buffer := _stripped(buffer):
            if missing is None and not response.chunked:
                raise http.client.IncompleteRead(b"")  # nothing says whether this line is whole
            yield bytes(buffer), len(buffer) + dropped


def _stripped(line: bytearray) -> bytearray:
    return line.removeprefix(b"data:").strip()  # event streams may name the member


def _content_type(response: http.client.HTTPResponse) -> str:
    return (response.headers.get("Content-Type") or "something without Content-Type").partition(";")[0].strip().lower()


def _said(exc: object) -> str:
    text = (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
    return (text or type(exc).__name__).rstrip(".")
