"""Domain types that cross folders. Frozen, without behaviour beyond their own meaning; they import nothing of ours.

Those made once a message or once a value are msgspec structs and named tuples: a frozen dataclass takes several times
as long to make, and the ingester makes tens of thousands a second.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntFlag, StrEnum
from typing import NamedTuple
from uuid import UUID

import msgspec

HORIZONS_DAYS: tuple[int, ...] = (7, 28, 90)
"""The horizons of a risk score [d]."""


class Flag(IntFlag):
    """Why an observation is doubtful. Flagged rows stay; features decide what they use."""

    NONE = 0
    RANGE = 1  # outside the plausible range of its quantity (`roadtwin.units`)
    RATE = 2  # changes faster than its quantity can
    STUCK = 4  # has not changed for longer than its quantity allows
    LATE = 8  # recorded long after it was observed
    FUTURE = 16  # observed_at lies after recorded_at by more than the clock tolerance
    CLOCK = 32  # the message had no usable time: observed_at is the arrival time
    SENTINEL = 64  # the sensor's own "no value" mark
    OUTSIDE_NETWORK = 128  # position farther from every section than the matcher accepts
    SKEW = 256  # the clock that gave observed_at differs from the network server's by more than its tolerance
    RETRANSMISSION = 512  # the device sent this frame counter before, with the same payload
    COUNTER_RESET = 1024  # the frame counter fell: a rejoin or a reset of the device
    LOW_BATTERY = 2048  # the device said in this message that its battery is nearly empty


DOUBTFUL_TIME = Flag.CLOCK | Flag.SKEW
"""Flags of times that cannot be trusted: what has one belongs to no day."""
UNFIT = Flag.RANGE | Flag.RATE | Flag.STUCK | Flag.FUTURE | Flag.SENTINEL | DOUBTFUL_TIME
"""Flags of observations and readings that neither the state nor any feature uses: the one list for all of them."""


class Clock(StrEnum):
    """Whose clock gave the time of a message, best first."""

    GPS = "gps"
    GATEWAY = "gateway"
    NETWORK_SERVER = "network_server"
    APPLICATION_SERVER = "application_server"
    DEVICE = "device"
    ARRIVAL = "arrival"


class Origin(StrEnum):
    """How a fact came in."""

    MQTT = "mqtt"  # through the broker
    REPLAYED = "replayed"  # through decoder and writer without the broker (history of the demo)
    LOADED = "loaded"  # made in bulk at event or day level; no raw message exists
    IMPORTED = "imported"  # from a record file
    API = "api"  # posted by a person or a system
    REPROCESSED = "reprocessed"  # kept bytes, decoded again
    BACKFILLED = "backfilled"  # fetched from what a network server keeps: the broker may not have brought it


class DeviceKey(NamedTuple):
    """Identity of a device: network source (format of its network server), application and device id there."""

    network_source: str
    application: str
    device: str


class Position(msgspec.Struct, frozen=True, gc=False):
    """WGS 84 longitude and latitude [°], horizontal accuracy (1 σ) [m]; NaN-free."""

    lon: float
    lat: float
    accuracy_m: float | None = None


class Observation(msgspec.Struct, frozen=True, gc=False):
    """What one channel of a device measured at one instant; `value` in the unit that ends `quantity`."""

    channel: str
    quantity: str
    depth_cm: int | None
    observed_at: datetime
    value: float
    flags: Flag = Flag.NONE


class Detection(msgspec.Struct, frozen=True, gc=False):
    """One distress that a camera reported in one vehicle reading (class codes: domain table in records.classes)."""

    detection_no: int
    class_code: str
    confidence: float
    bbox_px: tuple[float, float, float, float]
    image_width_px: int
    image_height_px: int
    width_m: float | None = None
    length_m: float | None = None
    depth_m: float | None = None
    area_m2: float | None = None
    track_id: str | None = None


class VehicleReading(msgspec.Struct, frozen=True, gc=False):
    """One pass over about 10 m or one second. No detection at all is the *nothing seen* heartbeat: exposure."""

    event_id: UUID
    observed_at: datetime
    vehicle_pseudonym: str
    calibration_id: str
    position: Position
    heading_deg: float | None
    speed_mps: float
    pass_id: str
    camera_model: str
    camera_version: str
    blur: float
    wet: float
    light: float
    detections: tuple[Detection, ...] = ()
    accel_rms_mps2: float | None = None
    accel_peak_mps2: float | None = None
    sample_rate_hz: float | None = None
    lane: int | None = None
    image_ref: str | None = None
    flags: Flag = Flag.NONE


class Reception(msgspec.Struct, frozen=True, gc=False):
    """One gateway that heard an uplink. `clock_skew_s`: its clock minus the network server's at reception [s]."""

    gateway_id: str
    rssi_dbm: float | None = None
    snr_db: float | None = None
    clock_skew_s: float | None = None


class Message(msgspec.Struct, frozen=True, gc=False):
    """The canonical envelope: one accepted message, decoded as far as we can, with its raw bytes.

    `event_at` is None when the message holds no usable time; it is then stored under its arrival time and
    keyed by `message_id` alone. `topic` and `payload` are what is kept; a vehicle's id is already replaced in them.
    `clock_skew_s` is the message's own time minus the network server's [s], where both are told.
    """

    message_id: UUID
    format: str
    event_kind: str
    topic: str
    payload: bytes
    recorded_at: datetime
    event_at: datetime | None
    clock: Clock
    device: DeviceKey | None = None
    dev_eui: str | None = None
    device_name: str | None = None
    profile_name: str | None = None
    profile_version: int = 0
    f_cnt: int | None = None
    f_port: int | None = None
    gateway_count: int | None = None
    best_rssi_dbm: float | None = None
    best_snr_db: float | None = None
    retained: bool = False
    flags: Flag = Flag.NONE
    observations: tuple[Observation, ...] = ()
    vehicle_reading: VehicleReading | None = None
    clock_skew_s: float | None = None
    receptions: tuple[Reception, ...] = ()
    redelivered: bool = False
    """The broker marked it as one that it had sent before (DUP)."""
    details: Mapping[str, object] = {}
    """What else an event of another kind says (join, status, log, …), JSON-ready."""


@dataclass(frozen=True, slots=True)
class RejectedMessage:
    """A message that cannot be decoded or stored: raw bytes, a stable code and a sentence with the reason.

    `payload` is what is kept: of an oversized message its first bytes, of a vehicle's one without the vehicle's id.
    `payload_bytes` and `payload_sha256` are those of the payload as received; `digest` is sha256(topic, 0x00, payload
    as received) and says when the same message comes again. Made by `ingest.rejected.reject`.
    """

    topic: str
    payload: bytes
    recorded_at: datetime
    code: str
    reason: str
    payload_bytes: int
    payload_sha256: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """Accounts of one batch, committed with its rows: received = stored + duplicate + rejected."""

    received: int
    stored: int
    duplicate: int
    rejected: int
    observations_stored: int = 0
    observations_duplicate: int = 0
    observation_conflicts: int = 0

    def __add__(self, other: "BatchCounts") -> "BatchCounts":
        """Accounts of both."""
        return BatchCounts(
            self.received + other.received,
            self.stored + other.stored,
            self.duplicate + other.duplicate,
            self.rejected + other.rejected,
            self.observations_stored + other.observations_stored,
            self.observations_duplicate + other.observations_duplicate,
            self.observation_conflicts + other.observation_conflicts,
        )
