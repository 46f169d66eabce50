"""The rules for a database, on made-up probes: every outcome of every check."""

from dataclasses import replace

import pytest

from roadtwin.jobs.doctor_database import check_database, database_unreachable
from roadtwin.jobs.doctor_findings import Severity
from roadtwin.storage.database import DatabaseMode
from roadtwin.storage.doctor import DatabaseProbe, Delay, DeviceTimes, SilentDevices

SETTINGS = {
    "synchronous_commit": "on",
    "fsync": "on",
    "full_page_writes": "on",
    "default_transaction_read_only": "off",
    "max_connections": "100",
    "superuser_reserved_connections": "3",
    "timescaledb.max_tuples_decompressed_per_dml_transaction": "0",
    "timescaledb.enable_direct_compress_copy": "off",
    "timescaledb.enable_direct_compress_insert": "off",
}
SERVER = {
    "version": "17.5",
    "in_recovery": False,
    "timescaledb": "2.29.2",
    "session_synchronous_commit": "on",
}
ROLE = {"name": "ingest", "superuser": False, "may_create_temp_tables": True}
GOOD = DatabaseProbe(
    mode=DatabaseMode.COMMUNITY,
    server=SERVER,
    settings=SETTINGS,
    role=ROLE,
    missing_privileges=(),
    connections_used=5,
    size_bytes=12_000_000,
    clock_offset_s=0.02,
    clock_uncertainty_s=0.001,
    idle_sessions=0,
    received=1000,
    rejected=1,
    delay=Delay(1000, 0.1, 0.4),
    schema_version=10,
    health_kept=True,
    silent=SilentDevices(devices=9, judged=8, silent=0),
    device_times=DeviceTimes(devices=8, untimed=0),
)


def outcome(check_id, *, embedded=False, settings=None, server=None, role=None, **changes):
    probe = replace(
        GOOD, settings=SETTINGS | (settings or {}), server=SERVER | (server or {}), role=ROLE | (role or {}), **changes
    )
    findings = {finding.id: finding for finding in check_database(probe, name="roads at db", embedded=embedded)}
    return findings[check_id]


def test_a_good_database_is_fine_but_for_the_disk_that_sql_cannot_see():
    findings = check_database(GOOD, name="roads at db", embedded=False)

    assert [(f.id, f.severity) for f in findings if f.severity is not Severity.OK] == [
        ("database-disk", Severity.UNKNOWN)
    ]


def test_a_database_that_was_not_reached_is_named_and_nothing_else_of_it_is_called_fine():
    findings = database_unreachable("The database roads at db cannot be reached.")

    assert {f.id for f in findings} == {f.id for f in check_database(GOOD, name="", embedded=False)}
    assert [f.id for f in findings if f.severity is not Severity.UNKNOWN] == ["database-reachable"]
    assert findings[0].severity is Severity.DANGER


def test_a_database_that_answered_nothing_is_fine_in_nothing():
    findings = check_database(DatabaseProbe(not_checked={"schema": "permission denied"}), name="", embedded=False)

    assert {f.id for f in findings if f.severity is Severity.OK} == {"database-reachable"}
    assert {f.severity for f in findings} == {Severity.OK, Severity.UNKNOWN}


def test_commits_that_do_not_wait_are_a_danger_in_our_session_and_a_warning_by_default():
    off = {"session_synchronous_commit": "off"}

    assert outcome("synchronous-commit", server=off).severity is Severity.DANGER
    assert outcome("synchronous-commit", settings={"synchronous_commit": "off"}).severity is Severity.WARNING
    assert outcome("synchronous-commit", settings={"synchronous_commit": "local"}).severity is Severity.OK


@pytest.mark.parametrize(("check_id", "setting"), [("fsync", "fsync"), ("full-page-writes", "full_page_writes")])
def test_what_must_be_on(check_id, setting):
    assert outcome(check_id, settings={setting: "off"}).severity is Severity.DANGER


def test_a_standby_and_a_read_only_database_are_dangers():
    assert outcome("database-writable", server={"in_recovery": True}).severity is Severity.DANGER
    assert outcome("database-writable", settings={"default_transaction_read_only": "on"}).severity is Severity.DANGER


def test_missing_privileges_are_named_with_the_role():
    finding = outcome("write-privileges", missing_privileges=("message: INSERT",))

    assert finding.severity is Severity.DANGER
    assert "ingest lacks message: INSERT" in finding.measured
    assert outcome("write-privileges", role={"may_create_temp_tables": False}).severity is Severity.DANGER
    assert outcome("write-privileges", schema_problem="There is none.").severity is Severity.UNKNOWN


def test_a_superuser_is_a_warning_but_not_of_our_own_server():
    assert outcome("database-superuser", role={"superuser": True}).severity is Severity.WARNING
    assert outcome("database-superuser", role={"superuser": True}, embedded=True).severity is Severity.OK


def test_connections_that_run_out_are_a_warning():
    assert outcome("connections-left", connections_used=87).severity is Severity.OK
    finding = outcome("connections-left", connections_used=88)
    assert finding.severity is Severity.WARNING
    assert finding.measured.startswith("9 of 100")


def test_without_our_tables_what_is_in_them_waits_for_the_schema():
    problem = 'relation "message" does not exist'
    empty = {"schema_problem": "There is none.", "delay": None, "received": None, "silent": None, "health_kept": False}
    empty["device_times"] = None
    for check_id, question in (
        ("network-clock", "read_network_delay"),
        ("rejected-share", "read_accounts"),
        ("silent-devices", "read_silent_devices"),
        ("device-times", "read_device_times"),
    ):
        finding = outcome(check_id, **empty, not_checked={question: problem})

        assert (finding.severity, finding.fix) == (Severity.UNKNOWN, "See schema-version.")
        assert "does not exist" not in finding.measured


def test_a_schema_of_another_version_is_a_danger_in_its_own_words():
    finding = outcome("schema-version", schema_problem="The schema is at version 9, this Roadtwin needs 10.")

    assert finding.severity is Severity.DANGER
    assert "version 9" in finding.measured


@pytest.mark.parametrize(
    ("offset_s", "uncertainty_s", "severity"),
    [
        (0.9, 0.0, Severity.OK),
        (1.1, 0.0, Severity.WARNING),
        (-1.1, 0.0, Severity.WARNING),
        (1.1, 0.5, Severity.OK),  # a slow answer proves nothing
        (None, 0.0, Severity.UNKNOWN),
    ],
)
def test_the_databases_clock(offset_s, uncertainty_s, severity):
    finding = outcome("database-clock", clock_offset_s=offset_s, clock_uncertainty_s=uncertainty_s)

    assert finding.severity is severity


@pytest.mark.parametrize(
    ("delay", "severity"),
    [
        (Delay(1000, 0.1, 0.4), Severity.OK),
        (Delay(1000, -0.9, 0.4), Severity.OK),
        (Delay(1000, -1.1, 0.4), Severity.WARNING),
        (Delay(1000, 200.0, 301.0), Severity.WARNING),
        (Delay(0, None, None), Severity.UNKNOWN),
        (None, Severity.UNKNOWN),
    ],
)
def test_the_network_servers_clock(delay, severity):
    assert outcome("network-clock", delay=delay).severity is severity


def test_the_decompression_limit_matters_to_the_community_edition_only():
    name = "timescaledb.max_tuples_decompressed_per_dml_transaction"

    assert outcome("decompression-limit", settings={name: "100000"}).severity is Severity.WARNING
    assert outcome("decompression-limit", settings={name: "0"}).severity is Severity.OK
    assert outcome("decompression-limit", settings={name: "1000000"}).severity is Severity.OK
    assert outcome("decompression-limit", settings={name: "100000"}, mode=DatabaseMode.APACHE).severity is Severity.OK


@pytest.mark.parametrize("kind", ["copy", "insert"])
def test_direct_compress_is_a_danger(kind):
    finding = outcome("direct-compress", settings={f"timescaledb.enable_direct_compress_{kind}": "on"})

    assert finding.severity is Severity.DANGER
    assert f"SET timescaledb.enable_direct_compress_{kind} = off" in finding.fix


def test_a_session_of_ours_that_is_idle_in_a_transaction_is_a_warning():
    assert outcome("idle-in-transaction", idle_sessions=1, idle_longest_s=99.0).severity is Severity.WARNING


@pytest.mark.parametrize(
    ("received", "rejected", "severity"),
    [
        (1000, 10, Severity.OK),
        (1000, 11, Severity.WARNING),
        (0, 0, Severity.UNKNOWN),
        (None, 0, Severity.UNKNOWN),
    ],
)
def test_more_than_one_in_a_hundred_rejected_is_a_warning(received, rejected, severity):
    finding = outcome(
        "rejected-share", received=received, rejected=rejected, rejection_codes={"invalid_json": 3, "too_large": 1}
    )

    assert finding.severity is severity
    if received:
        assert "invalid_json: 3, too_large: 1" in finding.measured


@pytest.mark.parametrize(
    ("kept", "silent", "severity"),
    [
        (True, SilentDevices(9, 8, 2), Severity.WARNING),
        (True, SilentDevices(9, 0, 0), Severity.UNKNOWN),
        (True, None, Severity.UNKNOWN),
        (False, None, Severity.UNKNOWN),
    ],
)
def test_silent_devices(kept, silent, severity):
    assert outcome("silent-devices", health_kept=kept, silent=silent).severity is severity


@pytest.mark.parametrize(
    ("times", "severity"),
    [
        (DeviceTimes(8, 1, ("gully-12",), ("senml",)), Severity.WARNING),
        (DeviceTimes(8, 0), Severity.OK),
        (DeviceTimes(0, 0), Severity.UNKNOWN),
        (None, Severity.UNKNOWN),
    ],
)
def test_device_times(times, severity):
    assert outcome("device-times", device_times=times).severity is severity


def test_devices_without_a_trusted_time_are_counted_and_the_first_ones_named():
    times = DeviceTimes(40, 7, ("a", "b", "c", "d", "e"), ("senml",))

    measured = outcome("device-times", device_times=times).measured

    assert measured.startswith("7 of 40 confirmed devices")
    assert measured.endswith(": a, b, c, d, e and 2 more.")


@pytest.mark.parametrize(
    ("sources", "wrong_clocks", "named", "not_named"),
    [
        (("senml",), False, ("`bt`",), ("3.16", "skewed_clock")),
        (("chirpstack-v3",), False, ("3.16",), ("`bt`", "skewed_clock")),
        (("tts-v3",), False, ("tts-v3",), ("`bt`", "3.16", "skewed_clock")),
        ((), True, ("skewed_clock", "gps_tty_path"), ("`bt`", "3.16")),
        (("chirpstack-v3", "senml"), True, ("`bt`", "3.16", "skewed_clock"), ("before 2015",)),
    ],
)
def test_the_fix_of_untrusted_times_is_that_of_the_sources_seen(sources, wrong_clocks, named, not_named):
    fix = outcome("device-times", device_times=DeviceTimes(8, 2, ("a", "b"), sources, wrong_clocks)).fix

    assert [word for word in named if word not in fix] == []
    assert [word for word in not_named if word in fix] == []


def test_an_embedded_database_is_on_a_disk_that_we_can_see():
    assert outcome("database-disk", embedded=True).severity is Severity.OK
