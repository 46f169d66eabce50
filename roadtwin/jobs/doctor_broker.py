"""What the probe of the broker saw, and the rules that judge it. Pure: nothing here opens a connection."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from roadtwin.jobs.doctor_findings import Finding
from roadtwin.jobs.doctor_versions import check_broker_version

LOOPBACK_HOSTS = ("localhost", "::1", "ip6-localhost")
_NEEDS_PUBLISH = (
    "Let this account publish to and read roadtwin/probe/# (Mosquitto: `topic readwrite roadtwin/probe/#`)."
)


@dataclass(frozen=True, slots=True)
class Granted:
    """The broker's answer to one subscription: the QoS, or None and its reason."""

    topic: str
    qos: int | None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """Messages on our own topic filters while the probe listened. `qos0_topics` names a few of those at QoS 0."""

    listened_s: float
    messages: int
    qos0: int
    retained: int
    qos0_topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueueProbe:
    """What came of `published` messages to a probe's session that was away.

    `accepted` were acknowledged by the broker, `returned` came to the probe when it was back.
    """

    published: int
    accepted: int
    refusal: str
    session_kept: bool
    returned: int


@dataclass(frozen=True, slots=True)
class WindowProbe:
    """How many of `accepted` messages came to a probe that acknowledged none."""

    accepted: int
    refusal: str
    in_flight: int


@dataclass(frozen=True, slots=True)
class BrokerProbe:
    """All that was seen of a broker. None means not seen.

    `not_checked` gives the reason by step of the probe: anonymous, system, subscriptions, queue, window.
    """

    address: str
    host: str
    tls: bool
    unreachable: str | None = None
    protocol: str | None = None
    session_expiry_s: int | None = None
    granted: tuple[Granted, ...] | None = None
    system: Mapping[str, str] = field(default_factory=dict)
    seen: Seen | None = None
    anonymous: bool | None = None
    queue: QueueProbe | None = None
    window: WindowProbe | None = None
    left_behind: tuple[str, ...] = ()
    not_checked: Mapping[str, str] = field(default_factory=dict)


_DEPENDENT = (
    "broker-protocol",
    "broker-version",
    "anonymous-access",
    "granted-qos",
    "session-persistence",
    "session-expiry",
    "queue-limit",
    "in-flight-limit",
    "dropped-messages",
    "publisher-qos",
    "retained-messages",
)


ENOUGH_IN_FLIGHT = 1000
"""Messages in flight that keep batches large while one is written and the next one is decoded."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What our settings ask of a broker."""

    session_expiry_s: int
    receive_maximum: int
    in_flight: int = ENOUGH_IN_FLIGHT


def check_broker(probe: BrokerProbe, wanted: Wanted, configured: Mapping[str, str] | None = None) -> list[Finding]:
    """Judge all that was seen of the broker. `configured` is what stands in mosquitto.conf, where that is known."""
    if probe.unreachable is not None:
        return [_tls(probe), *check_no_broker(probe.unreachable)]
    findings = [
        _tls(probe),
        Finding.ok("broker-reachable", f"{probe.address} answers."),
        _protocol(probe),
        check_broker_version(probe.system.get("version"), configured, not_checked=probe.not_checked.get("system", "")),
        _anonymous(probe),
        _granted(probe),
        _session_expiry(probe, wanted),
        _dropped(probe),
        _publishers(probe),
        _retained(probe),
        _session(probe),
        _queue_limit(probe),
        _in_flight(probe, wanted),
    ]
    if probe.left_behind:
        findings.append(
            Finding.warning(
                "probe-session",
                f"The probe could not end its sessions {', '.join(probe.left_behind)}.",
                "They expire by themselves within two minutes on MQTT 5; else remove them at the broker.",
            )
        )
    return findings


def check_no_broker(problem: str) -> list[Finding]:
    """The findings when there is no connection; `problem` names the broker and the reason."""
    first = Finding.danger("broker-reachable", problem, "Start the broker, or set ROADTWIN_MQTT_URL to where it is.")
    reason = "The broker was not reached."
    return [first] + [Finding.unknown(name, reason, "See broker-reachable.") for name in _DEPENDENT]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name alone."""
    return host in LOOPBACK_HOSTS or host.startswith("127.")


def _tls(probe: BrokerProbe) -> Finding:
    if probe.tls:
        return Finding.ok("broker-tls", "The connection is encrypted and the broker's certificate checked.")
    if is_loopback(probe.host):
        return Finding.ok("broker-tls", "Not encrypted, and does not leave this machine.")
    return Finding.warning(
        "broker-tls",
        f"The connection to {probe.address} is not encrypted.",
        "Give the broker a TLS listener, and set ROADTWIN_MQTT_URL=mqtts://… (own authority: ROADTWIN_MQTT_CA_FILE).",
    )


def _protocol(probe: BrokerProbe) -> Finding:
    if probe.protocol == "5":
        return Finding.ok("broker-protocol", "MQTT 5.")
    if probe.protocol is None:
        return Finding.unknown("broker-protocol", "Not seen.", "Run the doctor again.")
    return Finding.warning(
        "broker-protocol",
        f"MQTT {probe.protocol}: the broker speaks no MQTT 5 with us.",
        "Use a broker that speaks MQTT 5 (Mosquitto 1.6 or newer).",
    )


def _anonymous(probe: BrokerProbe) -> Finding:
    if probe.anonymous is None:
        reason = probe.not_checked.get("anonymous", "Not tried.")
        return Finding.unknown("anonymous-access", reason, "Try to connect without a password.")
    if probe.anonymous:
        return Finding.warning(
            "anonymous-access",
            "The broker lets a client in that gives no password.",
            "Mosquitto: `allow_anonymous false` and a `password_file`.",
        )
    return Finding.ok("anonymous-access", "The broker refuses a client that gives no password.")


def _granted(probe: BrokerProbe) -> Finding:
    if probe.granted is None:
        reason = probe.not_checked.get("subscriptions", "No answer to the subscription.")
        return Finding.unknown(
            "granted-qos", reason, "Run the doctor again; `roadtwin ingest` refuses to run below QoS 1."
        )
    low = [entry for entry in probe.granted if entry.qos is None or entry.qos < 1]
    if not low:
        return Finding.ok("granted-qos", f"QoS 1 for all {len(probe.granted)} topic filters.")
    named = "; ".join(
        f"{entry.topic}: refused ({entry.refusal})" if entry.qos is None else f"{entry.topic}: QoS {entry.qos}"
        for entry in low
    )
    return Finding.danger(
        "granted-qos",
        f"{named}.",
        "Allow the account to read the topic filter at QoS 1 (Mosquitto: `topic read <filter>` in the ACL file, and no "
        "`max_qos 0` on the listener), or correct ROADTWIN_MQTT_TOPICS.",
    )


def _session_expiry(probe: BrokerProbe, wanted: Wanted) -> Finding:
    asked = wanted.session_expiry_s
    if probe.protocol is None:
        return Finding.unknown("session-expiry", "Not seen.", "Run the doctor again.")
    if probe.protocol != "5":
        return Finding.unknown(
            "session-expiry",
            f"MQTT {probe.protocol} has no session expiry: the broker keeps sessions as long as it likes.",
            "See the broker's own setting (Mosquitto: persistent_client_expiration).",
        )
    granted = asked if probe.session_expiry_s is None else probe.session_expiry_s
    if granted < asked:
        return Finding.danger(
            "session-expiry",
            f"{asked} s asked for, {granted} s granted.",
            f"Raise the broker's limit, or set ROADTWIN_MQTT_SESSION_EXPIRY_S={granted} and be away no longer.",
        )
    return Finding.ok(
        "session-expiry",
        f"{asked} s asked for and not contradicted. Mosquitto may shorten it silently: session-expiry-configured.",
    )


def _dropped(probe: BrokerProbe) -> Finding:
    text = probe.system.get("dropped")
    if text is None or not text.isdecimal():
        reason = (
            probe.not_checked.get("system") or "The broker does not tell it ($SYS/broker/publish/messages/dropped)."
        )
        return Finding.unknown("dropped-messages", reason, "Let this account read $SYS/#.")
    if int(text) > 0:
        return Finding.warning(
            "dropped-messages",
            f"{text} messages dropped since the broker started, for any of its clients (earlier probes count too).",
            "Look into the broker's log for “Outgoing messages are being dropped for client”, and raise "
            "max_queued_messages if it names the ingester.",
        )
    return Finding.ok("dropped-messages", "None dropped since the broker started.")


def _publishers(probe: BrokerProbe) -> Finding:
    seen = probe.seen
    if seen is None or seen.messages - seen.retained == 0:
        reason = probe.not_checked.get("subscriptions") or (
            f"Nothing was published within {seen.listened_s:g} s." if seen else "Not listened."
        )
        return Finding.unknown(
            "publisher-qos", reason, "Listen longer (--listen-s), or read the ingester's count (--metrics-url)."
        )
    if seen.qos0:
        topics = f", for example on {', '.join(seen.qos0_topics)}" if seen.qos0_topics else ""
        return Finding.warning(
            "publisher-qos",
            f"{seen.qos0} of {seen.messages} messages came at QoS 0 within {seen.listened_s:g} s{topics}.",
            "Set the publisher to QoS 1 (ChirpStack: `qos=1` in [integration.mqtt]). The Things Stack knows QoS 0 "
            "only: fetch its gaps from its storage integration.",
        )
    return Finding.ok("publisher-qos", f"{seen.messages} messages within {seen.listened_s:g} s, all at QoS 1 or more.")


def _retained(probe: BrokerProbe) -> Finding:
    if probe.seen is None:
        reason = probe.not_checked.get("subscriptions", "Not listened.")
        return Finding.unknown("retained-messages", reason, "Run the doctor again.")
    if probe.seen.retained:
        return Finding.warning(
            "retained-messages",
            f"{probe.seen.retained} retained messages on our topic filters.",
            "Let publishers of readings not set the retain flag, and clear what is there: publish an empty retained "
            "message to each topic.",
        )
    return Finding.ok("retained-messages", "No retained message on our topic filters.")


def _queue_unknown(probe: BrokerProbe) -> str | None:
    """Why the queue probe tells nothing, None when it does."""
    queue = probe.queue
    if queue is None:
        return probe.not_checked.get("queue", "Not probed.")
    if queue.accepted == 0:
        return f"The broker took none of the probe's messages: {queue.refusal or 'no acknowledgement came'}."
    return None


def _session(probe: BrokerProbe) -> Finding:
    reason, queue = _queue_unknown(probe), probe.queue
    if reason is not None or queue is None:
        return Finding.unknown("session-persistence", reason or "", _NEEDS_PUBLISH)
    if not queue.session_kept or queue.returned == 0:
        what = "kept its session, but no message" if queue.session_kept else "did not keep its session"
        return Finding.danger(
            "session-persistence",
            f"A probe that came back found that the broker {what}.",
            "Let the broker keep sessions of clients that are away (Mosquitto: no max_queued_messages or "
            "max_queued_bytes near 0, and not per_listener_settings true before 2.0.23).",
        )
    return Finding.ok("session-persistence", "A probe that came back found its session and its messages.")


def _queue_limit(probe: BrokerProbe) -> Finding:
    reason, queue = _queue_unknown(probe), probe.queue
    if reason is not None or queue is None:
        return Finding.unknown("queue-limit", reason or "", _NEEDS_PUBLISH)
    if queue.returned < queue.accepted:
        return Finding.danger(
            "queue-limit",
            f"{queue.accepted} messages published to a probe that was away, {queue.returned} came: "
            f"{queue.accepted - queue.returned} were dropped, all of them acknowledged to their publisher.",
            "Mosquitto: `max_queued_messages 1000000` (not 0), and max_queued_bytes as the true bound; at least rate × "
            "longest outage × 1.5.",
        )
    if queue.accepted < queue.published:
        return Finding.unknown(
            "queue-limit",
            f"All {queue.returned} messages that the broker took came back, but it took only {queue.accepted} of "
            f"{queue.published}: {queue.refusal or 'no acknowledgement came'}.",
            "Run the doctor again with fewer (--probe-messages).",
        )
    return Finding.ok(
        "queue-limit",
        f"All {queue.returned} messages published to a probe that was away came; no limit above that was looked for.",
    )


def _in_flight(probe: BrokerProbe, wanted: Wanted) -> Finding:
    window = probe.window
    if window is None or window.in_flight == 0:
        reason = f"None of {window.accepted} messages came ({window.refusal})." if window else "Not probed."
        return Finding.unknown("in-flight-limit", probe.not_checked.get("window", reason), _NEEDS_PUBLISH)
    everything = window.in_flight >= window.accepted
    if window.in_flight < wanted.in_flight:
        if everything:
            return Finding.unknown(
                "in-flight-limit",
                f"All {window.in_flight} messages of the probe were in flight at once; {wanted.in_flight} are wanted.",
                f"Probe with more: --probe-messages {wanted.in_flight + 1}.",
            )
        if window.in_flight >= wanted.receive_maximum:
            fix = f"Set ROADTWIN_MQTT_RECEIVE_MAXIMUM={2 * wanted.in_flight}: it is our own {wanted.receive_maximum}."
        else:
            fix = f"Mosquitto: `max_inflight_messages {max(wanted.in_flight, wanted.receive_maximum)}`."
        return Finding.warning(
            "in-flight-limit",
            f"{window.in_flight} messages are sent before one is acknowledged; {wanted.in_flight} keep batches large.",
            fix,
        )
    if everything:
        return Finding.ok("in-flight-limit", f"At least {window.in_flight} messages in flight.")
    return Finding.ok("in-flight-limit", f"{window.in_flight} messages in flight, enough for full batches.")
