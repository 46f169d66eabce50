"""`roadtwin whatif`: what the model expects of some segments if they were treated, or the weather turned."""

import asyncio
import sys
from typing import Annotated

import psycopg
import typer
from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table

from models.weather_scenario import SCENARIO_DAYS, WeatherScenario
from models.whatif_words import Treatment
from roadtwin.cli.common import WIDE, open_database, settings_for_command
from roadtwin.errors import RequestInvalidError, SettingsError
from roadtwin.types import HORIZONS_DAYS
from service.explaining import Explainer
from service.schemas_whatif import MOST_SEGMENTS, Expectation, WhatIf, WhatIfAnswer, WhatIfHorizon
from service.whatif import answer_whatif, check

app = typer.Typer(add_completion=False)

_FIRST = 20
"""Segments in the table; the JSON holds all."""


@app.command(epilog="Example: roadtwin whatif --worst 20 --treatment resurfacing --weather frost_thaw --days 7")
def main(
    segment: Annotated[list[str] | None, typer.Option(help="Public id of a segment; give it several times.")] = None,
    worst: Annotated[
        int | None, typer.Option(min=1, max=MOST_SEGMENTS, help="The so many worst, by risk within the horizon.")
    ] = None,
    district: Annotated[str | None, typer.Option(help="Only in this district.")] = None,
    bbox: Annotated[str | None, typer.Option(help="Only within west,south,east,north [°].")] = None,
    treatment: Annotated[Treatment, typer.Option(help="What is done.")] = Treatment.NONE,
    weather: Annotated[WeatherScenario, typer.Option(help="What the next days bring.")] = WeatherScenario.AS_FORECAST,
    days: Annotated[int, typer.Option(help="How many days that weather lasts: 7 or 28.")] = 7,
    horizon: Annotated[int, typer.Option(help="Horizon of the table, and of the worst, in days: 7, 28 or 90.")] = 28,
    german: Annotated[bool, typer.Option("--german", help="Assumptions in German.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, as /v1/whatif answers.")] = False,
    database_url: Annotated[
        str | None,
        typer.Option(help="Database; else ROADTWIN_DATABASE_URL, else the embedded one.", show_default=False),
    ] = None,
) -> None:
    """Probabilities now, after a weather scenario, and after weather and treatment; nothing is stored."""
    settings = settings_for_command(database_url=database_url)
    if days not in SCENARIO_DAYS:
        raise SettingsError(f"--days: got {days}, expected {' or '.join(map(str, SCENARIO_DAYS))}.")
    if horizon not in HORIZONS_DAYS:
        raise SettingsError(f"--horizon: got {horizon}, expected one of {', '.join(map(str, HORIZONS_DAYS))}.")
    if not segment and worst is None and district is None and bbox is None:
        raise SettingsError("Nothing is selected: give --segment, or some of --worst, --district and --bbox.")
    if segment and len(segment) > MOST_SEGMENTS:
        raise SettingsError(f"--segment: got {len(segment)} segments, expected at most {MOST_SEGMENTS}.")
    question = WhatIf(
        segment_ids=segment or None,
        bbox=bbox,
        district=district,
        worst=worst,
        horizon_days=horizon,
        treatment=treatment,
        weather=weather,
        weather_days=7 if days == 7 else 28,
    )
    try:
        check(question)
    except RequestInvalidError as exc:
        raise SettingsError(str(exc)) from None
    with open_database(settings) as url:
        answer = asyncio.run(_ask(url, question))
    if as_json:
        typer.echo(answer.model_dump_json())
        return
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    console.print(_table(answer, horizon))
    for assumption in answer.assumptions:
        console.print(f"- {assumption.text_de if german else assumption.text_en}", soft_wrap=True)


async def _ask(url: str, question: WhatIf) -> WhatIfAnswer:
    async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row, autocommit=True) as db:
        return await answer_whatif(db, Explainer(), question)


def _cell(expectation: Expectation) -> str:
    return f"{expectation.probability:.1%} ({expectation.probability_low:.1%} … {expectation.probability_high:.1%})"


def _table(answer: WhatIfAnswer, horizon_days: int) -> Table:
    """One row a segment, and the totals."""
    days = f" ({answer.weather_days} d)" if answer.weather is not WeatherScenario.AS_FORECAST else ""
    title = f"P(new pothole within {horizon_days} d), scores as of {answer.score_as_of:%Y-%m-%d %H:%M} UTC"
    table = Table(title=title, caption=f"{answer.matching_count} segments match; {len(answer.segments)} are answered.")
    table.add_column("segment")
    table.add_column("street")
    for heading in ("now", f"{answer.weather}{days}", f"and {answer.treatment}"):
        table.add_column(heading, justify="right")

    def of(horizons: list[WhatIfHorizon]) -> WhatIfHorizon:
        return next(h for h in horizons if h.horizon_days == horizon_days)

    for item in answer.segments[:_FIRST]:
        at = of(item.horizons)
        table.add_row(item.segment_id, item.name, _cell(at.now), _cell(at.untreated), _cell(at.treated))
    total = next(t for t in answer.totals if t.horizon_days == horizon_days)
    table.add_section()
    figures = (f"{value:.2f}" for value in (total.now, total.untreated, total.treated))
    table.add_row("expected new potholes", f"avoided {total.avoided:.2f}", *figures)
    return table
