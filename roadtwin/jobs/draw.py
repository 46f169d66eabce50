"""The day's inspections by lot: drawn once a local day, after its first scoring, and kept."""

from datetime import datetime, timedelta
from typing import Any

import psycopg

from models.draw import draw, places_by_lot, seed_of
from models.worklist import WORKS_AHEAD_DAYS, Keeping, hindrances
from roadtwin.settings import Settings
from roadtwin.storage.city import read_city
from roadtwin.storage.inspection_draws import InspectionDraw, read_candidates, read_draw, write_draw

FRAME_HORIZON_DAYS = 28
"""Horizon by which the top is left out of the frame [d]: that of the list unless somebody asks for another."""
FRAME_LENGTH_M = 100
"""Segments that are inspected [m]."""


def draw_inspections(
    conn: psycopg.Connection[Any], settings: Settings, *, score_as_of: datetime, now: datetime
) -> InspectionDraw | None:
    """Draw the segments that are inspected by lot on the local day of `now`, unless that is done; one transaction.

    The frame is every scored segment that the city's crews may inspect, without those at the top of the set of scores:
    these are inspected anyway. None without a city.
    """
    today = now.astimezone(settings.timezone).date()
    with conn.transaction():
        present = read_draw(conn, today)
        city = read_city(conn)
        if present is not None or city is None:
            return present
        candidates = read_candidates(
            conn,
            as_of=score_as_of,
            horizon_days=FRAME_HORIZON_DAYS,
            nominal_length_m=FRAME_LENGTH_M,
            now=now,
            today=today,
            works_until=today + timedelta(days=WORKS_AHEAD_DAYS),
        )
        free = [c for c in candidates if not hindrances(Keeping(c.owner, c.warranty_until, c.works_start_on), today)]
        places = places_by_lot(settings.crew_capacity, settings.random_inspection_share)
        top_count = min(settings.crew_capacity - places, len(free))
        frame = free[top_count:]
        seed = seed_of(city.name, today)
        drawn = draw([c.public_id for c in frame], places, seed=seed)
        record = InspectionDraw(
            day=today,
            drawn_at=now,
            score_as_of=score_as_of,
            seed=seed,
            share=settings.random_inspection_share,
            capacity=settings.crew_capacity,
            top_count=top_count,
            frame_count=len(frame),
            drawn_count=len(drawn),
        )
        if not write_draw(conn, record, [frame[index].segment_id for index in drawn]):
            return read_draw(conn, today)  # another process was quicker
        return record
