"""Filling the queues of sessions that are away, far faster than a client library does it."""

import socket
import struct
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import paho.mqtt.client as paho

from ingest.mqtt import Session, open_client, parse_mqtt_url

EXPIRY_S = 3600
WINDOW = 1000
_CONNECT = b"\x10\x15\x00\x04MQTT\x04\x02\x00\x3c\x00\x09queue-fil"  # MQTT 3.1.1, clean session, keep-alive 60 s


def make_session(url: str, client_id: str, topics: Sequence[str], receive_maximum: int) -> None:
    """Subscribe and leave: from now on the broker queues for this client id."""
    subscribed = threading.Event()

    def prepare(client: paho.Client) -> None:
        client.on_subscribe = lambda *_: subscribed.set()

    session = Session(client_id, expiry_s=EXPIRY_S, receive_maximum=receive_maximum)
    client = open_client(parse_mqtt_url(url), session, prepare)
    client.subscribe([(topic, 1) for topic in topics])
    if not subscribed.wait(10):
        raise SystemExit("the broker did not answer the subscription")
    client.disconnect()
    client.loop_stop()


def fill(url: str, messages: Iterable[tuple[str, bytes]]) -> int:
    """Publish at QoS 1 and return the number of messages when the broker has confirmed all of them."""
    address = parse_mqtt_url(url)
    with socket.create_connection((address.host, address.port), timeout=60) as sock:
        sock.sendall(_CONNECT)
        if sock.recv(4)[3:] != b"\x00":
            raise SystemExit("the broker refused the connection")
        sent = confirmed = 0
        rest = b""
        chunk: list[bytes] = []
        for topic, payload in messages:
            chunk.append(_publish(topic, payload, sent % 65_535 + 1))
            sent += 1
            if len(chunk) == WINDOW // 2:
                sock.sendall(b"".join(chunk))
                chunk = []
                while sent - confirmed > WINDOW // 2:
                    rest += sock.recv(1 << 16)
                    confirmed += len(rest) // 4  # a PUBACK of MQTT 3.1.1 has four bytes
                    rest = rest[len(rest) // 4 * 4 :]
        sock.sendall(b"".join(chunk))
        while confirmed < sent:
            rest += sock.recv(1 << 16)
            confirmed += len(rest) // 4
            rest = rest[len(rest) // 4 * 4 :]
        sock.sendall(b"\xe0\x00")
    return sent


def _publish(topic: str, payload: bytes, mid: int) -> bytes:
    topic_bytes = topic.encode()
    length = 2 + len(topic_bytes) + 2 + len(payload)
    encoded = bytearray()
    while True:
        encoded.append(length % 128 | (128 if length > 127 else 0))
        length //= 128
        if not length:
            break
    return b"".join(
        (b"\x32", encoded, struct.pack(">H", len(topic_bytes)), topic_bytes, struct.pack(">H", mid), payload)
    )


def queued_messages(url: str, client_id: str, receive_maximum: int) -> int:
    """How many messages the broker still holds for a session: taken for half a second, and not acknowledged."""
    seen: list[Any] = []
    quiet = threading.Event()

    def prepare(client: paho.Client) -> None:
        client.on_message = lambda _client, _userdata, message: seen.append(message.mid)

    session = Session(client_id, expiry_s=EXPIRY_S, receive_maximum=receive_maximum, manual_ack=True)
    client = open_client(parse_mqtt_url(url), session, prepare)
    quiet.wait(0.5)
    client.disconnect()
    client.loop_stop()
    return len(seen)
