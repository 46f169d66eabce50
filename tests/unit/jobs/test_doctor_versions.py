"""Versions that are known to be bad, at both ends of each range."""

import pytest

from roadtwin.jobs.doctor_findings import Severity
from roadtwin.jobs.doctor_versions import (
    check_broker_version,
    check_postgresql_version,
    check_timescaledb_version,
    parse_version,
)
from roadtwin.storage.database import DatabaseMode

SAFE_CONF = {"max_queued_messages": "1000000"}


def broker(version, configured=None):
    return check_broker_version(f"mosquitto version {version}", configured).severity


def timescaledb(version, mode=DatabaseMode.COMMUNITY, postgresql=(17, 5)):
    return check_timescaledb_version(version, mode, postgresql)


@pytest.mark.parametrize(
    ("version", "severity"),
    [
        ("1.6.15", Severity.WARNING),
        ("2.0.0", Severity.OK),
        ("2.0.11", Severity.OK),
        ("2.0.16", Severity.DANGER),
        ("2.0.23", Severity.OK),
        ("2.1.0", Severity.OK),
    ],
)
def test_versions_of_mosquitto_whatever_stands_in_the_configuration(version, severity):
    assert broker(version) is severity
    assert broker(version, SAFE_CONF) is severity


@pytest.mark.parametrize("version", ["2.0.17", "2.0.18", "2.0.21"])
def test_unlimited_queues_are_not_unlimited_before_2_0_22(version):
    assert broker(version) is Severity.WARNING  # nobody knows the configuration
    assert broker(version, SAFE_CONF) is Severity.OK
    assert broker(version, {"max_queued_messages": "0"}) is Severity.DANGER


def test_unlimited_queues_are_unlimited_again_in_2_0_22():
    assert broker("2.0.22", {"max_queued_messages": "0"}) is Severity.OK


@pytest.mark.parametrize(
    ("version", "severity"),
    [("2.0.11", Severity.OK), ("2.0.12", Severity.DANGER), ("2.0.22", Severity.DANGER), ("2.0.23", Severity.OK)],
)
def test_per_listener_settings_lose_what_is_queued_in_some_versions(version, severity):
    assert broker(version, SAFE_CONF | {"per_listener_settings": "true"}) is severity


def test_another_broker_or_none_told_is_not_judged():
    assert check_broker_version("vernemq 1.12.3").severity is Severity.UNKNOWN
    assert check_broker_version(None).severity is Severity.UNKNOWN
    assert "not let us" in check_broker_version(None, not_checked="It did not let us.").measured


@pytest.mark.parametrize(
    ("version", "severity", "named"),
    [
        ("2.18.0", Severity.DANGER, "#7672"),
        ("2.18.1", Severity.DANGER, "#5801"),
        ("2.19.3", Severity.DANGER, "#5801"),
        ("2.20.0", Severity.OK, "2.25"),
        ("2.25.0", Severity.OK, "nothing known"),
        ("2.28.2", Severity.OK, "nothing known"),
        ("2.29.0", Severity.WARNING, "GHSA-hcfx-29v5-2rcw"),
        ("2.29.1", Severity.OK, "nothing known"),
        ("2.30.0-dev", Severity.OK, "nothing known"),
        ("2.10.3", Severity.DANGER, "#5448"),
    ],
)
def test_versions_of_timescaledb_community(version, severity, named):
    finding = timescaledb(version)

    assert finding.severity is severity
    assert named in finding.measured


def test_the_apache_edition_has_no_compressed_chunks_and_may_be_older_but_not_lose_rows():
    assert timescaledb("2.19.3", DatabaseMode.APACHE).severity is Severity.WARNING
    assert timescaledb("2.18.0", DatabaseMode.APACHE).severity is Severity.DANGER


def test_timescaledb_2_28_fails_its_jobs_on_one_version_of_postgresql():
    assert timescaledb("2.28.1", postgresql=(15, 20)).severity is Severity.WARNING
    assert timescaledb("2.28.1", postgresql=(15, 19)).severity is Severity.OK


def test_no_timescaledb_is_fine_and_an_unreadable_version_is_not():
    assert timescaledb(None).severity is Severity.OK
    assert timescaledb("unreleased").severity is Severity.UNKNOWN


def test_postgresql_must_not_be_too_old():
    assert check_postgresql_version((14, 18)).severity is Severity.WARNING
    assert check_postgresql_version((15, 2)).severity is Severity.OK


@pytest.mark.parametrize(("text", "version"), [("17.12 (Debian 17.12-0+deb13u1)", (17, 12)), ("18beta1", None)])
def test_versions_are_read_from_what_servers_say(text, version):
    assert parse_version(text) == version
