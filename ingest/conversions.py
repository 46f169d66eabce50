"""Units in which devices and gateways send a quantity, beside the canonical one: value × factor + offset."""

from roadtwin.units import QUANTITIES

_FROM: dict[str, dict[str, tuple[float, float]]] = {
    "°C": {"Cel": (1, 0), "K": (1, -273.15), "°F": (5 / 9, -160 / 9)},
    "%": {"%RH": (1, 0), "%EL": (1, 0), "/": (100, 0)},
    "mm": {"cm": (10, 0), "m": (1000, 0)},
    "m³": {"m3": (1, 0), "l": (0.001, 0)},
    "µS/cm": {"uS/cm": (1, 0), "dS/m": (1000, 0), "mS/cm": (1000, 0), "S/m": (10_000, 0)},
    "m/s": {"km/h": (1 / 3.6, 0)},
    "hPa": {"Pa": (0.01, 0), "kPa": (10, 0)},
    "W/m²": {"W/m2": (1, 0)},
    "lx": {"lux": (1, 0)},
    "µm/m": {"um/m": (1, 0)},
    "m/s²": {"m/s2": (1, 0), "g": (9.80665, 0), "g/63": (9.80665 / 63, 0)},
    "1": {"count": (1, 0), "/": (1, 0)},
    "V": {"mV": (0.001, 0)},
    "kg": {"g": (0.001, 0)},
    "°": {"deg": (1, 0)},
}


def conversion(quantity: str, unit: str | None) -> tuple[float, float] | None:
    """(factor, offset) from `unit` to the quantity's own unit; None when this quantity is not measured in it.

    Examples
    --------
    >>> conversion("distance_mm", "m"), conversion("distance_mm", "kg")
    ((1000, 0), None)
    """
    known = QUANTITIES[quantity]
    if unit is None or unit in (known.unit, known.senml_unit):
        return (1, 0)
    return _FROM.get(known.unit, {}).get(unit)
