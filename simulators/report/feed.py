"""A few days of the feed as the product gets it: decoded by the ingester's own decoder, counted and sampled."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from ingest.decode import Decoder
from ingest.profile import load_profiles
from ingest.pseudonyms import Pseudonyms
from roadtwin.errors import MessageRejectedError
from roadtwin.types import Flag, Message, VehicleReading
from simulators.devices.sensor_faults import concerned_devices
from simulators.messages import messages
from simulators.report.climate import Climate
from simulators.scenario import DeviceFault
from simulators.spans import spans_of
from simulators.world import World

MOST_DAYS, USUAL_DAYS = 10, 7
SHOWN_PER_KIND = 3
_MAX_PAYLOAD_BYTES = 1_000_000
_SPREADING = re.compile(rb'"spreading_?[Ff]actor": ?(\d+)')
_REPORT_KEY = b"report of a simulated city......"  # pseudonyms of a page that nobody joins with anything


@dataclass(slots=True)
class Series:
    """Measurements of one channel of a device, in the order of arrival."""

    quantity: str
    depth_cm: int | None
    at: list[datetime] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    flagged: list[bool] = field(default_factory=list)


@dataclass(slots=True)
class Feed:
    """What came in between two instants."""

    start: datetime
    end: datetime
    per_hour: dict[str, NDArray[np.int64]]  # by format
    rejected: Counter[str] = field(default_factory=Counter)  # by code
    flags: Counter[str] = field(default_factory=Counter)  # of observations and readings
    delay_s: list[float] = field(default_factory=list)  # from measurement to arrival
    skew_s: list[float] = field(default_factory=list)  # gateway's clock against the server's
    series: dict[str, dict[str, dict[str, Series]]] = field(default_factory=dict)  # by kind, device, channel
    frames: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))  # frame counters by device
    gateways: Counter[int] = field(default_factory=Counter)  # how many heard an uplink
    spreading_factors: Counter[int] = field(default_factory=Counter)
    rssi_snr: list[tuple[float, float]] = field(default_factory=list)
    lon: list[float] = field(default_factory=list)  # of vehicle readings, every so many
    lat: list[float] = field(default_factory=list)
    accuracy_m: list[float] = field(default_factory=list)
    confidence: dict[str, list[tuple[datetime, float]]] = field(default_factory=lambda: defaultdict(list))  # by version
    classes: Counter[str] = field(default_factory=Counter)

    @property
    def days(self) -> float:
        """Length [d]."""
        return (self.end - self.start) / timedelta(days=1)

    def loss(self) -> dict[str, float]:
        """Lost part of each device's uplinks, by the gaps of its frame counter."""
        result = {}
        for device, counters in self.frames.items():
            distinct = np.unique(counters)
            steps = np.diff(distinct)
            steps = steps[steps < 500]  # a new session is no loss
            sent = int(steps.sum()) + 1
            result[device] = 1 - (len(steps) + 1) / sent
        return result


def close_up(world: World, climate: Climate, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The days of the period that are looked at message by message: around the scenario's faults; else about the end of
    a frost, or in a summer the hottest day."""
    spans = [
        span
        for fault in world.scenario.fault
        for span in spans_of(fault, world.today, world.zone, world.epoch, end.astimezone(world.zone).date())
    ]
    begins = [span.begin for span in spans if span.begin is not None and start <= span.begin < end]
    if not begins:
        frosty = climate.freeze_thaw_cycles.astype(float)
        weeks = np.convolve(frosty, np.ones(USUAL_DAYS), "valid")
        wanted = weeks if weeks.any() else np.convolve(climate.air_max_c, np.ones(USUAL_DAYS), "valid")
        if world.scenario.name == "heat-summer":
            wanted = np.convolve(climate.air_max_c, np.ones(USUAL_DAYS), "valid")
        begin = max(start, world.day_start(climate.days[int(np.argmax(wanted))].astype(object)))
        return begin, min(end, begin + timedelta(days=USUAL_DAYS))
    ends = [span.end for span in spans if span.end is not None and start < span.end]
    latest = max(begins) + timedelta(days=3)
    last = min(end, max([latest, *(stop + timedelta(days=1) for stop in ends if stop < latest + timedelta(days=2))]))
    return max(start, last - timedelta(days=MOST_DAYS), min(begins) - timedelta(days=2)), last


def gather_feed(world: World, start: datetime, end: datetime, on_progress: Callable[[float], None]) -> Feed:
    """Decode every message published from `start` to before `end`."""
    decoder = Decoder(load_profiles(), Pseudonyms(_REPORT_KEY, world.zone), max_payload_bytes=_MAX_PAYLOAD_BYTES)
    hours = int((end - start) / timedelta(hours=1)) + 1
    feed = Feed(start, end, {})
    shown = shown_devices(world)
    for number, timed in enumerate(messages(world, start=start, end=end)):
        if number % 2000 == 0:
            on_progress((timed.publish_at - start) / (end - start))
        try:
            message = decoder.decode(timed.topic, timed.payload, timed.publish_at)
        except MessageRejectedError as exc:
            feed.rejected[exc.code] += 1
            continue
        hour = int((timed.publish_at - start) / timedelta(hours=1))
        feed.per_hour.setdefault(message.format, np.zeros(hours, np.int64))[hour] += 1
        if message.vehicle_reading is not None:
            _add_reading(feed, message.vehicle_reading, timed.publish_at, number)
        elif message.device is not None:
            _add_uplink(feed, message, shown.get(message.device.device), timed.publish_at)
    return feed


def _add_reading(feed: Feed, reading: VehicleReading, arrived: datetime, number: int) -> None:
    feed.flags.update(flag.name or "" for flag in reading.flags)
    feed.delay_s.append((arrived - reading.observed_at).total_seconds())
    if number % 5 == 0 and reading.position.accuracy_m is not None:
        feed.lon.append(reading.position.lon)
        feed.lat.append(reading.position.lat)
        feed.accuracy_m.append(reading.position.accuracy_m)
    for detection in reading.detections:
        feed.classes[detection.class_code] += 1
        if detection.class_code == "D40":
            feed.confidence[reading.camera_version].append((reading.observed_at, detection.confidence))


def shown_devices(world: World) -> dict[str, str]:
    """Up to `SHOWN_PER_KIND` devices of each kind, those first that a fault concerns; with their kind."""
    faulty = np.zeros(len(world.devices), np.int64)
    for number, fault in enumerate(world.scenario.fault, start=1):
        if isinstance(fault, DeviceFault):
            faulty += concerned_devices(world, fault, number)
    shown: dict[str, list[str]] = defaultdict(list)
    order = sorted(world.devices, key=lambda device: (faulty[device.number] == 0, device.number))
    for device in order:
        names = shown[device.kind.profile_name]
        if len(names) < SHOWN_PER_KIND:
            names.append(device.device)
    return {name: kind for kind, names in shown.items() for name in names}


def _add_uplink(feed: Feed, message: Message, kind: str | None, arrived: datetime) -> None:
    assert message.device is not None
    device = message.device_name or message.device.device
    if message.f_cnt is not None and message.event_kind == "up":
        feed.frames[device].append(message.f_cnt)
        feed.gateways[message.gateway_count or 0] += 1
        if found := _SPREADING.search(message.payload):
            feed.spreading_factors[int(found[1])] += 1
        if message.best_rssi_dbm is not None and message.best_snr_db is not None:
            feed.rssi_snr.append((message.best_rssi_dbm, message.best_snr_db))
    if message.clock_skew_s is not None:
        feed.skew_s.append(message.clock_skew_s)
    for observation in message.observations:
        feed.flags.update(flag.name or "" for flag in observation.flags)
    if message.observations:
        feed.delay_s.append((arrived - message.observations[0].observed_at).total_seconds())
    if kind is None or not message.observations:
        return
    channels = feed.series.setdefault(kind, {}).setdefault(device, {})
    for observation in message.observations:
        name = f"{observation.quantity}/{observation.depth_cm}/{observation.channel}"
        series = channels.get(name)
        if series is None:
            series = channels[name] = Series(observation.quantity, observation.depth_cm)
        series.at.append(observation.observed_at)
        series.value.append(observation.value)
        series.flagged.append(bool(observation.flags & (Flag.RANGE | Flag.SENTINEL)))
