"""Publishing at QoS 1 and knowing what the broker has taken: for replay, simulators and checks."""

import hashlib
import threading
import time
from collections import deque
from typing import Any, Self
from uuid import uuid4

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from ingest.mqtt import BrokerAddress, Session, open_client
from roadtwin.errors import BrokerRefusedError, BrokerUnavailableError

IN_FLIGHT = 1000
"""Most messages published and not confirmed yet."""
CONFIRM_S = 30.0


class Publisher:
    """A connection that publishes and keeps account of what the broker has confirmed. Use as a context manager.

    Opening raises BrokerUnavailableError or BrokerRefusedError. When the connection breaks, it is made again in the
    background, and what was not confirmed is sent again.
    """

    def __init__(self, address: BrokerAddress, *, name: str, keep_digests: bool = False) -> None:
        self._address, self._keep_digests = address, keep_digests
        self._answered: dict[int, ReasonCode] = {}
        self._wake = threading.Event()
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._digests: list[bytes] = []
        self.published = self.confirmed = 0
        self._client = open_client(address, Session(f"roadtwin-{name}-{uuid4().hex[:8]}"), self._prepare)

    def _prepare(self, client: paho.Client) -> None:
        client.on_publish = self._on_publish
        client.max_inflight_messages_set(IN_FLIGHT)
        client.max_queued_messages_set(0)  # unlimited: we bound it ourselves

    def _on_publish(self, _client: paho.Client, _userdata: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        # Called in paho's thread with its lock held: no lock of ours here, only a store and a signal.
        self._answered[mid] = reason
        self._wake.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, *, stop: threading.Event | None = None) -> None:
        """Publish one message; waits while too many are unconfirmed, at most until `stop` is set."""
        while len(self._waiting) >= IN_FLIGHT and not (stop and stop.is_set()):
            self._settle()
            if len(self._waiting) >= IN_FLIGHT:
                self._wake.wait(0.2)
                self._wake.clear()
        if stop and stop.is_set():
            return
        info = self._client.publish(topic, payload, qos=1)
        self.published += 1
        self._waiting.append((info.mid, hashlib.sha256(payload).digest() if self._keep_digests else b""))

    def wait_for_confirmations(self, timeout_s: float = CONFIRM_S) -> None:
        """Return when the broker has confirmed everything.

        Raises BrokerUnavailableError when that takes longer than `timeout_s` without progress.
        """
        last, deadline = self.confirmed, time.monotonic() + timeout_s
        while self._waiting:
            self._settle()
            if self.confirmed != last:
                last, deadline = self.confirmed, time.monotonic() + timeout_s
            if self._waiting and time.monotonic() > deadline:
                raise BrokerUnavailableError(
                    f"The MQTT broker {self._address} left {len(self._waiting)} of {self.published} messages "
                    "unconfirmed."
                )
            self._wake.wait(0.05)
            self._wake.clear()

    @property
    def digests(self) -> tuple[bytes, ...]:
        """SHA-256 of the confirmed payloads in the order of publication, if they are kept."""
        return tuple(self._digests)

    def _settle(self) -> None:
        """Take confirmed messages off the front of the queue."""
        while self._waiting and self._waiting[0][0] in self._answered:
            mid, digest = self._waiting.popleft()
            reason = self._answered.pop(mid)
            if reason.is_failure:
                raise BrokerRefusedError(f"The MQTT broker {self._address} refused a message: {reason}.")
            self.confirmed += 1
            if self._keep_digests:
                self._digests.append(digest)
