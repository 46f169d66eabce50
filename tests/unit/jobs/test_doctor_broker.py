"""The rules for a broker, on made-up probes: every outcome of every check."""

from dataclasses import replace

import pytest

from roadtwin.jobs.doctor_broker import BrokerProbe, Granted, QueueProbe, Seen, Wanted, WindowProbe, check_broker
from roadtwin.jobs.doctor_findings import Severity

WANTED = Wanted(session_expiry_s=1_209_600, receive_maximum=2000)
GOOD = BrokerProbe(
    address="broker.example:8883",
    host="broker.example",
    tls=True,
    protocol="5",
    granted=(Granted("roadtwin/v1/#", 1),),
    system={"version": "mosquitto version 2.1.0", "dropped": "0"},
    seen=Seen(2.0, messages=7, qos0=0, retained=0),
    anonymous=False,
    queue=QueueProbe(1500, 1500, "", session_kept=True, returned=1500),
    window=WindowProbe(1500, "", in_flight=1500),
)


def outcome(check_id, wanted=WANTED, **changes):
    findings = {finding.id: finding for finding in check_broker(replace(GOOD, **changes), wanted)}
    return findings[check_id]


def test_a_good_broker_is_fine_in_all():
    assert {finding.severity for finding in check_broker(GOOD, WANTED)} == {Severity.OK}


def test_a_broker_that_was_not_reached_is_named_and_nothing_else_of_it_is_called_fine():
    findings = check_broker(replace(GOOD, unreachable="The MQTT broker broker.example:8883 cannot be reached."), WANTED)

    assert {f.id for f in findings} == {f.id for f in check_broker(GOOD, WANTED)}
    assert [f.id for f in findings if f.severity is Severity.DANGER] == ["broker-reachable"]
    assert [f.id for f in findings if f.severity is Severity.OK] == ["broker-tls"]


@pytest.mark.parametrize(
    ("host", "tls", "severity"),
    [
        ("broker.example", False, Severity.WARNING),
        ("127.0.0.1", False, Severity.OK),
        ("localhost", False, Severity.OK),
        ("::1", False, Severity.OK),
        ("localhost.example", False, Severity.WARNING),
        ("broker.example", True, Severity.OK),
    ],
)
def test_tls_is_wanted_off_this_machine(host, tls, severity):
    assert outcome("broker-tls", host=host, tls=tls).severity is severity


def test_mqtt_3_1_1_is_a_warning_and_its_session_expiry_unknown():
    assert outcome("broker-protocol", protocol="3.1.1").severity is Severity.WARNING
    assert outcome("session-expiry", protocol="3.1.1").severity is Severity.UNKNOWN


def test_a_broker_that_lets_anyone_in_is_a_warning():
    assert outcome("anonymous-access", anonymous=True).severity is Severity.WARNING
    unknown = outcome("anonymous-access", anonymous=None, not_checked={"anonymous": "It did not answer."})
    assert (unknown.severity, unknown.measured) == (Severity.UNKNOWN, "It did not answer.")


@pytest.mark.parametrize("granted", [Granted("v3/#", 0), Granted("v3/#", None, "Not authorized")])
def test_a_topic_filter_below_qos_1_is_a_danger_and_named(granted):
    finding = outcome("granted-qos", granted=(Granted("roadtwin/v1/#", 1), granted))

    assert finding.severity is Severity.DANGER
    assert "v3/#" in finding.measured
    assert "roadtwin/v1/#" not in finding.measured


def test_qos_2_is_enough():
    assert outcome("granted-qos", granted=(Granted("a", 2),)).severity is Severity.OK


def test_a_session_that_the_broker_shortens_is_a_danger_with_both_numbers():
    finding = outcome("session-expiry", session_expiry_s=3600)

    assert finding.severity is Severity.DANGER
    assert "1209600" in finding.measured
    assert "ROADTWIN_MQTT_SESSION_EXPIRY_S=3600" in finding.fix


@pytest.mark.parametrize(
    ("dropped", "severity"),
    [("0", Severity.OK), ("4000", Severity.WARNING), (None, Severity.UNKNOWN), ("many", Severity.UNKNOWN)],
)
def test_the_brokers_own_count_of_dropped_messages(dropped, severity):
    system = {"version": "mosquitto version 2.1.0"} | ({} if dropped is None else {"dropped": dropped})

    assert outcome("dropped-messages", system=system).severity is severity


@pytest.mark.parametrize(
    ("seen", "severity"),
    [
        (Seen(2.0, 7, 0, 0), Severity.OK),
        (Seen(2.0, 7, 1, 0, ("v3/a/devices/b/up",)), Severity.WARNING),
        (Seen(2.0, 0, 0, 0), Severity.UNKNOWN),
        (Seen(2.0, 3, 0, 3), Severity.UNKNOWN),  # retained ones tell nothing about who publishes now
        (None, Severity.UNKNOWN),
    ],
)
def test_publishers_at_qos_0(seen, severity):
    assert outcome("publisher-qos", seen=seen).severity is severity


def test_a_retained_message_is_a_warning():
    assert outcome("retained-messages", seen=Seen(2.0, 3, 0, 1)).severity is Severity.WARNING


def test_a_queue_that_drops_is_a_danger_with_the_number_that_came():
    finding = outcome("queue-limit", queue=QueueProbe(1500, 1500, "", session_kept=True, returned=1000))

    assert finding.severity is Severity.DANGER
    assert "1000 came: 500 were dropped" in finding.measured
    assert "max_queued_messages" in finding.fix


def test_a_broker_that_refused_the_probes_messages_leaves_the_queue_unchecked_with_its_reason():
    none = QueueProbe(1500, 0, "Not authorized", session_kept=False, returned=0)
    some = QueueProbe(1500, 900, "Quota exceeded", session_kept=True, returned=900)

    assert outcome("queue-limit", queue=none).severity is Severity.UNKNOWN
    assert "Not authorized" in outcome("queue-limit", queue=none).measured
    assert outcome("session-persistence", queue=none).severity is Severity.UNKNOWN
    assert outcome("queue-limit", queue=some).severity is Severity.UNKNOWN
    assert "Quota exceeded" in outcome("queue-limit", queue=some).measured


@pytest.mark.parametrize(
    "queue", [QueueProbe(9, 9, "", session_kept=False, returned=0), QueueProbe(9, 9, "", session_kept=True, returned=0)]
)
def test_a_session_or_a_queue_that_is_gone_is_a_danger(queue):
    assert outcome("session-persistence", queue=queue).severity is Severity.DANGER


@pytest.mark.parametrize(
    ("window", "severity"),
    [
        (WindowProbe(1500, "", 20), Severity.WARNING),
        (WindowProbe(1500, "", 999), Severity.WARNING),
        (WindowProbe(1500, "", 1000), Severity.OK),
        (WindowProbe(500, "", 500), Severity.UNKNOWN),  # the probe sent too few to tell
        (WindowProbe(0, "Not authorized", 0), Severity.UNKNOWN),
        (None, Severity.UNKNOWN),
    ],
)
def test_two_batches_must_be_in_flight(window, severity):
    assert outcome("in-flight-limit", window=window).severity is severity


def test_the_fix_of_a_small_window_is_ours_where_ours_is_the_limit():
    ours = replace(WANTED, receive_maximum=20)

    assert "ROADTWIN_MQTT_RECEIVE_MAXIMUM" in outcome("in-flight-limit", ours, window=WindowProbe(1500, "", 20)).fix
    assert "max_inflight_messages" in outcome("in-flight-limit", window=WindowProbe(1500, "", 20)).fix


def test_a_session_of_the_probe_that_stays_is_reported():
    assert outcome("probe-session", left_behind=("roadtwin-doctor-a-queue",)).severity is Severity.WARNING


@pytest.mark.parametrize("step", ["system", "subscriptions", "queue", "window"])
def test_a_step_that_failed_gives_its_reason_to_what_depends_on_it(step):
    nothing = {"granted": None, "seen": None, "system": {}, "queue": None, "window": None}
    findings = check_broker(replace(GOOD, **nothing, not_checked={step: "It went away."}), WANTED)

    assert [f for f in findings if f.measured == "It went away."]
    assert {f.severity for f in findings if f.measured == "It went away."} == {Severity.UNKNOWN}
