"""Whatever arrives: an envelope or one rejection, never another exception."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from roadtwin.errors import MessageRejectedError
from roadtwin.types import Message
from tests.samples import (
    CHIRPSTACK_UP,
    NOW,
    SENSOR,
    TTS_UP,
    VEHICLE,
    chirpstack,
    decoder,
    encoded,
    tts,
    vehicle_reading,
)

TOPICS = st.sampled_from(
    [CHIRPSTACK_UP, CHIRPSTACK_UP.removesuffix("up") + "status", CHIRPSTACK_UP + "x", TTS_UP, SENSOR, VEHICLE]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=10), children, max_size=4),
    max_leaves=12,
)
DECODER = decoder()


def decode(topic: str, payload: bytes) -> None:
    try:
        message = DECODER.decode(topic, payload, NOW)
    except MessageRejectedError as exc:
        message = None
        rejected = DECODER.rejected(topic, payload, NOW, exc.code, str(exc))
    assert isinstance(message, Message) or (rejected.code and rejected.reason)


@given(topic=TOPICS | st.text(max_size=60), payload=st.binary(max_size=200))
def test_arbitrary_bytes_never_raise_past_the_reject_path(topic, payload):
    decode(topic, payload)


@settings(max_examples=300)
@given(topic=TOPICS, data=st.data())
def test_messages_with_an_arbitrary_member_never_raise_past_the_reject_path(topic, data):
    good = {TTS_UP: tts(), VEHICLE: vehicle_reading()}.get(topic, chirpstack())
    if topic == SENSOR:
        record = {"n": "air_temp_c", "v": 1, "t": 1773143000}
        member = data.draw(st.sampled_from([*record, "bn", "bt", "bv", "bu", "bver", "u", "s", "x_"]))
        decode(topic, json.dumps([record | {member: data.draw(JSON)}]).encode())
        return
    target = data.draw(st.sampled_from([good, *(part for part in good.values() if isinstance(part, dict))]))
    member = data.draw(st.sampled_from(sorted(target)))
    changed = encoded(good).replace(encoded(target[member]), encoded(data.draw(JSON)), 1)
    decode(topic, changed)
