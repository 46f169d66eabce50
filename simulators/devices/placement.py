"""Where sensors and gateways stand, and on which network each sensor is."""

import numpy as np
from numpy.typing import NDArray

from roadtwin.network.sections import Segment
from simulators.devices.device_kinds import KINDS, kind_counts
from simulators.devices.devices import CHIRPSTACK, SENML, TTS, TTS_APPLICATION, TTS_TENANT, Device, Gateway
from simulators.randomness import Streams

GATEWAYS_PER_100_KM2 = 30.0


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
    *,
    tts_share: float = 0.2,
    device_count: int | None = None,
) -> tuple[Device, ...]:
    """Spread each kind over the places that suit it.

    Parameters
    ----------
    middles : numpy.ndarray, shape (n, 2)
        Longitude and latitude of the middle of each segment. [°]
    tts_share : float
        Part of the LoRaWAN devices on The Things Stack; the others are on ChirpStack.
    device_count : int, optional
        Devices in all; by the length of the city if left out.
    """
    suitable = _suitable(segments)
    application = str(streams.uuid("application"))
    devices: list[Device] = []
    on_radio = 0
    for kind, count in zip(KINDS, kind_counts(length_km, device_count), strict=True):
        places = np.flatnonzero(suitable[kind.short])
        chosen = places[_spread(middles[places], count, streams.generator(f"devices/{kind.short}"))]
        for order, index in enumerate(chosen.tolist()):
            number, segment = len(devices), segments[index]
            if _among(order, kind.senml_share):
                source = SENML
            else:
                source = TTS if _among(on_radio, tts_share) else CHIRPSTACK
                on_radio += 1
            eui = f"{streams.uuid('device', number).int & (2**62 - 1) | 1 << 61:016x}"
            short = f"{kind.short}-{order + 1:03d}"
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
                    segment_index=index,
                    station_m=round((segment.from_station_m + segment.to_station_m) / 2, 1),
                    lon=round(float(middles[index, 0]), 6),
                    lat=round(float(middles[index, 1]), 6),
                )
            )
    return tuple(devices)


def _among(number: int, share: float) -> bool:
    """Whether the thing of this number is one of a share of all, taken at equal steps."""
    return int((number + 1) * share + 1e-9) > int(number * share + 1e-9)


def _suitable(segments: tuple[Segment, ...]) -> dict[str, NDArray[np.bool_]]:
    """For each kind the segments where a city would put it; all of them where there is no such place."""
    road_class = np.array([segment.road_class for segment in segments])
    trees = np.array([segment.attributes.tree_cover_pct or 0.0 for segment in segments])
    heavy = np.array([segment.attributes.heavy_vehicles_per_day or 0.0 for segment in segments])
    wet = np.array([segment.attributes.drainage == "poor" for segment in segments])
    anywhere = np.ones(len(segments), bool)
    important = np.isin(road_class, ("main", "collector"))
    busiest = heavy >= np.quantile(heavy, 0.85)
    places = {
        "surface": important,  # on masts where winter service looks first, in the open and under trees
        "pavement": anywhere,
        "soil-profile": anywhere,
        "soil": ~important,
        "water-level": wet & important,  # underpasses and low points
        "water-distance": wet,  # gullies
        "weather": trees < 12,  # in the open
        "vibration": busiest,
        "silt": trees >= np.quantile(trees, 0.5),  # leaves fall into the gullies
        "traffic": busiest,
    }
    return {name: mask if mask.any() else anywhere for name, mask in places.items()}


def _spread(points: NDArray[np.float64], count: int, rng: np.random.Generator) -> list[int]:
    """Indexes of `count` points that lie well apart: each the farthest of ten random ones from those before."""
    chosen = [int(rng.integers(0, len(points)))]
    while len(chosen) < count:
        some = rng.integers(0, len(points), 10)
        gap = np.min(np.linalg.norm(points[some][:, None] - points[chosen][None], axis=2), axis=1)
        chosen.append(int(some[int(np.argmax(gap))]))
    return chosen
