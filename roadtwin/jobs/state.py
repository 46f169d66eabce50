"""Refreshing the twin state: everything known of each segment now, with its uncertainty, count, age and source."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import psycopg

from roadtwin.settings import Settings
from roadtwin.storage.twin import StateRow, write_state
from roadtwin.storage.twin_facts import read_parameters_time
from roadtwin.twin.compute import learn_parameters, read_network, state_entries, state_of
from roadtwin.twin.parameters import Parameters, read_parameters, write_parameters
from roadtwin.twin.setting import Network, Setting

LEARN_EVERY = timedelta(hours=20)
"""Parameters of the city are learnt anew when they are older: once a day, if the state is refreshed hourly."""


@dataclass(frozen=True, slots=True)
class StateCounts:
    """What was refreshed; `graded` segments have a condition grade, of the others none is known."""

    segments: int
    graded: int
    as_of: datetime


def refresh_state(conn: psycopg.Connection[Any], settings: Settings, *, now: datetime) -> StateCounts:
    """Write the state of every segment as known at `now`, and the snapshot of its local day; one transaction.

    Only what was recorded by `now` is used, and of devices only confirmed ones. A quantity that nobody measured has
    the value null and the source "none": unknown is never good.
    """
    with conn.transaction():
        network = read_network(conn, now=now)
        if not network.segments:
            return StateCounts(0, 0, now)
        parameters = current_parameters(conn, network, settings, now=now)
        quantities = state_of(Setting(conn, network, network, settings.timezone, now, parameters))
        grade = quantities["condition_grade"]
        rows = (
            StateRow(
                segment_id=segment.segment_id,
                as_of=now,
                state=msgspec.json.encode(state).decode(),
                condition_grade=state["condition_grade"]["value"],
                evidence_count=count,
                newest_evidence_at=newest_at,
            )
            for segment, state, count, newest_at in zip(
                network.segments, state_entries(quantities), grade.count, grade.newest_at, strict=True
            )
        )
        write_state(conn, rows)
    return StateCounts(len(network.segments), int(np.isfinite(grade.value).sum()), now)


def current_parameters(
    conn: psycopg.Connection[Any], network: Network, settings: Settings, *, now: datetime
) -> Parameters:
    """Parameters of the city, learnt and kept anew when the newest are a day old. Part of the caller's transaction."""
    learnt_at = read_parameters_time(conn, now=now)
    if learnt_at is not None and now - learnt_at < LEARN_EVERY:
        return read_parameters(conn, now=now)
    parameters = learn_parameters(conn, network, zone=settings.timezone, now=now)
    write_parameters(conn, parameters, as_of=now)
    return parameters
