from datetime import UTC, datetime

import pytest

from ingest.times import from_unix, parse_time, skew_s, usable, with_skew
from roadtwin.types import Flag


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-01-19T15:46:54+00:00", 0),
        ("2026-01-19T15:46:54.1Z", 100000),
        ("2026-01-19T15:46:54.123z", 123000),
        ("2026-01-19T16:46:54.123456+01:00", 123456),
        ("2026-01-19T15:46:54.123456789+00:00", 123456),
    ],
)
def test_times_with_0_to_9_fraction_digits_are_read_and_cut_to_microseconds(text, microsecond):
    assert parse_time(text) == datetime(2026, 1, 19, 15, 46, 54, microsecond, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [None, 1768837614, "", "now", "2026-01-19", "2026-01-19T15:46:54", "2026-02-30T00:00:00Z", "2026-01-19T15:46:60Z",
     "0001-01-01T00:00:00+01:00", "2026-01-19T15:46:54.1234567890Z", "20260119T154654Z", "٢٠٢٦-01-19T15:46:54Z"],
)  # fmt: skip
def test_what_is_no_instant_is_none(text):
    assert parse_time(text) is None


@pytest.mark.parametrize("seconds", [1e20, -1e20])
def test_a_unix_time_beyond_the_calendar_is_none(seconds):
    assert from_unix(seconds) is None


def test_a_time_is_usable_from_2015_to_a_day_ahead():
    now = datetime(2026, 3, 10, 12, tzinfo=UTC)

    assert usable(datetime(2015, 1, 1, tzinfo=UTC), now)
    assert usable(datetime(2026, 3, 11, 12, tzinfo=UTC), now)
    assert not usable(datetime(2014, 12, 31, 23, 59, 59, tzinfo=UTC), now)
    assert not usable(datetime(2026, 3, 11, 12, 0, 0, 1, tzinfo=UTC), now)
    assert not usable(None, now)


def test_skew_needs_both_clocks_and_is_flagged_beyond_its_tolerance():
    now = datetime(2026, 3, 10, 12, tzinfo=UTC)

    assert skew_s(now, None) is None
    assert skew_s(None, now) is None
    assert with_skew(Flag.LATE, None) == with_skew(Flag.LATE, -30.0) == Flag.LATE
    assert with_skew(Flag.LATE, -30.1) == Flag.LATE | Flag.SKEW
