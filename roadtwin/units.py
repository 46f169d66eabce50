"""The canonical quantities: name, unit, plausible range. One table, used by decoding, flags, API and UI.

A quantity's name ends in its unit. The range is what the physical world of a Central European road allows;
a value outside is stored with `Flag.RANGE`, never refused.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quantity:
    """One observed property.

    `senml_unit` is the unit symbol of RFC 8428 §12.1/12.2 in which generic gateways send it.
    """

    name: str
    unit: str
    minimum: float
    maximum: float
    senml_unit: str
    label_de: str
    label_en: str


QUANTITIES: dict[str, Quantity] = {
    q.name: q
    for q in (
        Quantity("air_temp_c", "°C", -40, 60, "Cel", "Lufttemperatur", "Air temperature"),
        Quantity("surface_temp_c", "°C", -40, 80, "Cel", "Oberflächentemperatur", "Surface temperature"),
        Quantity("ground_temp_c", "°C", -30, 60, "Cel", "Temperatur im Aufbau", "Temperature in the pavement"),
        Quantity("humidity_pct", "%", 0, 100, "%RH", "Relative Feuchte", "Relative humidity"),
        Quantity("soil_moisture_pct", "%", 0, 100, "%", "Volumetrische Feuchte", "Volumetric moisture"),
        Quantity("soil_ec_us_per_cm", "µS/cm", 0, 20000, "uS/cm", "Leitfähigkeit", "Conductivity"),
        Quantity("rain_mm", "mm", 0, 200, "mm", "Niederschlag", "Rainfall"),
        Quantity("wind_speed_mps", "m/s", 0, 60, "m/s", "Windgeschwindigkeit", "Wind speed"),
        Quantity("pressure_hpa", "hPa", 850, 1100, "hPa", "Luftdruck", "Air pressure"),
        Quantity("radiation_w_per_m2", "W/m²", 0, 1500, "W/m2", "Globalstrahlung", "Global radiation"),
        Quantity("illuminance_lux", "lx", 0, 200000, "lx", "Beleuchtungsstärke", "Illuminance"),
        Quantity("water_level_mm", "mm", -5000, 20000, "mm", "Wasserstand", "Water level"),
        Quantity("water_volume_m3", "m³", 0, 1e9, "m3", "Durchflussmenge (Zähler)", "Water volume (counter)"),
        Quantity("distance_mm", "mm", 1, 20000, "mm", "Abstand", "Distance"),
        Quantity("strain_um_per_m", "µm/m", -20000, 20000, "um/m", "Dehnung", "Strain"),
        Quantity("vibration_rms_mps2", "m/s²", 0, 200, "m/s2", "Erschütterung", "Vibration"),
        Quantity("vehicle_count", "1", 0, 100000, "count", "Fahrzeuge", "Vehicles"),
        Quantity("heavy_vehicle_count", "1", 0, 100000, "count", "Schwerverkehr", "Heavy vehicles"),
        Quantity("contact_open", "1", 0, 1, "/", "Kontakt offen", "Contact open"),
        Quantity("battery_v", "V", 0, 40, "V", "Batterie", "Battery"),
        Quantity("battery_pct", "%", 0, 100, "%EL", "Batterie", "Battery"),
    )
}


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
        TwinQuantity("open_potholes_count", "", "Offene Schlaglöcher", "Open potholes"),
        TwinQuantity("freeze_thaw_cycles_30d", "", "Frost-Tau-Wechsel in 30 Tagen", "Freeze–thaw cycles in 30 days"),
        TwinQuantity("frost_index_30d_c_d", "°C·d", "Frostindex in 30 Tagen", "Frost index in 30 days"),
        TwinQuantity("rain_7d_mm", "mm", "Regen in 7 Tagen", "Rain in 7 days"),
        TwinQuantity("last_pass_age_d", "d", "Letzte Vorbeifahrt vor", "Last pass before"),
        TwinQuantity("last_inspection_age_d", "d", "Letzte Kontrolle vor", "Last inspection before"),
    )
}
"""What `twin_state` holds beside canonical quantities; API and UI name it by this table."""
