"""Which sensors stand where, and on which network: the devices of a simulated city."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from roadtwin.network.sections import RoadSection, Segment
from simulators.randomness import Streams

CHIRPSTACK, TTS, SENML = "chirpstack-v4", "tts-v3", "senml"
CHIRPSTACK_TENANT_NAME = "Simulierte Stadt"
TTS_APPLICATION, TTS_TENANT = "strassenwetter", "simulierte-stadt"
GATEWAYS_PER_100_KM2 = 30.0


@dataclass(frozen=True, slots=True)
class DeviceKind:
    """A kind of sensor: its profile (of `ingest.profiles`), its codec (of `ingest.codecs`), how many a city has, how
    often it sends. `senml_share` of them stands behind a generic gateway."""

    profile_name: str
    codec: str
    name: str
    per_100_km: float
    interval_s: int
    f_port: int
    senml_share: float = 0.0


KINDS: tuple[DeviceKind, ...] = (
    DeviceKind("surface-temperature", "", "Fahrbahntemperatur", 20.0, 900, 10),
    DeviceKind("soil-moisture-profile", "", "Bodenfeuchte", 10.0, 1800, 20),
    DeviceKind("weather-station", "", "Wetterstation", 2.5, 600, 30),
    DeviceKind("water-level", "", "Wasserstand", 5.0, 900, 40, senml_share=0.5),
)


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


def place_gateways(middles: NDArray[np.float64], streams: Streams) -> tuple[Gateway, ...]:
    """Gateways on high roofs, spread over the town: at least four, so that most uplinks come in more than once."""
    extent_deg = middles.max(axis=0) - middles.min(axis=0)
    area_km2 = extent_deg[0] * 69.4 * extent_deg[1] * 111.2  # a degree of longitude at 51.45° N: 69.4 km
    count = max(4, round(area_km2 * GATEWAYS_PER_100_KM2 / 100))
    chosen = _spread(middles, count, streams.generator("devices/gateways"))
    return tuple(
        Gateway(
            gateway_id=f"{streams.uuid('gateway', number).int & (2**64 - 1) | 1 << 57:016x}",
            lon=round(float(middles[index, 0]) + 0.0004, 6),
            lat=round(float(middles[index, 1]) + 0.0003, 6),
            altitude_m=round(85 + 70 * float(streams.uniform("devices/altitude", number)), 1),
            has_gnss_clock=number % 4 != 3,
        )
        for number, index in enumerate(chosen)
    )


def place_devices(
    segments: tuple[Segment, ...],
    middles: NDArray[np.float64],
    length_km: float,
    streams: Streams,
) -> tuple[Device, ...]:
    """Spread each kind over the town. Every fifth LoRaWAN device is on The Things Stack; half of the water levels come
    through a generic gateway as SenML."""
    devices: list[Device] = []
    application = str(streams.uuid("application"))
    for kind in KINDS:
        count = max(2, round(kind.per_100_km * length_km / 100))
        rng = streams.generator(f"devices/{kind.profile_name}")
        for order, index in enumerate(_spread(middles, count, rng)):
            number, segment = len(devices), segments[index]
            is_senml = kind.profile_name == "water-level" and order % 2 == 1
            source = (
                SENML
                if is_senml
                else TTS
                if order % 5 == 4 or (kind.profile_name == "weather-station" and order % 2)
                else CHIRPSTACK
            )
            eui = f"{streams.uuid('device', number).int & (2**62 - 1) | 1 << 61:016x}"
            short = f"{kind.profile_name}-{order + 1:03d}"
            devices.append(
                Device(
                    number=number,
                    kind=kind,
                    network_source=source,
                    application={CHIRPSTACK: application, TTS: f"{TTS_APPLICATION}@{TTS_TENANT}", SENML: ""}[source],
                    device=eui if source == CHIRPSTACK else short,
                    dev_eui=None if source == SENML else eui,
                    name=f"{kind.name} {segment.name} {order + 1}",
                    section_index=segment.section_index,
                    segment_index=int(index),
                    station_m=round((segment.from_station_m + segment.to_station_m) / 2, 1),
                    lon=round(float(middles[index, 0]), 6),
                    lat=round(float(middles[index, 1]), 6),
                )
            )
    return tuple(devices)


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


def _spread(points: NDArray[np.float64], count: int, rng: np.random.Generator) -> list[int]:
    """Indexes of `count` points that lie well apart: each the farthest of ten random ones from those before."""
    chosen = [int(rng.integers(0, len(points)))]
    while len(chosen) < count:
        some = rng.integers(0, len(points), 10)
        gap = np.min(np.linalg.norm(points[some][:, None] - points[chosen][None], axis=2), axis=1)
        chosen.append(int(some[int(np.argmax(gap))]))
    return chosen
