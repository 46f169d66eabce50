"""Random faults for as long as you like: `python -m tests.faults.soak --minutes 30 --seed 1 --report FILE`.

Prints a report as text and writes it as JSON. Exit code 1 when a confirmed message was lost or stored twice, a PUBACK
was out of order, the accounts do not balance, the ingester ended by itself or took more memory than its bound. The same
seed gives the same order of faults, not the same instants.
"""

import argparse
import json
import signal
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from roadtwin.errors import RoadtwinError
from tests.conftest import DatabaseServer
from tests.faults.databases import EmbeddedServer, Server, TimescaleServer
from tests.faults.processes import MOSQUITTO
from tests.faults.rig import Rig
from tests.faults.schedule import Schedule

SAMPLE_EVERY_S = 0.25
MEMORY_EVERY_S = 10.0
JOURNAL_METRIC = "roadtwin_journal_messages"


@dataclass
class SoakReport:
    """What a soak has found. Counts are messages; `problems` empty: nothing was lost, stored twice or out of order."""

    seed: int
    database: str
    began_at: str
    lasted_s: float = 0.0
    published_per_s: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    published: int = 0
    confirmed: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    missing: int = 0
    stored_twice: int = 0
    deliveries: int = 0
    redeliveries: int = 0
    acknowledged: int = 0
    connections: int = 0
    sessions_lost: int = 0
    order_violations: int = 0
    longest_outage_s: float = 0.0
    journal_most_messages: int = 0
    peak_rss_mb: float = 0.0
    rss_mb: list[tuple[float, float]] = field(default_factory=list)
    """Seconds since the beginning, memory in use by the ingester."""
    ended_by_itself: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Gauge:
    """Watches a rig from aside: the longest time without an acknowledgement, memory, depth of the journal."""

    def __init__(self, rig: Rig, report: SoakReport) -> None:
        self._rig, self._report = rig, report
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        began = moved = time.monotonic()
        memory_at, acknowledged = 0.0, 0
        while not self._stop.wait(SAMPLE_EVERY_S):
            now = time.monotonic()
            if self._rig.mqtt.acknowledged != acknowledged:
                acknowledged, moved = self._rig.mqtt.acknowledged, now
            self._report.longest_outage_s = round(max(self._report.longest_outage_s, now - moved), 1)
            rss_mb = self._rig.ingester.rss_mb()
            self._report.peak_rss_mb = max(self._report.peak_rss_mb, round(rss_mb, 1))
            if now - memory_at >= MEMORY_EVERY_S and rss_mb:
                memory_at = now
                self._report.rss_mb.append((round(now - began, 1), round(rss_mb, 1)))
                depth = self._rig.ingester.metric(JOURNAL_METRIC)
                self._report.journal_most_messages = max(self._report.journal_most_messages, int(depth))


def soak(rig: Rig, report: SoakReport, *, minutes: float, per_s: float, most_rss_mb: float) -> None:
    """Inject faults while the stream runs, then reckon; everything found goes into the report."""
    schedule = Schedule(rig, report.seed)
    began = time.monotonic()
    rig.ingester.start()
    gauge = Gauge(rig, report)
    rig.stream.start(per_s)
    try:
        while time.monotonic() - began < 60 * minutes:
            name = schedule.inject_next()
            _tell(f"{time.monotonic() - began:6.0f} s  {rig.stream.published:8d} published  {name}")
        rig.stream.finish()
        lasted_s = time.monotonic() - began
        schedule.revive()
        _tell("reckoning")
        result = rig.end_and_reckon(within_s=180)
    finally:
        gauge.close()
    witness = result.report.witness
    assert witness is not None
    report.lasted_s, report.published_per_s = round(lasted_s, 1), round(rig.stream.published / lasted_s, 1)
    report.faults = dict(sorted(schedule.injected.items()))
    report.ended_by_itself = schedule.ended_by_itself
    report.published, report.confirmed = rig.stream.published, witness.published
    report.stored, report.rejected, report.missing = witness.stored, witness.rejected, witness.missing
    report.duplicate, report.stored_twice = result.report.accounts.duplicate, result.stored_twice
    report.deliveries, report.redeliveries = rig.mqtt.deliveries, rig.mqtt.redeliveries
    report.acknowledged, report.connections = rig.mqtt.acknowledged, rig.mqtt.connections
    report.sessions_lost = rig.mqtt.sessions_present[1:].count(False)
    report.order_violations = len(result.order_violations)
    report.peak_rss_mb = round(max(report.peak_rss_mb, rig.ingester.peak_rss_mb), 1)
    report.problems = result.problems
    if report.peak_rss_mb > most_rss_mb:
        report.problems.append(f"The ingester took {report.peak_rss_mb} MB, expected at most {most_rss_mb:g} MB.")
    report.problems += [f"The ingester ended by itself: {words}" for words in report.ended_by_itself]


def as_text(report: SoakReport) -> str:
    """The report for people."""
    faults = "\n".join(f"  {count:4d}  {name}" for name, count in report.faults.items())
    half = len(report.rss_mb) // 2
    early, late = (max((mb for _, mb in part), default=0) for part in (report.rss_mb[:half], report.rss_mb[half:]))
    verdict = "Nothing lost, nothing stored twice, PUBACKs in order." if not report.problems else "FAILED."
    lines = [
        f"Soak of {report.lasted_s:.0f} s on {report.database}, seed {report.seed}: {verdict}",
        f"Faults: {sum(report.faults.values())}\n{faults}",
        (
            f"Stream: {report.published} published ({report.published_per_s}/s), {report.confirmed} confirmed = "
            f"{report.stored} stored + {report.rejected} rejected + {report.missing} missing; "
            f"{report.stored_twice} stored twice."
        ),
        (
            f"Ingester: {report.deliveries} deliveries, {report.redeliveries} of them again; {report.duplicate} "
            f"duplicates recognised; {report.acknowledged} acknowledged over {report.connections} connections, "
            f"{report.order_violations} out of order; {report.sessions_lost} sessions lost by the broker."
        ),
        (
            f"Longest time without an acknowledgement: {report.longest_outage_s} s. "
            f"Most in the journal: {report.journal_most_messages} messages."
        ),
        f"Memory: {report.peak_rss_mb} MB at most; {early} MB in the first half, {late} MB in the second.",
    ]
    return "\n".join([*lines, *(f"PROBLEM: {problem}" for problem in report.problems)])


def _tell(text: str) -> None:
    """Progress, for a person at a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long faults are injected")
    parser.add_argument("--seed", type=int, default=1, help="order of the faults")
    parser.add_argument("--per-s", type=float, default=200.0, help="messages published a second")
    parser.add_argument("--most-rss-mb", type=float, default=600.0, help="bound of the ingester's memory")
    parser.add_argument("--database", choices=("auto", "embedded", "timescale"), default="auto")
    parser.add_argument("--report", type=Path, help="where the report goes as JSON")
    options = parser.parse_args()
    if MOSQUITTO is None:
        print("soak: Mosquitto is not installed on this machine (apt install mosquitto).", file=sys.stderr)
        return 2
    name = options.database
    if name == "auto":
        name = "timescale" if TimescaleServer.is_possible() else "embedded"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a soak that is ended ends its processes
    report = SoakReport(options.seed, name, datetime.now(UTC).isoformat(timespec="seconds"))
    with tempfile.TemporaryDirectory(prefix="roadtwin-soak-", ignore_cleanup_errors=True) as folder:
        directory = Path(folder)
        directory.chmod(0o755)
        server: Server = EmbeddedServer(directory / "database") if name == "embedded" else TimescaleServer()
        try:
            rig = Rig(directory, server, DatabaseServer(server.url), JOURNAL_AFTER_S="1")
            try:
                soak(rig, report, minutes=options.minutes, per_s=options.per_s, most_rss_mb=options.most_rss_mb)
            except (AssertionError, TimeoutError, RoadtwinError) as exc:  # a part that hangs is a finding too
                report.problems.append(f"The soak broke off: {type(exc).__name__}: {exc}")
            finally:
                rig.close()
        finally:
            server.close()
    _tell("")
    print(as_text(report))
    if options.report is not None:
        options.report.write_text(json.dumps(asdict(report), indent=1) + "\n")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
