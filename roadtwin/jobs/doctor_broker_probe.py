"""Looks at a broker through clients of its own: never with the ingester's client id, nothing retained, nothing left.

All topics of the probe are below `roadtwin/probe/`. Its sessions are ended; should it be killed, the broker forgets
them after two minutes (MQTT 5).
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from ingest.mqtt import BrokerAddress, Session, open_client
from roadtwin.errors import BrokerRefusedError, BrokerUnavailableError, RoadtwinError
from roadtwin.jobs.doctor_broker import BrokerProbe, Granted, QueueProbe, Seen, WindowProbe

PROBE_EXPIRY_S = 120
"""How long the broker keeps the session of a probe that was killed [s]."""
ANSWER_S = 10.0
"""Longest wait for an answer of the broker [s]."""
FIRST_S = 5.0
"""Longest wait for the first of many messages or answers [s]."""
QUIET_S = 1.0
"""A broker that sends nothing for this long has nothing more that it may send [s]."""
NAMED_TOPICS = 3
_SYSTEM = {"$SYS/broker/version": "version", "$SYS/broker/publish/messages/dropped": "dropped"}


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """What to probe for.

    `token` makes client ids and topics of this run unlike any other's. `messages` go to a session that is away, and as
    many to one that acknowledges none. `listen_s` is how long to listen to our own topic filters [s].
    """

    topics: tuple[str, ...]
    session_expiry_s: int
    receive_maximum: int
    token: str
    messages: int = 1500
    listen_s: float = 2.0

    def client_id(self, part: str) -> str:
        """Id of one of the probe's clients."""
        return f"roadtwin-doctor-{self.token}-{part}"

    @property
    def probe_topic(self) -> str:
        """Topic of the messages to the session that is away."""
        return f"roadtwin/probe/{self.token}"


def probe_broker(address: BrokerAddress, request: ProbeRequest) -> BrokerProbe:
    """See all that can be seen of a broker from outside. Takes a few seconds; each step that fails is named.

    Raises nothing of the broker's: what was not reached or refused is part of the result.
    """
    probe = BrokerProbe(str(address), address.host, address.tls)
    try:
        with _connected(address, Session(request.client_id("hello"), expiry_s=request.session_expiry_s)) as client:
            probe = replace(probe, protocol=client.protocol, session_expiry_s=client.session_expiry_s)
    except (BrokerUnavailableError, BrokerRefusedError) as exc:
        return replace(probe, unreachable=str(exc))
    failures: dict[str, str] = {}
    left_behind: list[str] = []
    _end_session(address, request.client_id("hello"), left_behind)
    with _step("anonymous", failures):
        probe = replace(probe, anonymous=_lets_anyone_in(address, request))
    with _step("system", failures):
        probe = replace(probe, system=_read_system(address, request))
    with _step("subscriptions", failures):
        granted, seen = _listen(address, request)
        probe = replace(probe, granted=granted, seen=seen)
    with _step("queue", failures):
        probe = replace(probe, queue=_probe_queue(address, request, left_behind))
    with _step("window", failures):
        probe = replace(probe, window=_probe_window(address, request))
    return replace(probe, left_behind=tuple(left_behind), not_checked=failures)


@contextmanager
def _step(name: str, failures: dict[str, str]) -> Iterator[None]:
    try:
        yield
    except RoadtwinError as exc:
        failures[name] = str(exc)


@dataclass(slots=True)
class _Tally:
    """Messages counted and not kept: there may be many."""

    messages: int = 0
    qos0: int = 0
    retained: int = 0
    qos0_topics: dict[str, None] = field(default_factory=dict)

    def add(self, message: paho.MQTTMessage) -> None:
        self.messages += 1
        if message.retain:
            self.retained += 1
        elif message.qos == 0:
            self.qos0 += 1
            if len(self.qos0_topics) < NAMED_TOPICS:
                self.qos0_topics[_topic(message)] = None


@dataclass(slots=True)
class _Client:
    """A connected client of the probe, and what came to it. paho's thread writes, the prober reads and waits."""

    client: paho.Client | None = None
    session_present: bool = False
    session_expiry_s: int | None = None
    connected: threading.Event = field(default_factory=threading.Event)
    subscribed: threading.Event = field(default_factory=threading.Event)
    granted: list[ReasonCode] = field(default_factory=list)
    messages: list[paho.MQTTMessage] = field(default_factory=list)
    tally: _Tally | None = None
    accepted: int = 0
    answers: int = 0
    refusal: str = ""
    lost: str = ""

    @property
    def protocol(self) -> str:
        return "5" if self._client.protocol == MQTTProtocolVersion.MQTTv5 else "3.1.1"

    @property
    def _client(self) -> paho.Client:
        assert self.client is not None
        return self.client

    def prepare(self, client: paho.Client) -> None:
        """Take a new client's callbacks. The second one is for MQTT 3.1.1: what became of the first does not count."""
        self.lost = ""
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish

    def _on_connect(
        self, _client: paho.Client, _userdata: Any, flags: paho.ConnectFlags, _reason: ReasonCode, properties: Any
    ) -> None:
        if not self.connected.is_set():  # of later connections by itself we want to know nothing
            self.session_present = flags.session_present
            self.session_expiry_s = getattr(properties, "SessionExpiryInterval", None)
            self.connected.set()

    def _on_disconnect(
        self, _client: paho.Client, _userdata: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            self.lost = str(reason)

    def _on_subscribe(
        self, _client: paho.Client, _userdata: Any, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        self.granted = list(reasons)
        self.subscribed.set()

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        if self.tally is not None:
            self.tally.add(message)
        else:
            self.messages.append(message)

    def _on_publish(
        self, _client: paho.Client, _userdata: Any, _mid: int, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            self.refusal = str(reason)
        else:
            self.accepted += 1
        self.answers += 1

    def subscribe(self, topics: Sequence[str]) -> list[ReasonCode]:
        """Subscribe at QoS 1 and give the broker's answers. Raises BrokerUnavailableError when none comes."""
        self.subscribed.clear()
        if self.protocol == "5":
            self._client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in topics])
        else:
            self._client.subscribe([(topic, 1) for topic in topics])
        if not self.wait(self.subscribed.is_set, ANSWER_S):
            raise BrokerUnavailableError(f"The broker did not answer a subscription{self._why()}.")
        return self.granted

    def wait(self, done: Callable[[], bool], longest_s: float) -> bool:
        """Wait until something holds, the connection is lost or the time is up; tell whether it holds."""
        deadline = time.monotonic() + longest_s
        while not done():
            if self.lost or time.monotonic() > deadline:
                return done()
            time.sleep(0.01)
        return True

    def wait_until_quiet(self, enough: int) -> int:
        """Wait for `enough` messages, or until no more come; give their number."""
        wait_s = QUIET_S if self.messages else FIRST_S
        while len(self.messages) < enough and self._wait_for_more(lambda: len(self.messages), wait_s):
            wait_s = QUIET_S
        return len(self.messages)

    def publish(self, topic: str, number: int) -> None:
        """Publish numbered messages at QoS 1 and wait for the broker's answer to each, as long as answers come."""
        for n in range(number):
            self._client.publish(topic, str(n), qos=1)
        while self.answers < number and self._wait_for_more(lambda: self.answers, FIRST_S):
            pass

    def _wait_for_more(self, count: Callable[[], int], longest_s: float) -> bool:
        before = count()
        return self.wait(lambda: count() > before, longest_s)

    def _why(self) -> str:
        return f" ({self.lost})" if self.lost else ""


@contextmanager
def _connected(address: BrokerAddress, session: Session) -> Iterator[_Client]:
    """A client that is connected meanwhile. Raises BrokerUnavailableError and BrokerRefusedError."""
    probe = _Client()
    probe.client = open_client(address, session, probe.prepare)
    try:
        probe.connected.wait(ANSWER_S)
        yield probe
    finally:
        probe.client.disconnect()
        probe.client.loop_stop()


def _end_session(address: BrokerAddress, client_id: str, left_behind: list[str]) -> None:
    """End a session: a clean start with no expiry replaces it, and goes with its connection."""
    try:
        with _connected(address, Session(client_id)):
            pass
    except (BrokerUnavailableError, BrokerRefusedError):
        left_behind.append(client_id)


def _lets_anyone_in(address: BrokerAddress, request: ProbeRequest) -> bool:
    if address.username is None:
        return True  # we are in, and gave no password
    try:
        with _connected(replace(address, username=None, password=None), Session(request.client_id("anonymous"))):
            return True
    except BrokerRefusedError:
        return False


def _read_system(address: BrokerAddress, request: ProbeRequest) -> dict[str, str]:
    """What the broker tells of itself, by our names. On a connection of its own: some brokers close it on $SYS."""
    with _connected(address, Session(request.client_id("system"))) as client:
        client.subscribe(list(_SYSTEM))
        client.wait(lambda: len(client.messages) >= len(_SYSTEM), QUIET_S)
        return {
            _SYSTEM[_topic(m)]: m.payload.decode("utf-8", "replace") for m in client.messages if _topic(m) in _SYSTEM
        }


def _listen(address: BrokerAddress, request: ProbeRequest) -> tuple[tuple[Granted, ...], Seen]:
    """Subscribe to our own topic filters for a moment; the session goes with the connection: nothing queues for it."""
    with _connected(address, Session(request.client_id("listen"))) as client:
        client.tally = tally = _Tally()
        reasons = client.subscribe(request.topics)
        client.wait(lambda: False, request.listen_s)
    granted = tuple(
        Granted(topic, None, str(reason)) if reason.is_failure else Granted(topic, reason.value)
        for topic, reason in zip(request.topics, reasons, strict=False)
    )
    return granted, Seen(request.listen_s, tally.messages, tally.qos0, tally.retained, tuple(tally.qos0_topics))


def _topic(message: paho.MQTTMessage) -> str:
    return bytes(message._topic).decode("utf-8", "backslashreplace")  # .topic raises where it is not UTF-8


def _probe_queue(address: BrokerAddress, request: ProbeRequest, left_behind: list[str]) -> QueueProbe:
    """Leave, have messages published, come back: were they kept? Raises BrokerRefusedError when it may not be tried."""
    _require_topic_of_our_own(request)
    session = Session(request.client_id("queue"), expiry_s=PROBE_EXPIRY_S, receive_maximum=request.receive_maximum)
    topic = f"{request.probe_topic}/queue"
    try:
        with _connected(address, session) as reader:
            _subscribe_to_own(reader, topic)
        with _connected(address, Session(request.client_id("publish"))) as publisher:
            publisher.publish(topic, request.messages)
        accepted, refusal = publisher.accepted, publisher.refusal or publisher.lost
        if accepted == 0:
            return QueueProbe(request.messages, 0, refusal, session_kept=False, returned=0)
        with _connected(address, session) as reader:
            if reader.session_present:
                reader.wait_until_quiet(accepted)
            returned = len({bytes(message.payload) for message in reader.messages})
        return QueueProbe(request.messages, accepted, refusal, reader.session_present, returned)
    finally:
        _end_session(address, session.client_id, left_behind)


def _probe_window(address: BrokerAddress, request: ProbeRequest) -> WindowProbe:
    """Acknowledge nothing and see how many messages come. Raises BrokerRefusedError when it may not be tried.

    Not with the messages of `_probe_queue`: to a session that comes back, Mosquitto sends its queue without a limit.
    """
    _require_topic_of_our_own(request)
    session = Session(request.client_id("window"), receive_maximum=request.receive_maximum, manual_ack=True)
    topic = f"{request.probe_topic}/window"
    with _connected(address, session) as reader:
        _subscribe_to_own(reader, topic)
        with _connected(address, Session(request.client_id("publish"))) as publisher:
            publisher.publish(topic, request.messages)
        in_flight = reader.wait_until_quiet(publisher.accepted) if publisher.accepted else 0
    return WindowProbe(publisher.accepted, publisher.refusal or publisher.lost, in_flight)


def _require_topic_of_our_own(request: ProbeRequest) -> None:
    for topic in request.topics:
        if paho.topic_matches_sub(topic, f"{request.probe_topic}/queue"):
            raise BrokerRefusedError(
                f"Not probed: the ingester's topic filter {topic} would take the probe's messages, which go to "
                f"{request.probe_topic}."
            )


def _subscribe_to_own(reader: _Client, topic: str) -> None:
    granted = reader.subscribe([topic])[0]
    if granted.is_failure or granted.value == 0:
        answer = str(granted) if granted.is_failure else "only QoS 0 is granted"
        raise BrokerRefusedError(f"Not probed: the probe may not read {topic} at QoS 1 ({answer}).")
