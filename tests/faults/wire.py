"""Reading the MQTT and PostgreSQL byte streams that pass a proxy: whole frames only, and what the faults look for."""

import hashlib
import struct
from dataclasses import dataclass

MQTT_CONNECT, MQTT_CONNACK, MQTT_PUBLISH, MQTT_PUBACK, MQTT_SUBACK = 1, 2, 3, 4, 9

# Startup packets have no type byte: their second word tells (PostgreSQL "Message Formats").
_SSL_REQUEST, _GSSENC_REQUEST = 80877103, 80877104


def take_mqtt_frames(buffer: bytearray) -> list[bytes]:
    """Take the whole MQTT packets off the front of a buffer; half a packet stays in it.

    Examples
    --------
    >>> buffer = bytearray(b"\\x40\\x02\\x00\\x07\\x40\\x02\\x00")
    >>> take_mqtt_frames(buffer), bytes(buffer)
    ([b'@\\x02\\x00\\x07'], b'@\\x02\\x00')
    """
    frames, begin = [], 0
    while True:
        length, at, shift = 0, begin + 1, 0
        while at < len(buffer):
            length |= (buffer[at] & 0x7F) << shift
            shift += 7
            at += 1
            if not buffer[at - 1] & 0x80:
                break
        else:
            break
        if at + length > len(buffer):
            break
        frames.append(bytes(buffer[begin : at + length]))
        begin = at + length
    del buffer[:begin]
    return frames


def mqtt_type(frame: bytes) -> int:
    """Packet type of an MQTT packet: 3 is PUBLISH, 4 is PUBACK."""
    return frame[0] >> 4


def _body(frame: bytes) -> int:
    at = 1
    while frame[at] & 0x80:
        at += 1
    return at + 1


def mqtt_protocol(connect: bytes) -> int:
    """Protocol level of a CONNECT packet: 5, or 4 for 3.1.1."""
    at = _body(connect)
    (length,) = struct.unpack_from(">H", connect, at)
    return connect[at + 2 + int(length)]


def puback_id(frame: bytes) -> int:
    """Packet id of a PUBACK."""
    return int(struct.unpack_from(">H", frame, _body(frame))[0])


@dataclass(frozen=True, slots=True)
class Delivery:
    """A PUBLISH that the broker sent to the ingester. `packet_id` is 0 at QoS 0."""

    packet_id: int
    duplicate: bool
    payload_sha256: bytes


def read_publish(frame: bytes, protocol: int) -> Delivery:
    """The parts of a PUBLISH that the checks need."""
    qos, at = (frame[0] >> 1) & 3, _body(frame)
    at += 2 + int(struct.unpack_from(">H", frame, at)[0])
    packet_id = 0
    if qos:
        packet_id = int(struct.unpack_from(">H", frame, at)[0])
        at += 2
    if protocol >= 5:
        length, shift = 0, 0
        while True:
            length |= (frame[at] & 0x7F) << shift
            shift += 7
            at += 1
            if not frame[at - 1] & 0x80:
                break
        at += length
    return Delivery(packet_id, bool(frame[0] & 8), hashlib.sha256(frame[at:]).digest())


class PostgresFrames:
    """Cuts what a PostgreSQL client sends into messages; the first ones of a connection have no type byte."""

    def __init__(self) -> None:
        self._starting = True

    def take(self, buffer: bytearray) -> list[bytes]:
        """Take the whole messages off the front of a buffer; half a message stays in it."""
        frames, begin = [], 0
        while True:
            head = 0 if self._starting else 1
            if begin + head + 4 > len(buffer):
                break
            (length,) = struct.unpack_from(">I", buffer, begin + head)
            end = begin + head + int(length)
            if end > len(buffer):
                break
            frames.append(bytes(buffer[begin:end]))
            if self._starting:
                (code,) = struct.unpack_from(">I", buffer, begin + 4)
                self._starting = code in (_SSL_REQUEST, _GSSENC_REQUEST)
            begin = end
        del buffer[:begin]
        return frames


def is_copy_data(frame: bytes) -> bool:
    """Whether a client's message carries rows of a COPY."""
    return frame[:1] == b"d"


def is_copy_done(frame: bytes) -> bool:
    """Whether a client's message ends a COPY."""
    return frame[:1] == b"c"


def is_commit(frame: bytes) -> bool:
    """Whether a client's message asks for COMMIT, simple or extended."""
    return frame[:1] in (b"Q", b"P") and b"COMMIT\x00" in frame
