"""What a running ingester tells, judged; and an address that tells something else."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from roadtwin import telemetry
from roadtwin.errors import InputFileError
from roadtwin.jobs.doctor_findings import Severity
from roadtwin.jobs.doctor_ingester import Metrics, check_metrics, metrics_not_read, parse_metrics, read_metrics

GOOD = {
    "roadtwin_mqtt_connected": 1.0,
    "roadtwin_mqtt_connections_total": 3.0,
    "roadtwin_mqtt_connections_total{session=present}": 3.0,
    "roadtwin_mqtt_qos0_messages_total": 0.0,
    "roadtwin_mqtt_stale_acks_total": 0.0,
    "roadtwin_store_retries_total": 0.0,
    "roadtwin_journal_messages": 0.0,
    "roadtwin_journal_damaged_bytes_total": 0.0,
}


def outcome(check_id, before=None, **after):
    findings = check_metrics(Metrics(GOOD | (before or {})), Metrics(GOOD | after))
    return {finding.id: finding for finding in findings}.get(check_id)


def test_a_good_ingester_is_fine_in_all_and_says_nothing_of_publishers():
    findings = check_metrics(Metrics(GOOD), Metrics(GOOD))

    assert {f.severity for f in findings} == {Severity.OK}
    assert "publisher-qos" not in {f.id for f in findings}  # that none came at QoS 0 so far proves nothing


@pytest.mark.parametrize(
    ("check_id", "changes", "severity"),
    [
        ("publisher-qos", {"roadtwin_mqtt_qos0_messages_total": 2.0}, Severity.WARNING),
        ("client-id", {"roadtwin_mqtt_connections_total": 5.0}, Severity.DANGER),
        ("client-id", {"roadtwin_mqtt_connections_total": 4.0}, Severity.OK),  # once may happen
        ("client-id", {"roadtwin_mqtt_takeovers_total": 1.0}, Severity.DANGER),
        ("client-id", {"roadtwin_mqtt_connected": 0.0}, Severity.DANGER),
        ("new-sessions", {"roadtwin_mqtt_connections_total{session=new}": 1.0}, Severity.WARNING),
        ("new-sessions", {"roadtwin_mqtt_connections_total{session=new}": 2.0}, Severity.DANGER),
        ("stale-acknowledgements", {"roadtwin_mqtt_stale_acks_total": 3.0}, Severity.WARNING),
        ("store-retries", {"roadtwin_store_retries_total": 3.0}, Severity.DANGER),  # it went up while we looked
        ("journal-depth", {"roadtwin_journal_messages": 3.0}, Severity.WARNING),
        ("journal-damage", {"roadtwin_journal_damaged_bytes_total": 3.0}, Severity.DANGER),
    ],
)
def test_each_metric(check_id, changes, severity):
    assert outcome(check_id, **changes).severity is severity


def test_retries_of_the_past_are_a_warning():
    retries = {"roadtwin_store_retries_total": 3.0}

    assert outcome("store-retries", retries, **retries).severity is Severity.WARNING


def test_the_names_are_those_that_the_ingester_gives():
    ours = {f"{metric._name}_total" for metric in vars(telemetry).values() if isinstance(metric, Counter)}
    ours |= {metric._name for metric in vars(telemetry).values() if isinstance(metric, Gauge)}

    assert {name.partition("{")[0] for name in GOOD} - ours == set()


def test_without_metrics_nothing_of_the_ingester_is_called_fine():
    assert {f.severity for f in metrics_not_read(None)} == {Severity.UNKNOWN}
    assert metrics_not_read("It does not answer.")[0].severity is Severity.WARNING
    assert Severity.OK not in {f.severity for f in check_metrics(Metrics({}), Metrics({"python_info": 1.0}))}


def test_labels_are_told_apart_and_added_up():
    registry = CollectorRegistry()
    connections = Counter("roadtwin_mqtt_connections", "…", ["session"], registry=registry)
    connections.labels("new").inc(2)
    connections.labels("present").inc(5)

    metrics = parse_metrics(generate_latest(registry).decode())

    assert metrics.get("roadtwin_mqtt_connections_total") == 7
    assert metrics.get("roadtwin_mqtt_connections_total{session=new}") == 2
    assert metrics.get("roadtwin_mqtt_connected") is None


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/metrics" else 500)
        self.end_headers()
        if self.path == "/metrics":
            self.wfile.write(generate_latest())

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def served() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_metrics_are_read_from_a_running_server(served):
    assert read_metrics(f"{served}/metrics").get("roadtwin_mqtt_connected") is not None


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://127.0.0.1:1/metrics", "{served}/elsewhere"])
def test_an_address_that_cannot_be_read_is_named(served, url):
    address = url.format(served=served)

    with pytest.raises(InputFileError, match="metrics"):
        read_metrics(address)
