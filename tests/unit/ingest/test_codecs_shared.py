"""Every example of the shared codec file decodes to what the vendor's own codec yields."""

import base64
import gzip
import json
import os
from pathlib import Path

import pytest

from ingest import codecs
from ingest.codecs.cayenne import TYPES

SHARED = Path(os.environ.get("ROADTWIN_SHARED_DIR") or Path(__file__).resolve().parents[4] / "shared")
FILE = SHARED / "samples" / "lorawan_codec_examples.json"

pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"{FILE} is not there")

CODEC_OF_MODEL = {
    "DL-CWS2": "decentlab/dl-cws2",
    "DL-SMTP": "decentlab/dl-smtp",
    "DL-CTD10": "decentlab/dl-ctd10",
    "DL-ALB": "decentlab/dl-alb",
    "DL-ATM41G2": "decentlab/dl-atm41g2",
    "DL-DWS (232263168-302459-1370)": "decentlab/dl-dws-232263168-302459-1370",
    "EM500-SMTC": "milesight/em500-smtc",
    "EM310-TILT": "milesight/em310-tilt",
    "EM500-UDL": "milesight/em500-udl",
    "EM400-MUD": "milesight/em400-mud",
    "WTS506": "milesight/wts506",
    "AT101": "milesight/at101",
    "EM500-PT100": "milesight/em500-pt100",
    "LSE01": "dragino/lse01",
    "LDDS75": "dragino/ldds75",
    "ERS": "elsys/ers",
    "ELT-Ultrasonic": "elsys/elt-ultrasonic",
    "Asset tracker 2 (compact / industrial tracker)": "abeeway/asset-tracker-2",
    "Oyster": "digital-matter/oyster",
    "T000594x Enterprise Asset Tracker (Sparrow)": "tektelic/t000594x",
    "TCR (radar traffic counter)": "parametric/tcr",
    "Cayenne LPP v1": "cayenne-lpp",
}
ALSO_DECODED = {"dragino/ldds75": {"Bat"}}
"""Fields that we decode beyond the vendor: its codec for the LDDS75 gives no battery."""

NUMBERS_AS_TEXTS = {"TempC_DS18B20", "water_SOIL", "temp_SOIL"}
"""Fields that the vendor's codec of the LSE01 writes as texts; ours are numbers."""


def file():
    return json.loads(FILE.read_text("utf-8")) if FILE.exists() else {"devices": [], "cayenne_lpp_types": {}}


EXAMPLES = [
    pytest.param(device, example, id=f"{device['model']}: {example['description']}")
    for device in file()["devices"]
    for example in device["examples"]
]


def flat(fields, prefix=""):
    result = {}
    for name, value in fields.items():
        result |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return result


def test_there_is_a_codec_for_every_device_of_the_file():
    assert {device["model"] for device in file()["devices"]} == set(CODEC_OF_MODEL)
    assert len(EXAMPLES) == 35
    assert all(codecs.find(name) for name in CODEC_OF_MODEL.values())


@pytest.mark.parametrize(("device", "example"), EXAMPLES)
def test_the_example_decodes_to_the_vendors_output(device, example):
    codec = codecs.find(CODEC_OF_MODEL[device["model"]])
    f_port = example.get("fPort") or device["fPort"] or 1
    payload = bytes.fromhex(example["hex"])
    if "errors" in example:
        with pytest.raises(codecs.CodecError, match=f"got fPort {f_port}"):
            codec.decode(f_port, payload)
        return

    (frame,) = codec.decode(f_port, payload)

    decoded = flat(frame.fields)
    expected = {name: field["value"] for name, field in example["output"].items()}
    assert set(decoded) - ALSO_DECODED.get(codec.name, set()) == set(expected)
    for name, value in expected.items():
        number = float(value) if name in NUMBERS_AS_TEXTS else value
        assert decoded[name] == (pytest.approx(number, rel=1e-6) if isinstance(number, int | float) else number), name


def test_every_cayenne_type_of_the_file_is_known_with_its_size_and_resolution():
    table = file()["cayenne_lpp_types"]
    for entry in [*table["core"], *table["extended"]]:
        name, layout = TYPES[entry["lpp"]]
        assert (name, layout.size) == (entry["name"], entry["size"])
        if "resolution" in entry:
            assert all(1 / part.divisor == pytest.approx(entry["resolution"]) for part in layout.parts)
        if "signed" in entry:
            assert all(part.signed is entry["signed"] for part in layout.parts)
    assert len(TYPES) == len(table["core"]) + len(table["extended"])


def test_a_week_of_real_uplinks_decodes_to_what_the_network_server_said():
    """Two device kinds of the ChirpStack export: 345 payloads with the fields that the operator's own codec made."""
    kinds = {
        "EM500-UDL": "milesight/em500-udl",
        "Dragino DDS75-LB Ultrasonic Distance Sensor": "dragino/ldds75",
    }
    decoded = dict.fromkeys(kinds, 0)
    with gzip.open(SHARED / "data" / "chirpstack_v4_uplinks" / "events.ndjson.gz", "rt", encoding="utf-8") as lines:
        for event in map(json.loads, lines):
            kind = event["deviceInfo"]["deviceProfileName"]
            if kind in kinds and event.get("data"):
                (frame,) = codecs.find(kinds[kind]).decode(event["fPort"], base64.b64decode(event["data"]))
                said = {
                    name: event["object"][name] for name in ("distance", "battery", "Bat") if name in event["object"]
                }
                assert {name: frame.fields[name] for name in said} == said
                assert "undecoded" not in frame.fields
                decoded[kind] += 1

    assert list(decoded.values()) == [84, 261]


def test_the_real_soil_sensor_decodes_to_what_its_network_server_said():
    stored = json.loads((SHARED / "data" / "ttn_v3_soil" / "ttn_storage_uplinks.json").read_text())
    uplinks = [w["result"]["uplink_message"] for w in stored if "decoded_payload" in w["result"]["uplink_message"]]

    for uplink in uplinks:
        (frame,) = codecs.find("dragino/lse01").decode(uplink["f_port"], base64.b64decode(uplink["frm_payload"]))
        said = {name: float(str(text).split()[0]) for name, text in uplink["decoded_payload"].items()}
        assert dict(frame.fields) == pytest.approx(said)
    assert len(uplinks) == 41
