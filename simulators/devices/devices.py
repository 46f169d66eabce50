"""Sensors and gateways of a simulated city, and the register of them."""

from dataclasses import dataclass
from datetime import date

from roadtwin.network.sections import RoadSection
from simulators.devices.device_kinds import DeviceKind

CHIRPSTACK, TTS, SENML = "chirpstack-v4", "tts-v3", "senml"
CHIRPSTACK_TENANT_NAME = "Simulierte Stadt"
TTS_APPLICATION, TTS_TENANT = "strassenwetter", "simulierte-stadt"


@dataclass(frozen=True, slots=True)
class Gateway:
    """A LoRaWAN gateway; position WGS 84 [°], antenna height above sea level [m]."""

    gateway_id: str
    lon: float
    lat: float
    altitude_m: float
    has_gnss_clock: bool


@dataclass(frozen=True, slots=True)
class Device:
    """One sensor. `number` is its place in `World.devices` and its entity in random streams."""

    number: int
    kind: DeviceKind
    network_source: str
    application: str
    device: str
    dev_eui: str | None
    name: str
    section_index: int
    segment_index: int
    station_m: float
    lon: float
    lat: float


def device_rows(
    devices: tuple[Device, ...], sections: tuple[RoadSection, ...], installed_on: date
) -> list[dict[str, str]]:
    """The device register, one row a device, in the columns of `roadtwin import devices`."""
    return [
        {
            "network_source": device.network_source,
            "application": device.application,
            "device": device.device,
            "dev_eui": device.dev_eui or "",
            "name": device.name,
            "profile_name": device.kind.profile_name,
            "status": "confirmed",
            "channel": "",
            "lon": f"{device.lon:.6f}",
            "lat": f"{device.lat:.6f}",
            "section_source": sections[device.section_index].source,
            "source_section_id": sections[device.section_index].source_section_id,
            "station_m": f"{device.station_m:.1f}",
            "valid_from": f"{installed_on.isoformat()}T00:00:00+00:00",
        }
        for device in devices
    ]
