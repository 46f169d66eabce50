"""On the same bytes the bulk client does as stock paho does. Where it means to differ, a test says so by its name."""

import struct

import paho.mqtt.client as paho
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.bulk import BulkClient
from tests.unit.ingest.wire import (
    PINGREQ,
    PINGRESP,
    V5,
    V311,
    Played,
    connack,
    in_pieces,
    packet,
    publish,
    string,
    suback,
    unsuback,
    varint,
    with_mid,
)

PROTOCOLS = pytest.mark.parametrize("protocol", [V311, V5], ids=["3.1.1", "5"])


def assert_same(protocol, pieces) -> Played:
    pieces = list(pieces)
    stock, bulk = Played(paho.Client, protocol, pieces), Played(BulkClient, protocol, pieces)
    assert bulk.events == stock.events
    assert bulk.sent == stock.sent
    return bulk


def messages(played: Played) -> list[tuple[object, ...]]:
    return [event[1:] for event in played.events if event[0] == "message"]


topics = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).map(str.encode),
    st.sampled_from(
        [b"a/b", b"application/1/device/2/event/up", b"x" * 300, b"a/\xff\xfe", b"\xed\xa0\x80", b"\0", b""]
    ),
    st.binary(max_size=12),
)
payloads = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"", b"0" * 100, b"1" * 127, b"2" * 128, b"3" * 20_000, b"\x30\x02ab" * 9]),
)
properties = st.lists(
    st.one_of(
        st.integers(0, 1).map(lambda v: bytes([1, v])),
        st.integers(0, 2**32 - 1).map(lambda v: b"\x02" + struct.pack("!I", v)),
        st.text(max_size=9).map(lambda v: b"\x03" + string(v)),
        st.text(max_size=9).map(lambda v: b"\x08" + string(v)),
        st.binary(max_size=9).map(lambda v: b"\x09" + string(v)),
        st.integers(1, 268_435_455).map(lambda v: b"\x0b" + varint(v)),
        st.tuples(st.text(max_size=5), st.text(max_size=200)).map(lambda v: b"\x26" + string(v[0]) + string(v[1])),
    ),
    max_size=5,
).map(b"".join)
# An identifier that no PUBLISH may have, lengths that lead too far, whatever: but no Topic Alias (0x23).
bad_properties = st.one_of(st.binary(max_size=12), properties.map(lambda p: p + p)).map(
    lambda p: p.replace(b"\x23", b"")
)
mids = st.integers(0, 65535)


def publishes(protocol):
    return st.builds(
        lambda topic, payload, qos, mid, retain, dup, props: publish(
            protocol, topic, payload, qos=qos, mid=mid, retain=retain, dup=dup, properties=props
        ),
        topics,
        payloads,
        st.sampled_from([0, 0, 1, 1, 1, 1, 2, 3]),
        mids,
        st.booleans(),
        st.booleans(),
        st.one_of(st.just(b""), properties, bad_properties),
    )


def well_formed(protocol):
    """Packets that end no connection."""
    good_topics = st.text("ab/é", min_size=1, max_size=9)
    publish_packets = st.builds(
        lambda topic, payload, qos, mid, retain, dup, props: publish(
            protocol, topic, payload, qos=qos, mid=mid, retain=retain, dup=dup, properties=props
        ),
        good_topics,
        payloads,
        st.integers(0, 2),
        mids,
        st.booleans(),
        st.booleans(),
        st.sampled_from([b"", b"\x01\x01", b"\x0b\x05\x0b\x06", b"\x26\0\1k\0\1v" * 40]),
    )
    others = st.one_of(
        st.sampled_from([PINGREQ, PINGRESP, suback(protocol, 1, 1, 0x80), unsuback(protocol, 2, 0)]),
        st.tuples(st.sampled_from([0x40, 0x50, 0x62, 0x70]), mids).map(lambda v: with_mid(*v)),
    )
    return st.one_of(publish_packets, publish_packets, publish_packets, others)


def anything(protocol):
    """Packets that may end a connection too, and bytes that are no packet."""
    raw = st.binary(min_size=1, max_size=30).map(lambda b: bytes([b[0] or 0xF0]) + b[1:])
    odd = st.tuples(st.integers(1, 15), st.binary(max_size=12)).map(lambda v: packet(v[0] << 4, v[1]))
    return st.one_of(publishes(protocol), well_formed(protocol), well_formed(protocol), odd, raw)


cuts = st.lists(st.integers(1, 4000), max_size=30)


@PROTOCOLS
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_well_formed_streams_in_any_pieces(protocol, data):
    stream = connack(protocol) + b"".join(data.draw(st.lists(well_formed(protocol), max_size=25)))

    played = assert_same(protocol, in_pieces(stream, data.draw(cuts)))

    assert ("still connected",) in played.events


@PROTOCOLS
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_any_stream_in_any_pieces(protocol, data):
    stream = connack(protocol) + b"".join(data.draw(st.lists(anything(protocol), max_size=8)))
    whole_from = first_of_type_0(stream)  # a packet that paho reads wrong in pieces: see the last test

    assert_same(protocol, in_pieces(stream, [cut for cut in data.draw(cuts) if cut <= whole_from]))


def first_of_type_0(stream: bytes) -> int:
    """Where the first packet of type 0 begins; else the end."""
    at = 0
    while at < len(stream) and stream[at] != 0:
        length, shift = 0, 0
        for at in range(at + 1, min(at + 5, len(stream))):  # noqa: B020
            length |= (stream[at] & 127) << shift
            shift += 7
            if stream[at] < 128:
                break
        at += 1 + length
    return min(at, len(stream))


def every_kind(protocol) -> bytes:
    props = b"\x01\x01\x02\0\0\0\x09\x03\0\4json\x08\0\1r\x09\0\2\0\xff\x0b\x01\x0b\xff\x7f\x26\0\1k\0\1v\x26\0\1k\0\1w"
    return b"".join(
        [
            connack(protocol, present=True),
            suback(protocol, 1, 1, 0),
            publish(protocol, mid=1),
            publish(protocol, "a/ü", b"", qos=0, retain=True),
            PINGRESP,
            publish(protocol, b"a/\xc3\x28", b"y" * 130, mid=2, dup=True),
            publish(protocol, "q2", b"two", qos=2, mid=3),
            publish(protocol, "p", b"three", mid=4, properties=props),
            with_mid(0x62, 3),
            PINGREQ,
            publish(protocol, "p", b"four", mid=65535, properties=props),
            publish(protocol, "p", b"z" * 17_000, mid=0),
            unsuback(protocol, 9, 0),
        ]
    )


@PROTOCOLS
def test_every_kind_of_packet_one_byte_at_a_time(protocol):
    stream = every_kind(protocol)

    played = assert_same(protocol, in_pieces(stream, range(len(stream))))

    assert len(messages(played)) == 7
    assert messages(played)[2][0] == r"a/\xc3("


@PROTOCOLS
def test_every_kind_of_packet_in_two_pieces_cut_anywhere(protocol):
    stream = every_kind(protocol)
    for cut in range(1, 420, 3):
        assert_same(protocol, in_pieces(stream, [cut]))


@PROTOCOLS
def test_packets_of_several_mebibytes_over_many_reads(protocol):
    stream = connack(protocol) + b"".join(
        publish(protocol, "big", bytes([mid]) * size, mid=mid, qos=qos)
        for mid, (size, qos) in enumerate([(3 << 20, 1), (5, 1), (2 << 20, 0), (1 << 20, 2), (2_097_152, 1)], start=1)
    )

    played = assert_same(protocol, in_pieces(stream + with_mid(0x62, 4), range(0, len(stream), 61_111)))

    assert sorted(len(message[1]) for message in messages(played)) == [5, 1 << 20, 2_097_152, 2_097_152, 3 << 20]


ENDINGS = {
    "a Remaining Length of five bytes": b"\x30\x80\x80\x80\x80\x01",
    "QoS 3": b"\x36\x06\0\1ab\0x",
    "a topic that is longer than its packet": b"\x32\x06\0\x50abcd",
    "a PUBLISH without anything": b"\x30\0",
    "a PUBLISH without its packet id": b"\x32\x03\0\1a",
    "an acknowledgement without its packet id": b"\x40\0",
    "a SUBACK cut short": b"\x90\1\0",
    "a packet type that nobody sends to a client": b"\x82\x05\0\1\0\1a",
    "packet type 15": b"\xf0\x02\0\0",
    "packet type 0": b"\0\0",
    "DISCONNECT": b"\xe0\0",
    "DISCONNECT, session taken over": b"\xe0\x02\x8e\0",
    "DISCONNECT with an unknown reason": b"\xe0\1\x7f",
    "a PINGRESP with a body": b"\xd0\1a",
    "a packet that never ends": b"\x32\x7f\0\3a/b\0\5",
    "half a fixed header": b"\x32",
}


@PROTOCOLS
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=list(ENDINGS))
def test_how_a_connection_ends(protocol, ending):
    before = connack(protocol) + publish(protocol, mid=5)

    assert_same(protocol, [before + ending + publish(protocol, mid=6)])
    assert_same(protocol, [before, ending, publish(protocol, mid=6)])


@PROTOCOLS
@pytest.mark.parametrize("reason", [2, 3, 5, 0x87, 0x95])
def test_a_refused_connection(protocol, reason):
    assert_same(protocol, [connack(protocol, reason=reason) + publish(protocol)])


AUTH = packet(0xF0, b"\x18\0")


def test_a_request_to_authenticate_again():
    assert_same(V5, [connack(V5), publish(V5) + AUTH + publish(V5, mid=2)])


# Where we mean to differ.


@pytest.mark.parametrize("topic", ["", "a/b"])
def test_we_end_the_connection_at_a_topic_alias_where_paho_delivers_a_message_without_topic(topic):
    """We allow none (Topic Alias Maximum is absent, so 0), so a broker that uses one breaks MQTT-3.1.2-26. Without its
    topic a message could only be rejected, and would then be acknowledged."""
    pieces = [connack(V5), publish(V5, "a", mid=1) + publish(V5, topic, mid=2, properties=b"\x23\0\1")]

    stock, bulk = Played(paho.Client, V5, pieces), Played(BulkClient, V5, pieces)

    assert [message[0] for message in messages(stock)] == ["a", topic]
    assert [message[0] for message in messages(bulk)] == ["a"]
    assert ("still connected",) not in bulk.events


def test_we_end_the_connection_at_a_packet_that_is_larger_than_we_want():
    pieces = [connack(V5), publish(V5, mid=1) + publish(V5, "a", b"x" * 100, mid=2)[:10]]

    class Modest(BulkClient):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, largest_packet_bytes=100, **options)

    assert len(messages(Played(paho.Client, V5, pieces))) == 1
    bulk = Played(Modest, V5, pieces)
    assert len(messages(bulk)) == 1
    assert ("still connected",) not in bulk.events


def test_we_see_a_packet_of_type_0_that_comes_in_pieces_where_paho_forgets_its_first_byte():
    """paho takes "no packet type read yet" and "packet type 0" for the same."""
    pieces = [connack(V5), b"\0", publish(V5, "a", b"x" * 60, qos=0)]

    assert len(messages(Played(paho.Client, V5, pieces))) == 1
    bulk = Played(BulkClient, V5, pieces)
    assert messages(bulk) == []
    assert ("still connected",) not in bulk.events
