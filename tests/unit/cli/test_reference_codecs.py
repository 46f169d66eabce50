"""The reference pages of the codecs are those of the code."""

from pathlib import Path

import pytest

from ingest import codecs
from roadtwin.cli.reference_codecs import codec_pages

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference"
PAGES = codec_pages()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_page_is_current(name):
    assert (REFERENCE / name).read_text("utf-8") == PAGES[name], "run `roadtwin reference --out docs/reference`"


def test_no_page_is_left_over():
    assert {f"codecs/{path.name}" for path in (REFERENCE / "codecs").iterdir()} == set(PAGES)


@pytest.mark.parametrize("codec", codecs.all_codecs(), ids=lambda codec: codec.name)
def test_every_codec_is_told_with_its_fields_and_an_example(codec):
    page = PAGES[f"codecs/{codec.family}.md"]

    assert f"`{codec.name}`" in PAGES["codecs/README.md"]
    assert codec.title in page
    assert codec.examples
    assert all(example.payload_hex in page for example in codec.examples)
    assert all(f"`{part}`" in page for doc in codec.field_docs() if doc.name for part in doc.name.split(", "))
