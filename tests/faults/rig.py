"""The parts of a scenario, wired: publisher → broker → proxy → ingester → proxy → database; and the reckoning."""

import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from roadtwin.jobs.verify import VerifyReport, verify
from roadtwin.storage.database import connect
from roadtwin.storage.raw import read_payloads
from tests.conftest import DatabaseServer, make_conninfo_url
from tests.faults.databases import Server
from tests.faults.processes import DURABLE, Ingester, Mosquitto, wait_for
from tests.faults.proxies import MqttProxy, PostgresProxy
from tests.faults.stream import Stream

CLIENT_ID = "faulted"
KEEPALIVE_S = 5


@dataclass(frozen=True)
class Reckoning:
    """What became of the stream, counted from the tables and against the witness."""

    report: VerifyReport
    attempted: int
    missing: frozenset[bytes]
    """Confirmed by the broker, and neither stored nor rejected."""
    stored_twice: int
    strangers: int
    """Payloads in the tables that nobody published."""
    numbers_missing: tuple[int, ...]
    order_violations: tuple[str, ...]

    @property
    def problems(self) -> list[str]:
        """Every way in which this is not "nothing lost, nothing twice, in order"; empty: the guarantee holds."""
        found = list(self.report.differences)
        if self.missing:
            found.append(f"{len(self.missing)} confirmed messages are nowhere: numbers {self.numbers_missing[:20]}.")
        if self.stored_twice:
            found.append(f"{self.stored_twice} payloads have more than one row.")
        if self.strangers:
            found.append(f"{self.strangers} payloads are stored that nobody published.")
        if self.order_violations:
            found.append(f"{len(self.order_violations)} PUBACKs out of order: {'; '.join(self.order_violations[:3])}.")
        return found


class Rig:
    """One broker, one database, one ingester (by name; it may be started again), and what stands between them."""

    def __init__(
        self,
        directory: Path,
        server: Server,
        databases: DatabaseServer,
        *,
        broker_options: str = DURABLE,
        **environment: str,
    ) -> None:
        self.server = server
        self._databases = databases
        self._directory = directory
        self._closing = contextlib.ExitStack()
        with contextlib.ExitStack() as failing:
            self.database, self.database_url = databases.clone()
            failing.callback(databases.drop, self.database)
            self.broker = Mosquitto(directory / "broker", options=broker_options)
            failing.callback(self.broker.close)
            self.broker.start()
            self.mqtt = MqttProxy(("127.0.0.1", self.broker.port))
            failing.callback(self.mqtt.close)
            self.postgres = PostgresProxy(server.target)
            failing.callback(self.postgres.close)
            self.environment = {
                "MQTT_URL": f"mqtt://127.0.0.1:{self.mqtt.port}",
                "DATABASE_URL": self._proxied(),
                "MQTT_CLIENT_ID": CLIENT_ID,
                "MQTT_KEEPALIVE_S": str(KEEPALIVE_S),
                "BATCH_MAX_MESSAGES": "100",
            } | environment
            self.ingester = self.make_ingester("ingester")
            failing.callback(self.ingester.close)
            self.stream = Stream(self.broker.url)
            failing.callback(self.stream.close)
            self._closing = failing.pop_all()

    def make_ingester(self, name: str, **environment: str) -> Ingester:
        """One more ingester, with the same client id unless told; the caller closes it."""
        return Ingester(self._directory / name, **(self.environment | environment))

    def close(self) -> None:
        """End every process and drop the database."""
        self._closing.close()

    def _proxied(self) -> str:
        user = f"postgres:{quote(self.server.password)}" if self.server.password else "postgres"
        return f"postgresql://{user}@127.0.0.1:{self.postgres.port}/{self.database}"

    @contextlib.contextmanager
    def straight(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection to the database that goes by no proxy, for the witness and for faults made by SQL."""
        with connect(self.database_url, application_name="roadtwin faults") as conn:
            yield conn

    def admin_url(self, database: str = "postgres") -> str:
        """Address of another database of the same server."""
        return make_conninfo_url(self.server.url, database)

    def rows(self) -> int:
        """Messages stored or rejected so far."""
        with self.straight() as conn:
            row = conn.execute("SELECT (SELECT count(*) FROM message) + (SELECT count(*) FROM rejected_message)")
            ((count,),) = row.fetchall()
        return int(count)

    def wait_for_rows(self, count: int, *, within_s: float = 30.0) -> None:
        """Wait until so many messages are stored or rejected."""
        wait_for(lambda: self.rows() >= count, f"{count} messages in the tables", within_s=within_s)

    def reckon(self, *, allowed_missing: int = 0, within_s: float = 45.0) -> Reckoning:
        """Wait until everything confirmed is accounted for, as far as it may, and count.

        Gives what it finds also when that is bad; only ends of processes raise here.
        """
        manifest = self.stream.manifest
        distinct = len(set(manifest.payload_sha256))
        deadline = time.monotonic() + within_s
        while self.rows() < distinct - allowed_missing and time.monotonic() < deadline:
            time.sleep(0.2)
        while True:
            with self.straight() as conn:
                report = verify(conn, manifest)
            assert report.witness is not None
            if report.witness.missing <= allowed_missing or time.monotonic() > deadline:
                break
            time.sleep(1)
        with self.straight() as conn:
            stored = Counter(hashlib.sha256(payload).digest() for payload in read_payloads(conn))
            rejected = {bytes(row[0]) for row in conn.execute("SELECT payload_sha256 FROM rejected_message")}
        missing = frozenset(manifest.payload_sha256) - stored.keys() - rejected
        return Reckoning(
            report=report,
            attempted=self.stream.published,
            missing=missing,
            stored_twice=sum(1 for count in stored.values() if count > 1),
            strangers=len((stored.keys() | rejected) - self.stream.numbers.keys()),
            numbers_missing=tuple(sorted(self.stream.numbers[digest] for digest in missing)),
            order_violations=tuple(self.mqtt.order_violations),
        )

    def end_and_reckon(self, *, allowed_missing: int = 0, within_s: float = 45.0) -> Reckoning:
        """Finish the stream, wait for tables and acknowledgements, stop the ingester as an operator would, and count.

        Raises TimeoutError when messages stay unacknowledged, AssertionError when the ingester does not end well.
        """
        self.stream.finish()
        self.reckon(allowed_missing=allowed_missing, within_s=within_s)
        wait_for(lambda: self.mqtt.outstanding == 0, "an acknowledgement of everything delivered", within_s=within_s)
        if self.ingester.running:
            code = self.ingester.stop()
            assert code == 0, f"the ingester ended with {code}: {self.ingester.last_words()}"
        return self.reckon(allowed_missing=allowed_missing, within_s=1)
