"""What `roadtwin evaluate` prints."""

import pytest

from roadtwin.cli.evaluate import data_sentence


@pytest.mark.parametrize(("recorded", "told"), [(1, "1 winter recorded"), (4, "4 winters recorded")])
def test_winters_are_counted_in_words_that_agree(recorded, told):
    report = {"data": "recorded", "winters": {"recorded": recorded, "tested": 1}}

    assert data_sentence(report).startswith(f"Data: recorded, {told}, 1 tested.")
