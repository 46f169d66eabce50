"""From the broker into a bounded queue, and acknowledgements back, each on the connection that its message came by."""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from ingest.mqtt import BrokerAddress, Session, open_client
from ingest.received import Received
from roadtwin.errors import BrokerRefusedError
from roadtwin.telemetry import CONNECTED, CONNECTIONS, QOS0_MESSAGES, QUEUE_MESSAGES, STALE_ACKS, get_logger

log = get_logger(__name__)

IDLE_FLUSH_S = 0.010
"""A batch ends when nothing has come for this long: where the broker allows few messages in flight (Mosquitto's default
is 20), waiting for more would only stop the flow [s]."""
STOP_POLL_S = 0.2
QUEUE_FACTOR = 4
"""Room in the queue, as a multiple of Receive Maximum."""
QUEUE_MOST_BYTES = 256 * 1024 * 1024
"""Room in the queue for payloads [B]."""


class Receiver:
    """One persistent QoS 1 subscription. paho's thread puts messages in; `take` and `acknowledge` are called from one other.

    Receive Maximum should bound the queue. On MQTT 3.1.1 the broker alone decides how many messages are in flight, and
    Mosquitto before 2.1 goes beyond the limit that we ask for (200 asked, 5,670 seen with 2.0.11 when acknowledgements
    come in batches). So the queue has room for more, in messages and in bytes. What does not fit stays unacknowledged,
    and we connect again once there is room, for the broker to deliver it again: nothing is lost and memory is bounded.
    QoS 0 messages that do not fit are lost, as QoS 0 allows.
    """

    def __init__(
        self, address: BrokerAddress, session: Session, topics: Sequence[str], *, clock: Callable[[], datetime]
    ) -> None:
        self._address = address
        self._session = session
        self._topics = tuple(topics)
        self._clock = clock
        self._queue: queue.Queue[Received] = queue.Queue(maxsize=QUEUE_FACTOR * (session.receive_maximum or 65_535))
        self._queued_bytes = 0
        self._bytes_lock = threading.Lock()
        self._epoch = 0
        self._epoch_lock = threading.Lock()
        self._client: paho.Client | None = None
        self._subscribed = threading.Event()
        self._refused: str | None = None
        self._overflowed = False

    def open(self) -> None:
        """Connect and subscribe.

        Raises BrokerUnavailableError, and BrokerRefusedError also when less than QoS 1 is granted.
        """
        self._refused = None
        self._subscribed.clear()
        self._client = open_client(self._address, self._session, self._prepare)
        if self._client.protocol != MQTTProtocolVersion.MQTTv5:
            log.warning("MQTT 3.1.1: the broker decides how many messages are in flight", action="mqtt_v311")
        self._subscribed.wait(10)
        self.check()
        if not self._subscribed.is_set():
            self.close()
            raise BrokerRefusedError(f"The MQTT broker {self._address} did not answer our subscription.")

    def check(self) -> None:
        """Raise BrokerRefusedError if the broker has refused a subscription since."""
        if self._refused is not None:
            self.close()
            raise BrokerRefusedError(self._refused)

    def close(self) -> None:
        """Disconnect; the session and what is unacknowledged stay with the broker."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None
        CONNECTED.set(0)

    def waiting(self) -> int:
        """Messages received and not taken yet."""
        return self._queue.qsize()

    def take(self, most: int, longest_s: float, stop: threading.Event) -> list[Received]:
        """Up to `most` messages, waiting at most `longest_s` after the first; empty when nothing came for a while."""
        taken: list[Received] = []
        try:
            taken.append(self._get(0.001 if stop.is_set() else STOP_POLL_S))
        except queue.Empty:
            self._connect_again_if_overflowed()
            return taken
        deadline = time.monotonic() + longest_s
        while len(taken) < most:
            wait = min(IDLE_FLUSH_S, deadline - time.monotonic())
            try:
                taken.append(self._get(wait))
            except queue.Empty:
                break
        QUEUE_MESSAGES.set(self._queue.qsize() + len(taken))
        return taken

    def _get(self, wait_s: float) -> Received:
        received = self._queue.get_nowait() if wait_s <= 0 else self._queue.get(timeout=wait_s)
        with self._bytes_lock:
            self._queued_bytes -= len(received.payload)
        return received

    def acknowledge(self, received: Sequence[Received]) -> None:
        """Acknowledge in this order. For an earlier connection nothing is sent: its packet ids now mean others."""
        for item in received:
            if item.qos == 0:
                continue
            with self._epoch_lock:
                if item.epoch != self._epoch or self._client is None:
                    STALE_ACKS.inc()
                    continue
                self._client.ack(item.mid, item.qos)

    # Called by paho in its network thread: short, never blocking, never raising.

    def _prepare(self, client: paho.Client) -> None:
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_pre_connect = self._on_pre_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message

    def _next_epoch(self) -> None:
        with self._epoch_lock:
            self._epoch += 1

    def _on_pre_connect(self, _client: paho.Client, _userdata: Any) -> None:
        self._next_epoch()

    def _on_connect(
        self, client: paho.Client, _userdata: Any, flags: paho.ConnectFlags, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            log.warning("broker refused us", action="mqtt_refused", reason=str(reason))
            return
        CONNECTED.set(1)
        CONNECTIONS.labels("present" if flags.session_present else "new").inc()
        if flags.session_present:
            log.info("connected to the broker, it kept our session", action="mqtt_connected")
        else:
            log.warning("connected to the broker with a new session: a gap is possible", action="mqtt_new_session")
        # On every connection: a session that the broker lost silently is as good as none.
        if client.protocol == MQTTProtocolVersion.MQTTv5:
            client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in self._topics])
        else:
            client.subscribe([(topic, 1) for topic in self._topics])

    def _on_disconnect(
        self, _client: paho.Client, _userdata: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        self._next_epoch()
        CONNECTED.set(0)
        if reason.is_failure:
            log.warning("connection to the broker is gone", action="mqtt_disconnected", reason=str(reason))

    def _on_subscribe(
        self, _client: paho.Client, _userdata: Any, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        for topic, reason in zip(self._topics, reasons, strict=False):
            if reason.is_failure:
                self._refused = f"The MQTT broker {self._address} refused the subscription to {topic}: {reason}."
            elif reason.value == 0:
                self._refused = f"The MQTT broker {self._address} granted only QoS 0 for {topic}, expected QoS 1."
        self._subscribed.set()

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = bytes(message._topic).decode("utf-8", "backslashreplace")
        if message.qos == 0:
            QOS0_MESSAGES.inc()
        received = Received(
            topic,
            bytes(message.payload),
            self._clock(),
            retained=message.retain,
            duplicate=message.dup,
            qos=message.qos,
            epoch=self._epoch,
            mid=message.mid,
        )
        with self._bytes_lock:
            if self._queued_bytes < QUEUE_MOST_BYTES and not self._queue.full():
                self._queued_bytes += len(received.payload)
                self._queue.put_nowait(received)  # this is the only thread that puts
            else:
                self._overflowed = self._overflowed or message.qos > 0

    def _connect_again_if_overflowed(self) -> None:
        """There is room again: on a new connection the broker delivers what did not fit."""
        sock = self._client.socket() if self._overflowed and self._client is not None else None
        if isinstance(sock, socket.socket):
            self._overflowed = False
            log.warning("more messages in flight than our queue holds: connecting again", action="mqtt_overflow")
            with contextlib.suppress(OSError):  # gone already: that is what we want
                sock.shutdown(socket.SHUT_RDWR)
