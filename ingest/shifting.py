"""Recorded messages as if they had been sent at another time: their times moved, their ids new.

Only the members that tell a time or an id of the message are written anew, all other bytes stay: what a message
measures, and what is odd about it, is the same. An id becomes a UUIDv5 of itself and the shift, so that one message
shifted twice by as much is still one, and the database takes it for another than the original. (But for a message of
The Things Stack without the server's own time, which no server sends: nothing else in it tells when it was.)
"""

import hashlib
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from ingest import strictjson
from ingest.formats import chirpstack_v3, chirpstack_v4, chirpstack_v4_protobuf, others, senml, sniff, tts_v3, vehicle
from roadtwin.errors import MessageRejectedError

NAMESPACE = UUID("d1f0a6de-2b0f-5f6e-8f6b-0d4b8a5c7e21")
MOST_SHIFT_S = 200 * 366 * 86_400
UNKNOWN = "unknown"
_SECONDS_TEXT = rb"(?:19[7-9]\d|[2-9]\d\d\d)-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d"  # no zero time, which means none
_CACHED_SECONDS = 10_000


def _pattern(times: bytes, epochs: bytes, ids: bytes) -> re.Pattern[bytes]:
    """Members of these names. No text within a text is taken for one: its quotation marks are escaped."""
    return re.compile(
        rb'(?<!\\)"(?:'
        rb'(?:%s)"\s*:\s*"(?P<time>%s)'
        % (times, _SECONDS_TEXT)
        + rb'|(?:%s)"\s*:\s*"(?P<epoch>\d+)(?=[.\d]*s")' % epochs
        + rb'|(?P<name>%s)"\s*:\s*"(?P<id>(?:[^"\\]|\\.)+)(?="))' % ids
    )


_CHIRPSTACK = _pattern(
    b"time|gwTime|nsTime|publishedAt",
    b"timeSinceGpsEpoch|fineTimeSinceGpsEpoch|timeSinceGPSEpoch",
    b"deduplicationId|uplinkID",
)
_TTS = _pattern(b"time|gps_time|received_at|published_at", b"$none", b"$none")
_VEHICLE = _pattern(b"observed_at", b"$none", b"event_id|pass_id")
_UUID = re.compile(rb"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")


def format_of(topic: str, payload: bytes) -> str:
    """The wire format that our decoder would read this as; of what it cannot read, the sender or `unknown`."""
    levels = topic.split("/")
    if levels[0] == "roadtwin":
        if len(levels) == 5 and levels[1] == "v1" and levels[4] == "readings":
            known = {"vehicles": vehicle.FORMAT, "sensors": senml.FORMAT}
            return known.get(levels[2], UNKNOWN)
        return UNKNOWN
    if levels[0] == "v3" and len(levels) >= 4 and levels[2] == "devices":
        return tts_v3.FORMAT
    is_chirpstack = levels[0] == "application" and len(levels) in (5, 6) and levels[2] == "device"
    if not is_chirpstack:
        parser = sniff.parser_of(payload)
        if parser is None:
            return others.recognise(topic, payload) or UNKNOWN
        if parser is tts_v3.parse:
            return tts_v3.FORMAT
    if payload.lstrip()[:1] == b"{":
        is_v4 = b'"deviceInfo"' in payload
        return chirpstack_v4.FORMAT if is_v4 else chirpstack_v3.FORMAT_JSON
    if chirpstack_v3.is_v3_protobuf(payload) and not chirpstack_v4_protobuf.is_txack(payload):
        return chirpstack_v3.FORMAT_PROTOBUF
    return chirpstack_v4_protobuf.FORMAT


class Shifter:
    """Moves messages by whole seconds (so that fractions stay as they were written), later where positive.

    `shifted` counts the messages by format, `unchanged` those that were left as they are: of no format that is known,
    broken, or without a time.
    """

    def __init__(self, shift_s: int) -> None:
        self.shift_s = shift_s
        self.shifted: Counter[str] = Counter()
        self.unchanged: Counter[str] = Counter()
        self._seconds: dict[bytes, bytes] = {}
        self._begun = hashlib.sha1(NAMESPACE.bytes, usedforsecurity=False)
        self._by_format: dict[str, Callable[[str, bytes], bytes]] = {
            chirpstack_v4.FORMAT: lambda _topic, payload: _CHIRPSTACK.sub(self._member, payload),
            chirpstack_v3.FORMAT_JSON: lambda _topic, payload: _CHIRPSTACK.sub(self._member, payload),
            tts_v3.FORMAT: lambda _topic, payload: _TTS.sub(self._member, payload),
            vehicle.FORMAT: lambda _topic, payload: _VEHICLE.sub(self._member, payload),
            senml.FORMAT: lambda _topic, payload: self._senml(payload),
            chirpstack_v4_protobuf.FORMAT: self._v4_protobuf,
            chirpstack_v3.FORMAT_PROTOBUF: self._v3_protobuf,
        }

    def shift(self, topic: str, payload: bytes) -> bytes:
        """The payload at its new time; what cannot be moved, as it is."""
        name = format_of(topic, payload)
        move = self._by_format.get(name)
        moved = payload if move is None else move(topic, payload)
        (self.unchanged if moved == payload else self.shifted)[name] += 1
        return moved

    def new_id(self, old: str) -> str:
        """The id of the moved message: `str(uuid.uuid5(NAMESPACE, f"{old} {shift_s}"))`, in a third of the time."""
        digest = self._begun.copy()
        digest.update(f"{old} {self.shift_s}".encode())
        h = digest.hexdigest()
        return f"{h[:8]}-{h[8:12]}-5{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:32]}"

    def _member(self, match: re.Match[bytes]) -> bytes:
        kind = match.lastgroup
        assert kind is not None, "one group is always found"
        before = match[0][: match.start(kind) - match.start()]
        value = match[kind]
        if kind == "time":
            return before + self._moved_seconds(value)
        if kind == "epoch":
            return before + str(max(int(value) + self.shift_s, 0)).encode()
        return before + self._new_id_text(match["name"], value)

    def _moved_seconds(self, text: bytes) -> bytes:
        """The first 19 characters of an RFC 3339 text, moved. They repeat: a server tells its time several times."""
        moved = self._seconds.get(text)
        if moved is None:
            try:
                at = datetime.fromisoformat(text.decode().upper()) + timedelta(seconds=self.shift_s)
                moved = at.isoformat(sep=chr(text[10]))[:19].encode()
            except (ValueError, OverflowError):  # 31 February, or beyond any calendar
                moved = text
            if len(self._seconds) >= _CACHED_SECONDS:
                self._seconds.clear()
            self._seconds[text] = moved
        return moved

    def _new_id_text(self, name: bytes, old: bytes) -> bytes:
        if name == b"uplinkID":
            return self._new_uplink_id(old)
        text = old.decode("utf-8", "backslashreplace")
        if name == b"event_id":  # written one way or another, it is the same
            if not _UUID.fullmatch(old):
                return old  # it is refused, and must be
            text = text.lower().replace("-", "")
        return self.new_id(text).encode()

    def _new_uplink_id(self, old: bytes) -> bytes:
        """16 bytes, in base64 or in hexadecimal digits."""
        if len(old) == 32:
            return self.new_id(old.decode("ascii", "replace").lower()).replace("-", "").encode()
        try:
            octets = b64decode(old, validate=True)
        except (Base64Error, ValueError):
            return old
        return b64encode(UUID(self.new_id(octets.hex())).bytes) if len(octets) == 16 else old

    def _senml(self, payload: bytes) -> bytes:
        """Base times from which on times are absolute, and absolute times without one (RFC 8428 §4.5.3)."""
        try:
            pack = strictjson.read(payload)
        except MessageRejectedError:
            return payload
        if not isinstance(pack, list) or not all(isinstance(record, dict) for record in pack):
            return payload
        moved, base, base_moved_s = False, 0.0, 0
        for record in pack:
            if _is_number(record.get("bt")):
                base = record["bt"]
                base_moved_s = self.shift_s if base >= senml.ABSOLUTE_FROM_S else 0
                if base_moved_s:
                    record["bt"], moved = _sum(base, base_moved_s), True
            told = record.get("t", 0)
            if not _is_number(told):
                continue
            to_move_s = (self.shift_s if base + told >= senml.ABSOLUTE_FROM_S else 0) - base_moved_s
            if to_move_s:
                record["t"], moved = _sum(told, to_move_s), True
        if pack and not moved:
            # Times relative to the arrival: only its bytes tell such a pack. Receivers pass unknown labels over.
            pack[0]["shifted_s"] = self.shift_s
        return msgspec.json.encode(pack)

    def _v4_protobuf(self, topic: str, payload: bytes) -> bytes:
        event: Any = chirpstack_v4_protobuf.message_of(topic, payload)
        if event is None:
            return payload
        if event.HasField("time"):
            event.time.seconds += self.shift_s
        if getattr(event, "deduplication_id", ""):
            event.deduplication_id = self.new_id(event.deduplication_id)
        for rx in getattr(event, "rx_info", ()):
            for name in ("gw_time", "ns_time", "time_since_gps_epoch", "fine_time_since_gps_epoch"):
                if rx.HasField(name):
                    getattr(rx, name).seconds += self.shift_s
        return bytes(event.SerializeToString(deterministic=True))

    def _v3_protobuf(self, topic: str, payload: bytes) -> bytes:
        event: Any = chirpstack_v3.message_of(topic, payload)
        if event is None:
            return payload
        if event.HasField("published_at"):
            event.published_at.seconds += self.shift_s
        for rx in getattr(event, "rx_info", ()):
            for name in ("time", "time_since_gps_epoch"):
                if rx.HasField(name):
                    getattr(rx, name).seconds += self.shift_s
            if rx.HasField("plain_fine_timestamp") and rx.plain_fine_timestamp.HasField("time"):
                rx.plain_fine_timestamp.time.seconds += self.shift_s
            if len(rx.uplink_id) == 16:
                rx.uplink_id = UUID(self.new_id(rx.uplink_id.hex())).bytes
        return bytes(event.SerializeToString(deterministic=True))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _sum(seconds: float, shift_s: int) -> float:
    """Whole seconds stay whole, and fractions as long as they were: to the microsecond."""
    return seconds + shift_s if isinstance(seconds, int) else round(seconds + shift_s, 6)
