"""The model card for people: the card of the model in use, how it does, and how it came into use, in two languages."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from roadtwin.reporting.words import Number
from service.document import Block, Bullets, Document, Paragraph, Section, Table

Language = Literal["de", "en"]

_WORDS: dict[str, tuple[str, str]] = {
    "title": ("Modellkarte", "Model card"),
    "run": (
        "Modelllauf {model_run_id}, trainiert am {trained}, Daten bis {until}.",
        "Model run {model_run_id}, trained on {trained}, data until {until}.",
    ),
    "use": ("Wofür", "Intended use"),
    "data": ("Daten", "Data"),
    "data_simulated": ("Simulierte Daten.", "Simulated data."),
    "data_recorded": ("Erfasste Daten einer Stadt.", "Recorded data of a city."),
    "data_window": (
        "{start} bis {end}, darin {winters} Winter; {segments} Abschnitte, {rows} Zeilen, {potholes} Schlaglöcher.",
        (
            "{start} to {end}, with {winters} {winters:winter|winters}; {segments} segments, {rows} rows, "
            "{potholes} potholes."
        ),
    ),
    "positives": (
        "Zeilen mit neuem Schlagloch: {told}. Fenster, in denen niemand hinsah, sind unbekannt und nicht dabei.",
        "Rows with a new pothole: {told}. Windows in which nobody looked are unknown and left out.",
    ),
    "skill": ("Güte auf dem, was zurückgehalten wurde", "Skill on what was held out"),
    "skill_window": ("Geprüft auf {first} bis {last}. {notice}", "Tested on {first} to {last}. {notice}"),
    "horizon": ("Horizont", "Horizon"),
    "forecast": ("Vorhersage", "Forecast"),
    "days": ("{n} Tage", "{n} days"),
    "model": ("Modell", "model"),
    "climatology": ("Klimatologie", "climatology"),
    "count_so_far": ("bisherige Anzahl", "count so far"),
    "visible_damage": ("sichtbare Schäden", "visible damage"),
    "logistic_six": ("logistisch, sechs Merkmale", "logistic, six features"),
    "brier_skill": ("Brier-Skill", "Brier skill"),
    "ratio": ("vorhergesagt/beobachtet", "predicted/observed"),
    "lift": ("Lift bei 10 %", "lift at 10 %"),
    "calibration": ("Kalibrierung", "Calibration"),
    "slope": ("Steigung", "slope"),
    "bin_error": ("Fehler über zehn Klassen", "error over ten bins"),
    "season": ("{n} Tage nach Jahreszeit", "{n} days by season"),
    "winter": ("Winter", "winter"),
    "spring": ("Frühling", "spring"),
    "summer": ("Sommer", "summer"),
    "autumn": ("Herbst", "autumn"),
    "predicted": ("vorhergesagt", "predicted"),
    "observed": ("beobachtet", "observed"),
    "limits": ("Grenzen", "Limits"),
    "now": ("Im Einsatz", "In use"),
    "not_monitored": ("Noch nicht überwacht.", "Not monitored yet."),
    "monitored": (
        "Stand {at}: Bewertungen, deren Fenster seit {since} abgeschlossen wurden.",
        "As of {at}: scores whose windows were settled since {since}.",
    ),
    "versus_climatology": ("Brier-Skill gegen Klimatologie", "Brier skill against climatology"),
    "no_alarm": ("Kein Alarm.", "No alarm."),
    "few": ("zu wenige zum Urteilen", "too few to judge"),
    "came": ("Wie es in Einsatz kam", "How it came into use"),
    "first": (
        "Kein Vergleich: das erste Modell oder von Hand aktiviert.",
        "No comparison: the first, or activated by hand.",
    ),
    "compared": ("Vergleich {n} am {at}: {verdict}", "Comparison {n} on {at}: {verdict}"),
    "made": ("Wie es gemacht ist", "How it is made"),
    "features": ("Merkmale: {told}", "Features: {told}"),
    "group_weather": ("Wetter", "weather"),
    "group_wear": ("Straße und Abnutzung", "road and wear"),
    "group_memory": ("Gedächtnis", "memory"),
    "group_camera": ("Kamera", "camera"),
    "group_sensors": ("Sensoren", "sensors"),
    "code": ("Code {code}, Bibliotheken {libraries}.", "Code {code}, libraries {libraries}."),
    "code_unknown": ("nicht festgehalten", "not recorded"),
    "artefact": (
        "Modelldatei {n} Byte, SHA-256 {sha}; Merkmalssatz {features}, Schlagloch-Regel {rule}.",
        "Model file of {n} bytes, SHA-256 {sha}; feature set {features}, pothole rule {rule}.",
    ),
}


def model_document(
    model: Mapping[str, Any],
    monitoring: Mapping[str, Any] | None,
    comparisons: Sequence[Mapping[str, Any]],
    language: Language,
) -> Document:
    """The page of a model.

    Parameters
    ----------
    model, monitoring, comparisons
        Answers of `/v1/model`, `/v1/model/monitoring` (None: not monitored) and `/v1/model/comparisons`.
    language
        What a card of an earlier version does not hold has no section.
    """
    return _Page(language).document(model, monitoring, comparisons)


class _Page:
    """Words and numbers of one language."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._index = 0 if language == "de" else 1

    def document(
        self, model: Mapping[str, Any], monitoring: Mapping[str, Any] | None, comparisons: Sequence[Mapping[str, Any]]
    ) -> Document:
        card = model["card"]
        trained, until = self._day(model["trained_at"]), self._day(model["data_until"])
        head: list[Block] = [
            Paragraph(self._t("run", model_run_id=model["model_run_id"], trained=trained, until=until))
        ]
        if notice := self._of(card, "notice"):
            head.insert(0, Paragraph(notice, strong=True))
        if notice := self._of(card.get("learned") or {}, "notice"):
            head.insert(0, Paragraph(notice, strong=True))
        sections = [
            Section("", tuple(head)),
            Section(self._t("use"), self._texts(card, "intended_use", "not_for")),
            Section(self._t("data"), self._data(card)),
            Section(self._t("skill"), self._skill(card)),
            Section(self._t("calibration"), self._calibration(card)),
            Section(self._t("now"), self._monitoring(monitoring)),
            Section(self._t("came"), self._comparison(model["model_run_id"], comparisons)),
            Section(self._t("limits"), self._limits(card)),
            Section(self._t("made"), self._made(model)),
        ]
        return Document(self._t("title"), self._language, tuple(section for section in sections if section.blocks))

    def _t(self, key: str, **values: object) -> str:
        return _WORDS[key][self._index].format(**values)

    def _of(self, card: Mapping[str, Any], name: str) -> str:
        return str(card.get(f"{name}_{self._language}", ""))

    def _texts(self, card: Mapping[str, Any], *names: str) -> tuple[Block, ...]:
        return tuple(Paragraph(text) for name in names if (text := self._of(card, name)))

    def _day(self, at: datetime | str) -> str:
        day = at.date().isoformat() if isinstance(at, datetime) else at[:10]
        year, month, date = day.split("-")
        return f"{date}.{month}.{year}" if self._language == "de" else day

    def _number(self, value: float | None, digits: int = 0) -> str:
        if value is None:
            return "–"
        text = f"{value:,.{digits}f}"
        return text.translate(str.maketrans(",.", ".,")) if self._language == "de" else text

    def _data(self, card: Mapping[str, Any]) -> tuple[Block, ...]:
        if "data_window" not in card:
            return ()
        window = card["data_window"]
        counts = {name: self._number(card[name]) for name in ("segments", "rows", "potholes")}
        told = ", ".join(f"{self._t('days', n=h)}: {self._number(count)}" for h, count in card["positives"].items())
        simulated = self._of(card, "simulated")
        start, end = self._day(window["from"]), self._day(window["until"])
        winters = Number(window["winters"], comma=self._language == "de")
        return (
            Paragraph(simulated or self._t(f"data_{card['data']}")),
            Paragraph(self._t("data_window", start=start, end=end, winters=winters, **counts)),
            Paragraph(self._t("positives", told=told)),
        )

    def _skill(self, card: Mapping[str, Any]) -> tuple[Block, ...]:
        holdouts = [holdout for holdout in (card.get("holdout"), *card.get("holdouts_beside", ())) if holdout]
        missing = [Paragraph(self._of(one, "reason")) for one in card.get("holdouts_missing", ())]
        return (*(block for holdout in holdouts for block in self._holdout(holdout)), *missing)

    def _holdout(self, holdout: Mapping[str, Any]) -> tuple[Block, ...]:
        rows: list[tuple[str, ...]] = []
        strong: list[int] = []
        for horizon in holdout["horizons"]:
            strong.append(len(rows))  # the model, before its baselines
            for name, skill in {"model": horizon["model"], **horizon["baselines"]}.items():
                figures = (skill["roc_auc"], skill["pr_auc"], skill["brier_skill"])
                rows.append(
                    (
                        self._t("days", n=horizon["horizon_days"]),
                        self._t(name) if name in _WORDS else name,
                        *(self._number(figure, 3) for figure in figures),
                        self._number(skill["predicted_over_observed"], 2),
                        self._number(skill["at_10_pct"]["lift"], 1),
                    )
                )
        headings = ("horizon", "forecast", "ROC-AUC", "PR-AUC", "brier_skill", "ratio", "lift")
        first, last = self._day(holdout["first_test_cut"]), self._day(holdout["last_test_cut"])
        window = self._t("skill_window", first=first, last=last, notice=self._of(holdout, "notice"))
        what = (Paragraph(self._of(holdout, "what")),) if "what_en" in holdout else ()
        words = tuple(self._t(heading) if heading in _WORDS else heading for heading in headings)
        return *what, Paragraph(window), Table(words, tuple(rows), strong=frozenset(strong))

    def _calibration(self, card: Mapping[str, Any]) -> tuple[Block, ...]:
        if not card.get("holdout"):
            return ()
        horizons = card["holdout"]["horizons"]
        rows = tuple(
            (
                self._t("days", n=h["horizon_days"]),
                self._number(h["model"]["predicted_over_observed"], 2),
                self._number(h["model"]["calibration_slope"], 2),
                self._number(h["model"]["bin_error"], 2),
            )
            for h in horizons
        )
        headings = tuple(self._t(name) for name in ("horizon", "ratio", "slope", "bin_error"))
        middle = horizons[len(horizons) // 2]
        seasons = tuple(
            (
                self._t(season),
                self._number(balance["predicted"]),
                self._number(balance["observed"]),
                self._number(balance["ratio"], 2),
            )
            for season, balance in middle["by_season"].items()
        )
        title = self._t("season", n=middle["horizon_days"])
        return Table(headings, rows), Table((title, *map(self._t, ("predicted", "observed", "ratio"))), seasons)

    def _monitoring(self, monitoring: Mapping[str, Any] | None) -> tuple[Block, ...]:
        if monitoring is None:
            return (Paragraph(self._t("not_monitored")),)
        at, since = self._day(monitoring["monitored_at"]), self._day(monitoring["window_from"])
        rows = tuple(
            (
                self._t("days", n=h["horizon_days"]),
                self._number(h["predicted"]),
                self._number(h["observed"]),
                self._number(h["predicted_over_observed"], 2) if h["judged"] else self._t("few"),
                self._number(h["brier_skill"], 3) if h["judged"] else "–",
            )
            for h in monitoring["horizons"]
        )
        names = ("horizon", "predicted", "observed", "ratio", "versus_climatology")
        alarms = tuple(str(alarm[f"text_{self._language}"]) for alarm in monitoring["alarms"])
        return (
            Paragraph(self._t("monitored", at=at, since=since)),
            Table(tuple(map(self._t, names)), rows),
            Bullets(alarms) if alarms else Paragraph(self._t("no_alarm")),
        )

    def _comparison(self, model_run_id: int, comparisons: Sequence[Mapping[str, Any]]) -> tuple[Block, ...]:
        own = [c for c in comparisons if model_run_id in (c["champion_run_id"], c["challenger_run_id"])]
        if not own:
            return (Paragraph(self._t("first")),)
        told = (
            self._t(
                "compared",
                n=c["model_comparison_id"],
                at=self._day(c["compared_at"]),
                verdict=c[f"verdict_{self._language}"],
            )
            for c in own
        )
        return (Bullets(tuple(told)),)

    def _limits(self, card: Mapping[str, Any]) -> tuple[Block, ...]:
        limits = card.get("limits_de" if self._language == "de" else "limits") or card.get("limits", ())
        return (Bullets(tuple(limits)),) if limits else ()

    def _made(self, model: Mapping[str, Any]) -> tuple[Block, ...]:
        card = model["card"]
        groups: dict[str, int] = {}
        for feature in card.get("feature_set", {}).get("features", ()):
            groups[feature["group"]] = groups.get(feature["group"], 0) + 1
        libraries = ", ".join(f"{name} {version}" for name, version in model["library_versions"].items())
        artefact = self._t(
            "artefact",
            n=self._number(model["artefact_bytes"]),
            sha=model["artefact_sha256"],
            features=model["feature_set_version"],
            rule=model["rule_version"],
        )
        code = model["code_version"] or self._t("code_unknown")
        blocks: list[Block] = []
        if "estimator" in card:
            kind = str(self._of(card["estimator"], "kind") or card["estimator"]["kind"])
            blocks.append(Paragraph(f"{kind[:1].upper()}{kind[1:]}."))
        if groups:
            told = ", ".join(
                f"{self._t(f'group_{group}') if f'group_{group}' in _WORDS else group} {count}"
                for group, count in groups.items()
            )
            blocks.append(Paragraph(self._t("features", told=told)))
        return (*blocks, Paragraph(self._t("code", code=code, libraries=libraries)), Paragraph(artefact))
