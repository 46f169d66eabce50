"""Real processes to break: Mosquitto and the ingester. Every wait is bounded, and `close` leaves nothing behind."""

import contextlib
import getpass
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
FAKETIME_LIBRARY = next((str(path) for path in sorted(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"))), None)
DURABLE = "persistence true\nautosave_interval 1800\nmax_inflight_messages 2000\nmax_queued_messages 1000000"
"""What the guarantee asks of a broker; `autosave_interval` keeps the snapshot for when a test asks for it."""


def wait_for(condition: Callable[[], object], what: str, *, within_s: float = 20.0) -> None:
    """Wait until a condition holds; raises TimeoutError, naming what did not come."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {within_s:g} s for this, and it did not come: {what}.")
        time.sleep(0.05)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """A broker on a port and a folder of its own, which stay the same over restarts."""

    def __init__(self, directory: Path, *, options: str = DURABLE) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._directory = directory
        self._config = directory / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser {getpass.getuser()}\n"
            f"persistence_location {directory}/\nset_tcp_nodelay true\nlog_dest file {directory}/mosquitto.log\n"
            f"{options}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        assert MOSQUITTO is not None, "tests that need Mosquitto are skipped without it"
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        wait_for(self._answers, "an answer of Mosquitto")

    def stop(self) -> None:
        """SIGTERM: it saves its queues, if it is persistent."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: whatever it has not saved is gone."""
        self._end(signal.SIGKILL)

    def save(self) -> None:
        """Have it write its queues to disk now (SIGUSR1), and wait for that."""
        assert self._process is not None
        database = self._directory / "mosquitto.db"
        before = database.stat().st_mtime_ns if database.exists() else 0
        self._process.send_signal(signal.SIGUSR1)
        wait_for(lambda: database.exists() and database.stat().st_mtime_ns != before, "Mosquitto's snapshot")

    def freeze(self) -> None:
        """SIGSTOP: connections stay, nobody answers."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it for good."""
        self.thaw()
        self.kill()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(20)
            self._process = None


class Ingester:
    """`roadtwin ingest` as a process of its own, started again and again with the same client id.

    `environment` holds settings by name without their prefix. Log lines go to `log`, as JSON.
    """

    def __init__(self, directory: Path, **environment: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.log = directory / "ingest.log"
        self._metrics_port = free_port()
        own = {"LOG_FORMAT": "json", "METRICS_PORT": str(self._metrics_port), "DATA_DIR": str(directory)}
        self.environment = {f"ROADTWIN_{name}": value for name, value in (own | environment).items()}
        self.preload: dict[str, str] = {}
        """More environment variables, taken as they are."""
        self._process: subprocess.Popen[bytes] | None = None
        self._log_begins = 0
        self.peak_rss_mb = 0.0

    def start(self, *, wait: bool = True) -> None:
        """Start it; with `wait`, until it is subscribed."""
        self._log_begins = self.log.stat().st_size if self.log.exists() else 0
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ROADTWIN_")}
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "roadtwin.cli.main", "ingest"],
                env=kept | self.environment | self.preload,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        if wait:
            wait_for(self._ready_or_gone, "the ingester's subscription", within_s=40)
            assert self.running, f"the ingester ended at its start: {self.last_words()}"

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL."""
        self._note_memory()
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None

    def stop(self, *, within_s: float = 40.0) -> int:
        """SIGTERM; the exit code."""
        self._note_memory()
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(within_s)
        self._process = None
        return code

    def freeze(self) -> None:
        """SIGSTOP."""
        if self.running and self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        if self.running and self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it for good."""
        self.thaw()
        self.kill()

    def rss_mb(self) -> float:
        """Memory in use now [MB]; 0 while there is no process."""
        return self._memory("VmRSS")

    def metric(self, name: str, **labels: str) -> float:
        """One sample of its metrics; 0 when it is not there or nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics_port}/metrics", timeout=3) as answer:
                text = answer.read().decode()
        except (urllib.error.URLError, OSError):
            return 0.0
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        for line in text.splitlines():
            match = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
            if match and all(label in (match[1] or "") for label in wanted):
                return float(match[2])
        return 0.0

    def actions(self) -> list[str]:
        """The actions that it logged since its last start."""
        return [str(json.loads(line).get("action")) for line in self._log_lines() if line.startswith("{")]

    def last_words(self) -> str:
        """The end of its log since its last start."""
        return " / ".join(self._log_lines()[-3:]) or "it said nothing"

    def _log_lines(self) -> list[str]:
        with self.log.open("rb") as log:
            log.seek(self._log_begins)
            return log.read().decode(errors="replace").splitlines()

    def _ready_or_gone(self) -> bool:
        return not self.running or "ingest_ready" in self.actions()

    def _note_memory(self) -> None:
        self.peak_rss_mb = max(self.peak_rss_mb, self._memory("VmHWM"))

    def _memory(self, field: str) -> float:
        if self._process is None:
            return 0.0
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
                if line.startswith(f"{field}:"):
                    return int(line.split()[1]) / 1024
        return 0.0
