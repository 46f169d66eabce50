"""Examines broker, database, running ingester and this machine for settings that can lose data."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ingest.mqtt import parse_mqtt_url
from roadtwin.errors import DatabaseUnavailableError, InputFileError
from roadtwin.jobs.doctor_broker import Wanted, check_broker, check_no_broker
from roadtwin.jobs.doctor_broker_probe import ProbeRequest, probe_broker
from roadtwin.jobs.doctor_database import check_database, database_unreachable
from roadtwin.jobs.doctor_findings import Finding, Severity, by_severity
from roadtwin.jobs.doctor_host import check_host, probe_host
from roadtwin.jobs.doctor_ingester import Metrics, check_metrics, metrics_not_read, read_metrics
from roadtwin.jobs.doctor_mosquitto import check_conf, conf_not_given, conf_not_readable, read_conf
from roadtwin.settings import Settings
from roadtwin.storage.database import describe_database
from roadtwin.storage.doctor import probe_database
from roadtwin.storage.embedded import EmbeddedPostgres


@dataclass(frozen=True, slots=True)
class Options:
    """How to look: `token` makes this run's probe unlike any other's, `probe_messages` and `listen_s` [s] bound it."""

    token: str
    probe_messages: int = 1500
    listen_s: float = 2.0
    mosquitto_conf: Path | None = None
    metrics_url: str | None = None


def _utc_now() -> datetime:
    return datetime.now(UTC)


def examine(
    settings: Settings,
    options: Options,
    *,
    clock: Callable[[], datetime] = _utc_now,
    on_part: Callable[[float], None] | None = None,
) -> list[Finding]:
    """Probe everything, the worst finding first. Writes nothing but the probe's own messages, and ends its sessions.

    Every part is examined, whatever becomes of the others. `on_part` is told the share that is done, 0 to 1. Raises
    SettingsError for an address that cannot be read.
    """
    told = on_part or (lambda _share: None)
    before, problem = _metrics(options.metrics_url)
    findings = _broker(settings, options)
    told(0.7)
    findings += _database(settings, clock)
    told(0.9)
    findings += check_host(probe_host(settings))
    after, later_problem = _metrics(options.metrics_url)
    if before is not None and after is not None:
        findings += check_metrics(before, after)
    else:
        findings += metrics_not_read(problem or later_problem)
    told(1.0)
    return by_severity(_worst_each(findings))


def _worst_each(findings: list[Finding]) -> list[Finding]:
    """One finding an id, where two ways see the same thing: known wins over not known, the worse over the good."""
    order = (Severity.DANGER, Severity.WARNING, Severity.OK, Severity.UNKNOWN)
    best: dict[str, Finding] = {}
    for finding in findings:
        known = best.get(finding.id)
        if known is None or order.index(finding.severity) < order.index(known.severity):
            best[finding.id] = finding
    return list(best.values())


def _broker(settings: Settings, options: Options) -> list[Finding]:
    wanted = Wanted(
        session_expiry_s=settings.mqtt_session_expiry_s,
        receive_maximum=settings.mqtt_receive_maximum,
    )
    configured: dict[str, str] | None = None
    if options.mosquitto_conf is None:
        findings = conf_not_given()
    else:
        try:
            configured = read_conf(options.mosquitto_conf)
            findings = check_conf(configured, wanted)
        except InputFileError as exc:
            findings = conf_not_readable(str(exc))
    if settings.mqtt_url is None:
        return findings + check_no_broker("ROADTWIN_MQTT_URL is not set: `roadtwin ingest` has no broker.")
    address = parse_mqtt_url(settings.mqtt_url.get_secret_value(), ca_file=settings.mqtt_ca_file)
    request = ProbeRequest(
        topics=settings.mqtt_topics,
        session_expiry_s=settings.mqtt_session_expiry_s,
        receive_maximum=settings.mqtt_receive_maximum,
        token=options.token,
        messages=options.probe_messages,
        listen_s=options.listen_s,
    )
    return findings + check_broker(probe_broker(address, request), wanted, configured)


def _database(settings: Settings, clock: Callable[[], datetime]) -> list[Finding]:
    embedded = settings.database_url is None
    try:
        with ExitStack() as stack:
            if settings.database_url is not None:
                url = settings.database_url.get_secret_value()
                name = describe_database(url)
            elif EmbeddedPostgres.exists(settings.data_dir):
                url = stack.enter_context(EmbeddedPostgres(settings.data_dir)).url
                name = f"The embedded database in {settings.data_dir}"
            else:
                return database_unreachable(
                    f"ROADTWIN_DATABASE_URL is not set, and there is no embedded database in {settings.data_dir} yet."
                )
            return check_database(probe_database(url, clock=clock), name=name, embedded=embedded)
    except DatabaseUnavailableError as exc:
        return database_unreachable(str(exc))


def _metrics(url: str | None) -> tuple[Metrics | None, str | None]:
    """The metrics, or the reason why there are none; neither where none were asked for."""
    if url is None:
        return None, None
    try:
        return read_metrics(url), None
    except InputFileError as exc:
        return None, str(exc)
