"""Leaving a group of workers for good: take what the broker kept, want nothing new, take the rest, be forgotten."""

import threading
import time
from dataclasses import replace
from typing import Any

import paho.mqtt.client as paho

from ingest.mqtt import BrokerAddress, Session, open_client
from ingest.receiver import Receiver
from roadtwin.telemetry import get_logger

log = get_logger(__name__)

CAUGHT_UP_S = 0.2
"""When everything that came is stored and nothing has come for this long, the broker has sent what it kept [s]."""
FEW_MESSAGES = 10
FEW_FOR_S = 1.0
"""So few in flight for this long [s] are new ones: one that keeps more sends more at once, 20 and up by default."""
LIVE_AFTER_S = 30.0
"""Where many new messages keep coming, we end the subscription after this long [s]. A broker may then forget what it
still keeps for us (MQTT 5 §3.10.4); Mosquitto does not."""
QUIET_S = 1.0
"""Without a subscription, nothing for this long is the end [s]."""
LISTEN_S = 1.0
"""How long we look once more, on a connection of its own, before the session is ended [s]."""


class Leaving:
    """The steps of an ingester that leaves. Used from its main thread, with an open receiver."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._began_s = self._busy_s = self._many_s = time.monotonic()
        self._unsubscribed = False

    def step(self, *, busy: bool) -> bool:
        """End the subscription when it is time; True when all that came is stored and no more will come.

        `busy` tells whether something is not stored yet. Raises BrokerRefusedError and BrokerUnavailableError.
        """
        now_s = time.monotonic()
        if busy:
            self._busy_s = now_s
        quiet_s = min(now_s - self._busy_s, self._receiver.idle_s)
        if self._unsubscribed:
            return quiet_s > QUIET_S
        if self._receiver.in_flight > FEW_MESSAGES:
            self._many_s = now_s
        if quiet_s > CAUGHT_UP_S or now_s - self._many_s > FEW_FOR_S or now_s - self._began_s > LIVE_AFTER_S:
            self._receiver.unsubscribe()
            self._unsubscribed = True
            self._busy_s = time.monotonic()
        return False


def end_session(address: BrokerAddress, session: Session) -> bool:
    """End a session that has no subscription any more; False when the broker still had a message in it.

    Raises BrokerUnavailableError and BrokerRefusedError.
    """
    found = threading.Event()
    lost: list[paho.Client] = []  # maybe also one with a protocol version that the broker does not know

    def on_message(_client: paho.Client, _userdata: Any, _message: paho.MQTTMessage) -> None:
        found.set()  # unacknowledged: it comes again

    def on_disconnect(client: paho.Client, _userdata: Any, _flags: Any, _reason: Any, _properties: Any) -> None:
        lost.append(client)

    def prepare(client: paho.Client) -> None:
        client.on_message = on_message
        client.on_disconnect = on_disconnect

    client = open_client(address, session, prepare)
    found.wait(LISTEN_S)
    empty = not found.is_set() and client not in lost
    _close(client)
    if empty:  # a connection with clean start throws the session away, on MQTT 5 and 3.1.1 alike, and leaves none
        _close(open_client(address, replace(session, expiry_s=0, receive_maximum=None), lambda _client: None))
    return empty


def _close(client: paho.Client) -> None:
    client.disconnect()
    client.loop_stop()
