"""Evaluation over several simulated cities: the gates of the model, as means over worlds.

Each world goes the way of a real city: its registers, records and the messages of the last week are imported into a
database of its own, which is matched, evaluated on the hold-out in space and time, and dropped.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import psycopg
from psycopg import sql

from models.evaluation import HEADLINE, plain
from models.resampling import INTERVAL, over_worlds
from roadtwin.errors import DatabaseUnavailableError
from roadtwin.jobs.evaluate import BLOCK_M, DRAWS, REPORT_VERSION, evaluate
from roadtwin.jobs.evaluate_figures import Measured, triple
from roadtwin.jobs.evaluate_gates import LABELS, coverage_gate, gates_json, gates_of
from roadtwin.jobs.evaluate_truth import MOST_CUTS
from roadtwin.jobs.match import match_new
from roadtwin.jobs.simulated import catch_up, found_city, new_city
from roadtwin.settings import Settings
from roadtwin.storage.database import connect
from roadtwin.storage.migrate import migrate
from simulators.scenario import Scenario

SEED_BITS = 31


def draw_seeds(count: int) -> list[int]:
    """Seeds that nobody knew before."""
    return [secrets.randbits(SEED_BITS) for _ in range(count)]


@contextmanager
def temporary_database(server_url: str) -> Iterator[str]:
    """Address of a new database on the same server, with the present schema; it is dropped in the end.

    Raises DatabaseUnavailableError when the user may not create databases.
    """
    name = f"roadtwin_evaluate_{secrets.token_hex(6)}"
    parts = urlsplit(server_url)
    with connect(server_url, autocommit=True) as conn:
        try:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege:
            raise DatabaseUnavailableError(
                "Worlds need a database each, and this user may not create any: give it the right (ALTER ROLE … "
                "CREATEDB), or leave ROADTWIN_DATABASE_URL out to use the embedded PostgreSQL."
            ) from None
        try:
            url = urlunsplit(parts._replace(path=f"/{name}"))
            migrate(url)
            yield url
        finally:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def evaluate_worlds(
    server_url: str,
    settings: Settings,
    *,
    seeds: Sequence[int],
    length_km: float,
    winters: int,
    until: datetime,
    scenario: Scenario,
    draws: int = DRAWS,
    most_truth_cuts: int = MOST_CUTS,
    on_progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Make a city of each seed, evaluate it, and return the gates and the worlds as one report (plain JSON).

    Parameters
    ----------
    server_url : str
        Any database of the server that is to hold the temporary ones.
    seeds : sequence of int
        One a world.
    length_km : float
        Length of the streets of each. [km]
    winters : int
        Complete winters of history.
    until : datetime
        End of the history.
    scenario : Scenario
        What is special about all of them.
    draws : int
        Resamples of the blocks of each world.
    most_truth_cuts : int
        Beside the truth are so many of the test cuts of each, evenly spaced.
    """
    report = on_progress or (lambda _: None)
    worlds: list[dict[str, Any]] = []
    measured: dict[str, list[list[Measured]]] = {labels: [] for labels in LABELS}
    for number, seed in enumerate(seeds):

        def tell(part: float, number: int = number) -> None:
            report((number + part) / len(seeds))

        simulated = new_city(settings, seed=seed, length_km=length_km, winters=winters, now=until, scenario=scenario)
        with temporary_database(server_url) as url:
            world = found_city(url, settings, simulated)
            catch_up(url, settings, simulated, world, now=until, on_progress=lambda _, part: tell(0.3 * part))
            with connect(url) as conn:
                match_new(conn, settings, now=until)
                conn.commit()
                found = evaluate(
                    conn, settings, now=until, kinds=[HEADLINE], parts=["leaks", "truth"], draws=draws,
                    most_truth_cuts=most_truth_cuts, world=world, on_progress=lambda part: tell(0.3 + 0.7 * part),
                )  # fmt: skip
        for labels in LABELS:
            measured[labels].append(found.beside_truth[labels])
        worlds.append({"seed": seed} | found.report)
    horizons = range(len(measured[LABELS[0]][0]))
    by_horizon = {labels: [[world[h] for world in measured[labels]] for h in horizons] for labels in LABELS}
    gates = [gate for labels in LABELS for of_worlds in by_horizon[labels] for gate in gates_of(of_worlds, labels)]
    for number, of_worlds in enumerate(by_horizon["true"]):
        covered = [world["truth"]["coverage"][number] for world in worlds]
        gates.append(coverage_gate(of_worlds[0].json["horizon_days"], covered))
    result: dict[str, Any] = plain(
        {
            "report_version": REPORT_VERSION,
            "data": "simulated",
            "seeds": list(seeds),
            "length_km": length_km,
            "winters": winters,
            "until": until.isoformat(),
            "scenario": scenario.name,
            "split": {"kind": HEADLINE, "block_m": BLOCK_M},
            "intervals": {"share": INTERVAL, "draws": draws, "over": "worlds and blocks"},
            "passed": {labels: all(gate.passed for gate in gates if gate.labels == labels) for labels in LABELS},
            "gates": gates_json(gates),
            "means": {labels: [_means(of_worlds) for of_worlds in by_horizon[labels]] for labels in LABELS},
            "worlds": worlds,
        }
    )
    return result


def _means(worlds: Sequence[Measured]) -> dict[str, Any]:
    """Mean over worlds of every figure of every forecast, with its interval."""
    forecasts = {}
    for name in worlds[0].draws:
        pairs = [world.draws[name] for world in worlds]
        forecasts[name] = {
            figure: triple(
                over_worlds(
                    np.array([own[figure][0] for own, _ in pairs]), np.stack([draws[figure] for _, draws in pairs])
                )
            )
            for figure in pairs[0][0]
        }
    return {"horizon_days": worlds[0].json["horizon_days"], "forecasts": forecasts}
