"""`roadtwin ingest` as processes, and a numbered stream for them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from roadtwin.storage.database import connect
from roadtwin.storage.workers import WorkerRow, find_workers
from tests.integration.ingest.conftest import count, open_publisher, wait_for

BROKER_OPTIONS = "max_queued_messages 100000\nmax_inflight_messages 2000\n"
"""A broker that has room for what is parked; sessions live in its memory, for it is not restarted."""


class Command:
    """A running `roadtwin ingest`; what it logs is in `log`."""

    def __init__(self, directory: Path, *arguments: str, **environment: object) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        own = {"DATA_DIR": directory, "LOG_FORMAT": "json", "MQTT_CLIENT_ID": "essen"} | environment
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ROADTWIN_")}
        self.log = directory / f"log-{time.monotonic_ns()}"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "roadtwin.cli.main", "ingest", *arguments],
                env=kept | {f"ROADTWIN_{name}": str(value) for name, value in own.items()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def stop(self, *, within_s: float = 20.0) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)

    def kill(self) -> None:
        """SIGKILL of this process; its workers notice within a second or so."""
        self.process.kill()
        self.process.wait()

    def events(self, action: str) -> list[dict[str, Any]]:
        """Log events of an action."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("action") == action]

    def sentence(self) -> str:
        """What it said last, which is no log event."""
        return self.log.read_text().splitlines()[-1]


class Stream:
    """Numbered messages of one sensor, published at QoS 1, at once or all the time."""

    def __init__(self, mqtt_url: str) -> None:
        self._client = open_publisher(mqtt_url)
        self._began = datetime.now(UTC) - timedelta(days=1)
        self.published = 0
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def publish(self, number: int) -> None:
        """So many more, all acknowledged by the broker when this returns."""
        infos = []
        for n in range(self.published, self.published + number):
            reading = {"n": "air_temp_c", "v": n % 30, "t": (self._began + timedelta(seconds=n)).timestamp()}
            infos.append(self._client.publish("roadtwin/v1/sensors/s/readings", json.dumps([reading]), qos=1))
        for info in infos:
            info.wait_for_publish(20)
            assert info.is_published()
        self.published += number

    def start(self, every_s: float) -> None:
        """Publish one after the other, until `pause`."""
        self._done.clear()

        def run() -> None:
            while not self._done.wait(every_s):
                self.publish(1)

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def pause(self) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join(30)
            self._thread = None

    def close(self) -> None:
        self.pause()
        self._client.disconnect()
        self._client.loop_stop()


def workers(database_url: str, *, retired: bool = False) -> dict[str, WorkerRow]:
    with connect(database_url, autocommit=True) as conn:
        return {row.worker: row for row in find_workers(conn, retired=retired)}


def wait_until_connected(database_url: str, *names: str) -> dict[str, WorkerRow]:
    def connected() -> bool:
        rows = workers(database_url)
        return all(name in rows and rows[name].connected for name in names)

    wait_for(connected, within_s=40)
    return workers(database_url)


def stored(database_url: str) -> int:
    return count(database_url, "SELECT count(*) FROM message")


def wait_until_stored(database_url: str, stream: Stream) -> None:
    """All of the stream is there, each message once."""
    wait_for(lambda: stored(database_url) >= stream.published, within_s=40)
    assert count(database_url, "SELECT count(DISTINCT observed_at) FROM message") == stream.published
    assert stored(database_url) == stream.published


def process_is_there(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
