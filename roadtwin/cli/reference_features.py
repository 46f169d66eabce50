"""The reference page of the risk model's features: definitions, priors, and what physics asks for and has."""

from models.features import FEATURE_SET, GROUPS
from models.features.definitions import DEFINITIONS, GROUP_NOTES, NOTATION
from models.prior import EFFECTS

_INTRODUCTION = f"""# Features of the risk model

Made by `roadtwin reference --out docs/reference` from `models/features` and `models/prior.py`: feature set
{FEATURE_SET.version}, {len(FEATURE_SET.features)} features of a segment as of an instant. How the model uses them:
[risk model](risk-model.md). Words: [glossary](../glossary.md).

*Direction*: +1 the risk may only rise with the feature, −1 only fall, 0 either. It binds both halves of the score of
places and the level of the city. Features of *exposure* take part in fitting and have no effect in forecasts.
"""

_PRIORS = """## Priors

z = (T(x) − centre) / scale, cut off at ±4; T is x, ln(max(x, 0.02)) or ln(1 + max(x, 0)). The prior of the slope of the
log-odds, for one step of z, is N(slope, sd²). An unknown value has z = 0 and, of places, an effect of its own with prior
N(0, 0.3²). For a horizon of h days the prior slopes of weather and forecast are multiplied by w = (1 − e^(−h/30 d)) / (h/30 d),
and those of the season, which takes over what they lose, are [other ones](risk-model.md#season); every sd stays. Where the figures are from: the references in `models/prior.py`, and
[priors](risk-model.md#estimator); a slope without a source there is an assumption that labels are to correct.
"""

_T = {"plain": "x", "log": "ln x", "log1p": "ln(1 + x)"}
_LACKING = "**no data source yet**"
_NOT_BUILT = "**not built**"

WANTED: tuple[tuple[str, str, str], ...] = (
    ("freeze–thaw", "cycles of the pavement with hysteresis, 7, 30, 90 d", "`surface_freeze_thaw_7d`, `surface_freeze_thaw_30d`, `surface_freeze_thaw_90d`: counted by sensors, spread to all segments"),
    ("", "the same in a city or season without any surface sensor", f"{_NOT_BUILT}: days of the air stand in (`freeze_thaw_7d`, `freeze_thaw_14d`, `freeze_thaw_30d`, `freeze_thaw_90d`). The twin's surface temperature from weather is not counted over the past"),
    ("", "cycles of the whole season; least duration of an hour", f"{_NOT_BUILT}: 90 days are the longest window; any crossing of the hysteresis counts"),
    ("", "cold of the surface and of the air", "`surface_minimum_7d_c`, `mean_temp_14d_c`"),
    ("frost", "degree days below zero", "`frost_index_30d_cd`, `frost_index_180d_cd`"),
    ("", "Stefan's depth, √ of the index", f"{_NOT_BUILT}: the logarithm of the index stands in its prior; trees see any monotone form alike"),
    ("thaw", "thaw index and days since the last freeze, to 120 d", "`thaw_index_cd`, `days_since_thaw`"),
    ("", "flag from 16 °C·d on, stiffness left of base and subgrade", f"{_NOT_BUILT} as a feature; the twin shows the base's modulus from the same law ([twin state](twin-state.md))"),
    ("", "thaw × heavy traffic", "**tried, no gain** on simulated cities"),
    ("rain", "antecedent precipitation, sums of 3, 7, 30 d", "`antecedent_precipitation_mm`, `rain_3d_mm`, `rain_7d_mm`, `rain_30d_mm`"),
    ("", "rain, then frost", "`rain_then_frost_30d`"),
    ("", "number of wet days; rain of the last year", f"{_NOT_BUILT}: wet days say what the sums say in other words; rain of the last year has as many values as a city has years of records"),
    ("weather to come", "frost, warmth and rain as forecast", "`forecast_freeze_thaw_7d`, `forecast_mean_temp_7d_c`, `forecast_rain_7d_mm`; beyond, `season_sin`, `season_cos`"),
    ("", "de-icing salt, humidity, wind", f"salt: {_LACKING}; humidity and wind of stations are stored: {_NOT_BUILT}, a few winters cannot tell them from temperature and season"),
    ("moisture", "water in the base, its trend and what is unusual", "`base_moisture_pct`, `base_moisture_trend_30d_pct`, `base_moisture_anomaly_pct`"),
    ("", "degree of saturation and resilient modulus", f"{_LACKING}: porosity and grading of bases are in no record"),
    ("heavy traffic", "heavy vehicles, equivalent axles, buses", "`heavy_vehicles_per_day`, `axle_passes_per_day`, `bus_route`"),
    ("", "equivalent axles of the last 7 and 30 d", f"{_LACKING}: no counts by day, only the register's average"),
    ("", "utilisation of the design load", "`design_load_used_pct`: since construction, for a new surface does not unload the layers below; no gain on simulated cities, kept for registers that tell more"),
    ("", "load since renewal", "**tried, no gain** on simulated cities: on a logarithmic scale it is `axle_passes_per_day` and `wearing_course_age_years` added, which are features"),
    ("", "unevenness × heavy traffic", f"{_NOT_BUILT}: the score adds effects of single features, so that its reasons add up; products tried so far (frost × drainage, thaw × traffic) gave no gain"),
    ("cracks", "share of cracked surface, alligator cracks", "`survey_crack_pct`, `linear_cracks_per_pass`, `alligator_cracks_per_pass`"),
    ("", "growth of cracks in 30 d", "**tried, not stable**: growth from passes on even days and from those on odd days of the same 60 correlate by −0.08 to 0.13 on simulated cities (levels: 0.68 to 0.74)"),
    ("", "length of unsealed cracks", f"{_LACKING}: sealing is in no record, and cameras do not tell it"),
    ("", "ravelling, ruts, roughness", f"`survey_rut_depth_mm`, `roughness_mps2`; ravelling seen by cameras: {_NOT_BUILT}, segment-days do not count it"),
    ("age", "years since the wearing course or its renewal", "`wearing_course_age_years`"),
    ("", "years since construction", "`pavement_age_years`; no gain on simulated cities, kept for registers that know both years"),
    ("", "grade of condition, how old it is", "`survey_total_grade`, `survey_age_years`"),
    ("patches", "patched area, repairs, time since the last", "`survey_patch_pct`, `repairs_90d`, `days_since_repair`"),
    ("", "method and age of patches", "`cold_patches_365d`; no gain on simulated cities with labels, a little without. Infill is hot mix here and counts as no cold patch; which repair replaced which patch is in no record"),
    ("", "repeats within 5 m in 365 d", "**tried, no gain** on simulated cities, and not as of *t*: a repair that is recorded late changes which holes are *reopened*, and holes move as better places of them come in"),
    ("trenches", "opened area, recent openings", "`trench_area_pct`, `recent_trench_pct`"),
    ("", "years since each cut; cut in the first ten years of a pavement", f"{_NOT_BUILT}: permits have dates only since they are recorded, older cuts are a share in the register; those of two years are `recent_trench_pct`"),
    ("water and ground", "drainage, gullies, trees", "`drainage`, `gully_spacing_m`, `tree_cover_pct`"),
    ("", "distance of the place itself to the next gully", f"{_LACKING}: the register holds their spacing"),
    ("", "slope, sag points, side development", f"{_LACKING}: not among the register's attributes"),
    ("", "ponding seen by cameras", f"{_LACKING}: no class of distress for it; frames tell only how wet they are"),
    ("", "frost × drainage", "**tried, no gain** on simulated cities"),
    ("structure", "thickness, frost deficit, class, width, length", "`thickness_cm`, `frost_deficit_cm`, `pavement_class`, `width_m`, `length_m`"),
    ("", "type of base; voids found by ground radar (GPR)", _LACKING),
    ("memory", "potholes here, open, time since the last", "`potholes_30d`, `potholes_90d`, `potholes_365d_relative`, `potholes_relative`, `potholes_open`, `days_since_pothole`"),
    ("", "potholes within 200 m", "`potholes_200m_relative`"),
    ("", "potholes within 50 m", f"{_NOT_BUILT}: segments are about 100 m long"),
    ("exposure", "passes of cameras, last look", "`good_passes_28d`, `good_passes_90d`, `last_seen_days`"),
    ("", "number of inspections", "**tried, no gain** (those of 90 d, as exposure) on simulated cities; the newest one counts in `last_seen_days`"),
    ("", "density of people who report by app", _LACKING),
    ("laws of other models", "HDM-4's time to and rate of potholing", f"{_NOT_BUILT} as a kernel: its thresholds of cracking are in the prior of `survey_crack_pct`"),
)  # fmt: skip
"""Cause, quantity, and the feature that holds it or why none does."""


def features_page() -> str:
    """The page as Markdown."""
    lines = [_INTRODUCTION, "## Signs", "", "| sign | meaning |", "|---|---|"]
    lines += [f"| {sign} | {meaning} |" for sign, meaning in NOTATION]
    for group in GROUPS:
        lines += ["", f"## {group.capitalize()}", "", GROUP_NOTES[group], ""]
        lines += ["| feature | unit | direction | definition |", "|---|---|---|---|"]
        for feature in FEATURE_SET.features:
            if feature.group == group:
                definition = DEFINITIONS[feature.name]
                text = definition.text + (f" [{definition.source}]" if definition.source else "")
                text = text.replace("|", "\\|")
                lines.append(
                    f"| `{feature.name}`: {feature.label_en} | {feature.unit} | {feature.monotone:+d} | {text} |"
                )
    lines += ["", _PRIORS, "| feature | T | centre | scale | slope | sd | exposure |", "|---|---|---|---|---|---|---|"]
    for name in FEATURE_SET.names:
        e = EFFECTS[name]
        watched = "yes" if e.exposure else ""
        lines.append(
            f"| `{name}` | {_T[e.transform]} | {e.centre:g} | {e.scale:g} | {e.slope:g} | {e.sd:g} | {watched} |"
        )
    lines += ["", "## What physics asks for, and where it is", ""]
    lines += ["What is known to make potholes, and the feature that holds it. What has none says why.", ""]
    lines += ["| cause | quantity | feature, or why not |", "|---|---|---|"]
    lines += [f"| {cause} | {quantity} | {where} |" for cause, quantity, where in WANTED]
    return "\n".join(lines).replace("| +0 |", "| 0 |") + "\n"
