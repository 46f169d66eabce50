import hashlib

import pytest

from ingest.decode import topic_matches
from roadtwin.errors import MessageRejectedError
from tests.samples import CHIRPSTACK_UP, NOW, chirpstack, decoder, encoded


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "/",
        "application/1/device/2/event",
        "v3/app/devices",
        "roadtwin/v2/sensors/1/readings",
        "eu868/gateway/1/event/up",
    ],
)
def test_an_unknown_topic_is_rejected_by_name(topic):
    with pytest.raises(MessageRejectedError, match="no known format") as caught:
        decoder().decode(topic, b"{}", NOW)

    assert caught.value.code == "unknown_topic"


@pytest.mark.parametrize(
    "topic",
    [
        "v3/a\x00b/devices/d/up",
        "application/\\xff/device/d/event/up",
        "roadtwin/v1/vehicles//readings",
        "roadtwin/v1/sensors//readings",
    ],
)
def test_a_topic_that_is_no_text_or_names_nobody_is_rejected(topic):
    with pytest.raises(MessageRejectedError) as caught:
        decoder().decode(topic, encoded(chirpstack()), NOW)

    assert caught.value.code == "invalid_topic"


def test_an_oversized_payload_is_rejected_and_only_its_beginning_kept():
    payload = b"{" + b"x" * 10_000_000

    with pytest.raises(MessageRejectedError) as caught:
        decoder().decode(CHIRPSTACK_UP, payload, NOW)
    rejected = decoder().rejected(CHIRPSTACK_UP, payload, NOW, caught.value.code, str(caught.value))

    assert (caught.value.code, len(rejected.payload), rejected.payload_bytes) == (
        "payload_too_large",
        65_536,
        10_000_001,
    )
    assert rejected.payload_sha256 == hashlib.sha256(payload).digest()
    assert rejected.digest == hashlib.sha256(CHIRPSTACK_UP.encode() + b"\x00" + payload).digest()


def test_a_retained_message_is_marked():
    payload = encoded(chirpstack())

    assert decoder().decode(CHIRPSTACK_UP, payload, NOW, retained=True).retained
    assert not decoder().decode(CHIRPSTACK_UP, payload, NOW).retained


@pytest.mark.parametrize(
    ("topic_filter", "topic", "matches"),
    [
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a/b/d", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/b", "a/b/c", False),
        ("a/+", "a", False),
    ],
)
def test_topic_filters_match_as_in_mqtt(topic_filter, topic, matches):
    assert topic_matches(topic_filter, topic) is matches
