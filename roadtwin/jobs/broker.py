"""An MQTT broker of our own, for machines without one: Mosquitto where it is installed, else rumqttd from a wheel.

Both listen on 127.0.0.1 only and let everyone on this machine in. Mosquitto keeps its queues over its own restart;
rumqttd (package iotcore) keeps them in memory only, lets no more than 100 messages of a session wait for their
acknowledgement, and speaks MQTT 5 and 3.1.1 on two ports.
"""

import contextlib
import fcntl
import getpass
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

from roadtwin.errors import BrokerUnavailableError

MAX_PACKET_BYTES = 16 * 1024 * 1024
"""Largest packet the broker takes [B]: more than we accept, so that an oversized message reaches us and is recorded."""

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
_ATTEMPTS = 5  # a free port can be taken by somebody else before the broker binds it

_MOSQUITTO_CONFIG = """\
# Written at every start by Roadtwin.
listener {port} 127.0.0.1
allow_anonymous true
user {user}
pid_file {directory}/mosquitto.pid
log_dest file {directory}/mosquitto.log
log_timestamp_format %Y-%m-%dT%H:%M:%S
persistence true
persistence_location {directory}/
autosave_interval 10
persistent_client_expiration 14d
max_inflight_messages 8000
max_queued_messages 1000000
max_packet_size {max_packet_bytes}
set_tcp_nodelay true
"""

# A subscription keeps at most 16 segments of 16 MiB: past that rumqttd forgets the oldest messages, also unread ones.
_RUMQTTD_CONFIG = """\
# Written at every start by Roadtwin.
id = 0
[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = {max_packet_bytes}
max_segment_count = 16
[v5.1]
name = "mqtt5"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = {max_packet_bytes}
max_inflight_count = 2000
dynamic_filters = true
[v4.1]
name = "mqtt311"
listen = "127.0.0.1:{port_v311}"
next_connection_delay_ms = 1
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = {max_packet_bytes}
max_inflight_count = 2000
dynamic_filters = true
"""


class Broker:
    """A running broker. `start_broker` makes it; use it as a context manager or call `close()`.

    `url` takes MQTT 5 clients, `url_v311` takes MQTT 3.1.1 ones; Mosquitto has one address for both. `durable` tells
    whether queued messages outlive a restart of the broker.
    """

    def __init__(
        self, kind: Literal["mosquitto", "iotcore"], process: subprocess.Popen[bytes], ports: tuple[int, int], lock: int
    ) -> None:
        self.kind = kind
        self.durable = kind == "mosquitto"
        self.url = f"mqtt://127.0.0.1:{ports[0]}"
        self.url_v311 = f"mqtt://127.0.0.1:{ports[1]}"
        self._process = process
        self._lock = lock

    @property
    def pid(self) -> int:
        """Process id of the broker."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is still there."""
        return self._process.poll() is None

    def close(self) -> None:
        """Stop the broker; takes ten seconds at most."""
        _stop(self._process)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def start_broker(data_dir: Path, *, port: int = 0, kind: Literal["auto", "mosquitto", "iotcore"] = "auto") -> Broker:
    """Start a broker that keeps its files in `data_dir / "broker"` and wait until it accepts connections.

    `port` 0 takes a free one; `kind` auto takes Mosquitto where it is on the PATH. A Mosquitto that a killed process of
    ours left behind is stopped first, and its queues are taken over.

    Raises BrokerUnavailableError: nothing to start, port taken, directory in use by a running Roadtwin, or the
    broker's own last words.
    """
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin")
    chosen: Literal["mosquitto", "iotcore"] = (
        ("mosquitto" if program is not None else "iotcore") if kind == "auto" else kind
    )
    if chosen == "mosquitto" and program is None:
        raise BrokerUnavailableError("Mosquitto is not installed here (nothing of that name is on the PATH).")
    if chosen == "iotcore" and importlib.util.find_spec("iotcore") is None:
        raise BrokerUnavailableError(
            "There is no MQTT broker here: pip install 'roadtwin[demo]', install Mosquitto, or set ROADTWIN_MQTT_URL."
        )
    directory = data_dir.expanduser().resolve() / "broker"
    lock = _take(directory)
    try:
        _stop_left_over(directory)
        for attempt in range(_ATTEMPTS):
            ports = _ports(port, chosen)
            process = _launch(chosen, program, directory, ports)
            if _wait(process, ports):
                return Broker(chosen, process, ports, lock)
            _stop(process)
            if port != 0 or attempt == _ATTEMPTS - 1:
                break
        raise BrokerUnavailableError(f"The embedded broker ({chosen}) did not start: {_last_words(directory, chosen)}")
    except BaseException:
        os.close(lock)
        raise


def _take(directory: Path) -> int:
    """Lock the directory for this process; the operating system lets go however the process ends."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise BrokerUnavailableError(
            f"The data directory {directory.parent} cannot be used ({exc.strerror}): set ROADTWIN_DATA_DIR."
        ) from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise BrokerUnavailableError(
            f"Another Roadtwin runs a broker in {directory}: stop it, or set another ROADTWIN_DATA_DIR."
        ) from None
    return lock


def _ports(port: int, kind: str) -> tuple[int, int]:
    first = port or _free_port()
    if kind == "mosquitto":
        return first, first
    second = _free_port()
    while second == first:
        second = _free_port()
    return first, second


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def _launch(
    kind: Literal["mosquitto", "iotcore"], program: str | None, directory: Path, ports: tuple[int, int]
) -> subprocess.Popen[bytes]:
    """Start the process in a session of its own: Ctrl-C in a terminal must not stop the broker before its clients."""
    if kind == "mosquitto":
        config = directory / "mosquitto.conf"
        config.write_text(
            _MOSQUITTO_CONFIG.format(
                port=ports[0], user=getpass.getuser(), directory=directory, max_packet_bytes=MAX_PACKET_BYTES
            )
        )
        command = [str(program), "-c", str(config)]
    else:
        config = directory / "rumqttd.toml"
        config.write_text(_RUMQTTD_CONFIG.format(port=ports[0], port_v311=ports[1], max_packet_bytes=MAX_PACKET_BYTES))
        command = [sys.executable, "-m", "roadtwin.jobs.broker", str(config)]
    with (directory / f"{kind}.out").open("wb") as output:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )


def _wait(process: subprocess.Popen[bytes], ports: tuple[int, int]) -> bool:
    """Whether all ports accept connections before the time is up or the process is gone."""
    deadline = time.monotonic() + START_TIMEOUT_S
    for port in dict.fromkeys(ports):
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                return False
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.02)
    # Somebody else's broker may have answered on a port that ours could not get.
    time.sleep(0.05)
    return process.poll() is None


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()  # Mosquitto writes its queues on SIGTERM
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT_S)
    pipe: IO[bytes] | None = process.stdin
    if pipe is not None:
        pipe.close()


def _stop_left_over(directory: Path) -> None:
    """Stop a Mosquitto that outlived a killed process of ours; the lock says that nobody uses it."""
    pid_file = directory / "mosquitto.pid"
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return
    if str(directory / "mosquitto.conf") not in _command_line(pid):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while str(directory / "mosquitto.conf") in _command_line(pid):
        if time.monotonic() > deadline:
            raise BrokerUnavailableError(f"A Mosquitto of an earlier run (process {pid}) does not stop: stop it.")
        time.sleep(0.05)


def _command_line(pid: int) -> str:
    """Command line of a process, '' when there is none."""
    of_linux = Path(f"/proc/{pid}/cmdline")
    if of_linux.parent.parent.joinpath("self").exists():
        try:
            return of_linux.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    found = subprocess.run(["ps", "-p", str(pid), "-o", "command="], check=False, capture_output=True, text=True)  # noqa: S607
    return found.stdout


def _last_words(directory: Path, kind: str) -> str:
    lines: list[str] = []
    for name in (f"{kind}.out", f"{kind}.log"):
        with contextlib.suppress(OSError):
            lines += (directory / name).read_text(errors="replace").splitlines()[-5:]
    telling = [line for line in lines if "rror" in line or "in use" in line]
    return (telling or lines or ["it said nothing."])[-1].strip()


def _serve_rumqttd(config_path: str) -> None:
    """Run rumqttd in this process until it is terminated or the process that started it is gone."""
    from iotcore import Broker as RumqttdBroker

    def exit_with_parent() -> None:
        sys.stdin.buffer.read()  # ends when the other end of the pipe closes
        os._exit(0)

    threading.Thread(target=exit_with_parent, daemon=True).start()
    RumqttdBroker(config_path=config_path).run_forever()


if __name__ == "__main__":
    _serve_rumqttd(sys.argv[1])
