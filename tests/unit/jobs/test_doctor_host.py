"""This machine, judged; and the probe on real folders and files."""

from dataclasses import replace
from pathlib import Path

import pytest

from roadtwin.jobs.doctor_findings import Severity
from roadtwin.jobs.doctor_host import HostProbe, check_host, probe_host
from roadtwin.settings import Settings

MIB = 1 << 20
GOOD = HostProbe(
    journal_dir=Path("/var/lib/roadtwin/journal"),
    journal_writable=True,
    journal_free_bytes=8000 * MIB,
    journal_used_bytes=0,
    journal_most_bytes=4096 * MIB,
    key_given=False,
    key_file=Path("/var/lib/roadtwin/pseudonym.key"),
    key_mode=0o600,
    clock_synchronised=True,
    open_files=1024,
)


def outcome(check_id, **changes):
    return {finding.id: finding for finding in check_host(replace(GOOD, **changes))}[check_id]


def test_a_good_machine_is_fine_in_all():
    assert {finding.severity for finding in check_host(GOOD)} == {Severity.OK}


@pytest.mark.parametrize(
    ("check_id", "changes", "severity"),
    [
        ("journal-directory", {"journal_dir": None}, Severity.WARNING),
        ("journal-directory", {"journal_writable": False}, Severity.DANGER),
        ("journal-directory", {"journal_free_bytes": 4095 * MIB}, Severity.DANGER),
        ("journal-directory", {"journal_free_bytes": 96 * MIB, "journal_used_bytes": 4000 * MIB}, Severity.OK),
        ("journal-directory", {"journal_free_bytes": None}, Severity.UNKNOWN),
        ("pseudonym-key", {"key_mode": 0o640}, Severity.WARNING),
        ("pseudonym-key", {"key_mode": 0o604}, Severity.WARNING),
        ("pseudonym-key", {"key_mode": 0o400}, Severity.OK),
        ("pseudonym-key", {"key_mode": None}, Severity.UNKNOWN),
        ("pseudonym-key", {"key_mode": None, "key_given": True}, Severity.OK),
        ("system-clock", {"clock_synchronised": False}, Severity.WARNING),
        ("system-clock", {"clock_synchronised": None}, Severity.UNKNOWN),
        ("open-files", {"open_files": 256}, Severity.WARNING),
        ("open-files", {"open_files": -1}, Severity.OK),  # RLIM_INFINITY
    ],
)
def test_each_rule(check_id, changes, severity):
    assert outcome(check_id, **changes).severity is severity


def test_the_probe_sees_files_and_modes_and_creates_nothing(tmp_path):
    key = tmp_path / "pseudonym.key"
    key.write_text("ab" * 32)
    key.chmod(0o644)
    (tmp_path / "journal" / "a").mkdir(parents=True)
    (tmp_path / "journal" / "a" / "segment").write_bytes(bytes(1000))
    before = sorted(tmp_path.rglob("*"))

    probe = probe_host(Settings(data_dir=tmp_path))

    assert probe.key_mode == 0o644
    assert (probe.journal_dir, probe.journal_writable, probe.journal_used_bytes) == (tmp_path / "journal", True, 1000)
    assert (probe.journal_free_bytes or 0) > 0
    assert sorted(tmp_path.rglob("*")) == before


def test_a_journal_that_is_not_there_yet_is_judged_by_the_folder_it_would_be_made_in(tmp_path):
    assert probe_host(Settings(data_dir=tmp_path / "not" / "yet")).journal_writable
    assert not (tmp_path / "not").exists()
    in_a_file = tmp_path / "file"
    in_a_file.write_text("")
    assert not probe_host(Settings(journal_dir=in_a_file / "journal")).journal_writable


def test_no_journal_is_told_apart_from_a_bad_one(tmp_path):
    assert probe_host(Settings(data_dir=tmp_path, journal_max_mib=0)).journal_dir is None
