"""The canonical quantities: name, unit, plausible range. One table, used by decoding, flags, API and UI.

A quantity's name ends in its unit. The range is what the physical world of a Central European road allows;
a value outside is stored with `Flag.RANGE`, never refused.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quantity:
    """One observed property.

    `senml_unit` is the unit symbol of RFC 8428 §12.1/12.2 in which generic gateways send it. `max_rate_per_h` is the
    fastest change that nature gives it [unit/h], judged over five minutes or more (`Flag.RATE`); `stuck_after_h` is how
    long it may stay the same to the last bit [h], away from the ends of its range (`Flag.STUCK`). None: not judged.
    """

    name: str
    unit: str
    minimum: float
    maximum: float
    senml_unit: str
    label_de: str
    label_en: str
    max_rate_per_h: float | None = None
    stuck_after_h: float | None = None


# The last two are limits. Rates: Zahumenský, "Guidelines on Quality Control Procedures for Data from Automatic Weather
# Stations" (WMO, 2004) calls a change within one minute wrong beyond some 3 °C (air), 10 °C (surface), 15 % (humidity),
# 2 hPa and 20 m/s. Ours stand for five minutes or more and leave room for shade, showers and fronts, since a flagged
# value is not used. Stuck: weather has a day and a night, so two days without any change are a fault, also at a
# resolution of 0.5 °C; the deeper and the wetter, the slower. Counters, contacts, batteries and distances may stay as
# they are for months.
QUANTITIES: dict[str, Quantity] = {
    q.name: q
    for q in (
        Quantity("air_temp_c", "°C", -40, 60, "Cel", "Lufttemperatur", "Air temperature", 60, 48),
        Quantity("surface_temp_c", "°C", -40, 80, "Cel", "Oberflächentemperatur", "Surface temperature", 120, 48),
        Quantity("ground_temp_c", "°C", -30, 60, "Cel", "Temperatur im Aufbau", "Temperature in the pavement", 30, 120),
        Quantity("dew_point_c", "°C", -50, 40, "Cel", "Taupunkt", "Dew point", 60, 48),
        Quantity("water_temp_c", "°C", -5, 45, "Cel", "Wassertemperatur", "Water temperature", 60, 120),
        Quantity("device_temp_c", "°C", -40, 85, "Cel", "Temperatur im Gerät", "Temperature in the device"),
        Quantity("humidity_pct", "%", 0, 100, "%RH", "Relative Feuchte", "Relative humidity", 300, 48),
        Quantity("soil_moisture_pct", "%", 0, 100, "%", "Volumetrische Feuchte", "Volumetric moisture", 240, 336),
        Quantity("soil_ec_us_per_cm", "µS/cm", 0, 20000, "uS/cm", "Leitfähigkeit", "Conductivity", None, 336),
        Quantity("water_ec_us_per_cm", "µS/cm", 0, 120000, "uS/cm", "Leitfähigkeit (Wasser)", "Conductivity of water"),
        Quantity("rain_mm", "mm", 0, 200, "mm", "Niederschlag", "Rainfall", None, 24),
        Quantity("rain_total_mm", "mm", 0, 5e7, "mm", "Niederschlag (Zähler)", "Rainfall (counter)"),
        Quantity("rain_intensity_mm_per_h", "mm/h", 0, 400, "mm/h", "Regenstärke", "Rain intensity", None, 24),
        Quantity("wind_speed_mps", "m/s", 0, 60, "m/s", "Windgeschwindigkeit", "Wind speed", 240, 24),
        Quantity("wind_gust_mps", "m/s", 0, 90, "m/s", "Windböe", "Gust", 320, 24),
        Quantity("wind_direction_deg", "°", 0, 360, "deg", "Windrichtung", "Wind direction", None, 48),
        Quantity("pressure_hpa", "hPa", 850, 1100, "hPa", "Luftdruck", "Air pressure", 24, 48),
        Quantity("radiation_w_per_m2", "W/m²", 0, 1500, "W/m2", "Globalstrahlung", "Global radiation", None, 24),
        Quantity(
            "reflected_w_per_m2", "W/m²", 0, 1500, "W/m2", "Reflektierte Strahlung", "Reflected radiation", None, 24
        ),
        Quantity("illuminance_lux", "lx", 0, 200000, "lx", "Beleuchtungsstärke", "Illuminance", None, 48),
        Quantity("water_level_mm", "mm", -5000, 20000, "mm", "Wasserstand", "Water level", 6000),
        Quantity("water_volume_m3", "m³", 0, 1e9, "m3", "Durchflussmenge (Zähler)", "Water volume (counter)"),
        Quantity("distance_mm", "mm", 1, 20000, "mm", "Abstand", "Distance"),
        Quantity("strain_um_per_m", "µm/m", -20000, 20000, "um/m", "Dehnung", "Strain", None, 72),
        Quantity("vibration_rms_mps2", "m/s²", 0, 200, "m/s2", "Erschütterung", "Vibration", None, 72),
        Quantity("tilt_deg", "°", -180, 180, "deg", "Neigung", "Tilt"),
        Quantity("acceleration_mps2", "m/s²", -400, 400, "m/s2", "Beschleunigung", "Acceleration"),
        Quantity("shake_count", "1", 0, 100000, "count", "Stöße", "Shakes"),
        Quantity("load_kg", "kg", -1000, 100000, "kg", "Last", "Load"),
        Quantity("vehicle_count", "1", 0, 100000, "count", "Fahrzeuge", "Vehicles"),
        Quantity("heavy_vehicle_count", "1", 0, 100000, "count", "Schwerverkehr", "Heavy vehicles"),
        Quantity("vehicle_speed_mps", "m/s", 0, 70, "m/s", "Mittlere Geschwindigkeit", "Mean speed"),
        Quantity("contact_open", "1", 0, 1, "/", "Kontakt offen", "Contact open"),
        Quantity("battery_v", "V", 0, 40, "V", "Batterie", "Battery"),
        Quantity("battery_pct", "%", 0, 100, "%EL", "Batterie", "Battery"),
    )
}


SENSOR_DAY_QUANTITIES = ("surface_temp_c", "ground_temp_c", "soil_moisture_pct")
"""Quantities that are rolled up by local day: those that tell of frost and water in the pavement."""


@dataclass(frozen=True, slots=True)
class TwinQuantity:
    """One property of a segment that the twin derives, rather than a device measures; the name ends in the unit."""

    name: str
    unit: str
    label_de: str
    label_en: str


TWIN_QUANTITIES: dict[str, TwinQuantity] = {
    q.name: q
    for q in (
        TwinQuantity("condition_grade", "", "Zustandsnote", "Condition grade"),
        TwinQuantity("crack_index_pct", "%", "Rissindex", "Crack index"),
        TwinQuantity("roughness_mps2", "m/s²", "Unebenheit", "Roughness"),
        TwinQuantity("patch_pct", "%", "Flickanteil", "Patched share"),
        TwinQuantity("open_potholes_count", "", "Offene Schlaglöcher (bestätigt)", "Open potholes (confirmed)"),
        TwinQuantity(
            "open_pothole_probability",
            "",
            "Wahrscheinlichkeit eines offenen Schlaglochs",
            "Probability of an open pothole",
        ),
        TwinQuantity("open_potholes_expected_count", "", "Offene Schlaglöcher (erwartet)", "Open potholes (expected)"),
        TwinQuantity("freeze_thaw_cycles_30d", "", "Frost-Tau-Wechsel in 30 Tagen", "Freeze–thaw cycles in 30 days"),
        TwinQuantity("frost_index_30d_c_d", "°C·d", "Frostindex in 30 Tagen", "Frost index in 30 days"),
        TwinQuantity(
            "base_modulus_pct", "%", "Steifigkeit der Tragschicht (sonst 100)", "Stiffness of the base (sound: 100)"
        ),
        TwinQuantity("rain_7d_mm", "mm", "Regen in 7 Tagen", "Rain in 7 days"),
        TwinQuantity("last_pass_age_d", "d", "Letzte Vorbeifahrt vor", "Last pass before"),
        TwinQuantity("last_inspection_age_d", "d", "Letzte Kontrolle vor", "Last inspection before"),
    )
}
"""What `twin_state` holds beside canonical quantities; API and UI name it by this table."""
