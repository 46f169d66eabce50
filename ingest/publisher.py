"""Publishing at QoS 1 and knowing what the broker has taken: for replay, simulators and checks."""

import threading
from typing import Any, Self
from uuid import uuid4

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from ingest.mqtt import BrokerAddress, Session, open_client
from roadtwin.errors import BrokerRefusedError, BrokerUnavailableError

_PUBACK_S = 30.0


class Publisher:
    """Publishes at QoS 1 and knows which messages the broker has taken."""

    def __init__(self, address: BrokerAddress, *, name: str) -> None:
        self._address = address
        self._outstanding = 0
        self._refused: str | None = None
        self._changed = threading.Condition()
        self._client = open_client(address, Session(f"roadtwin-{name}-{uuid4().hex[:8]}"), self._prepare)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _prepare(self, client: paho.Client) -> None:
        client.on_publish = self._on_publish

    def _on_publish(
        self, _client: paho.Client, _userdata: Any, _mid: int, reason: ReasonCode, _properties: Any
    ) -> None:
        with self._changed:
            self._outstanding -= 1
            if reason.is_failure:
                self._refused = str(reason)
            self._changed.notify_all()

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish; the broker's answer is waited for in `wait_for_acknowledgements`."""
        with self._changed:
            self._outstanding += 1
        self._client.publish(topic, payload, qos=1)
        self._check()

    def wait_for_acknowledgements(self) -> None:
        """Return when the broker has taken every message.

        Raises BrokerRefusedError if it took one not, BrokerUnavailableError if it does not answer.
        """
        with self._changed:
            answered = self._changed.wait_for(lambda: self._outstanding == 0 or self._refused is not None, _PUBACK_S)
        self._check()
        if not answered:
            raise BrokerUnavailableError(
                f"The MQTT broker {self._address} left {self._outstanding} messages unacknowledged."
            )

    def _check(self) -> None:
        if self._refused is not None:
            raise BrokerRefusedError(f"The MQTT broker {self._address} refused a message: {self._refused}.")
