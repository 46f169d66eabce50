"""From the broker into a bounded queue, and acknowledgements back, each on the connection that its message came by."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from ingest.bulk import BulkClient
from ingest.mqtt import BrokerAddress, Session, open_client_of
from ingest.received import Received
from roadtwin.errors import BrokerRefusedError, BrokerUnavailableError, ReceiverStoppedError
from roadtwin.telemetry import (
    CONNECTED,
    CONNECTIONS,
    QOS0_MESSAGES,
    QUEUE_MESSAGES,
    RECEIVED,
    STALE_ACKS,
    TAKEOVERS,
    get_logger,
)

log = get_logger(__name__)

ANSWER_S = 10.0
"""How long the broker may take to answer a subscription or its end [s]."""
STOP_POLL_S = 0.2
IDLE_FLUSH_S = 0.010
"""A batch ends when nothing has come for this long: where the broker allows few messages in flight (Mosquitto's default
is 20), waiting for more would only stop the flow [s]."""
IDLE_AFTER_S = 0.1
"""What comes after we have waited for this long is a batch at once: nothing shows that more is on its way [s]."""
QUEUE_FACTOR = 4
"""Room in the queue, as a multiple of Receive Maximum."""
QUEUE_MOST_BYTES = 256 * 1024 * 1024
"""Room in the queue for payloads [B]."""
TAKEOVERS_MOST = 3
TAKEOVER_WINDOW_S = 60.0
"""So many session takeovers in this time are a second client with our client id, not one process following another."""
HANG_UPS_MOST = 15
HANG_UP_AFTER_S = 5.0
"""So many connections in a row that the broker ended within this time are taken for the same: on MQTT 3.1.1, and by
Mosquitto 2.0 on MQTT 5 too, a session is taken over without a word. A network that is cut every few seconds ends some
in a row as well: six were seen in half an hour of faults at random."""
HISTORY = 100
"""Connections that are remembered."""

_SESSION_TAKEN_OVER = 0x8E  # MQTT 5 §3.14.2.1
_REMEDY = "Give each its own (ROADTWIN_MQTT_CLIENT_ID), or stop one."


class Receiver:
    """One persistent QoS 1 subscription. Its network thread puts messages in; one other thread takes, any acknowledges.

    The queue is bounded in messages and in bytes, each plus what one read brings. While it is full nothing is read from
    the socket: the rest waits there and with the broker, and the connection stays. Receive Maximum would not bound it:
    MQTT 3.1.1 knows none, and Mosquitto 2.0 goes beyond it when acknowledgements come in batches (2,000 asked, more
    than 8,000 seen with 2.0.11 on MQTT 5).

    With `share_group` each topic is subscribed as `$share/{share_group}/{topic}`.
    """

    def __init__(
        self,
        address: BrokerAddress,
        session: Session,
        topics: Sequence[str],
        *,
        clock: Callable[[], datetime],
        share_group: str | None = None,
    ) -> None:
        self._address = address
        self._session = session
        self._topics = [f"$share/{share_group}/{topic}" if share_group else topic for topic in topics]
        self._clock = clock
        self._client: BulkClient | None = None
        self._subscribed = threading.Event()
        self._unsubscribed: threading.Event | None = None  # there from when we no longer want messages
        self._refused: str | None = None
        self._takeovers: deque[float] = deque(maxlen=TAKEOVERS_MOST)
        self._hang_ups = 0
        self._connected_s = time.monotonic()
        self._history: deque[tuple[datetime, bool]] = deque(maxlen=HISTORY)
        # Below: under this lock, which is reentrant.
        self._changed = threading.Condition()
        self._chunks: deque[list[Received]] = deque()
        self._most_messages = QUEUE_FACTOR * (session.receive_maximum or 65_535)
        self._waiting = 0
        self._waiting_bytes = 0
        self._in_flight = 0
        self._arrived_s = time.monotonic()
        self._empty_since_s: float | None = None  # when `take` first found nothing

    # State.

    @property
    def in_flight(self) -> int:
        """Messages of QoS 1 of this connection that are received and not acknowledged."""
        return self._in_flight

    @property
    def idle_s(self) -> float:
        """Time since a message arrived, or since the start [s]."""
        return time.monotonic() - self._arrived_s

    @property
    def session_history(self) -> tuple[tuple[datetime, bool], ...]:
        """The last connections: when, and whether the broker still had our session. Where not, a gap is possible."""
        return tuple(self._history)

    def waiting(self) -> int:
        """Messages received and not taken yet."""
        return self._waiting

    def check(self) -> None:
        """Raise what has gone wrong since and will not mend itself.

        BrokerRefusedError: the broker refused a subscription, or another client uses our client id.
        ReceiverStoppedError: the network thread has ended.
        """
        failure = self._client.failure if self._client is not None else None
        if failure is not None:
            self.close()
            raise ReceiverStoppedError(
                f"The thread that receives from the MQTT broker {self._address} ended by a mistake in the program: "
                f"{type(failure).__name__}: {failure}. Start the ingester again: nothing is lost."
            ) from failure
        if self._refused is not None:
            self.close()
            raise BrokerRefusedError(self._refused)

    # Opening and closing.

    def open(self) -> None:
        """Connect and subscribe.

        Raises BrokerUnavailableError, and BrokerRefusedError also when less than QoS 1 is granted.
        """
        self._refused = None
        self._takeovers.clear()
        self._hang_ups = 0
        self._unsubscribed = None
        self._subscribed.clear()
        self._client = open_client_of(self._new_client, self._address, self._session, self._prepare)
        if self._client.protocol != MQTTProtocolVersion.MQTTv5:
            log.warning("MQTT 3.1.1: the broker decides how many messages are in flight", action="mqtt_v311")
        self._subscribed.wait(ANSWER_S)
        self.check()
        if not self._subscribed.is_set():
            self.close()
            raise BrokerUnavailableError(f"The MQTT broker {self._address} did not answer our subscription.")

    def unsubscribe(self) -> None:
        """End the subscription and return when the broker has confirmed it: no new messages come from then on.

        What came before is there to be taken and acknowledged as usual. For a member of a shared subscription that
        leaves for good; the broker would park messages for it otherwise. Raises BrokerRefusedError, and
        BrokerUnavailableError when no answer comes.
        """
        client = self._client
        assert client is not None, "open() first"
        self._unsubscribed = threading.Event()
        client.unsubscribe(self._topics)
        answered = self._unsubscribed.wait(ANSWER_S)
        self.check()
        if not answered:
            raise BrokerUnavailableError(
                f"The MQTT broker {self._address} did not confirm that our subscription ended."
            )

    def close(self) -> None:
        """Disconnect; the session and what is unacknowledged stay with the broker."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None
        CONNECTED.set(0)

    # Messages and acknowledgements.

    def take(self, most: int, longest_s: float, stop: threading.Event) -> list[Received]:
        """Up to `most` messages in order of receipt; empty when nothing came for a while, or soon once `stop` is set.

        What waits is taken at once. Where it is less than `most`, more is waited for, at most `longest_s` and only as
        long as messages keep coming: so a full batch costs no waiting under load, and a lone message none when idle.
        """
        taken: list[Received] = []
        with self._changed:
            if not self._chunks:
                self._empty_since_s = self._empty_since_s or time.monotonic()
                self._changed.wait(0.001 if stop.is_set() else STOP_POLL_S)
            self._move_to(taken, most)
            if not taken:
                return taken
            now_s = time.monotonic()
            waited_s, self._empty_since_s = now_s - (self._empty_since_s or now_s), None
            until_s = now_s + longest_s if waited_s < IDLE_AFTER_S else now_s
            while len(taken) < most:
                wait_s = min(IDLE_FLUSH_S, until_s - time.monotonic())
                if wait_s <= 0 or not self._changed.wait_for(self._chunks.__len__, wait_s):
                    break
                self._move_to(taken, most)
            QUEUE_MESSAGES.set(self._waiting + len(taken))
        return taken

    def _move_to(self, taken: list[Received], most: int) -> None:
        before = len(taken)
        while self._chunks and len(taken) < most:
            chunk, room = self._chunks.popleft(), most - len(taken)
            taken += chunk[:room]
            if len(chunk) > room:
                self._chunks.appendleft(chunk[room:])
        was_full = not self._is_below_bounds()
        self._waiting -= len(taken) - before
        self._waiting_bytes -= sum([len(item.payload) for item in taken[before:]])
        if was_full:
            self._changed.notify()

    def acknowledge(self, received: Sequence[Received]) -> None:
        """Acknowledge in this order. For an earlier connection nothing is sent: its packet ids now mean others."""
        with self._changed:
            client = self._client  # the main thread may close while the writer's acknowledges
            sent = client.acknowledge(received) if client is not None else 0
            self._in_flight -= sent
        STALE_ACKS.inc(sum([item.qos > 0 for item in received]) - sent)

    # Called in the network thread: short, never blocking.

    def _new_client(self, *arguments: Any, **options: Any) -> BulkClient:
        return BulkClient(*arguments, clock=self._clock, **options)

    def _prepare(self, client: BulkClient) -> None:
        client.on_pre_connect = self._on_pre_connect
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_publishes = self._on_publishes
        client.has_room = self._has_room

    def _on_publishes(self, publishes: list[Received]) -> None:
        qos0 = len(publishes) - sum([item.qos > 0 for item in publishes])
        RECEIVED.inc(len(publishes))
        if qos0:
            QOS0_MESSAGES.inc(qos0)
        with self._changed:
            self._arrived_s = time.monotonic()
            self._chunks.append(publishes)
            self._waiting += len(publishes)
            self._waiting_bytes += sum([len(item.payload) for item in publishes])
            self._in_flight += len(publishes) - qos0
            self._changed.notify()

    def _has_room(self, longest_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(self._is_below_bounds, longest_s)

    def _is_below_bounds(self) -> bool:
        return self._waiting < self._most_messages and self._waiting_bytes < QUEUE_MOST_BYTES

    def _forget_connection(self) -> None:
        with self._changed:
            self._in_flight = 0

    def _on_pre_connect(self, _client: paho.Client, _userdata: Any) -> None:
        self._forget_connection()

    def _on_connect(
        self, client: paho.Client, _userdata: Any, flags: paho.ConnectFlags, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            log.warning("broker refused us", action="mqtt_refused", reason=str(reason))
            return
        CONNECTED.set(1)
        self._connected_s = time.monotonic()
        CONNECTIONS.labels("present" if flags.session_present else "new").inc()
        self._history.append((self._clock(), flags.session_present))
        if flags.session_present:
            log.info("connected to the broker, it kept our session", action="mqtt_connected")
        else:
            log.warning("connected to the broker with a new session: a gap is possible", action="mqtt_new_session")
        # On every connection: a session that the broker lost silently is as good as none.
        if self._unsubscribed is not None:
            client.unsubscribe(self._topics)
        elif client.protocol == MQTTProtocolVersion.MQTTv5:
            client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in self._topics])
        else:
            client.subscribe([(topic, 1) for topic in self._topics])

    def _on_disconnect(
        self, client: paho.Client, _userdata: Any, flags: paho.DisconnectFlags, reason: ReasonCode, _properties: Any
    ) -> None:
        self._forget_connection()
        CONNECTED.set(0)
        if reason.is_failure:
            log.warning("connection to the broker is gone", action="mqtt_disconnected", reason=str(reason))
        if flags.is_disconnect_packet_from_server and reason.value == _SESSION_TAKEN_OVER:
            self._note_takeover()
        elif isinstance(client, BulkClient) and client.hung_up:
            self._note_hang_up()

    def _note_takeover(self) -> None:
        TAKEOVERS.inc()
        self._takeovers.append(time.monotonic())
        if len(self._takeovers) == TAKEOVERS_MOST and self._takeovers[-1] - self._takeovers[0] <= TAKEOVER_WINDOW_S:
            self._refused = (
                f"The MQTT broker {self._address} gave our session to another client {TAKEOVERS_MOST} times within "
                f"{TAKEOVER_WINDOW_S:.0f} s: two processes use the client id {self._session.client_id!r}. {_REMEDY}"
            )

    def _note_hang_up(self) -> None:
        lasted_s = time.monotonic() - self._connected_s
        self._hang_ups = self._hang_ups + 1 if lasted_s < HANG_UP_AFTER_S else 0
        if self._hang_ups >= HANG_UPS_MOST:
            self._refused = (
                f"The MQTT broker {self._address} took and then ended our connection {HANG_UPS_MOST} times in a row, "
                f"each time within {HANG_UP_AFTER_S:.0f} s: most likely two processes use the client id "
                f"{self._session.client_id!r}. {_REMEDY} Otherwise the broker's log says why."
            )

    def _on_subscribe(
        self, _client: paho.Client, _userdata: Any, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        for topic, reason in zip(self._topics, reasons, strict=False):
            if reason.is_failure:
                self._refused = f"The MQTT broker {self._address} refused the subscription to {topic}: {reason}."
            elif reason.value == 0:
                self._refused = f"The MQTT broker {self._address} granted only QoS 0 for {topic}, expected QoS 1."
        self._subscribed.set()

    def _on_unsubscribe(
        self, _client: paho.Client, _userdata: Any, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        for topic, reason in zip(self._topics, reasons, strict=False):  # MQTT 3.1.1 gives none
            if reason.is_failure:
                self._refused = f"The MQTT broker {self._address} refused to end the subscription to {topic}: {reason}."
        if self._unsubscribed is not None:
            self._unsubscribed.set()
