"""What a device sent, out of the kept bytes of any format."""

import pytest

from ingest.frame_payload import frame_payload
from tests.samples import CHIRPSTACK_UP, NOW, TTS_UP, chirpstack, encoded, tts


@pytest.mark.parametrize(
    ("name", "topic", "event", "expected"),
    [
        ("chirpstack-v4-json", CHIRPSTACK_UP, chirpstack(), b"\x01\x02\x03"),
        ("chirpstack-v4-json", CHIRPSTACK_UP, chirpstack(fPort=0, data=""), b""),
        ("chirpstack-v4-json", CHIRPSTACK_UP, chirpstack(data=""), None),
        ("tts-v3-json", TTS_UP, tts(), bytes.fromhex("0d38000000000bc3000010")),
        ("chirpstack-v4-json", CHIRPSTACK_UP, {"not": "an event"}, None),
        ("senml-json", "roadtwin/v1/sensors/x/readings", chirpstack(), None),
    ],
)
def test_the_payload_of_a_frame_is_found_or_said_to_be_unknown(name, topic, event, expected):
    assert frame_payload(name, topic, encoded(event), NOW) == expected
