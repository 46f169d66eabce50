"""Publishing and knowing what the broker has taken: for replay, simulators and checks."""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Self
from uuid import uuid4

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from ingest.mqtt import BrokerAddress, Session, open_client_of
from ingest.publisher_client import (
    LARGEST_MID,
    PUBACK,
    PUBLISH,
    PUBREC,
    PUBREL,
    RETAIN,
    Ack,
    PacketWriter,
    PublishingClient,
)
from roadtwin.errors import BrokerRefusedError, BrokerUnavailableError

IN_FLIGHT = 1000
"""Most messages published and not confirmed yet; fewer where an MQTT 5 broker asks for it (Receive Maximum)."""
CONFIRM_S = 30.0
_POLL_S = 0.2
_MOST_UNSENT_WRITES = 64


class Publisher:
    """A connection that publishes and keeps account of what the broker has confirmed. Use as a context manager.

    Opening raises BrokerUnavailableError or BrokerRefusedError. When the connection breaks, it is made again in the
    background, and what was not confirmed is sent again, in the same order. One thread publishes.
    """

    def __init__(self, address: BrokerAddress, *, name: str, keep_digests: bool = False) -> None:
        self._address, self._keep_digests = address, keep_digests
        self._digests: list[bytes] = []
        self._mid = 0
        self.published = 0
        """Handed to the connection."""
        self.settled = 0
        """The first so many are done: confirmed, or sent with QoS 0, which is never confirmed."""
        self.confirmed = 0
        """Of those that are done, what the broker has confirmed."""
        # Below: under this lock, which the network thread takes too.
        self._changed = threading.Condition()
        self._order: deque[tuple[int, bytes]] = deque()  # packet id (0: QoS 0) and digest of what is not settled yet
        self._unconfirmed: dict[int, bytes] = {}  # packets by their id, in the order of publication
        self._window = IN_FLIGHT
        self._connected = False
        self._refusal: str | None = None
        session = Session(f"roadtwin-{name}-{uuid4().hex[:8]}")
        self._client = open_client_of(PublishingClient, address, session, self._prepare)
        self._writer = PacketWriter(v5=self._client.protocol == MQTTProtocolVersion.MQTTv5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    # Called in the network thread.

    def _prepare(self, client: PublishingClient) -> None:
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_acks = self._on_acks

    def _on_connect(
        self, client: paho.Client, _userdata: Any, _flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        if reason.is_failure:
            return
        assert isinstance(client, PublishingClient)
        with self._changed:
            self._window = min(IN_FLIGHT, getattr(properties, "ReceiveMaximum", IN_FLIGHT))
            self._connected = True
            if self._unconfirmed:  # of the connection before, whose session ended with it
                client.send(b"".join(self._unconfirmed.values()))
            self._changed.notify()

    def _on_disconnect(self, *_: object) -> None:
        with self._changed:
            self._connected = False

    def _on_acks(self, acks: list[Ack]) -> None:
        releases: list[bytes] = []
        with self._changed:
            for kind, mid, reason in acks:
                if mid not in self._unconfirmed:
                    continue
                if kind == PUBREC and reason < 0x80:
                    releases.append(PUBREL + mid.to_bytes(2, "big"))
                    continue
                if reason >= 0x80:
                    code = ReasonCode(PacketTypes.PUBACK if kind == PUBACK else PacketTypes.PUBREC, identifier=reason)
                    self._refusal = self._refusal or f"The MQTT broker {self._address} refused a message: {code}."
                    continue
                del self._unconfirmed[mid]
            if releases:
                self._client.send(b"".join(releases))
            self._settle()
            self._changed.notify()

    def _settle(self) -> None:
        """Take what is done off the front of the queue."""
        order, unconfirmed = self._order, self._unconfirmed
        while order and order[0][0] not in unconfirmed:
            mid, digest = order.popleft()
            self.settled += 1
            self.confirmed += mid > 0
            if self._keep_digests and mid:
                self._digests.append(digest)

    # Called by the thread that publishes.

    def publish(self, topic: str, payload: bytes, *, stop: threading.Event | None = None) -> None:
        """Publish one message at QoS 1; waits while too many are unconfirmed, at most until `stop` is set."""
        self.publish_many([topic], [payload], stop=stop)

    def publish_many(
        self,
        topics: Sequence[str],
        payloads: Sequence[bytes],
        *,
        qos: Sequence[int] | None = None,
        retained: Sequence[bool] | None = None,
        stop: threading.Event | None = None,
    ) -> int:
        """Publish n messages in this order, in as few writes as the broker lets us; how many were published.

        Waits while too many are unconfirmed; fewer than n are published only if `stop` was set.

        Parameters
        ----------
        qos : sequence of int, optional
            0 to 2 for each; 1 if left out. Those of QoS 0 are not sent again when the connection breaks.
        retained : sequence of bool, optional
            Whether the broker keeps it for later subscribers; none if left out.

        Raises
        ------
        BrokerRefusedError
            The broker refused a message, this one or one before.
        BrokerUnavailableError
            The network thread has ended.
        ValueError
            MQTT cannot express a topic or a payload.
        """
        levels = qos if qos is not None else [1] * len(topics)
        first_bytes = [PUBLISH | level << 1 for level in levels]
        if retained is not None:
            first_bytes = [first | RETAIN * bool(flag) for first, flag in zip(first_bytes, retained, strict=True)]
        at = 0
        while at < len(topics):
            room = self._wait_for_room(len(topics) - at, stop)
            if not room:
                break
            end = at + room
            self._send(topics[at:end], payloads[at:end], first_bytes[at:end])
            at = end
        return at

    def _send(self, topics: Sequence[str], payloads: Sequence[bytes], first_bytes: Sequence[int]) -> None:
        mids = [self._next_mid() if first & 6 else 0 for first in first_bytes]
        packets = self._writer.write(topics, payloads, first_bytes, mids)
        digests = [hashlib.sha256(payload).digest() if self._keep_digests else b"" for payload in payloads]
        with self._changed:
            self._order.extend(zip(mids, digests, strict=True))
            self._unconfirmed.update((mid, packet) for mid, packet in zip(mids, packets, strict=True) if mid)
            self.published += len(packets)
            if self._connected:  # otherwise they go out with the next connection
                self._client.send(b"".join(packets))
            self._settle()

    def _next_mid(self) -> int:
        # Not in use: of the last IN_FLIGHT at most.
        self._mid = self._mid % LARGEST_MID + 1
        return self._mid

    def _wait_for_room(self, wanted: int, stop: threading.Event | None) -> int:
        """How many may be sent now, at most `wanted`; 0 if stopped."""
        with self._changed:
            # Half the window at a time: to be woken for each confirmation would cost more than the message.
            while (room := self._window - len(self._order)) < min(wanted, self._window // 2 or 1):
                if stop is not None and stop.is_set():
                    return 0
                self._check()
                self._changed.wait(_POLL_S)
            self._check()
        while self._client.unsent_writes > _MOST_UNSENT_WRITES:  # QoS 0 alone: nothing else would hold us back
            time.sleep(0.001)
        return 0 if stop is not None and stop.is_set() else min(wanted, room)

    def _check(self) -> None:
        if self._refusal is not None:
            raise BrokerRefusedError(self._refusal)
        if self._client.failure is not None:
            raise BrokerUnavailableError(
                f"The connection to the MQTT broker {self._address} ended: {self._client.failure!r}."
            )

    def wait_for_confirmations(self, timeout_s: float = CONFIRM_S) -> None:
        """Return when the broker has confirmed everything.

        Raises BrokerUnavailableError when that takes longer than `timeout_s` without progress, and BrokerRefusedError.
        """
        last, deadline = self.settled, time.monotonic() + timeout_s
        with self._changed:
            while self._order:
                self._check()
                if self.settled != last:
                    last, deadline = self.settled, time.monotonic() + timeout_s
                if time.monotonic() > deadline:
                    raise BrokerUnavailableError(
                        f"The MQTT broker {self._address} left {len(self._order)} of {self.published} messages "
                        "unconfirmed."
                    )
                self._changed.wait(min(_POLL_S, timeout_s))
            self._check()

    @property
    def digests(self) -> tuple[bytes, ...]:
        """SHA-256 of the confirmed payloads in the order of publication, if they are kept."""
        with self._changed:
            return tuple(self._digests)
