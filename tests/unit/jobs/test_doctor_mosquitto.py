"""mosquitto.conf: read as Mosquitto does, and judged."""

from pathlib import Path

import pytest

from roadtwin.errors import InputFileError
from roadtwin.jobs.doctor_broker import Wanted
from roadtwin.jobs.doctor_findings import Severity
from roadtwin.jobs.doctor_mosquitto import check_conf, conf_not_given, conf_not_readable, parse_conf, read_conf

OURS = Path(__file__).resolve().parents[3] / "deploy" / "mosquitto" / "mosquitto.conf"
WANTED = Wanted(session_expiry_s=14 * 86400, receive_maximum=2000)
GOOD = "persistence true\nautosave_interval 10\nmax_queued_messages 1000000\nmax_inflight_messages 2000\n"


def outcomes(text):
    return {finding.id: finding for finding in check_conf(parse_conf(text), WANTED)}


def test_the_file_that_we_ship_has_no_danger():
    findings = check_conf(parse_conf(OURS.read_text("utf-8")), WANTED)

    assert [f.id for f in findings if f.severity in (Severity.DANGER, Severity.UNKNOWN)] == []
    assert [f.id for f in findings if f.severity is Severity.WARNING] == ["queue-qos0-configured"]


def test_the_defaults_of_mosquitto_lose_data():
    severities = {f.id: f.severity for f in check_conf({}, WANTED)}

    assert severities["broker-persistence"] is Severity.DANGER
    assert severities["queue-limit-configured"] is Severity.DANGER
    assert severities["in-flight-limit-configured"] is Severity.WARNING
    assert severities["broker-autosave"] is Severity.UNKNOWN  # nothing is saved at all


def test_what_is_not_in_the_file_is_told_as_the_default():
    found = outcomes("persistence true\nmax_queued_messages 1000\n")

    assert found["queue-limit-configured"].measured == "max_queued_messages 1000."
    assert found["broker-autosave"].measured.startswith("autosave_interval 1800 (the default)")


@pytest.mark.parametrize(
    ("line", "check_id", "severity"),
    [
        ("persistence false", "broker-persistence", Severity.DANGER),
        ("autosave_interval 0", "broker-autosave", Severity.DANGER),
        ("autosave_interval 1800", "broker-autosave", Severity.DANGER),
        ("autosave_interval 60", "broker-autosave", Severity.WARNING),
        ("autosave_interval 30", "broker-autosave", Severity.OK),
        ("autosave_interval often", "broker-autosave", Severity.UNKNOWN),
        ("autosave_on_changes true", "broker-autosave", Severity.OK),
        ("autosave_interval 5000\nautosave_on_changes true", "broker-autosave", Severity.WARNING),
        ("max_queued_messages 0", "queue-limit-configured", Severity.WARNING),
        ("max_queued_messages 1000", "queue-limit-configured", Severity.DANGER),
        ("max_queued_messages 50000", "queue-limit-configured", Severity.WARNING),
        ("max_queued_messages lots", "queue-limit-configured", Severity.UNKNOWN),
        ("max_queued_bytes 1000000", "queue-bytes-configured", Severity.WARNING),
        ("max_queued_bytes 4000000000", "queue-bytes-configured", Severity.OK),
        ("max_inflight_messages 20", "in-flight-limit-configured", Severity.WARNING),
        ("max_inflight_messages 0", "in-flight-limit-configured", Severity.OK),
        ("persistent_client_expiration 1d", "session-expiry-configured", Severity.DANGER),
        ("persistent_client_expiration 2w", "session-expiry-configured", Severity.OK),
        ("persistent_client_expiration 1209600", "session-expiry-configured", Severity.UNKNOWN),
        ("queue_qos0_messages true", "queue-qos0-configured", Severity.OK),
        ("per_listener_settings true", "per-listener-settings", Severity.WARNING),
    ],
)
def test_each_setting(line, check_id, severity):
    assert outcomes(f"{GOOD}{line}\n")[check_id].severity is severity


def test_the_sqlite_plugin_is_persistence_too():
    conf = "listener 1883\nplugin /usr/lib/mosquitto_persist_sqlite.so\nplugin /usr/lib/other.so\n"

    assert outcomes(conf)["broker-persistence"].severity is Severity.OK


def test_of_a_setting_that_is_given_twice_the_last_counts():
    assert parse_conf("max_queued_messages 1\n  max_queued_messages   7  \n#max_queued_messages 9\n") == {
        "max_queued_messages": "7"
    }


def test_included_files_come_after_in_the_order_of_their_names(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.conf").write_text("max_queued_messages 3\n")
    (tmp_path / "more" / "a.conf").write_text("max_queued_messages 2\npersistence true\n")
    (tmp_path / "more" / "c.txt").write_text("max_queued_messages 4\n")
    main = tmp_path / "mosquitto.conf"
    main.write_text(f"include_dir {tmp_path / 'more'}\nmax_queued_messages 1\n")

    conf = read_conf(main)

    assert (conf["max_queued_messages"], conf["persistence"]) == ("3", "true")


@pytest.mark.parametrize("text", [None, "include_dir /nowhere/at/all\n"])
def test_half_a_configuration_is_not_judged(tmp_path, text):
    path = tmp_path / "mosquitto.conf"
    if text is not None:
        path.write_text(text)

    with pytest.raises(InputFileError, match=r"mosquitto\.conf"):
        read_conf(path)


def test_without_a_file_persistence_is_unknown_and_never_fine():
    assert [(f.id, f.severity) for f in conf_not_given()] == [("broker-persistence", Severity.UNKNOWN)]
    assert {f.severity for f in conf_not_readable("It cannot be read.")} == {Severity.UNKNOWN}
