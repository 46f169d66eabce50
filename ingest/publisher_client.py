"""The wire side of publishing: many PUBLISH packets in one write, their acknowledgements read in bulk."""

import socket
from collections.abc import Callable, Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

from ingest.bulk import CACHE_ENTRIES, MOST_REMAINING_BYTES, BulkClient

PUBLISH = 0x30
RETAIN = 0x01
PUBACK, PUBREC, PUBCOMP = 0x40, 0x50, 0x70
PUBREL = b"\x62\x02"
"""First two bytes of a PUBREL before the packet id. MQTT 5 reads: Success."""
LARGEST_MID = 65_535

Ack = tuple[int, int, int]
"""First byte, packet id, reason code (0 where none is given: success)."""

_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # of Linux only


def _nobody(_acks: list[Ack]) -> None:
    """Nobody listens yet."""


def _send_at_once(_client: paho.Client, _userdata: Any, sock: Any) -> None:
    if isinstance(sock, socket.socket):  # no proxy of paho's
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class PublishingClient(BulkClient):
    """A client of which `on_acks` is called in the network thread with the PUBACK, PUBREC and PUBCOMP of one read.

    paho knows nothing of these messages: who publishes keeps them until they are acknowledged, and sends them again on
    another connection.

    Small packets go to and fro, and each side of TCP would wait for the other: ours with sending (Nagle), and ours with
    confirming what the broker's side waits for before it sends more. With the 20 in flight that Mosquitto allows by
    default, both make the difference between 450 and 60,000 messages a second.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.on_acks: Callable[[list[Ack]], None] = _nobody
        self.on_socket_open = _send_at_once
        self._acks: list[Ack] = []

    def send(self, packets: bytes) -> None:
        """Put packets behind what is still to be sent."""
        self._send(packets)

    @property
    def unsent_writes(self) -> int:
        """Calls of `send` whose bytes the socket has not taken yet."""
        return len(self._out_packet)

    def _take_in(self, data: bytes, sock: object) -> MQTTErrorCode:
        if _QUICK_ACK is not None and isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)  # not lasting: the kernel takes it back
        rc = super()._take_in(data, sock)
        if self._acks:
            acks, self._acks = self._acks, []
            self.on_acks(acks)
        return rc

    def _hand_over(self, packet: bytes) -> MQTTErrorCode:
        kind = packet[0]
        if kind in (PUBACK, PUBREC, PUBCOMP):
            body = 2
            while packet[body - 1] > 127:
                body += 1
            if len(packet) >= body + 2:
                reason = packet[body + 2] if len(packet) > body + 2 else 0
                self._acks.append((kind, packet[body] << 8 | packet[body + 1], reason))
                return MQTTErrorCode.MQTT_ERR_SUCCESS
        return super()._hand_over(packet)


class PacketWriter:
    """Writes PUBLISH packets, and remembers topics."""

    def __init__(self, *, v5: bool) -> None:
        self._properties = b"\0" if v5 else b""
        self._topics: dict[str, bytes] = {}

    def write(
        self, topics: Sequence[str], payloads: Sequence[bytes], first_bytes: Sequence[int], mids: Sequence[int]
    ) -> list[bytes]:
        """A packet for each message. `first_bytes` hold QoS and RETAIN; the packet id is left out at QoS 0.

        Raises ValueError for a topic of more than 65,535 bytes of UTF-8, or a packet larger than MQTT allows.
        """
        known, properties, packets = self._topics, self._properties, []
        for topic, payload, first, mid in zip(topics, payloads, first_bytes, mids, strict=True):
            name = known.get(topic) or self._remember(topic)
            number = mid.to_bytes(2, "big") if first & 6 else b""
            size = len(name) + len(number) + len(properties) + len(payload)
            packets.append(b"".join((_fixed_header(first, size), name, number, properties, payload)))
        return packets

    def _remember(self, topic: str) -> bytes:
        encoded = topic.encode()
        if len(encoded) > 65_535:
            raise ValueError(f"Topic: got {len(encoded)} bytes, MQTT allows 65,535.")
        name = len(encoded).to_bytes(2, "big") + encoded
        if len(self._topics) >= CACHE_ENTRIES:
            self._topics.clear()
        self._topics[topic] = name
        return name


def _fixed_header(first: int, size: int) -> bytes:
    if size < 128:
        return bytes((first, size))
    if size < 16_384:
        return bytes((first, size & 127 | 128, size >> 7))
    if size > MOST_REMAINING_BYTES:
        raise ValueError(f"Message: got a packet of {size} bytes, MQTT allows {MOST_REMAINING_BYTES:,}.")
    header = bytearray((first,))
    while size > 127:
        header.append(size & 127 | 128)
        size >>= 7
    header.append(size)
    return bytes(header)
