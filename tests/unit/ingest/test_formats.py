"""What holds for every format: examples are read, what they say of themselves is so, what is written is read back."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from ingest import decode, strictjson
from ingest.formats import (
    chirpstack,
    chirpstack_v3,
    chirpstack_v4,
    chirpstack_v4_protobuf,
    encoding,
    others,
    protobuf,
    senml,
    sniff,
    tts_v3,
    vehicle,
)
from ingest.formats.examples import ABOUTS, AT, EXAMPLES, UPLINK
from roadtwin.errors import MessageRejectedError
from roadtwin.types import Flag
from tests.samples import decoder


def read(name, topic=None):
    example = EXAMPLES[name]
    return decoder().decode(topic or example.topic, example.payload, AT)


@pytest.mark.parametrize("about", ABOUTS, ids=lambda about: about.name)
def test_every_example_is_read_as_what_it_is(about):
    message = read(about.name)

    assert message.format == about.name
    assert message.event_kind in about.event_kinds
    assert (message.device.network_source if message.device else "") == about.network_source
    assert message.flags == Flag.NONE
    assert message.observations or message.vehicle_reading


def test_every_format_has_an_example():
    assert {about.name for about in ABOUTS} == set(EXAMPLES)


def test_chirpstack_and_the_things_stack_are_known_on_topics_of_their_own():
    for about in ABOUTS:
        if about.network_source in ("chirpstack-v4", "chirpstack-v3", "tts-v3"):
            told = read(about.name, "city/lorawan/uplinks")
            assert (told.format, told.event_kind) == (about.name, "up")
            assert told.observations == read(about.name).observations
        else:
            assert sniff.parser_of(EXAMPLES[about.name].payload) is None


@pytest.mark.parametrize(
    "write", [encoding.chirpstack_v4_json, encoding.chirpstack_v4_protobuf_uplink, encoding.tts_v3_json]
)
def test_what_is_written_is_read_back(write):
    content = replace(UPLINK, f_cnt=0, payload=b"\x01\x02", device_profile="dragino/lse01", decoded={"TempC": "x"})

    message = decoder().decode(*write(content), AT)

    assert (message.f_cnt, message.f_port, message.dev_eui) == (0, 2, content.dev_eui)
    assert (message.profile_name, message.event_at) == (content.device_profile, content.received_at)
    (reception,) = message.receptions
    assert (reception.gateway_id, reception.rssi_dbm, reception.snr_db) == ("0016c001f1000001", -97, 4.5)
    assert reception.clock_skew_s == -0.25


def test_json_and_protobuf_that_are_written_of_one_uplink_have_one_id():
    one, other = (
        decoder().decode(*write(UPLINK), AT)
        for write in (encoding.chirpstack_v4_json, encoding.chirpstack_v4_protobuf_uplink)
    )

    assert one.message_id == other.message_id
    assert one.observations == other.observations


def test_a_redelivered_and_a_retained_message_are_marked():
    example = EXAMPLES["tts-v3-json"]

    message = decoder().decode(example.topic, example.payload, AT, retained=True, duplicate=True)

    assert message.retained
    assert message.redelivered


@pytest.mark.parametrize(
    ("topic", "payload", "code"),
    [
        ("eu868/gateway/0016c001f1000001/event/up", b"\x0a\x02\x01\x02", "unsupported_chirpstack_gateway"),
        ("gateway/0016c001f1000001/state/conn", b"\x0a\x02\x01\x02", "unsupported_chirpstack_gateway"),
        ("lora/32-35-31-39-5f-30-7f-0b/up", b"{}", "unsupported_multitech"),
        ("x", b'{"applicationID": "1", "devEUI": "24e1", "payloadHex": "00"}', "unsupported_milesight_gateway"),
        ("x", b'{"msgtype": "jreq"}', "unsupported_basics_station"),
    ],
)
def test_others_are_refused_by_name_with_a_sentence(topic, payload, code):
    with pytest.raises(MessageRejectedError, match="is not supported") as caught:
        decoder().decode(topic, payload, AT)

    assert caught.value.code == code
    assert code in others.NAMES


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[" * 100_000, b'{"a":' * 100_000, b"\x01\x02\x03\x00", b'{"stat": 1' + b" " * 300_000]
)
def test_what_is_nobodys_is_nobodys(payload):
    assert others.recognise("x", payload) is None
    assert sniff.parser_of(payload) is None


def test_a_message_of_ours_that_is_refused_keeps_its_own_reason():
    payload = EXAMPLES["chirpstack-v4-json"].payload.replace(b'"fPort":2', b'"fPort":999,"rxpk":[]')

    with pytest.raises(MessageRejectedError, match="fPort") as caught:
        decoder().decode(EXAMPLES["chirpstack-v4-json"].topic, payload, AT)

    assert caught.value.code == "invalid_field"


def test_the_known_topics_take_every_example():
    for example in EXAMPLES.values():
        assert any(decode.topic_matches(known, example.topic) for known in decode.KNOWN_TOPICS)


def codes_raised(module):
    """The reject codes that stand in the source of a module."""
    for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "MessageRejectedError":
            code = node.args[0]
            assert isinstance(code, ast.Constant), ast.unparse(node)
            yield code.value


@pytest.mark.parametrize(
    ("modules", "abouts"),
    [
        ((chirpstack, chirpstack_v4), (chirpstack_v4.ABOUT,)),
        ((chirpstack_v4_protobuf, protobuf), (chirpstack_v4_protobuf.ABOUT,)),
        ((chirpstack_v3,), (chirpstack_v3.ABOUT,)),
        ((tts_v3,), (tts_v3.ABOUT,)),
        ((senml,), (senml.ABOUT,)),
        ((vehicle,), (vehicle.ABOUT,)),
    ],
)
def test_every_reject_code_of_a_format_is_on_its_page(modules, abouts):
    told = {code for about in abouts for code in about.reject_codes}
    raised = {code for module in modules for code in codes_raised(module)}

    assert raised - set(strictjson.REJECT_CODES) <= told
    assert told <= raised


def test_every_reject_code_of_json_is_listed():
    assert set(codes_raised(strictjson)) == set(strictjson.REJECT_CODES)
