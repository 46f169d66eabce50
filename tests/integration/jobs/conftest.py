"""Brokers with settings of a test's own, and the doctor that looks at them."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from roadtwin.jobs.doctor import Options, examine
from roadtwin.jobs.doctor_findings import Finding
from roadtwin.settings import Settings

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
NOWHERE_MQTT = "mqtt://127.0.0.1:1"
NOWHERE_DATABASE = "postgresql://staff:hush@127.0.0.1:1/roads"
GENEROUS = "max_inflight_messages 2000\nmax_queued_messages 1000000\n"


class OwnMosquitto:
    """A Mosquitto of one test."""

    def __init__(self, directory: Path, options: str, anonymous: bool) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.log = directory / f"{self.port}.log"
        self.config = directory / f"{self.port}.conf"
        self.config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous {str(anonymous).lower()}\n{options}\n")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen([str(MOSQUITTO), "-c", str(self.config)], stderr=log, stdout=log)
        deadline = time.monotonic() + 10
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture
def mosquitto(data_dir: Path) -> Iterator[Callable[..., OwnMosquitto]]:
    """Start a Mosquitto with these lines in its configuration; skips where there is none."""
    if MOSQUITTO is None:
        pytest.skip("Mosquitto is not installed on this machine")
    started: list[OwnMosquitto] = []

    def start(options: str = "", *, anonymous: bool = True) -> OwnMosquitto:
        started.append(OwnMosquitto(data_dir, options, anonymous))
        return started[-1]

    yield start
    for broker in started:
        broker.close()


@pytest.fixture
def doctor(tmp_path: Path) -> Callable[..., dict[str, Finding]]:
    """Findings by id; broker and database are nowhere unless they are given."""

    def run(
        mqtt_url: str = NOWHERE_MQTT, database_url: str | None = NOWHERE_DATABASE, **changes: Any
    ) -> dict[str, Finding]:
        names = set(Options.__dataclass_fields__)
        options = {name: changes.pop(name) for name in list(changes) if name in names}
        settings = Settings(mqtt_url=mqtt_url, database_url=database_url, data_dir=tmp_path, **changes)
        token = options.pop("token", uuid4().hex[:8])
        findings = examine(settings, Options(token=token, **({"listen_s": 0.2} | options)))
        by_id = {finding.id: finding for finding in findings}
        assert len(by_id) == len(findings)
        return by_id

    return run
