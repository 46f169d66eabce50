"""Documentation that is made from the code is current."""

from pathlib import Path

import pytest

from roadtwin.cli.reference import PAGES
from roadtwin.settings import Settings

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_reference_page_is_what_the_code_says(name):
    page = (REFERENCE / name).read_text("utf-8")

    assert page == PAGES[name](), "out of date: run `roadtwin reference --out docs/reference`"


def test_every_setting_says_what_it_means():
    silent = [name for name, field in Settings.model_fields.items() if not field.description]

    assert silent == []
