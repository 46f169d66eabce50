"""Editions of the register as tables: what each of them says, at the cost of what it changes."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from roadtwin.jobs.inputs import _register, to_instant, to_segment_table
from roadtwin.storage.model_inputs import ModelSegment

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
SECOND, THIRD = FIRST + timedelta(days=100), FIRST + timedelta(days=200)
NARROW, WIDE = {"width_m": 5.0, "construction_year": 1980}, {"width_m": 9.0, "construction_year": 1980}
POOR = WIDE | {"drainage": "poor"}


def segment(number, attributes):
    return ModelSegment(
        number, f"s{number}", 1, 0.0, 100.0, 100.0, 7.0 + number / 1000, 51.4, "Mitte", "local", attributes
    )


ROWS = [segment(4, NARROW), segment(7, POOR), segment(9, NARROW)]
CHANGED = [(7, FIRST, NARROW), (7, SECOND, WIDE), (7, THIRD, POOR), (8, FIRST, NARROW), (8, SECOND, WIDE)]


def columns(table):
    return {
        name: getattr(table, name).tolist() for name in ("segment_id", "width_m", "drainage", "wearing_course_year")
    }


@pytest.mark.parametrize(
    ("now", "known"),
    [
        (FIRST, [NARROW]),
        (SECOND - timedelta(seconds=1), [NARROW]),
        (SECOND, [NARROW, WIDE]),
        (THIRD, [NARROW, WIDE, POOR]),
    ],
)
def test_each_edition_says_what_a_register_of_its_own_would(now, known):
    """Segment 8 was closed between the two queries."""
    expected = [columns(to_segment_table([ROWS[0], segment(7, told), ROWS[2]])) for told in known]

    table, former = _register(ROWS, CHANGED, now, current=False)
    alone, none = _register(ROWS, CHANGED, now, current=True)

    for made, wanted in zip([*(edition for _, edition in former), table], expected, strict=True):
        np.testing.assert_equal(columns(made), wanted)
    assert [at for at, _ in former] == [to_instant(SECOND), to_instant(THIRD)][: len(former)]
    np.testing.assert_equal(columns(alone), expected[-1])
    assert none == ()


def test_what_an_edition_leaves_alone_is_not_held_again():
    """A register that is brought in every night has hundreds of editions."""
    table, ((_, first), (_, second)) = _register(ROWS, CHANGED, THIRD, current=False)

    assert second.drainage is first.drainage
    assert table.width_m is second.width_m
    assert second.width_m is not first.width_m
