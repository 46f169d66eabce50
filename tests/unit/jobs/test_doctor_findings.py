"""The report of the doctor: ids, order, exit, and a page that explains each."""

from pathlib import Path

import pytest

from roadtwin.jobs.doctor import _worst_each
from roadtwin.jobs.doctor_findings import CATALOGUE, Area, Finding, by_severity, failed

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "doctor.md"

OK = Finding.ok("fsync", "fsync = on.")
WARNING = Finding.warning("broker-tls", "Not encrypted.", "Encrypt.")
DANGER = Finding.danger("queue-limit", "1000.", "More.")
UNKNOWN = Finding.unknown("system-clock", "Not told.", "Ask.")


def test_the_guide_has_a_row_for_every_check_and_for_no_other():
    rows = [line.split("`")[1] for line in GUIDE.read_text("utf-8").splitlines() if line.startswith("| `")]

    assert sorted(rows) == sorted(CATALOGUE)


def test_the_guide_gives_the_checks_in_the_section_of_their_area():
    area, misplaced = None, []
    for line in GUIDE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            area = next((a for a in Area if line == f"## {a.value.capitalize()}"), None)
        elif line.startswith("| `") and CATALOGUE[line.split("`")[1]].area is not area:
            misplaced.append(line)

    assert misplaced == []


def test_an_id_that_is_not_in_the_catalogue_cannot_be_reported():
    with pytest.raises(KeyError):
        Finding.ok("colour-of-the-cable", "grey")


def test_the_worst_comes_first_and_what_is_not_checked_before_what_is_fine():
    assert by_severity([OK, UNKNOWN, WARNING, DANGER]) == [DANGER, WARNING, UNKNOWN, OK]


def test_only_dangers_fail():
    assert failed([OK, WARNING, UNKNOWN, DANGER]) == ["queue-limit"]
    assert failed([OK, WARNING, UNKNOWN]) == []


def test_warnings_fail_too_when_strict_and_what_is_not_checked_does_not():
    assert failed([OK, WARNING, UNKNOWN, DANGER], strict=True) == ["queue-limit", "broker-tls"]
    assert failed([UNKNOWN], strict=True) == []


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_findings_with_one_id_the_known_one_and_the_worse_one_counts(first):
    def kept(*pair):
        return _worst_each([pair[first], pair[1 - first]])

    seen, not_seen = Finding.ok("publisher-qos", "all 1"), Finding.unknown("publisher-qos", "nothing came", "wait")
    counted = Finding.warning("publisher-qos", "3 at QoS 0", "ask")

    assert kept(seen, not_seen) == [seen]
    assert kept(not_seen, counted) == [counted]
    assert kept(seen, counted) == [counted]
