"""The wire reference cannot drift: schemas are those of the code, channels those of the decoder."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from ingest.decode import KNOWN_TOPICS, topic_matches
from ingest.formats.chirpstack_v4 import KINDS
from roadtwin.errors import MessageRejectedError
from roadtwin.records.classes import DISTRESS_CLASSES
from roadtwin.records.schemas import json_schemas
from roadtwin.settings import Settings
from tests.samples import NOW, SENSOR, VEHICLE, decoder, encoded, vehicle_reading

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference"
ASYNCAPI = yaml.safe_load((REFERENCE / "asyncapi.yaml").read_text())


@pytest.mark.parametrize("name", sorted(json_schemas()))
def test_the_schemas_are_those_of_the_code(name):
    text = json_schemas()[name]

    assert (REFERENCE / "schemas" / name).read_text() == text, (
        "run python -m roadtwin.records.schemas docs/reference/schemas"
    )
    jsonschema.Draft202012Validator.check_schema(json.loads(text))


def test_no_schema_is_left_over():
    assert {path.name for path in (REFERENCE / "schemas").iterdir()} == set(json_schemas())


def test_the_channels_are_those_that_the_decoder_knows():
    addresses = [re.sub(r"\{\w+\}", "x", channel["address"]) for channel in ASYNCAPI["channels"].values()]

    matched = [next(f for f in KNOWN_TOPICS if topic_matches(f, address)) for address in addresses]
    assert sorted(matched) == sorted(KNOWN_TOPICS)
    assert all(any(topic_matches(f, address) for f in Settings().mqtt_topics) for address in addresses)
    assert ASYNCAPI["channels"]["chirpstackV4Event"]["parameters"]["kind"]["enum"] == list(KINDS)


def references(node):
    if isinstance(node, dict):
        yield from ([node["$ref"]] if "$ref" in node else [])
        node = list(node.values())
    for child in node if isinstance(node, list) else []:
        yield from references(child)


@pytest.mark.parametrize("reference", sorted(set(references(ASYNCAPI))))
def test_every_reference_of_the_asyncapi_document_leads_somewhere(reference):
    if not reference.startswith("#/"):
        assert (REFERENCE / reference).is_file()
        return
    node = ASYNCAPI
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    assert node


def example(language_after: str):
    page = (REFERENCE / "wire.md").read_text()
    (text,) = re.findall(rf"## {language_after}.*?```json\n(.*?)```", page, re.DOTALL)
    return json.loads(text)


def test_the_examples_of_the_page_are_accepted():
    pack, reading = example("Generic sensors"), example("Vehicles")
    topic = SENSOR  # the example is of the same device

    assert len(decoder().decode(topic, encoded(pack), NOW).observations) == 3
    assert len(decoder().decode(VEHICLE, encoded(reading), NOW).vehicle_reading.detections) == 1


def test_the_page_names_every_class_code():
    page = (REFERENCE / "wire.md").read_text()

    assert " ".join(DISTRESS_CLASSES) in page


@pytest.mark.parametrize(
    "reading",
    [vehicle_reading(), vehicle_reading(detections=[]), vehicle_reading(speed_mps=-1), vehicle_reading(plate="x"), {}],
)
def test_schema_and_decoder_agree_on_vehicle_readings(reading):
    validator = jsonschema.Draft202012Validator(json.loads(json_schemas()["vehicle_reading.json"]))
    try:
        decoder().decode(VEHICLE, encoded(reading), NOW)
        accepted = True
    except MessageRejectedError:
        accepted = False

    assert validator.is_valid(reading) is accepted
