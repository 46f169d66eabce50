"""Opening MQTT connections: addresses, MQTT 5 with 3.1.1 as fallback, and reasons a person can act on."""

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from roadtwin.errors import BrokerRefusedError, BrokerUnavailableError, SettingsError

CONNECT_TIMEOUT_S = 10.0
RECONNECT_FIRST_S = 1
RECONNECT_MOST_S = 30

# CONNACK reason codes that say "not this protocol version": MQTT 5 §3.2.2.2, and 3.1.1's own 1, which paho maps to it.
_UNSUPPORTED_VERSION = 132


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker is, and how to get in. Never shown whole: it holds the password."""

    host: str
    port: int
    tls: bool
    username: str | None
    password: str | None
    ca_file: Path | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_mqtt_url(url: str, *, ca_file: Path | None = None) -> BrokerAddress:
    """Read `mqtt://user:password@host:1883` or `mqtts://…:8883`.

    Raises SettingsError, without repeating the address.

    Examples
    --------
    >>> str(parse_mqtt_url("mqtt://broker.example"))
    'broker.example:1883'
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or port == 0:
        raise SettingsError("ROADTWIN_MQTT_URL: expected mqtt://user:password@host:1883 or mqtts://….")
    tls = parts.scheme == "mqtts"
    return BrokerAddress(
        host=parts.hostname,
        port=port or (8883 if tls else 1883),
        tls=tls,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        ca_file=ca_file,
    )


@dataclass(frozen=True, slots=True)
class Session:
    """What a client asks of the broker. `expiry_s` 0 ends the session with the connection.

    `protocols` are tried in this order.
    """

    client_id: str
    expiry_s: int = 0
    receive_maximum: int | None = None
    keepalive_s: int = 30
    manual_ack: bool = False
    protocols: tuple[MQTTProtocolVersion, ...] = (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311)


Client = TypeVar("Client", bound=paho.Client)
Prepare = Callable[[Client], None]
"""Puts the caller's callbacks on a new client, before it connects."""


def open_client(address: BrokerAddress, session: Session, prepare: Prepare[paho.Client]) -> paho.Client:
    """Connect a stock paho client: see open_client_of."""
    return open_client_of(paho.Client, address, session, prepare)


def open_client_of(
    kind: Callable[..., Client], address: BrokerAddress, session: Session, prepare: Prepare[Client]
) -> Client:
    """Connect with MQTT 5, or with 3.1.1 where the broker knows no other; its network thread then runs.

    `kind` makes the client from the arguments of paho's constructor. Later connections are made again by that thread,
    with backoff. Callbacks on_connect, on_disconnect are taken by `prepare` and called as usual.

    Raises BrokerUnavailableError (nothing answers) and BrokerRefusedError (it answers and says no).
    """
    problem = ""
    for protocol in session.protocols:
        client, problem = _try_client(kind, address, session, prepare, protocol)
        if client is not None:
            return client
    raise BrokerRefusedError(f"The MQTT broker {address} speaks neither MQTT 5 nor 3.1.1 with us: {problem}.")


def _try_client(
    kind: Callable[..., Client],
    address: BrokerAddress,
    session: Session,
    prepare: Prepare[Client],
    protocol: MQTTProtocolVersion,
) -> tuple[Client | None, str]:
    """A connected client, or None and the problem where another protocol version may help."""
    client = _new_client(kind, session, protocol)
    prepare(client)
    answered = threading.Event()
    answer: list[ReasonCode | None] = []

    def on_connect(
        client: paho.Client, userdata: Any, flags: paho.ConnectFlags, reason: ReasonCode, properties: Any
    ) -> None:
        first = not answered.is_set()
        answer.append(reason)
        answered.set()
        if their_on_connect is not None and not (first and reason.is_failure):  # that one is raised
            their_on_connect(client, userdata, flags, reason, properties)

    def on_disconnect(client: paho.Client, userdata: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        if not answered.is_set():
            answer.append(None)
            answered.set()
        if their_on_disconnect is not None:
            their_on_disconnect(client, userdata, flags, reason, properties)

    their_on_connect: Any = client.on_connect
    their_on_disconnect: Any = client.on_disconnect
    client.on_connect = on_connect
    client.on_disconnect = on_disconnect
    if address.username is not None:
        client.username_pw_set(address.username, address.password)
    try:
        if address.tls:
            client.tls_set(str(address.ca_file) if address.ca_file else None)
        client.connect(address.host, address.port, keepalive=session.keepalive_s, **_connect_options(session, protocol))
    except ssl.SSLError as exc:
        raise BrokerRefusedError(f"The MQTT broker {address} offers no TLS that we trust: {exc.reason}.") from None
    except OSError as exc:
        raise BrokerUnavailableError(f"The MQTT broker {address} cannot be reached: {exc.strerror or exc}.") from None
    client.loop_start()
    if not answered.wait(CONNECT_TIMEOUT_S):
        _close(client)
        raise BrokerUnavailableError(f"The MQTT broker {address} took our connection and did not answer.")
    reason = answer[0]
    if reason is not None and not reason.is_failure:
        return client, ""
    _close(client)
    if reason is None:
        return None, "it closed the connection without an answer"
    if reason.value == _UNSUPPORTED_VERSION:
        return None, "it does not support the protocol version"
    raise BrokerRefusedError(f"The MQTT broker {address} refused the connection: {reason}.")


def _close(client: paho.Client) -> None:
    client.disconnect()
    client.loop_stop()


def _new_client(kind: Callable[..., Client], session: Session, protocol: MQTTProtocolVersion) -> Client:
    options: dict[str, Any] = {}
    if protocol == MQTTProtocolVersion.MQTTv311:
        options["clean_session"] = session.expiry_s == 0
    client = kind(
        CallbackAPIVersion.VERSION2, session.client_id, protocol=protocol, manual_ack=session.manual_ack, **options
    )
    client.suppress_exceptions = True  # an exception in a callback would end the network thread without a word
    client.reconnect_delay_set(RECONNECT_FIRST_S, RECONNECT_MOST_S)
    return client


def _connect_options(session: Session, protocol: MQTTProtocolVersion) -> dict[str, Any]:
    """From the first connection on without clean start: brokers do not keep a session that was begun clean."""
    if protocol != MQTTProtocolVersion.MQTTv5:
        return {}
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = session.expiry_s
    if session.receive_maximum is not None:
        properties.ReceiveMaximum = session.receive_maximum
    return {"clean_start": session.expiry_s == 0, "properties": properties}
