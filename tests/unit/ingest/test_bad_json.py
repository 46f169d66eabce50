"""JSON that parsers disagree about or that the database cannot hold: one reason each, on every format."""

import json
from uuid import uuid5

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest import strictjson
from ingest.identity import NAMESPACE, message_id
from roadtwin.errors import MessageRejectedError
from tests.samples import (
    CHIRPSTACK_UP,
    NOW,
    SENSOR,
    TTS_UP,
    VEHICLE,
    chirpstack,
    decoder,
    tts,
    vehicle_reading,
)

TEXTS = {
    CHIRPSTACK_UP: json.dumps(chirpstack(object={"surface_temperature": "@"})),
    TTS_UP: json.dumps(tts(uplink_message={"decoded_payload": {"water_SOIL": "@"}})),
    SENSOR: json.dumps([{"n": "air_temp_c", "v": "@"}]),
    VEHICLE: json.dumps(vehicle_reading(speed_mps="@")),
}

HAZARDS = {
    "NaN": (b"NaN", {"invalid_json"}),
    "Infinity": (b"-Infinity", {"invalid_json"}),
    "NUL": (rb'"\u0000"', {"nul_character", "invalid_field"}),
    "raw NUL": (b'"\x00"', {"invalid_json", "invalid_field"}),
    "lone surrogate": (rb'"\ud800"', {"invalid_json", "invalid_field"}),
    "bad UTF-8": (b'"\xff"', {"invalid_json", "invalid_field"}),
    "a number without end": (b"9" * 10_000, {"invalid_field"}),
    "too large an exponent": (b"1e999", {"invalid_field"}),
    "nesting": (b"[" * 50_000 + b"]" * 50_000, {"nesting_too_deep", "invalid_field"}),
    "keyed nesting": (b'{"a":' * 15_000 + b"1" + b"}" * 15_000, {"nesting_too_deep", "invalid_field"}),
    "a duplicate key": (b'{"a":1,"a":2}', {"duplicate_key", "invalid_field"}),
}


@pytest.mark.parametrize("topic", TEXTS)
@pytest.mark.parametrize("hazard", HAZARDS)
def test_hazards_are_rejected_with_a_reason(topic, hazard):
    text, codes = HAZARDS[hazard]

    with pytest.raises(MessageRejectedError) as caught:
        decoder().decode(topic, TEXTS[topic].encode().replace(b'"@"', text), NOW)

    assert caught.value.code in codes
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("topic", TEXTS)
@pytest.mark.parametrize(
    "payload", [b"", b"null", b"[]", b"{}", b"1", b'"x"', b"{", b"\xef\xbb\xbf{}", b"[{}]", b"\x00"]
)
def test_texts_that_are_no_message_are_rejected_with_a_reason(topic, payload):
    with pytest.raises(MessageRejectedError) as caught:
        decoder().decode(topic, payload, NOW)

    assert caught.value.code


@pytest.mark.parametrize("text", [b'"\\\\u0000"', b'"\\\\\\\\u0000"'])
def test_an_escaped_backslash_before_u0000_is_no_nul(text):
    message = decoder().decode(CHIRPSTACK_UP, TEXTS[CHIRPSTACK_UP].encode().replace(b'"@"', text), NOW)

    assert message.event_kind == "up"


def test_a_huge_integer_is_a_number_like_any_other_and_flagged_by_its_range():
    payload = TEXTS[CHIRPSTACK_UP].encode().replace(b'"@"', str(2**70).encode())

    (observation,) = decoder().decode(CHIRPSTACK_UP, payload, NOW).observations

    assert observation.value == 2.0**70
    assert observation.flags.name == "RANGE"


def test_duplicate_keys_are_found_at_any_depth_and_equal_keys_of_siblings_are_none():
    payload = json.dumps(chirpstack()).encode()
    assert decoder().decode(CHIRPSTACK_UP, payload, NOW)

    with pytest.raises(MessageRejectedError, match="'rssi' twice"):
        decoder().decode(CHIRPSTACK_UP, payload.replace(b'"rssi": -110', b'"rssi": -110, "rssi": -50'), NOW)


PAIRS = st.recursive(
    st.integers(-5, 5) | st.sampled_from(["", " a", "\u00e9", 1.5, None]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(st.tuples(st.sampled_from("ab c"), inner), max_size=4).map(tuple)
    ),
    max_leaves=8,
)


def written(value, indent, ascii_only):
    """JSON text in which tuples of pairs are objects, whose keys may be there twice."""
    if isinstance(value, tuple):
        members = (f"{indent}{json.dumps(key)}:{indent}{written(v, indent, ascii_only)}" for key, v in value)
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(v, indent, ascii_only) for v in value) + "]"
    return json.dumps(value, ensure_ascii=ascii_only)


def repeats(value):
    if isinstance(value, tuple):
        keys = [key for key, _ in value]
        return len(set(keys)) < len(keys) or any(repeats(v) for _, v in value)
    return isinstance(value, list) and any(map(repeats, value))


@given(value=PAIRS, indent=st.sampled_from(["", " ", "\n\t"]), ascii_only=st.booleans())
@example(value=(("a", " a"), ("a", "a")), indent=" ", ascii_only=True)
def test_a_key_that_is_there_twice_is_found_however_the_text_is_written(value, indent, ascii_only):
    payload = written(value, indent, ascii_only).encode()

    if not repeats(value):
        assert strictjson.read(payload) == json.loads(payload)
        return
    with pytest.raises(MessageRejectedError) as caught:
        strictjson.read(payload)
    assert caught.value.code == "duplicate_key"


@given(st.lists(st.text() | st.integers() | st.binary() | st.none() | st.sampled_from(['"', "\\", "\x7f", "é"])))
def test_message_ids_stay_what_they_always_were(parts):
    told = [part.hex() if isinstance(part, bytes) else part for part in parts]

    assert message_id(*parts) == uuid5(NAMESPACE, json.dumps(told, separators=(",", ":")))
