"""What each feature is, exact enough to compute it anew: the words of `docs/reference/features.md`.

Constants are those of the code. The signs that the sentences share are explained by `NOTATION`.
"""

from dataclasses import dataclass

from models.features import Group, forecast, memory, sensors, weather, windows
from models.features.camera import HALF_LIFE_DAYS
from models.features.wear import DESIGN_LOADS_MILLION
from models.state.fields import NEAREST_SENSORS, SOIL_MOISTURE_FIELD, SURFACE_TEMP_FIELD, Field


@dataclass(frozen=True, slots=True)
class Definition:
    """How a feature is computed, as a formula or a sentence in Markdown, and where the idea is from ("": our own)."""

    text: str
    source: str = ""


_HERSHFIELD = "Hershfield 1974, *J. Appl. Meteorol.* 13(3), 348–354"
_KOHLER = "Kohler and Linsley 1951, US Weather Bureau Research Paper 34"
_CRREL = "CRREL Report 96-14, 1996"
_FRAILTY = "Greenwood and Yule 1920, doi:10.2307/2341080"
_RSTO = "RStO 12"
_KRIGING = "Cressie 1993, *Statistics for Spatial Data*, ch. 3"
_K, _K_AROUND, _NEAR_M = memory.FRAILTY_SHAPE, 2.0, memory.NEIGHBOURHOOD_M
_TRENCH_DAYS = 730
_LOADS = ", ".join(f"{load:g}" for load in DESIGN_LOADS_MILLION.tolist())
_SHARE = f"{weather.KNOWN_SHARE:.0%}".replace("%", " %")


def _cycles(days: int) -> Definition:
    return Definition(f"Number of days among d₁ … d_{days} with T_min < 0 °C < T_max, of the air.", _HERSHFIELD)


def _frost(days: int) -> Definition:
    return Definition(f"Σ max(0 °C, −T_mean) over d₁ … d_{days}.", _CRREL)


def _rain(days: int) -> Definition:
    return Definition(f"Σ R over d₁ … d_{days}.")


def _holes(days: int) -> Definition:
    return Definition(f"Number of known potholes of the segment with first_recorded_at > t − {days} d.")


def _passes(days: int) -> Definition:
    return Definition(f"Σ good passes of the segment over today and the {days - 1} days before.")


def _register(what: str, source: str = "") -> Definition:
    return Definition(f"Attribute of the register: {what}.", source)


def _survey(what: str) -> Definition:
    return Definition(f"{what} of the survey in force.")


def _surface_cycles(days: int) -> Definition:
    text = (
        f"v: {days} × mean of a site's daily cycles over d₁ … d_{days}, a cycle being the thaw above +1 °C after a frost "
        f"below −1 °C. B: {days} × share of the known days of these with T_min < 0 °C < T_max. Spread; below 0: 0."
    )
    return Definition(text, _KRIGING)


def _parameters(field: Field) -> str:
    return f"S = {field.spread:g}, N = {field.noise:g}, range {field.range_m:g} m"


NOTATION: tuple[tuple[str, str], ...] = (
    ("t", "the instant of the features. Only rows with recorded_at ≤ t count, of several editions of one row the last."),
    ("today, d_k", "the local day (time zone of the city) in which t lies, and the k-th local day before it."),
    ("T_min, T_mean, T_max, R",
     ("lowest, mean and highest hourly air temperature and summed rain of a local day, over the hours known, of hourly "
     "means over the stations. The hour that ends at observed_at (whole hours) belongs to the day in which it began.")),
    ("windows of weather",
     (f"end with d₁: today is in none. Sums and means are taken over the days known and not scaled up; unknown (NaN) "
     f"where less than {_SHARE} of the window is known. d₁ … d_{windows.HISTORY_DAYS} are looked at.")),
    ("unknown", "NaN, unless a sentence says otherwise."),
    ("known pothole",
     ("confirmed_at ≤ t ([rule](risk-model.md#from-evidence-to-potholes)). L: length of the segment, ΣL of all; n, N: "
     "numbers of a segment and of all.")),
    ("good pass", "a drive over the segment of which at least half of the frames are fit: not blurred, wet or dark."),
)  # fmt: skip
"""Signs and words that definitions share, with what they mean."""

GROUP_NOTES: dict[Group, str] = {
    "weather": "The same for every segment at one time.",
    "wear": (
        "Attributes are those of the edition of the register that was known at t (before its first import: those of that), "
        "numbers outside what a road can have (−999, a width of 0) being unknown. "
        "The survey in force is the newest by observed_at of those recorded by t, of equal ones the last recorded."
    ),
    "memory": (
        "Times of potholes are recorded times. A pothole that was first recorded before a window and confirmed within it "
        "is no new one."
    ),
    "camera": (
        f"Sums go over the segment-days of today and the {windows.CAMERA_DAYS - 1} days before, w = "
        f"0.5^(a / {HALF_LIFE_DAYS:g} d), a the days since. Cracks are tracked distresses of all passes of a day; one that "
        "stands in several frames of a pass counts once."
    ),
    "sensors": (
        f"Sites are segments with sensors of the quantity; sensors of one segment are averaged by day. A site's value v "
        f"needs {_SHARE} of the days of its window. *Spread* to a place p: B + Σᵢ wᵢ (vᵢ − B), B what the weather lets "
        "one expect (unknown: the mean of the vᵢ), w = K⁻¹ k, k_i = S² (1 + ρ(p, i)), "
        "K_ij = S² (1 + ρ(i, j)) + N² [i = j], "
        "ρ = exp(−distance / range − Σ |Δ trait|), traits being tree cover / 60 %, pavement class / 4, drainage / 2 and "
        f"width / 8 m (unknown: mean of the city), over the {NEAREST_SENSORS} sites of the least (|Δ east| + |Δ north|) / "
        f"range + Σ |Δ trait|. Surface: {_parameters(SURFACE_TEMP_FIELD)}; moisture: {_parameters(SOIL_MOISTURE_FIELD)}. "
        f"A site without v that measured within {max(sensors.FREEZE_THAW_DAYS)} days (moisture: "
        f"{sensors.TREND_DAYS + sensors.LEVEL_DAYS}) takes what the others spread to it. No site has a v: unknown. More: "
        "[sensor-days](sensor-days.md)."
    ),
}
"""What holds for all features of a group."""

DEFINITIONS: dict[str, Definition] = {
    # weather
    "freeze_thaw_7d": _cycles(7),
    "freeze_thaw_14d": _cycles(14),
    "freeze_thaw_30d": _cycles(30),
    "freeze_thaw_90d": _cycles(90),
    "frost_index_30d_cd": _frost(30),
    "frost_index_180d_cd": _frost(180),
    "thaw_index_cd": Definition(
        f"min({weather.LARGEST_THAW_INDEX_CD:g}, Σ max(0 °C, T_mean)) over the days after the last one with T_mean < 0 °C: "
        "one such day sets it to 0. Unknown days add nothing. Without such a day the sum goes over all "
        f"{windows.HISTORY_DAYS} days; NaN when none of them is known.",
        _CRREL,
    ),
    "days_since_thaw": Definition(
        f"min({weather.LONGEST_THAW_DAYS}, number of days after the last one with T_mean < 0 °C), unknown days counted; 0 "
        f"when it was d₁, {weather.LONGEST_THAW_DAYS} without such a day; NaN when no day is known.",
        _CRREL,
    ),
    "mean_temp_14d_c": Definition("Mean of T_mean over d₁ … d_14."),
    "rain_3d_mm": _rain(3),
    "rain_7d_mm": _rain(7),
    "rain_30d_mm": _rain(30),
    "antecedent_precipitation_mm": Definition(
        f"API = Σ {weather.API_RETENTION:g}^(k − 1) · R(d_k), k = 1 … {weather.API_DAYS}.", _KOHLER
    ),
    "rain_then_frost_30d": Definition(
        f"Number of days among d₁ … d_30 with T_min < 0 °C and at least {weather.WET_ROAD_MM:g} mm of rain on that day and "
        f"the {weather.WET_ROAD_DAYS - 1} before together (unknown rain of those: 0); unknown where T_min or the day's own "
        "R is."
    ),
    "forecast_freeze_thaw_7d": Definition(
        f"Σ Φ(−T_min/σ) · Φ(T_max/σ) over the {forecast.DAYS} local days after today, T_min and T_max over all stations and "
        f"valid times of the day in the forecast in force, σ = {forecast.ERROR_C_AFTER_A_DAY:g} °C + "
        f"{forecast.ERROR_C_PER_DAY:g} °C · (day − 1). In force is the newest issue of which anything was recorded by t, "
        f"at most {forecast.STALE_HOURS} h old; NaN without one, or when one of the days has no temperature."
    ),
    "forecast_mean_temp_7d_c": Definition(
        "Mean of the daily means of temperature over the same days of the same issue; NaN likewise."
    ),
    "forecast_rain_7d_mm": Definition(
        "Σ rain rate · hours since the valid time before (the first: since the issue) over the valid times of the same days "
        "and issue, mean over stations; NaN likewise."
    ),
    "season_sin": Definition("sin(2π n / y): n days since 1 January on the local day of t, y days of its year."),
    "season_cos": Definition("cos of the same angle."),
    # wear
    "wearing_course_age_years": Definition(
        "max(0, y − (year of the wearing course + 0.5)), y = year of t (UTC) + days since its 1 January / 365.25; with a "
        "renewal recorded by t the smaller known one of this and (t − observed_at of the newest renewal) / 365.25 d. Where "
        "the year lies after that of t, without a renewal: the median of the known ages of the same road class, of all "
        "roads where the class has none."
    ),
    "pavement_age_years": Definition(
        "As the age of the wearing course, from the year of construction: renewals of the surface do not count."
    ),
    "design_load_used_pct": Definition(
        "100 · A · 365.25 d · age of the pavement / B, A = equivalent 10-t axles a day (`axle_passes_per_day`: today's, "
        f"without growth), B = {_LOADS} million, the largest design load of the pavement class; unknown where one of the "
        "three is.",
        _RSTO,
    ),
    "pavement_class": _register("rank of the class, Bk0.3, 1.0, 1.8, 3.2, 10, 32, 100 = 0 … 6", _RSTO),
    "heavy_vehicles_per_day": _register("heavy vehicles a day, both directions"),
    "axle_passes_per_day": _register(
        "equivalent 10-t axles a day on the heaviest lane, without slope and growth", _RSTO
    ),
    "bus_route": _register("1 with, 0 without a bus line"),
    "trench_area_pct": _register("share of the surface that was ever opened and closed again"),
    "recent_trench_pct": Definition(
        f"min(100, 100 · Σ area of openings recorded in (t − {_TRENCH_DAYS} d, t] / (length · width)); 0 without an opening, "
        "unknown with one and without a width."
    ),
    "thickness_cm": _register("frost-safe thickness built, all layers above the subgrade", _RSTO),
    "frost_deficit_cm": _register("frost-safe thickness required less built, negative where built thicker", _RSTO),
    "drainage": _register("good 0, fair 1, poor 2"),
    "gully_spacing_m": _register("distance between gullies along the road"),
    "tree_cover_pct": _register("share of the surface under crowns"),
    "width_m": _register("width of the carriageway"),
    "length_m": _register("length of the segment, which stands in the place of an offset"),
    "survey_crack_pct": _survey("Share of cracked surface"),
    "survey_patch_pct": _survey("Share of patched surface"),
    "survey_rut_depth_mm": _survey("Rut depth"),
    "survey_total_grade": _survey("Total grade, 1 best to 5 worst,"),
    "survey_age_years": Definition("(t − observed_at) / 365.25 d of the survey in force."),
    # memory
    "potholes_30d": _holes(30),
    "potholes_90d": _holes(90),
    "potholes_365d_relative": Definition(
        f"({_K:g} + n) / ({_K:g} + N L / ΣL), n and N known potholes with first_recorded_at > t − 365 d.", _FRAILTY
    ),
    "potholes_relative": Definition(f"({_K:g} + n) / ({_K:g} + N L / ΣL), n and N all known potholes.", _FRAILTY),
    "potholes_200m_relative": Definition(
        f"({_K_AROUND:g} + Σ n) / ({_K_AROUND:g} + N Σ L / ΣL), the sums without index over the segments whose midpoints "
        f"lie within {_NEAR_M:g} m in a straight line, the segment itself left out; n and N as within 365 d.",
        _FRAILTY,
    ),
    "potholes_open": Definition("Number of spells of known potholes with opened_at ≤ t that had not been closed by t."),
    "days_since_pothole": Definition("t − newest first_recorded_at of the segment's known potholes; NaN without one."),
    "repairs_90d": Definition("Number of repairs, renewals left out, recorded in (t − 90 d, t]."),
    "days_since_repair": Definition(
        "t − newest observed_at of the repairs recorded by t, renewals left out; NaN without one."
    ),
    "cold_patches_365d": Definition(
        "Number of repairs with cold mix recorded in (t − 365 d, t] and observed after the newest renewal recorded by t. A "
        "later repair with hot mix takes none away: repairs name no common place.",
        "SHRP H-106",
    ),
    # camera
    "linear_cracks_per_pass": Definition("Σ w · (D00 + D10 seen) / Σ w · good passes; NaN without a good pass."),
    "alligator_cracks_per_pass": Definition("Σ w · (D20 seen) / Σ w · good passes; NaN without a good pass."),
    "roughness_mps2": Definition(
        "Σ w r / Σ w over the days with a value, r the day's mean over passes of the vertical acceleration (root mean "
        "square) · √(10 m/s / speed), from 3 m/s on and within 0.01 to 15 m/s²; NaN without a value.",
        "spectrum of ISO 8608",
    ),
    "good_passes_28d": _passes(28),
    "good_passes_90d": _passes(90),
    "last_seen_days": Definition(
        "The smaller known one of t − 0:00 UTC of the newest day with a good pass, however long ago, and t − observed_at "
        "of the newest inspection."
    ),
    # sensors
    "surface_freeze_thaw_7d": _surface_cycles(7),
    "surface_freeze_thaw_30d": _surface_cycles(30),
    "surface_freeze_thaw_90d": _surface_cycles(90),
    "surface_minimum_7d_c": Definition(
        "v: a site's lowest surface temperature over d₁ … d_7. B: lowest T_min of these. Spread.", _KRIGING
    ),
    "base_moisture_pct": Definition(
        f"v: a site's mean over d₁ … d_{sensors.LEVEL_DAYS}, volumetric, down to 60 cm. B: 8 + 22 (1 − exp(−API / 30 mm)) %. "
        "Spread.",
        _KRIGING,
    ),
    "base_moisture_trend_30d_pct": Definition(
        f"v: that v less the same mean {sensors.TREND_DAYS} days earlier. B: the same difference of that B. Spread.",
        _KRIGING,
    ),
    "base_moisture_anomaly_pct": Definition(
        f"v: that v less the site's mean of all days within {sensors.NORMAL_DAYS} days of today − round(365.25 y) d, "
        f"y = 1, 2, …, of which at least {_SHARE} of {2 * sensors.NORMAL_DAYS + 1} must be known in all. B: 0. Spread.",
        _KRIGING,
    ),
}
"""Definition of every feature of the feature set; a test asks that none is missing."""
