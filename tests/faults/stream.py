"""The numbered stream, and the witness of what the broker has confirmed: it shares nothing with the ingester.

Every twentieth message cannot be decoded and must end as rejected; every seventh is a vehicle reading; all others are
ChirpStack uplinks of twenty devices.
"""

import hashlib
import threading
import time
from datetime import UTC, datetime
from uuid import NAMESPACE_OID, uuid5

from ingest.mqtt import parse_mqtt_url
from ingest.publisher import Publisher
from roadtwin.manifest import Manifest
from tests.samples import APPLICATION, chirpstack, encoded, vehicle_reading

DEVICES = 20


def device_eui(number: int) -> str:
    """EUI of the device that message `number` comes from."""
    return f"70b3d57ed1{number % DEVICES:06x}"


def message(run: str, number: int, at: datetime) -> tuple[str, bytes]:
    """Topic and payload of message `number` of a run; no two payloads are equal."""
    if number % 20 == 19:
        topic = f"application/{APPLICATION}/device/{device_eui(number)}/event/up"
        return topic, b'{"deduplicationId": "%s-%d", "time": ' % (run.encode(), number)  # cut off
    if number % 7 == 6:
        event_id = str(uuid5(NAMESPACE_OID, f"{run}-{number}"))
        reading = vehicle_reading(event_id=event_id, observed_at=at.isoformat(), pass_id=f"{run}-{number // 500}")
        return f"roadtwin/v1/vehicles/truck-{number % 3}/readings", encoded(reading)
    uplink = chirpstack(deduplicationId=f"{run}-{number}", time=at.isoformat(), fCnt=number)
    uplink["deviceInfo"] = uplink["deviceInfo"] | {"devEui": device_eui(number)}
    return f"application/{APPLICATION}/device/{device_eui(number)}/event/up", encoded(uplink)


class Stream:
    """Publishes messages 0, 1, 2, … at QoS 1: at once with `publish`, or at a rate in the background with `start`."""

    def __init__(self, url: str, *, run: str = "run") -> None:
        self._publisher = Publisher(parse_mqtt_url(url), name="faults", keep_digests=True)
        self._run = run
        self._stop, self._paused = threading.Event(), threading.Event()
        self._idle = threading.Event()
        self._thread: threading.Thread | None = None
        self.numbers: dict[bytes, int] = {}
        """Number of every message that was handed to the publisher, by the SHA-256 of its payload."""
        self.failure: BaseException | None = None

    @property
    def published(self) -> int:
        """Messages published, confirmed or not."""
        return self._publisher.published

    def publish(self, count: int, *, confirmed: bool = True) -> None:
        """Publish the next `count` messages and wait until the broker has confirmed them."""
        for _ in range(count):
            self._publish_next()
        if confirmed:
            self._publisher.wait_for_confirmations()

    def start(self, per_s: float) -> None:
        """Publish at this rate from a thread of its own until `finish`."""
        self._thread = threading.Thread(target=self._keep_on, args=(per_s,), daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Publish nothing more, and wait until all is confirmed."""
        self._idle.clear()
        self._paused.set()
        if self._thread is not None and not self._idle.wait(60):
            raise TimeoutError(f"The stream did not come to rest within 60 s: {self.failure!r}.")

    def resume(self) -> None:
        """Go on after `pause`."""
        self._paused.clear()

    def finish(self) -> None:
        """End the background stream and wait until the broker has confirmed everything."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join(60)
            assert not self._thread.is_alive(), "the publisher hangs"
            self._thread = None
        if self.failure is not None:
            raise self.failure
        self._publisher.wait_for_confirmations(60)

    def close(self) -> None:
        """Disconnect, whatever is unconfirmed."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10)
        self._publisher.__exit__()

    @property
    def manifest(self) -> Manifest:
        """What the broker has confirmed, in the order of publication."""
        return Manifest(self._publisher.digests)

    def _publish_next(self) -> None:
        topic, payload = message(self._run, len(self.numbers), datetime.now(UTC))
        self.numbers[hashlib.sha256(payload).digest()] = len(self.numbers)
        self._publisher.publish(topic, payload, stop=self._stop)

    def _keep_on(self, per_s: float) -> None:
        due = time.monotonic()
        try:
            while not self._stop.is_set():
                if self._paused.is_set():
                    self._publisher.wait_for_confirmations(60)
                    self._idle.set()
                    self._stop.wait(0.05)
                    due = time.monotonic()
                    continue
                self._publish_next()
                due = max(due + 1 / per_s, time.monotonic() - 1)  # it catches up on a second at most
                self._stop.wait(max(0.0, due - time.monotonic()))
        except Exception as exc:  # noqa: BLE001 — raised again by `finish`, in the thread of the test
            self.failure = exc
