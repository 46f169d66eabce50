"""A paho client that reads PUBLISH packets in bulk and acknowledges them in bulk.

paho-mqtt stays responsible for connecting, TLS, keep-alive, sessions, subscriptions and reconnecting. It reads a packet
with three or more calls of `recv` and one of `select`; here one read takes all that is there, up to READ_BYTES, and
one loop slices the ordinary PUBLISH packets out of it. Every other packet, and every PUBLISH that is not plainly well
formed, goes in its place in the order to paho's own handler, which so remains the only judge of what is malformed.

Two differences from paho are meant: a Topic Alias, which we never allow, ends the connection, where paho would deliver
a message without its topic; and a packet beyond `largest_packet_bytes` ends it before its body is in memory. (A third,
by a mistake of paho's, is in tests/unit/ingest/test_bulk_differential.py, which compares the two on the same bytes.)

We do not ask the broker for a Maximum Packet Size: it would drop what is larger without a word, to us or the publisher.
"""

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.exception import MalformedPacket, MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.received import Received
from roadtwin.telemetry import get_logger

log = get_logger(__name__)

READ_BYTES = 256 * 1024
"""What one read takes from the socket at most [B]."""
MOST_REMAINING_BYTES = 268_435_455
"""What the length in a header of MQTT can express [B]."""
LARGEST_PACKET_BYTES = 5 + MOST_REMAINING_BYTES
"""The longest packet that MQTT can express: fixed header and Remaining Length [B]."""
PAUSE_S = 0.01
"""How long one wait for room may take: acknowledgements wait behind it [s]."""
CACHE_ENTRIES = 10_000
"""Different topics, and different blocks of properties, that are remembered before the memory is emptied."""
CACHED_BYTES = 512
"""What is longer is not remembered [B]."""

PUBLISH_QOS_0_OR_1 = 0x30
"""First byte of a PUBLISH without its DUP flag, lower bit of QoS and RETAIN."""
PUBACK = 0x4002_0000
PUBCOMP = 0x7002_0000
"""First two bytes of an acknowledgement, type and Remaining Length 2, before the packet id. MQTT 5 reads: Success."""

_epochs = count(1)  # of all clients of this process: an epoch names one connection and no other


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _on_log_of_paho(_client: paho.Client, _userdata: Any, _level: int, text: str) -> None:
    """Exceptions in callbacks, which paho tells nobody else. Its other lines hold topics, which name vehicles."""
    if text.startswith("Caught exception"):
        log.error("a callback of the MQTT client failed", action="mqtt_callback_failed", reason=text)


def _on_message_of_paho(client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
    """A message that paho read: one of QoS 2, or one that we left to its judgement."""
    assert isinstance(client, BulkClient)
    topic = bytes(message._topic).decode("utf-8", "backslashreplace")  # message.topic raises for what is no UTF-8
    payload, arrived_at = bytes(message.payload), client._clock()
    client._deliver(
        [Received(topic, payload, arrived_at, message.retain, message.dup, message.qos, client.epoch, message.mid)]
    )


def _nobody(_publishes: list[Received]) -> None:
    """Nobody listens yet."""


def _always(_longest_s: float) -> bool:
    return True


class BulkClient(paho.Client):
    """paho's client, with `on_publishes` in place of `on_message`; always with manual acknowledgement.

    Every connection has an `epoch`, a number that no other connection of this process has. `on_publishes` is called in
    the network thread with what one read brought, in order of receipt and with one arrival time. If it raises, the
    connection is ended: what it did not take is unacknowledged, and the broker delivers it again.

    While `has_room`, which may wait for as long as it is told, says no, nothing is read: what comes stays in the socket
    and then with the broker, and the connection is kept alive. (The broker cannot be left to bound it: Mosquitto 2.0
    goes beyond Receive Maximum when acknowledgements come in batches.)
    """

    def __init__(
        self,
        *arguments: Any,
        clock: Callable[[], datetime] = _utc_now,
        largest_packet_bytes: int = LARGEST_PACKET_BYTES,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **(options | {"manual_ack": True}))
        self.on_publishes: Callable[[list[Received]], None] = _nobody
        self.has_room: Callable[[float], bool] = _always
        self.failure: BaseException | None = None
        """What ended the network thread, which nothing should."""
        self.hung_up = False
        """The last connection was ended by the other side, without a word: read it in on_disconnect."""
        self.epoch = 0
        self._clock = clock
        self._largest_packet_bytes = largest_packet_bytes
        self._epoch_lock = threading.Lock()
        self._partial = bytearray()  # the beginning of a packet whose end has not come yet
        self._partial_until = 0  # length at which it is worth looking at again
        self._handed_over = b""  # a packet that paho reads next
        self._callback_failed = False
        self._dropped = False
        self._publish_reader = PublishReader()
        self.on_message = _on_message_of_paho
        self.on_log = _on_log_of_paho

    # What paho calls.

    def reconnect(self) -> MQTTErrorCode:
        """Connect as paho does. What was read of an earlier connection is void from here, and so are its acks."""
        with self._epoch_lock:  # acknowledgements already queued are thrown away by paho's reconnect, later ones by us
            self.epoch = next(_epochs)
        self._partial = bytearray()
        self._callback_failed = self._dropped = self.hung_up = False
        return super().reconnect()

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        """Run the network loop; an exception that ends it is kept in `failure`."""
        try:
            return super().loop_forever(timeout, retry_first_connection)
        except Exception as exc:
            self.failure = exc
            log.exception("the network thread has ended", action="mqtt_thread_ended")
            return MQTTErrorCode.MQTT_ERR_UNKNOWN

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:  # noqa: ARG002 — paho's signature, and paho ignores it too
        """Take what is there from the socket and hand it on."""
        sock = self.socket()
        if sock is None:
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        if self.is_connected() and not self.has_room(PAUSE_S):
            self._note_bytes_received(paused=True)
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        data, lost = self._read(several=isinstance(sock, ssl.SSLSocket))
        rc = MQTTErrorCode.MQTT_ERR_SUCCESS
        if data:
            self._note_bytes_received()
            rc = self._take_in(data, sock)
        if rc == MQTTErrorCode.MQTT_ERR_SUCCESS and self.socket() is sock:
            if self._callback_failed:
                rc = MQTTErrorCode.MQTT_ERR_UNKNOWN
            elif lost:
                self.hung_up = not self._dropped
                rc = MQTTErrorCode.MQTT_ERR_CONN_LOST
        return self._end_connection(rc) if rc else rc

    # What the receiver calls, from its own thread.

    def drop_connection(self) -> None:
        """End the connection without a word, so that the loop makes a new one and the broker delivers again."""
        sock = self.socket()
        self._dropped = True
        if isinstance(sock, socket.socket):
            with contextlib.suppress(OSError):  # gone already: that is what we want
                # Not SSLSocket.shutdown: it would have the network thread read on without decrypting.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def acknowledge(self, received: Sequence[Received]) -> int:
        """Acknowledge in this order [MQTT-4.6.0-2], in one write; how many were.

        Those of another connection are not: their packet ids mean other messages now. QoS 0 needs none.
        """
        with self._epoch_lock:
            if self.socket() is None:
                return 0
            epoch = self.epoch
            acks = [
                (PUBACK if item.qos == 1 else PUBCOMP) | item.mid
                for item in received
                if item.epoch == epoch and item.qos
            ]
            if acks:
                self._send(struct.pack(f"!{len(acks)}I", *acks))
        return len(acks)

    # Reading.

    def _read(self, *, several: bool) -> tuple[bytes, bool]:
        """What is there, up to READ_BYTES, and whether the connection was found to be gone after it.

        `several` for TLS, where one read gives one record of at most 16 KiB, and `select` knows nothing of the next one
        if that is decrypted already.
        """
        chunks: list[bytes] = []
        room, lost = READ_BYTES, False
        while room > 0:
            try:
                chunk = self._receive(room)
            except BlockingIOError:
                break
            except OSError as exc:
                log.info("reading from the broker failed", action="mqtt_read_failed", reason=str(exc))
                lost = True
                break
            if not chunk:
                lost = True
                break
            chunks.append(chunk)
            room -= len(chunk)
            if not several:
                break
        return b"".join(chunks), lost

    def _take_in(self, data: bytes, sock: object) -> MQTTErrorCode:
        """Slice packets out of `data` and of what was left of the read before it."""
        if self._partial:
            self._partial += data
            if len(self._partial) < self._partial_until:
                return MQTTErrorCode.MQTT_ERR_SUCCESS
            data, self._partial = bytes(self._partial), bytearray()
        v5, epoch, arrived_at = self.protocol == MQTTProtocolVersion.MQTTv5, self.epoch, self._clock()
        read_publish = self._publish_reader.read
        publishes: list[Received] = []
        position, end, packet_bytes = 0, len(data), 2
        while position + 2 <= end:
            length, body = data[position + 1], position + 2
            if length > 127:
                length, body = _long_remaining_length(data, position, end)
            packet_end = body + length
            packet_bytes = packet_end - position
            if packet_end > end or packet_bytes > self._largest_packet_bytes:
                break
            received: Received | None = None
            if data[position] & 0xF4 == PUBLISH_QOS_0_OR_1:
                try:
                    received = read_publish(data, position, body, packet_end, v5, epoch, arrived_at)
                except MalformedPacket as exc:
                    self._deliver(publishes)
                    log.error("the broker broke the protocol", action="mqtt_malformed", reason=str(exc))
                    return MQTTErrorCode.MQTT_ERR_PROTOCOL
            if received is not None:
                publishes.append(received)
            else:
                self._deliver(publishes)
                publishes = []
                rc = self._hand_over(data[position:packet_end])
                if rc or self.socket() is not sock:  # ended, or already another connection: the rest is void
                    return rc
            position = packet_end
        self._deliver(publishes)
        if position == end:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        if packet_bytes > self._largest_packet_bytes:
            log.error("packet of the broker is too large", action="mqtt_packet_too_large", packet_bytes=packet_bytes)
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        self._partial, self._partial_until = bytearray(data[position:]), packet_bytes if position + 2 <= end else 2
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _deliver(self, publishes: list[Received]) -> None:
        if publishes:
            try:
                self.on_publishes(publishes)
            except Exception:
                log.exception("messages were not taken: they must come again", action="mqtt_callback_failed")
                self._callback_failed = True

    # Every use of a private name of paho is in the methods below, and in _on_message_of_paho.
    # tests/unit/ingest/test_bulk.py fails by name when paho changes one of them.

    def _sock_recv(self, bufsize: int) -> bytes:
        """Paho's read of the socket: it gets the packet that we hand over instead."""
        part, self._handed_over = self._handed_over[:bufsize], self._handed_over[bufsize:]
        return part

    def _hand_over(self, packet: bytes) -> MQTTErrorCode:
        """Let paho read and handle one whole packet."""
        self._handed_over = packet
        return self._packet_read()

    def _receive(self, most_bytes: int) -> bytes:
        """Read the socket as paho does: BlockingIOError when nothing is there, plain or TLS."""
        return super()._sock_recv(most_bytes)

    def _note_bytes_received(self, *, paused: bool = False) -> None:
        """Keep-alive counts from here. `paused`: what we do not read may hold the answer to a ping; none is overdue."""
        with self._msgtime_mutex:
            self._last_bytes_received = time.monotonic()
        if paused:
            self._ping_t = 0.0

    def _send(self, packet: bytes) -> None:
        """Put bytes behind what paho still has to send, and wake its loop.

        They are one packet to paho, whose command matters only where it is PUBLISH or DISCONNECT.
        """
        self._packet_queue(paho.PUBACK, packet, 0, 1)

    def _end_connection(self, rc: MQTTErrorCode) -> MQTTErrorCode:
        """Close the socket and tell on_disconnect; the loop then connects again."""
        return self._loop_rc_handle(rc)


class PublishReader:
    """Reads plainly well-formed PUBLISH packets of QoS 0 and 1, and remembers topics and blocks of properties."""

    def __init__(self) -> None:
        self._topics: dict[bytes, str] = {}
        self._properties: set[bytes] = set()

    def read(
        self, data: bytes, position: int, body: int, packet_end: int, v5: bool, epoch: int, arrived_at: datetime
    ) -> Received | None:
        """The message in `data[position:packet_end]`, or None where paho must judge it. `body` is behind its length.

        Raises MalformedPacket for a Topic Alias.
        """
        if packet_end - body < 2:
            return None
        command = data[position]
        qos = command >> 1 & 1
        topic_at = body + 2
        topic_end = topic_at + (data[body] << 8 | data[body + 1])
        payload_at = topic_end + 2 * qos + v5  # if it has no properties, whose length is then one byte
        if payload_at > packet_end:
            return None
        mid = data[topic_end] << 8 | data[topic_end + 1] if qos else 0
        if v5 and data[payload_at - 1]:
            payload_at = self._skip_properties(data, payload_at - 1, packet_end)
            if not payload_at:
                return None
        if topic_at == topic_end:
            return None
        topic_bytes = data[topic_at:topic_end]
        topic = self._topics.get(topic_bytes) or self._decode_topic(topic_bytes)
        payload = data[payload_at:packet_end]
        return Received(topic, payload, arrived_at, command & 1 == 1, command & 8 == 8, qos, epoch, mid)

    def _decode_topic(self, topic_bytes: bytes) -> str:
        topic = topic_bytes.decode("utf-8", "backslashreplace")
        if len(topic_bytes) <= CACHED_BYTES:
            if len(self._topics) >= CACHE_ENTRIES:
                self._topics.clear()
            self._topics[topic_bytes] = topic
        return topic

    def _skip_properties(self, data: bytes, at: int, packet_end: int) -> int:
        """Where the properties that begin at `at` end; 0 where paho must judge. Raises MalformedPacket for an alias."""
        length, content = data[at], at + 1
        if length > 127:
            length, content = _long_remaining_length(data, at - 1, packet_end)
        end = content + length
        if end > packet_end:
            return 0
        block = data[at:end]
        if block in self._properties:
            return end
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        try:
            properties.unpack(block)  # type: ignore[no-untyped-call]
        except (MQTTException, ValueError, LookupError, struct.error):
            return 0
        if hasattr(properties, "TopicAlias"):
            raise MalformedPacket("a PUBLISH with a Topic Alias, of which we allow none")
        if len(block) <= CACHED_BYTES:
            if len(self._properties) >= CACHE_ENTRIES:
                self._properties.clear()
            self._properties.add(block)
        return end


def _long_remaining_length(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A Remaining Length behind `data[position]`, and where the body begins.

    Where it has not come whole, one byte more than there is; where it has more than four bytes, which is malformed, the
    packet that ends with its fifth.
    """
    length = 0
    for index in range(4):
        at = position + 1 + index
        if at >= end:
            return 1, end
        length |= (data[at] & 127) << 7 * index
        if data[at] < 128:
            return length, at + 1
    return (0, position + 6) if position + 6 <= end else (1, end)
