"""`roadtwin status`: what the database holds and how fresh it is."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from roadtwin.cli.common import open_connection, settings_for_command
from roadtwin.storage.database import describe_database
from roadtwin.storage.device_states import HealthSummary, read_health_summary
from roadtwin.storage.health import count_undigested
from roadtwin.storage.monitoring import MonitoringRow, read_newest_monitoring
from roadtwin.storage.status import DatabaseStatus, read_status
from roadtwin.storage.workers import WorkerRow, find_workers

app = typer.Typer(add_completion=False)

_MESSAGES = (
    "{messages_received} received = {messages_stored} stored + {messages_duplicate} duplicate + "
    "{messages_rejected} rejected"
)


@app.command(epilog="Example: roadtwin status --json")
def main(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show what the database holds, how fresh it is, and how devices, gateways and the ingester's workers are doing."""
    settings = settings_for_command()
    now = datetime.now(UTC)
    with open_connection(settings) as conn:
        status, health = read_status(conn), read_health_summary(conn, now)
        waiting, waiting_since = count_undigested(conn)
        workers = find_workers(conn)
        monitoring = read_newest_monitoring(conn)
        database = f"{conn.info.dbname} at {conn.info.host}"
    if settings.database_url is not None:
        database = describe_database(settings.database_url.get_secret_value())
    if as_json:
        digest = {"batches_waiting": waiting, "waiting_since": waiting_since}
        answer = {"database": database} | asdict(status) | {"health": asdict(health), "digest": digest}
        answer["workers"] = [asdict(worker) | {"absent": worker.absent} for worker in workers]
        answer["monitoring"] = None if monitoring is None else asdict(monitoring)
        typer.echo(json.dumps(answer, default=_json_ready))
        return
    lines = _lines(status, now=now) + _monitoring_lines(monitoring, now=now)
    for label, value in lines + _health_lines(health) + _worker_lines(workers, now=now):
        typer.echo(f"{label:<14}{value}")
    if waiting_since is not None:
        typer.echo(f"{'Not digested':<14}{waiting} batches, the oldest {_ago(now, waiting_since)}")


def _lines(status: DatabaseStatus, *, now: datetime) -> list[tuple[str, str]]:
    counts = status.counts
    city = f"{status.city}{' (simulated)' if status.simulated else ''}" if status.city else "none yet"
    batch, scores = status.last_batch, status.newest_scores
    return [
        ("City", city),
        ("Database", f"{status.mode}, schema version {status.schema_version}"),
        ("Network", f"{counts['sections']} sections, {counts['segments']} segments"),
        ("Devices", f"{counts['devices_confirmed']} confirmed, {counts['devices_unconfirmed']} unconfirmed"),
        ("Messages", _MESSAGES.format(**counts)),
        ("Observations", f"{counts['observations_stored']}"),
        (
            "Last batch",
            f"{batch.received} messages {_ago(now, batch.recorded_at)} ({batch.origin}, {batch.worker})"
            if batch
            else "none yet",
        ),
        (
            "Scores",
            f"{scores.segment_count} segments as of {scores.as_of:%Y-%m-%d %H:%M} UTC "
            f"(model run {scores.model_run_id}, trained {scores.trained_at:%Y-%m-%d}"
            f"{', a cold start: not tested here yet' if scores.cold_start else ''})"
            if scores
            else "none yet",
        ),
        ("Potholes", f"{counts['potholes_open']} open"),
    ]


def _monitoring_lines(monitoring: MonitoringRow | None, *, now: datetime) -> list[tuple[str, str]]:
    """How the model in use is doing."""
    if monitoring is None:
        return [("Model health", "not monitored yet")]
    alarms = [("Model alarm", f"{a['name']} {a['subject']}: {a['text_en']}") for a in monitoring.alarms]
    told = f"{len(alarms)} alarms" if len(alarms) > 1 else "1 alarm" if alarms else "no alarm"
    return [("Model health", f"{told}, monitored {_ago(now, monitoring.monitored_at)}"), *alarms]


def _health_lines(health: HealthSummary) -> list[tuple[str, str]]:
    """How devices and gateways are doing; a line only where there is something to tell."""
    lines = []
    if health.devices_by_state:
        lines.append(("Device health", _counted(health.devices_by_state)))
    if health.silent:
        more = health.devices_by_state["silent"] - len(health.silent)
        lines.append(("Silent", ", ".join(health.silent) + (f" and {more} more" if more else "")))
    if health.worst_losses:
        losses = (f"{name} {share:.0%} lately ({missing} ever)" for name, share, missing in health.worst_losses)
        lines.append(("Frames lost", ", ".join(losses)))
    if health.gateways_by_state:
        lines.append(("Gateways", _counted(health.gateways_by_state)))
    return lines


def _worker_lines(workers: Sequence[WorkerRow], *, now: datetime) -> list[tuple[str, str]]:
    """Who ingests, and for whom the broker keeps messages that nobody takes."""
    if not workers:
        return []
    absent = [f"{worker.worker} ({worker.host}, {_ago(now, worker.seen_at)})" for worker in workers if worker.absent]
    connected = sum(worker.connected and not worker.absent for worker in workers)
    lines = [("Workers", f"{len(workers)} with a session at the broker, {connected} connected")]
    return lines + ([("Absent", ", ".join(absent))] if absent else [])


def _counted(by_state: dict[str, int]) -> str:
    return ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in by_state.items())


def _ago(now: datetime, then: datetime) -> str:
    seconds = int((now - then).total_seconds())
    if seconds < 0:
        return f"at {then:%Y-%m-%d %H:%M} UTC"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _json_ready(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"got {type(value).__name__}, expected a time")
