"""The kinds of sensors that a city has: real models by their profile and codec, how many, how often they send.

Steps, ranges and fields are those of the makers' data sheets; what their bytes can carry follows from the codecs.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """A field that a sensor measures: decimals of its steps, its typical range and what its bytes carry.

    Drift is a share of the typical range; an absurd value lies between its ends and those of the bytes.
    """

    name: str
    decimals: int
    low: float
    high: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Battery:
    """A battery and how the device tells of it, in `field` as its voltage times `per_volt`, or as a percentage.

    `life_days` at the interval of its kind; then somebody changes it.
    """

    field: str
    full_v: float
    empty_v: float
    cold_v_per_k: float
    life_days: float
    per_volt: float | None = 1.0
    solar: bool = False


@dataclass(frozen=True, slots=True)
class DeviceKind:
    """A kind of sensor: its profile (of `ingest.profiles`), its codec (of `ingest.codecs`), how many a city has, how
    often it sends. `senml_share` of them stands behind a generic gateway."""

    profile_name: str
    codec: str
    short: str
    name: str
    per_100_km: float
    interval_s: int
    f_port: int
    battery: Battery
    measured: tuple[Measured, ...]
    senml_share: float = 0.0


def _celsius(name: str, decimals: int = 2, *, low: float = -20, high: float = 60) -> Measured:
    end = 327.0 if decimals == 2 else 3270.0
    return Measured(name, decimals, low, high, -end, end)


def _percent(name: str, decimals: int, most: float = 300.0) -> Measured:
    return Measured(name, decimals, 0, 100, 0, most)


def _alkaline(life_days: float) -> Battery:
    """Two cells; a Decentlab device runs from 3.2 down to 2.7 V and below."""
    return Battery("battery_voltage", 3.18, 2.78, 0.005, life_days)


def _lithium(field: str, life_days: float, per_volt: float | None = 1.0) -> Battery:
    """A thionyl chloride cell: flat at 3.6 V until its end, lower in the cold."""
    return Battery(field, 3.63, 3.36, 0.004, life_days, per_volt)


SMTP_DEPTHS_CM = (30, 40, 50, 60, 70, 80, 90, 100)
"""Of a probe whose head is 20 cm below the surface (profile decentlab-dl-smtp-20cm)."""
PT100_DEPTH_CM, LSE01_DEPTH_CM = 12, 40
SPEED_CLASSES_KMH = (30.0, 50.0, 70.0)
"""Upper ends of the traffic counters' classes but the last."""

KINDS: tuple[DeviceKind, ...] = (
    DeviceKind(
        "decentlab-dl-cws2", "decentlab/dl-cws2", "surface", "Fahrbahntemperatur", 8.0, 3600, 1, _alkaline(1500),
        (
            _celsius("surface_temperature"), _celsius("air_temperature"),
            Measured("air_humidity", 2, 0, 100, -327, 327), _celsius("dew_point", low=-20, high=25),
            Measured("air_temperature_radiation_shield", 2, -20, 60, -44.9, 129.9),
            _percent("air_humidity_radiation_shield", 2, 100.0),
        ),
    ),
    DeviceKind(
        "milesight-em500-pt100-12cm", "milesight/em500-pt100", "pavement", "Temperatur im Oberbau", 7.0, 3600, 85,
        _lithium("battery", 2500, None), (_celsius("temperature", 1),),
    ),
    DeviceKind(
        "decentlab-dl-smtp-20cm", "decentlab/dl-smtp", "soil-profile", "Bodenfeuchteprofil", 5.0, 3600, 1,
        _alkaline(1800),
        tuple(
            measured
            for i in range(len(SMTP_DEPTHS_CM))
            for measured in (
                Measured(f"soil_moisture_at_depth_{i}", 2, 0, 60, -4.9, 126),
                _celsius(f"soil_temperature_at_depth_{i}", low=-5, high=30),
            )
        ),
    ),
    DeviceKind(
        "dragino-lse01-40cm", "dragino/lse01", "soil", "Bodenfeuchte", 5.0, 3600, 2, _lithium("Bat", 2200),
        (
            _percent("water_SOIL", 2), _celsius("temp_SOIL", low=-5, high=30),
            Measured("conduct_SOIL", 0, 0, 2000, 0, 65535),
        ),
    ),
    DeviceKind(
        "decentlab-dl-ctd10", "decentlab/dl-ctd10", "water-level", "Wasserstand", 2.5, 3600, 1, _alkaline(2000),
        (
            Measured("water_depth", 0, 0, 2000, -32767, 32767), _celsius("temperature", 1, low=0, high=25),
            Measured("electrical_conductivity", 0, 0, 5000, 0, 65534),
        ),
        senml_share=0.5,
    ),
    DeviceKind(
        "milesight-em500-udl", "milesight/em500-udl", "water-distance", "Abstand zum Wasser", 2.0, 3600, 85,
        _lithium("battery", 2400, None), (Measured("distance", 0, 300, 3000, 0, 65534),),
    ),
    DeviceKind(
        "decentlab-dl-atm41g2", "decentlab/dl-atm41g2", "weather", "Wetterstation", 0.8, 900, 1, _alkaline(900),
        (
            Measured("solar_radiation", 1, 0, 1000, -3276, 3276), Measured("wind_speed", 2, 0, 30, -327, 327),
            Measured("maximum_wind_speed", 2, 0, 40, -327, 327), _celsius("air_temperature", 1),
            Measured("barometric_pressure", 2, 95, 105, -327, 327),
            Measured("relative_humidity", 1, 0, 100, -3276, 3276),
        ),
    ),
    DeviceKind(
        "elsys-elt-2-vibration", "elsys/elt-2", "vibration", "Erschütterung", 2.5, 3600, 5,
        _lithium("vdd", 2300, 1000.0),
        (
            *(Measured(axis, 0, -63, 63, -128, 127) for axis in "xyz"), Measured("accMotion", 0, 0, 255, 0, 255),
            _celsius("temperature", 1), _percent("humidity", 0, 255.0),
        ),
    ),
    DeviceKind(
        "decentlab-dl-dws-232263168-302459-1370", "decentlab/dl-dws-232263168-302459-1370", "silt",
        "Schlammeimer", 1.0, 3600, 1, _alkaline(2000), (Measured("weight", 0, 0, 30_000, 1400, 1_000_000),),
    ),
    DeviceKind(
        "parametric-tcr", "parametric/tcr", "traffic", "Verkehrszählung", 2.5, 3600, 15,
        Battery("solar_battery_volt", 4.12, 3.75, 0.004, 3000, solar=True),
        (
            _celsius("temperature", 1),
            *(
                measured
                for n in range(len(SPEED_CLASSES_KMH) + 1)
                for side in ("left", "right")
                for measured in (
                    Measured(f"{side}_count_class{n}", 0, 0, 1000, 0, 65535),
                    Measured(f"{side}_avg_class{n}", 0, 0, 100, 0, 255),
                )
            ),
        ),
    ),
)  # fmt: skip
"""About 37 devices a 100 km, with 1.4 uplinks an hour on average."""


def kind_counts(length_km: float, device_count: int | None) -> list[int]:
    """How many devices of each kind a city has: by its length, two at least, or in the same mix to a number of all.

    Examples
    --------
    >>> kind_counts(120, None), kind_counts(120, 2000)
    ([10, 8, 6, 6, 3, 2, 2, 3, 2, 3], [441, 386, 275, 275, 138, 110, 44, 138, 55, 138])
    """
    if device_count is None:
        return [max(2, round(kind.per_100_km * length_km / 100)) for kind in KINDS]
    total = sum(kind.per_100_km for kind in KINDS)
    wanted = [kind.per_100_km / total * device_count for kind in KINDS]
    counts = [max(1, int(share)) for share in wanted]
    # What rounding down leaves goes where most was cut off; what the least of one takes too much, where most are.
    by_rest = sorted(range(len(KINDS)), key=lambda i: counts[i] - wanted[i])
    for i in range(device_count - sum(counts)):
        counts[by_rest[i % len(KINDS)]] += 1
    while sum(counts) > device_count:
        counts[counts.index(max(counts))] -= 1
    return counts
