import json
import re

import pytest

from models.worklist import Hindrance, PotholeStatus
from roadtwin.network.sections import ROAD_CLASSES
from service.app import UI_DIR

SOURCE = (UI_DIR / "i18n.js").read_text("utf-8")
TEXTS = json.loads(re.search(r"export const TEXTS = (\{.*?\n\});", SOURCE, re.DOTALL).group(1))
SCRIPTS = {path.name: path.read_text("utf-8") for path in UI_DIR.glob("*.js")}


@pytest.mark.parametrize("key", TEXTS)
def test_every_text_is_there_in_both_languages_with_the_same_blanks(key):
    german, english = TEXTS[key]
    assert german
    assert english
    assert set(re.findall(r"\{\w+\}", german)) == set(re.findall(r"\{\w+\}", english))


def test_every_text_that_the_page_asks_for_exists():
    asked = {key for text in SCRIPTS.values() for key in re.findall(r'\bt\(\s*"(\w+)"', text)}
    asked |= set(re.findall(r'data-text="(\w+)"', (UI_DIR / "index.html").read_text("utf-8")))
    assert asked <= set(TEXTS)


def test_every_text_is_used():
    everything = "".join(SCRIPTS.values()) + (UI_DIR / "index.html").read_text("utf-8")
    prefixes = set(re.findall(r'word\("(\w+)"', everything)) | set(re.findall(r"`(\w+)_\$\{", everything))
    unused = [
        key
        for key in TEXTS
        if everything.count(f'"{key}"') < 2 and not any(key.startswith(f"{prefix}_") for prefix in prefixes)
    ]
    assert unused == []


def test_words_of_the_server_have_texts():
    names = [f"hindrance_{h}" for h in Hindrance] + [f"status_{s}" for s in PotholeStatus]
    names += [f"class_{c}" for c in ROAD_CLASSES]
    assert [name for name in names if name not in TEXTS] == []


@pytest.mark.parametrize("name", sorted(p.name for p in UI_DIR.iterdir() if p.suffix in {".js", ".css", ".html"}))
def test_the_page_names_no_address_of_another_machine(name):
    text = (UI_DIR / name).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in text
    assert "https://" not in text
