"""The feature set: what the risk model sees of a segment as of a time, in fixed order, with words for people."""

from models.features.feature import GROUPS, Feature, FeatureSet, Group

__all__ = ["FEATURE_SET", "GROUPS", "Feature", "FeatureSet", "Group"]

FEATURE_SET = FeatureSet(
    version=4,
    features=(
        # weather: the same for every segment at one time
        Feature(
            "freeze_thaw_7d", "weather", "d", 1,
            "Frost-Tau-Wechsel (7 Tage)", "Freeze–thaw cycles (7 days)",
            "{value} Frost-Tau-Wechsel in 7 Tagen", "{value} freeze–thaw cycles in 7 days",
            one_de="1 Frost-Tau-Wechsel in 7 Tagen", one_en="1 freeze–thaw cycle in 7 days",
        ),
        Feature(
            "freeze_thaw_14d", "weather", "d", 1,
            "Frost-Tau-Wechsel (14 Tage)", "Freeze–thaw cycles (14 days)",
            "{value} Frost-Tau-Wechsel in 14 Tagen", "{value} freeze–thaw cycles in 14 days",
            one_de="1 Frost-Tau-Wechsel in 14 Tagen", one_en="1 freeze–thaw cycle in 14 days",
        ),
        Feature(
            "freeze_thaw_30d", "weather", "d", 1,
            "Frost-Tau-Wechsel (30 Tage)", "Freeze–thaw cycles (30 days)",
            "{value} Frost-Tau-Wechsel in 30 Tagen", "{value} freeze–thaw cycles in 30 days",
            one_de="1 Frost-Tau-Wechsel in 30 Tagen", one_en="1 freeze–thaw cycle in 30 days",
        ),
        Feature(
            "freeze_thaw_90d", "weather", "d", 1,
            "Frost-Tau-Wechsel (90 Tage)", "Freeze–thaw cycles (90 days)",
            "{value} Frost-Tau-Wechsel in 90 Tagen", "{value} freeze–thaw cycles in 90 days",
            one_de="1 Frost-Tau-Wechsel in 90 Tagen", one_en="1 freeze–thaw cycle in 90 days",
        ),
        Feature(
            "frost_index_30d_cd", "weather", "°C·d", 1,
            "Frostindex (30 Tage)", "Frost index (30 days)",
            "Frostindex {value} °C·d in 30 Tagen", "frost index of {value} °C·d in 30 days",
        ),
        Feature(
            "frost_index_180d_cd", "weather", "°C·d", 1,
            "Frostindex (180 Tage)", "Frost index (180 days)",
            "Frostindex {value} °C·d in 180 Tagen", "frost index of {value} °C·d in 180 days",
        ),
        Feature(
            "thaw_index_cd", "weather", "°C·d", 0,
            "Tauindex seit dem letzten Frosttag", "Thaw index since the last freezing day",
            "Tauindex {value} °C·d seit dem letzten Frosttag", "thaw index of {value} °C·d since the last freezing day",
        ),
        Feature(
            "days_since_thaw", "weather", "d", 0,
            "Tage seit Beginn des Tauens", "Days since the thaw began",
            "Tauen seit {value} Tagen", "thawing for {value} days",
            one_de="Tauen seit 1 Tag", one_en="thawing for 1 day",
        ),
        Feature(
            "mean_temp_14d_c", "weather", "°C", -1,
            "Mitteltemperatur (14 Tage)", "Mean temperature (14 days)",
            "im Mittel {value} °C in 14 Tagen", "mean of {value} °C in 14 days", 1,
        ),
        Feature(
            "rain_3d_mm", "weather", "mm", 1,
            "Niederschlag (3 Tage)", "Rain (3 days)",
            "{value} mm Niederschlag in 3 Tagen", "{value} mm of rain in 3 days",
        ),
        Feature(
            "rain_7d_mm", "weather", "mm", 1,
            "Niederschlag (7 Tage)", "Rain (7 days)",
            "{value} mm Niederschlag in 7 Tagen", "{value} mm of rain in 7 days",
        ),
        Feature(
            "rain_30d_mm", "weather", "mm", 1,
            "Niederschlag (30 Tage)", "Rain (30 days)",
            "{value} mm Niederschlag in 30 Tagen", "{value} mm of rain in 30 days",
        ),
        Feature(
            "antecedent_precipitation_mm", "weather", "mm", 1,
            "Vorregenindex", "Antecedent precipitation index",
            "Vorregenindex {value} mm", "antecedent precipitation index of {value} mm",
        ),
        Feature(
            "rain_then_frost_30d", "weather", "d", 1,
            "Frost auf nasser Straße (30 Tage)", "Frost on a wet road (30 days)",
            "an {value} von 30 Tagen Frost auf nasser Straße", "frost on a wet road on {value} of 30 days",
        ),
        Feature(
            "forecast_freeze_thaw_7d", "weather", "d", 1,
            "Frost-Tau-Wechsel (Vorhersage, 7 Tage)", "Freeze–thaw cycles (forecast, 7 days)",
            "{value} Frost-Tau-Wechsel in 7 Tagen vorhergesagt", "{value} freeze–thaw cycles forecast in 7 days", 1,
        ),
        Feature(
            "forecast_mean_temp_7d_c", "weather", "°C", -1,
            "Mitteltemperatur (Vorhersage, 7 Tage)", "Mean temperature (forecast, 7 days)",
            "im Mittel {value} °C in 7 Tagen vorhergesagt", "mean of {value} °C forecast for 7 days", 1,
        ),
        Feature(
            "forecast_rain_7d_mm", "weather", "mm", 1,
            "Niederschlag (Vorhersage, 7 Tage)", "Rain (forecast, 7 days)",
            "{value} mm Niederschlag in 7 Tagen vorhergesagt", "{value} mm of rain forecast in 7 days",
        ),
        Feature(
            "season_sin", "weather", "1", 0,
            "Jahreszeit (Sinus)", "Season (sine)",
            "Jahreszeit", "season", 2,
        ),
        Feature(
            "season_cos", "weather", "1", 0,
            "Jahreszeit (Kosinus)", "Season (cosine)",
            "Jahreszeit", "season", 2,
        ),
        # wear: what the road brings along
        Feature(
            "wearing_course_age_years", "wear", "a", 1,
            "Alter der Deckschicht", "Age of the wearing course",
            "Deckschicht {value} Jahre alt", "wearing course {value} years old",
            one_de="Deckschicht 1 Jahr alt", one_en="wearing course 1 year old",
        ),
        Feature(
            "pavement_age_years", "wear", "a", 1,
            "Alter des Oberbaus", "Age of the pavement",
            "Oberbau {value} Jahre alt", "pavement {value} years old",
            one_de="Oberbau 1 Jahr alt", one_en="pavement 1 year old",
        ),
        Feature(
            "design_load_used_pct", "wear", "%", 1,
            "Verbrauchte Bemessungsbelastung", "Design load used",
            "{value} % der Bemessungsbelastung verbraucht", "{value} % of the design load used",
        ),
        Feature(
            "pavement_class", "wear", "1", 0,
            "Belastungsklasse (Rang, Bk0,3 = 0)", "Pavement class (rank, Bk0.3 = 0)",
            "Belastungsklasse {value}", "pavement class {value}",
        ),
        Feature(
            "heavy_vehicles_per_day", "wear", "1/d", 1,
            "Schwerverkehr", "Heavy vehicles",
            "{value} Schwerfahrzeuge am Tag", "{value} heavy vehicles a day",
            one_de="1 Schwerfahrzeug am Tag", one_en="1 heavy vehicle a day",
        ),
        Feature(
            "axle_passes_per_day", "wear", "1/d", 1,
            "Achsübergänge (10 t) je Tag", "Axle passes (10 t) a day",
            "{value} Achsübergänge (10 t) am Tag", "{value} axle passes (10 t) a day",
            one_de="1 Achsübergang (10 t) am Tag", one_en="1 axle pass (10 t) a day",
        ),
        Feature(
            "bus_route", "wear", "1", 1,
            "Busverkehr", "Bus route",
            "Buslinie: {value}", "bus route: {value}",
        ),
        Feature(
            "trench_area_pct", "wear", "%", 1,
            "Aufbrüche (Fläche)", "Trenches (area)",
            "Aufbrüche auf {value} % der Fläche", "trenches over {value} % of the area",
        ),
        Feature(
            "recent_trench_pct", "wear", "%", 1,
            "Neue Aufbrüche (2 Jahre)", "Recent openings (2 years)",
            "{value} % der Fläche in 2 Jahren aufgebrochen", "{value} % of the area opened within 2 years", 1,
        ),
        Feature(
            "thickness_cm", "wear", "cm", 0,
            "Dicke des frostsicheren Aufbaus", "Frost-safe thickness built",
            "{value} cm frostsicherer Aufbau", "{value} cm of frost-safe structure",
        ),
        Feature(
            "frost_deficit_cm", "wear", "cm", 1,
            "Fehlende frostsichere Dicke", "Missing frost-safe thickness",
            "frostsicherer Aufbau {value} cm zu dünn", "pavement {value} cm too thin for frost",
        ),
        Feature(
            "drainage", "wear", "1", 1,
            "Entwässerung (0 gut, 2 schlecht)", "Drainage (0 good, 2 poor)",
            "Entwässerung {value}", "drainage {value}",
        ),
        Feature(
            "gully_spacing_m", "wear", "m", 1,
            "Abstand der Straßenabläufe", "Spacing of gullies",
            "Straßenabläufe alle {value} m", "a gully every {value} m",
        ),
        Feature(
            "tree_cover_pct", "wear", "%", 0,
            "Baumüberdeckung", "Tree cover",
            "Baumüberdeckung {value} %", "tree cover of {value} %",
        ),
        Feature(
            "width_m", "wear", "m", 0,
            "Fahrbahnbreite", "Width of the carriageway",
            "Fahrbahn {value} m breit", "carriageway {value} m wide", 1,
        ),
        Feature(
            "length_m", "wear", "m", 1,
            "Länge des Abschnitts", "Length of the segment",
            "Abschnitt {value} m lang", "segment {value} m long",
        ),
        Feature(
            "survey_crack_pct", "wear", "%", 1,
            "Rissfläche (Zustandserfassung)", "Cracked area (survey)",
            "{value} % Risse bei der Zustandserfassung", "{value} % cracked when surveyed",
        ),
        Feature(
            "survey_patch_pct", "wear", "%", 0,
            "Flickfläche (Zustandserfassung)", "Patched area (survey)",
            "{value} % Flicken bei der Zustandserfassung", "{value} % patched when surveyed",
        ),
        Feature(
            "survey_rut_depth_mm", "wear", "mm", 0,
            "Spurrinnentiefe (Zustandserfassung)", "Rut depth (survey)",
            "Spurrinnen von {value} mm bei der Zustandserfassung", "ruts of {value} mm when surveyed", 1,
        ),
        Feature(
            "survey_total_grade", "wear", "1", 0,
            "Gesamtwert (Zustandserfassung)", "Total grade (survey)",
            "Gesamtwert {value} bei der Zustandserfassung", "total grade of {value} when surveyed", 1,
        ),
        Feature(
            "survey_age_years", "wear", "a", 0,
            "Alter der Zustandserfassung", "Age of the survey",
            "Zustandserfassung vor {value} Jahren", "surveyed {value} years ago", 1,
        ),
        # memory: what happened here before
        Feature(
            "potholes_30d", "memory", "1", 1,
            "Schlaglöcher hier (30 Tage)", "Potholes here (30 days)",
            "{value} Schlaglöcher hier in 30 Tagen", "{value} potholes here in 30 days",
            one_de="1 Schlagloch hier in 30 Tagen", one_en="1 pothole here in 30 days",
        ),
        Feature(
            "potholes_90d", "memory", "1", 1,
            "Schlaglöcher hier (90 Tage)", "Potholes here (90 days)",
            "{value} Schlaglöcher hier in 90 Tagen", "{value} potholes here in 90 days",
            one_de="1 Schlagloch hier in 90 Tagen", one_en="1 pothole here in 90 days",
        ),
        Feature(
            "potholes_365d_relative", "memory", "1", 1,
            "Schlaglöcher hier gegen das Stadtmittel (365 Tage)", "Potholes here against the city's mean (365 days)",
            "{value}-mal so viele Schlaglöcher wie im Stadtmittel (365 Tage)",
            "{value} times as many potholes as the city's average (365 days)", 1,
        ),
        Feature(
            "potholes_relative", "memory", "1", 1,
            "Schlaglöcher hier gegen das Stadtmittel (je bekannt)",
            "Potholes here against the city's mean (ever known)",
            "{value}-mal so viele Schlaglöcher wie im Stadtmittel (alle Jahre)",
            "{value} times as many potholes as the city's average (all years)", 1,
        ),
        Feature(
            "potholes_200m_relative", "memory", "1", 1,
            "Schlaglöcher im Umkreis von 200 m gegen das Stadtmittel (365 Tage)",
            "Potholes within 200 m against the city's mean (365 days)",
            "im Umkreis von 200 m {value}-mal so viele Schlaglöcher wie im Stadtmittel",
            "{value} times as many potholes within 200 m as the city's average", 1,
        ),
        Feature(
            "potholes_open", "memory", "1", 0,
            "Offene Schlaglöcher hier", "Open potholes here",
            "{value} offene Schlaglöcher hier", "{value} open potholes here",
            one_de="1 offenes Schlagloch hier", one_en="1 open pothole here",
        ),
        Feature(
            "days_since_pothole", "memory", "d", -1,
            "Tage seit dem letzten Schlagloch hier", "Days since the last pothole here",
            "letztes Schlagloch hier vor {value} Tagen", "last pothole here {value} days ago",
            one_de="letztes Schlagloch hier vor 1 Tag", one_en="last pothole here 1 day ago",
        ),
        Feature(
            "repairs_90d", "memory", "1", 0,
            "Reparaturen hier (90 Tage)", "Repairs here (90 days)",
            "{value} Reparaturen hier in 90 Tagen", "{value} repairs here in 90 days",
            one_de="1 Reparatur hier in 90 Tagen", one_en="1 repair here in 90 days",
        ),
        Feature(
            "days_since_repair", "memory", "d", 0,
            "Tage seit der letzten Reparatur hier", "Days since the last repair here",
            "letzte Reparatur hier vor {value} Tagen", "last repair here {value} days ago",
            one_de="letzte Reparatur hier vor 1 Tag", one_en="last repair here 1 day ago",
        ),
        Feature(
            "cold_patches_365d", "memory", "1", 1,
            "Kaltflicken hier (365 Tage)", "Cold patches here (365 days)",
            "{value} Kaltflicken hier in 365 Tagen", "{value} cold patches here in 365 days",
            one_de="1 Kaltflicken hier in 365 Tagen", one_en="1 cold patch here in 365 days",
        ),
        # camera: what was seen, and how much was looked
        Feature(
            "linear_cracks_per_pass", "camera", "1", 1,
            "Längs- und Querrisse je Befahrung", "Linear cracks per pass",
            "{value} Längs- und Querrisse je Befahrung", "{value} linear cracks per pass", 2,
        ),
        Feature(
            "alligator_cracks_per_pass", "camera", "1", 1,
            "Netzrisse je Befahrung", "Alligator cracks per pass",
            "{value} Netzrisse je Befahrung", "{value} alligator cracks per pass", 2,
        ),
        Feature(
            "roughness_mps2", "camera", "m/s²", 1,
            "Unebenheit (Beschleunigung)", "Roughness (acceleration)",
            "Unebenheit {value} m/s²", "roughness of {value} m/s²", 2,
        ),
        Feature(
            "good_passes_28d", "camera", "1", 0,
            "Gute Befahrungen (28 Tage)", "Good passes (28 days)",
            "{value} gute Befahrungen in 28 Tagen", "{value} good passes in 28 days",
            one_de="1 gute Befahrung in 28 Tagen", one_en="1 good pass in 28 days",
        ),
        Feature(
            "good_passes_90d", "camera", "1", 0,
            "Gute Befahrungen (90 Tage)", "Good passes (90 days)",
            "{value} gute Befahrungen in 90 Tagen", "{value} good passes in 90 days",
            one_de="1 gute Befahrung in 90 Tagen", one_en="1 good pass in 90 days",
        ),
        Feature(
            "last_seen_days", "camera", "d", 0,
            "Tage seit der letzten Sichtung", "Days since last seen",
            "zuletzt vor {value} Tagen gesehen", "last seen {value} days ago",
            one_de="zuletzt vor 1 Tag gesehen", one_en="last seen 1 day ago",
        ),
        # sensors: what LoRaWAN devices measured, spread to all segments
        Feature(
            "surface_freeze_thaw_7d", "sensors", "1", 1,
            "Frost-Tau-Wechsel der Fahrbahn (7 Tage)", "Freeze–thaw cycles of the surface (7 days)",
            "{value} Frost-Tau-Wechsel der Fahrbahn in 7 Tagen",
            "{value} freeze–thaw cycles of the surface in 7 days",
            one_de="1 Frost-Tau-Wechsel der Fahrbahn in 7 Tagen",
            one_en="1 freeze–thaw cycle of the surface in 7 days",
        ),
        Feature(
            "surface_freeze_thaw_30d", "sensors", "1", 1,
            "Frost-Tau-Wechsel der Fahrbahn (30 Tage)", "Freeze–thaw cycles of the surface (30 days)",
            "{value} Frost-Tau-Wechsel der Fahrbahn in 30 Tagen",
            "{value} freeze–thaw cycles of the surface in 30 days",
            one_de="1 Frost-Tau-Wechsel der Fahrbahn in 30 Tagen",
            one_en="1 freeze–thaw cycle of the surface in 30 days",
        ),
        Feature(
            "surface_freeze_thaw_90d", "sensors", "1", 1,
            "Frost-Tau-Wechsel der Fahrbahn (90 Tage)", "Freeze–thaw cycles of the surface (90 days)",
            "{value} Frost-Tau-Wechsel der Fahrbahn in 90 Tagen",
            "{value} freeze–thaw cycles of the surface in 90 days",
            one_de="1 Frost-Tau-Wechsel der Fahrbahn in 90 Tagen",
            one_en="1 freeze–thaw cycle of the surface in 90 days",
        ),
        Feature(
            "surface_minimum_7d_c", "sensors", "°C", 0,
            "Tiefste Fahrbahntemperatur (7 Tage)", "Lowest surface temperature (7 days)",
            "tiefste Fahrbahntemperatur {value} °C in 7 Tagen", "lowest surface temperature of {value} °C in 7 days",
        ),
        Feature(
            "base_moisture_pct", "sensors", "%", 1,
            "Feuchte der Tragschicht", "Moisture of the base",
            "Feuchte der Tragschicht {value} %", "moisture of the base of {value} %",
        ),
        Feature(
            "base_moisture_trend_30d_pct", "sensors", "%", 0,
            "Änderung der Feuchte der Tragschicht (30 Tage)", "Change of the base's moisture (30 days)",
            "Feuchte der Tragschicht um {value} Prozentpunkte verändert in 30 Tagen",
            "moisture of the base changed by {value} percentage points in 30 days", 1,
        ),
        Feature(
            "base_moisture_anomaly_pct", "sensors", "%", 1,
            "Feuchte der Tragschicht gegenüber der Jahreszeit", "Moisture of the base against the season",
            "Feuchte der Tragschicht {value} Prozentpunkte über dem Üblichen der Jahreszeit",
            "moisture of the base {value} percentage points above what is usual in the season", 1,
        ),
    ),
)  # fmt: skip
