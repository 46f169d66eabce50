"""A receiver of its own for a test, and what it takes."""

import threading
from datetime import UTC, datetime
from typing import Any

from ingest.mqtt import Session, parse_mqtt_url
from ingest.received import Received
from ingest.receiver import Receiver
from tests.integration.ingest.conftest import wait_for


def now() -> datetime:
    return datetime.now(UTC)


def open_receiver(url: str, client_id: str, topic: str, *, receive_maximum: int = 100, **options: Any) -> Receiver:
    session = Session(client_id, expiry_s=300, receive_maximum=receive_maximum, keepalive_s=5, manual_ack=True)
    receiver = Receiver(parse_mqtt_url(url), session, [topic], clock=now, **options)
    receiver.open()
    return receiver


def take(receiver: Receiver, number: int) -> list[Received]:
    taken: list[Received] = []
    wait_for(lambda: len(taken.extend(receiver.take(number - len(taken), 0.1, threading.Event())) or taken) >= number)
    return taken
