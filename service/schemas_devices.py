"""What the API answers about devices and gateways and how they are doing. Names as in `service.schemas`."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from service.schemas import Answer

DeviceState = Literal[
    "ok",
    "silent",
    "low_battery",
    "skewed_clock",
    "losing_frames",
    "counter_reset",
    "stuck",
    "no_trusted_time",
    "never_seen",
    "unconfirmed",
    "retired",
]
GatewayState = Literal["ok", "silent", "skewed_clock"]


class DeviceHealth(Answer):
    """What is known of a device from its messages so far; docs/reference/quality.md says how each is worked out."""

    messages: int
    uplinks: int
    last_message_at: datetime
    interval_s: float | None = Field(description="Running median of the time between uplinks [s].")
    frames_missing: int = Field(description="Frames that its counter says were sent and that nobody heard.")
    counter_falls: int
    rejoins: int = Field(description="Falls of the counter that a join explains.")
    resets: int = Field(description="Falls without a join.")
    last_reset_at: datetime | None
    repeated_counters: int = Field(description="Uplinks whose counter had come before, retransmissions left out.")
    retransmissions: int
    clock_skew_s: float | None = Field(description="Running mean of its clock minus the network server's [s].")
    clock_skew_count: int
    last_clock_skew_s: float | None
    rssi_dbm: float | None = Field(description="Running mean of the best gateway's [dBm].")
    gateways: float | None = Field(description="Running mean of how many gateways hear an uplink.")
    battery_v: float | None
    highest_battery_v: float | None
    battery_pct: float | None
    battery_at: datetime | None
    battery_low: bool
    digested_at: datetime


class SeriesHealth(Answer):
    """A series of a device: its newest value, and since when it is the same."""

    series_id: int
    channel: str
    quantity: str
    depth_cm: int | None
    last_observed_at: datetime | None
    last_value: float | None
    unchanged_since: datetime | None
    unchanged_count: int | None
    stuck: bool | None


class DeviceValue(Answer):
    """The newest value of one series."""

    quantity: str
    channel: str
    depth_cm: int | None
    observed_at: datetime
    value: float
    flags: list[str]


class DeviceItem(Answer):
    """A device and how it is doing."""

    device_id: int
    network_source: str
    application: str
    device: str
    dev_eui: str | None
    name: str | None
    profile_name: str | None
    status: str
    first_seen_at: datetime | None
    last_seen_at: datetime | None
    states: list[DeviceState] = Field(description="All that is the matter with it as of now; ok if nothing is.")
    silent_s: float | None = Field(description="Time since its last message [s].")
    silent_after_s: float | None = Field(description="After how long without a message it counts as silent [s].")
    recent_loss: float | None = Field(description="Share of its frames lost on air, mostly of the last day.")
    health: DeviceHealth | None = Field(description="Null until its first message was digested.")
    lon: float | None
    lat: float | None
    messages_24h: int
    best_rssi_dbm: float | None
    best_snr_db: float | None
    values: list[DeviceValue]


class DevicePage(Answer):
    """Devices by id."""

    devices: list[DeviceItem]
    next_page: str | None


class DeviceConfirmed(Answer):
    """A device after confirmation."""

    device_id: int
    network_source: str
    application: str
    device: str
    status: str
    changed: bool


class DeviceDetail(DeviceItem):
    """A device with its series."""

    series: list[SeriesHealth]


class GatewayItem(Answer):
    """A gateway, by the uplinks that it heard."""

    gateway_id: str
    states: list[GatewayState] = Field(description="All that is the matter with it as of now; ok if nothing is.")
    receptions: int
    first_seen_at: datetime
    last_seen_at: datetime
    silent_s: float
    silent_after_s: float
    interval_s: float | None = Field(description="Running mean of the time between receptions [s].")
    clock_skew_s: float | None = Field(description="Running mean of its clock minus the network server's [s].")
    clock_skew_count: int
    last_clock_skew_s: float | None
    greatest_clock_skew_s: float | None = Field(description="Without sign, ever [s].")
    strongest_rssi_dbm: float | None
    digested_at: datetime


class GatewayPage(Answer):
    """Gateways by id."""

    gateways: list[GatewayItem]
    next_page: str | None
