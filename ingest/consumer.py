"""The ingester: receives, decodes, stores and acknowledges until it is told to stop."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from ingest.batch import process_batch
from ingest.decode import Decoder, open_decoder
from ingest.mqtt import Session, parse_mqtt_url
from ingest.receiver import Receiver
from ingest.store import StoppedError, Store
from roadtwin.errors import BrokerUnavailableError
from roadtwin.settings import Settings
from roadtwin.telemetry import BATCH_SECONDS, get_logger
from roadtwin.types import BatchCounts

log = get_logger(__name__)

PROFILES_EVERY_S = 30.0
"""How often registered sensor profiles are read again [s]."""
DRAIN_S = 10.0
"""How long a stop may take to store what was received before it [s]."""


def now() -> datetime:
    """The arrival time."""
    return datetime.now(UTC)


def run_ingest(
    settings: Settings,
    database_url: str,
    mqtt_url: str,
    stop: threading.Event,
    *,
    clock: Callable[[], datetime] = now,
    on_batch: Callable[[BatchCounts], None] | None = None,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Ingest until `stop` is set; then store and acknowledge what was received, and leave the session with the broker.

    A database or broker that goes away is waited for. Raises at once: InputFileError and SettingsError for wrong
    profiles, keys and addresses, BrokerRefusedError when the broker says no, MigrationError when the schema
    does not fit.
    """
    decoder = open_decoder(settings)
    session = Session(
        client_id=settings.mqtt_client_id,
        expiry_s=settings.mqtt_session_expiry_s,
        receive_maximum=settings.mqtt_receive_maximum,
        keepalive_s=settings.mqtt_keepalive_s,
        manual_ack=True,
    )
    address = parse_mqtt_url(mqtt_url, ca_file=settings.mqtt_ca_file)
    receiver = Receiver(address, session, settings.mqtt_topics, clock=clock)
    store = Store(database_url, worker=settings.mqtt_client_id, stop=stop)
    try:
        store.check_schema()
        decoder.registered_profiles = store.registered_profiles()
        _open_patiently(receiver, stop)
        if on_ready is not None and not stop.is_set():
            on_ready()
        _loop(settings, decoder, receiver, store, stop, clock, on_batch)
    except StoppedError:
        log.warning("stopped while the database was away; the broker keeps what is unacknowledged", action="stopped")
    finally:
        receiver.close()
        store.close()


def _open_patiently(receiver: Receiver, stop: threading.Event) -> None:
    delay, failed = 0.5, False
    while not stop.is_set():
        try:
            receiver.open()
        except BrokerUnavailableError as exc:
            if not failed:
                log.warning("broker is away, waiting for it", action="broker_away", reason=str(exc))
            failed = True
            stop.wait(delay)
            delay = min(delay * 2, 30.0)
        else:
            return


def _loop(
    settings: Settings,
    decoder: Decoder,
    receiver: Receiver,
    store: Store,
    stop: threading.Event,
    clock: Callable[[], datetime],
    on_batch: Callable[[BatchCounts], None] | None,
) -> None:
    profiles_at = time.monotonic()
    drain_until: float | None = None
    longest_s = settings.batch_max_wait_ms / 1000
    while True:
        received = receiver.take(settings.batch_max_messages, longest_s, stop)
        if received:
            counts = process_batch(received, decoder=decoder, store=store.write, acknowledge=receiver.acknowledge)
            BATCH_SECONDS.observe((clock() - received[0].recorded_at).total_seconds())
            if on_batch is not None:
                on_batch(counts)
        receiver.check()
        if stop.is_set():
            drain_until = drain_until or time.monotonic() + DRAIN_S
            if not received or time.monotonic() > drain_until:
                return
        elif time.monotonic() - profiles_at > PROFILES_EVERY_S:
            decoder.registered_profiles = store.registered_profiles()
            profiles_at = time.monotonic()
