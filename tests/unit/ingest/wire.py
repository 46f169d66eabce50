"""MQTT packets as bytes, and a server of one connection that plays them to a client and hears what it answers."""

import select
import socket
import struct
import tempfile
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.bulk import BulkClient
from ingest.received import Received

V311, V5 = MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5


def varint(value: int) -> bytes:
    encoded = bytearray()
    while True:
        value, digit = value >> 7, value & 127
        encoded.append(digit | (128 if value else 0))
        if not value:
            return bytes(encoded)


def string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("!H", len(raw)) + raw


def packet(command: int, body: bytes = b"") -> bytes:
    return bytes([command]) + varint(len(body)) + body


def publish(
    protocol: MQTTProtocolVersion,
    topic: str | bytes = "a/b",
    payload: bytes = b"x",
    *,
    qos: int = 1,
    mid: int = 1,
    retain: bool = False,
    dup: bool = False,
    properties: bytes = b"",
) -> bytes:
    body = string(topic) + (struct.pack("!H", mid) if qos else b"")
    if protocol == V5:
        body += varint(len(properties)) + properties
    return packet(0x30 | dup << 3 | qos << 1 | retain, body + payload)


def connack(protocol: MQTTProtocolVersion, *, present: bool = False, reason: int = 0) -> bytes:
    return packet(0x20, bytes([present, reason]) + (b"\0" if protocol == V5 else b""))


def suback(protocol: MQTTProtocolVersion, mid: int, *reasons: int) -> bytes:
    return packet(0x90, struct.pack("!H", mid) + (b"\0" if protocol == V5 else b"") + bytes(reasons))


def unsuback(protocol: MQTTProtocolVersion, mid: int, *reasons: int) -> bytes:
    return packet(0xB0, struct.pack("!H", mid) + (b"\0" + bytes(reasons) if protocol == V5 else b""))


def with_mid(command: int, mid: int) -> bytes:
    """PUBACK 0x40, PUBREC 0x50, PUBREL 0x62, PUBCOMP 0x70."""
    return packet(command, struct.pack("!H", mid))


PINGREQ, PINGRESP = packet(0xC0), packet(0xD0)


def in_pieces(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = [0, *sorted({cut for cut in cuts if 0 < cut < len(stream)}), len(stream)]
    return [stream[begin:end] for begin, end in pairwise(places)]


class Played:
    """What a client does with a stream: `events` in order, and the bytes that it `sent`.

    Over a UNIX socket, where what one side sends is there for the other at once, so that pieces arrive as cut.
    """

    def __init__(self, kind: type[paho.Client], protocol: MQTTProtocolVersion, pieces: Iterable[bytes]) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.sent = b""
        self._unacknowledged: list[Any] = []
        client = self.client = self._make_client(kind, protocol)
        with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{directory}/mqtt")
            listener.listen()
            client.connect(f"{directory}/mqtt", **self._options(protocol))
            server, _ = listener.accept()
        with server:
            server.setblocking(False)
            for piece in pieces:
                self._play(server, piece)
            if client.socket() is not None:
                self.events.append(("still connected",))
                server.shutdown(socket.SHUT_WR)
                self._pump()
            self._hear(server)
        assert client.socket() is None
        client._reset_sockets()  # those of its own that wake it

    def _play(self, server: socket.socket, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest and self.client.socket() is not None:
            try:
                rest = rest[server.send(rest) :]
            except BlockingIOError:  # full: the client reads first
                pass
            except ConnectionError:  # the client has had enough
                break
            self._pump()
        self._acknowledge()
        self._hear(server)

    def _make_client(self, kind: type[paho.Client], protocol: MQTTProtocolVersion) -> paho.Client:
        options: dict[str, Any] = {} if protocol == V5 else {"clean_session": False}
        client = kind(
            CallbackAPIVersion.VERSION2, "played", protocol=protocol, transport="unix", manual_ack=True, **options
        )
        client.on_connect = lambda c, u, flags, reason, p: self.events.append(
            ("connected", flags.session_present, reason.value)
        )
        client.on_disconnect = lambda c, u, flags, reason, p: self.events.append(
            ("disconnected", flags.is_disconnect_packet_from_server, reason.value)
        )
        client.on_subscribe = lambda c, u, mid, reasons, p: self.events.append(
            ("subscribed", mid, [reason.value for reason in reasons])
        )
        client.on_unsubscribe = lambda c, u, mid, reasons, p: self.events.append(
            ("unsubscribed", mid, [reason.value for reason in reasons])
        )
        if isinstance(client, BulkClient):
            client.on_publishes = self._on_publishes
        else:
            client.on_message = self._on_message
        return client

    def _options(self, protocol: MQTTProtocolVersion) -> dict[str, Any]:
        if protocol != V5:
            return {}
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 60
        return {"clean_start": False, "properties": properties}

    def _on_publishes(self, publishes: list[Received]) -> None:
        for item in publishes:
            assert item.epoch == self.client.epoch
            self.events.append(("message", item.topic, item.payload, item.qos, item.retained, item.duplicate, item.mid))
        self._unacknowledged += publishes

    def _on_message(self, client: paho.Client, userdata: Any, m: paho.MQTTMessage) -> None:
        topic = m._topic.decode("utf-8", "backslashreplace")
        self.events.append(("message", topic, bytes(m.payload), m.qos, m.retain, m.dup, m.mid))
        self._unacknowledged.append(m)

    def _acknowledge(self) -> None:
        done, self._unacknowledged = self._unacknowledged, []
        if self.client.socket() is None:
            return
        if isinstance(self.client, BulkClient):
            assert self.client.acknowledge(done) == sum(item.qos > 0 for item in done)
        else:
            for message in done:
                self.client.ack(message.mid, message.qos)

    def _pump(self) -> None:
        """Loop until everything that has come is read and everything to say is said, or the connection is over."""
        while (sock := self.client.socket()) is not None:
            if not select.select([sock], [], [], 0)[0] and not self.client.want_write():
                return
            self.client.loop(0)

    def _hear(self, server: socket.socket) -> None:
        while select.select([server], [], [], 0)[0]:
            try:
                heard = server.recv(65536)
            except ConnectionResetError:
                return
            if not heard:
                return
            self.sent += heard
