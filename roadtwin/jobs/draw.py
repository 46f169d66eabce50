"""The day's inspections by lot: drawn once a local day, after its first scoring, and kept."""

from datetime import datetime, timedelta
from typing import Any

import psycopg

from models.draw import MOST_CAPACITY, draw_for_any, places_by_lot, places_by_risk, seed_of
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
    these are inspected anyway. The top is that of the capacity that a list is asked for, so what is stored is drawn for
    some capacity; the counts are those of the crews' own. None without a city.
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
        capacity, share = settings.crew_capacity, settings.random_inspection_share
        top_count = min(places_by_risk(capacity, share), len(free))
        seed = seed_of(city.name, today)
        drawn = draw_for_any([c.public_id for c in free], max(capacity, MOST_CAPACITY), share, seed=seed)
        record = InspectionDraw(
            day=today,
            drawn_at=now,
            score_as_of=score_as_of,
            seed=seed,
            share=share,
            capacity=capacity,
            top_count=top_count,
            frame_count=len(free) - top_count,
            drawn_count=min(places_by_lot(capacity, share), len(free) - top_count),
        )
        if not write_draw(conn, record, [(free[index].segment_id, index + 1) for index in drawn]):
            return read_draw(conn, today)  # another process was quicker
        return record
