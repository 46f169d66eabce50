"""What the running ingester tells at its /metrics, and the rules that judge it."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from roadtwin.errors import InputFileError
from roadtwin.jobs.doctor_findings import Finding

TIMEOUT_S = 5.0
_CHECKS = ("client-id", "new-sessions", "stale-acknowledgements", "store-retries", "journal-depth", "journal-damage")
_CONNECTED = "roadtwin_mqtt_connected"
_CONNECTIONS = "roadtwin_mqtt_connections_total"


@dataclass(frozen=True, slots=True)
class Metrics:
    """Samples by name; those with labels added up under the name, and alone under `name{label=value}`."""

    values: Mapping[str, float]

    def get(self, name: str) -> float | None:
        """One value, None where the ingester does not give it."""
        return self.values.get(name)


def parse_metrics(text: str) -> Metrics:
    """Read the text format of Prometheus. Raises InputFileError for anything else.

    Examples
    --------
    >>> parse_metrics("connections_total 2\\n").values
    {'connections_total': 2.0}
    """
    values: dict[str, float] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                values[sample.name] = values.get(sample.name, 0.0) + sample.value
                for label, value in sample.labels.items():
                    values[f"{sample.name}{{{label}={value}}}"] = sample.value
    except ValueError as exc:
        raise InputFileError(f"This is not the text format of Prometheus: {exc}.") from exc
    return Metrics(values)


def read_metrics(url: str) -> Metrics:
    """Fetch /metrics of a running ingester. Raises InputFileError, naming the address."""
    if not url.startswith(("http://", "https://")):
        raise InputFileError(f"--metrics-url: got {url!r}, expected http://127.0.0.1:9100/metrics.")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 — http or https, see above
            return parse_metrics(answer.read().decode("utf-8", "replace"))
    except (OSError, ValueError) as exc:
        reason = exc.reason if isinstance(exc, urllib.error.URLError) else exc
        raise InputFileError(f"The metrics at {url} cannot be read: {reason}.") from exc


def metrics_not_read(problem: str | None) -> list[Finding]:
    """The findings without metrics: none were asked for (`problem` None), or they could not be read."""
    if problem is not None:
        first = Finding.warning(
            "ingester-metrics", problem, "Start `roadtwin ingest` with ROADTWIN_METRICS_PORT, and give its address."
        )
    else:
        first = Finding.unknown(
            "ingester-metrics",
            "The running ingester was not asked.",
            "ROADTWIN_METRICS_PORT=9100 roadtwin ingest; roadtwin doctor --metrics-url http://127.0.0.1:9100/metrics",
        )
    reason = "Only the running ingester knows: the doctor never connects with its client id."
    return [first] + [Finding.unknown(name, reason, "See ingester-metrics.") for name in _CHECKS]


def check_metrics(before: Metrics, after: Metrics) -> list[Finding]:
    """Judge the metrics of a running ingester, read before and after everything else was probed."""
    if after.get(_CONNECTED) is None:
        return metrics_not_read("These are not the metrics of an ingester: roadtwin_mqtt_connected is missing.")
    findings = [
        Finding.ok("ingester-metrics", "Read."),
        _client_id(before, after),
        _new_sessions(after),
        _stale(after),
        _retries(before, after),
        _journal(after),
        _journal_damage(after),
    ]
    qos0 = after.get("roadtwin_mqtt_qos0_messages_total")
    if qos0:
        findings.append(
            Finding.warning(
                "publisher-qos",
                f"The ingester received {qos0:.0f} messages at QoS 0 since it started.",
                "Set the publishers to QoS 1 (ChirpStack: `qos=1` in [integration.mqtt]).",
            )
        )
    return findings


def _client_id(before: Metrics, after: Metrics) -> Finding:
    made = (after.get(_CONNECTIONS) or 0) - (before.get(_CONNECTIONS) or 0)
    if made >= 2:
        return Finding.danger(
            "client-id",
            f"The ingester connected {made:.0f} times within a few seconds.",
            "Give every ingester a ROADTWIN_MQTT_CLIENT_ID of its own, and look into its log.",
        )
    taken = after.get("roadtwin_mqtt_takeovers_total") or 0
    if taken:
        return Finding.danger(
            "client-id",
            f"Another client took the ingester's session {taken:.0f} times since it started.",
            "Give every ingester a ROADTWIN_MQTT_CLIENT_ID of its own.",
        )
    if not after.get(_CONNECTED):
        return Finding.danger(
            "client-id", "The ingester is not connected to the broker.", "Look into its log, and at broker-reachable."
        )
    return Finding.ok("client-id", "The ingester is connected, and stayed so while the doctor looked.")


def _new_sessions(after: Metrics) -> Finding:
    new = after.get(f"{_CONNECTIONS}{{session=new}}") or 0
    if new > 1:
        return Finding.danger(
            "new-sessions",
            f"The broker had forgotten the ingester's session {new:.0f} times since it started.",
            "See broker-persistence, session-expiry and session-persistence; fetch the gap from the network server.",
        )
    if new == 1:
        return Finding.warning(
            "new-sessions",
            "The ingester began with a new session: right on its first start ever, a gap on any other.",
            "Compare with the log of the broker; `roadtwin verify --manifest` proves it.",
        )
    return Finding.ok("new-sessions", "The broker kept the session at every connection.")


def _stale(after: Metrics) -> Finding:
    stale = after.get("roadtwin_mqtt_stale_acks_total") or 0
    if stale:
        return Finding.warning(
            "stale-acknowledgements",
            f"{stale:.0f} messages stored whose connection was gone: they came again, and are duplicates.",
            "Nothing is lost; look why the connection breaks.",
        )
    return Finding.ok("stale-acknowledgements", "None.")


def _retries(before: Metrics, after: Metrics) -> Finding:
    total = after.get("roadtwin_store_retries_total") or 0
    if total > (before.get("roadtwin_store_retries_total") or 0):
        return Finding.danger(
            "store-retries",
            f"The ingester cannot write now ({total:.0f} retries since it started).",
            "Look into its log and at the findings of the database.",
        )
    if total:
        return Finding.warning(
            "store-retries", f"{total:.0f} batches written again since the ingester started.", "See its log for when."
        )
    return Finding.ok("store-retries", "None.")


def _journal(after: Metrics) -> Finding:
    depth = after.get("roadtwin_journal_messages")
    if depth is None:
        return Finding.unknown("journal-depth", "This ingester tells nothing of a journal.", "")
    if depth:
        return Finding.warning(
            "journal-depth",
            f"{depth:.0f} messages are in the journal and not in the database.",
            "Bring the database back; the journal drains by itself. Do not delete its files.",
        )
    return Finding.ok("journal-depth", "The journal is empty.")


def _journal_damage(after: Metrics) -> Finding:
    damaged = after.get("roadtwin_journal_damaged_bytes_total")
    if damaged is None:
        return Finding.unknown("journal-damage", "This ingester tells nothing of a journal.", "")
    if damaged:
        lost = after.get("roadtwin_journal_lost_total") or 0
        return Finding.danger(
            "journal-damage",
            f"{damaged:.0f} bytes of the journal were damaged and are set aside, {lost:.0f} messages known to be lost.",
            "Check the disk (dmesg, smartctl), keep the files that were set aside, and fetch the gap from the network "
            "server.",
        )
    return Finding.ok("journal-damage", "None found.")
