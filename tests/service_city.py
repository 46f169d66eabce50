"""A small city in the database for tests of the service: 24 segments with scores, potholes, evidence and messages."""

import hashlib
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import numpy as np
import psycopg
import shapely
from psycopg.types.json import Jsonb

from roadtwin.network.sections import RoadSection
from roadtwin.network.split import split_network

NAMESPACE = UUID("6a0d0c1e-5d1f-4a3b-9a6e-1f0c6f2f7b11")
ZONE = ZoneInfo("Europe/Berlin")
KEYS = {"viewer": "viewer-key-for-tests", "editor": "editor-key-for-tests", "operator": "operator-key-for-tests"}
LON_0, LAT_0 = 7.0, 51.45
METRE_LON, METRE_LAT = 1 / 69_290, 1 / 111_195

STREETS = (
    # name, district, class, owner, metres east and north of the origin, direction
    ("Alfredstraße", "Rüttenscheid", "main", None, (0, 0), "east"),
    ("Rüttenscheider Straße", "Rüttenscheid", "collector", None, (0, 250), "east"),
    ("Zweigertstraße", "Rüttenscheid", "residential", None, (0, 500), "east"),
    ("Frankenstraße", "Bredeney", "main", "Straßen.NRW", (0, 0), "north"),
    ("Meisenburgstraße", "Bredeney", "residential", None, (250, 0), "north"),
    ("Am Ruhrstein", "Bredeney", "residential", None, (500, 0), "north"),
)
WARRANTY_STREET = "Am Ruhrstein"


def uid(name: str) -> UUID:
    """The same name, the same id."""
    return uuid5(NAMESPACE, name)


@dataclass
class City:
    """What was put in, for assertions."""

    now: datetime
    as_of: datetime
    segment_ids: dict[str, int] = field(default_factory=dict)
    by_rank: list[str] = field(default_factory=list)
    potholes: dict[str, UUID] = field(default_factory=dict)
    middles: dict[str, tuple[float, float]] = field(default_factory=dict)
    streets: dict[str, list[str]] = field(default_factory=dict)


def build(db: psycopg.Connection[Any], now: datetime) -> City:
    """Fill an empty, migrated database and commit."""
    city = City(now, now - timedelta(minutes=30))
    db.execute("INSERT INTO city (name, timezone, simulated) VALUES ('Teststadt', 'Europe/Berlin', TRUE)")
    _network(db, city)
    _model_and_scores(db, city)
    _life_cycle(db, city)
    _potholes(db, city)
    _evidence(db, city)
    _messages(db, city)
    for role, key in KEYS.items():
        db.execute(
            "INSERT INTO api_key (name, key_sha256, role, created_at) VALUES (%s, %s, %s, %s)",
            [f"{role}-name", hashlib.sha256(key.encode()).digest(), role, now],
        )
    db.commit()
    return city


def _sections() -> list[RoadSection]:
    sections = []
    for number, (name, district, road_class, owner, (east, north), direction) in enumerate(STREETS, 1):
        start = np.array([LON_0 + east * METRE_LON, LAT_0 + north * METRE_LAT])
        step = (METRE_LON, 0.0) if direction == "east" else (0.0, METRE_LAT)
        line = start + np.outer(np.linspace(0, 400, 9), step)
        line[1::2] += np.array(step)[::-1] * 4  # a gentle bend, so that lines are lines
        sections.append(
            RoadSection("test", f"{number:03}", line, name, district, road_class, owner, f"Bezirk {number % 2 + 1}")
        )
    return sections


def _network(db: psycopg.Connection[Any], city: City) -> None:
    valid_from = city.now - timedelta(days=1200)
    sections = _sections()
    section_ids = []
    for section in sections:
        warranty = (city.now + timedelta(days=300)).date() if section.name == WARRANTY_STREET else None
        row = db.execute(
            """INSERT INTO road_section (source, source_section_id, source_version, valid_from, name, district,
               road_class, owner, maintenance_district, warranty_until, length_m, geometry_wkb)
               VALUES (%s, %s, '1', %s, %s, %s, %s, %s, %s, %s, 400, %s) RETURNING section_id""",
            [
                section.source, section.source_section_id, valid_from, section.name, section.district,
                section.road_class, section.owner, section.maintenance_district, warranty,
                shapely.to_wkb(shapely.LineString(section.line)),
            ],
        ).fetchone()  # fmt: skip
        section_ids.append(row[0])
    for segment in split_network(sections):
        line = shapely.LineString(segment.line)
        west, south, east, north = line.bounds
        middle = line.interpolate(0.5, normalized=True)
        row = db.execute(
            """INSERT INTO segment (public_id, section_id, nominal_length_m, from_station_m, to_station_m, valid_from,
               name, district, road_class, length_m, geometry_wkb, bounds, mid_lon, mid_lat, attributes)
               VALUES (%s, %s, 100, %s, %s, %s, %s, %s, %s, %s, %s, box(point(%s, %s), point(%s, %s)), %s, %s, %s)
               RETURNING segment_id""",
            [
                segment.public_id, section_ids[segment.section_index], segment.from_station_m, segment.to_station_m,
                valid_from, segment.name, segment.district, segment.road_class, segment.length_m, shapely.to_wkb(line),
                west, south, east, north, middle.x, middle.y,
                Jsonb({"wearing_course_year": 1998, "pavement_class": "Bk1.0", "surface": "asphalt"}),
            ],
        ).fetchone()  # fmt: skip
        city.segment_ids[segment.public_id] = row[0]
        city.middles[segment.public_id] = (middle.x, middle.y)
        city.streets.setdefault(segment.name, []).append(segment.public_id)


REASONS = [
    {
        "feature": "freeze_thaw_days_28d", "value": 9.0, "contribution_log_odds": 0.92, "factor": 2.51,
        "text_de": "9 Frost-Tau-Tage in den letzten 28 Tagen", "text_en": "9 freeze–thaw days in the last 28 days",
    },
    {
        "feature": "alligator_cracks_365d", "value": 14.0, "contribution_log_odds": 0.61, "factor": 1.84,
        "text_de": "14 Netzriss-Funde im letzten Jahr", "text_en": "14 alligator-crack detections in the last year",
    },
    {
        "feature": "wearing_course_age_years", "value": 6.0, "contribution_log_odds": -0.35, "factor": 0.70,
        "text_de": "Deckschicht 6 Jahre alt", "text_en": "Wearing course 6 years old",
    },
]  # fmt: skip


def _model_and_scores(db: psycopg.Connection[Any], city: City) -> None:
    row = db.execute(
        """INSERT INTO model_run (trained_at, data_until, feature_set_version, rule_version, library_versions, recipe,
           card, artefact, artefact_sha256, active) VALUES (%s, %s, 1, 1, %s, %s, %s, %s, %s, TRUE)
           RETURNING model_run_id""",
        [
            city.now - timedelta(hours=2), city.now - timedelta(hours=3), Jsonb({"scikit-learn": "1.8"}), Jsonb({}),
            Jsonb({"skill": {"28": {"brier_skill": 0.11}}}), b"no artefact", hashlib.sha256(b"no artefact").digest(),
        ],
    ).fetchone()  # fmt: skip
    model_run_id = row[0]
    order = list(city.segment_ids)
    random.Random(7).shuffle(order)
    city.by_rank = order[:-2]  # two segments have no score
    base = {7: 0.12, 28: 0.34, 90: 0.62}
    for as_of in (city.as_of - timedelta(days=1), city.as_of):
        for horizon_days, top in base.items():
            for rank, public_id in enumerate(city.by_rank, 1):
                probability = top * 0.86 ** (rank - 1) * (0.9 if as_of < city.as_of else 1.0)
                db.execute(
                    "INSERT INTO risk_score VALUES (%s, %s, %s, %s, %s, NULL, NULL, %s, %s, %s)",
                    [
                        city.segment_ids[public_id], as_of, horizon_days, probability, probability * 1.2, rank,
                        model_run_id, Jsonb(REASONS) if rank <= 5 else None,
                    ],
                )  # fmt: skip
        db.execute("INSERT INTO score_run VALUES (%s, %s, %s, %s)", [as_of, model_run_id, as_of, len(city.by_rank)])
    state = {
        "surface_temp_c": {
            "value": 1.4, "sd": 0.6, "count": 12, "newest_at": (city.now - timedelta(minutes=9)).isoformat(),
            "source": "sensor",
        },
        "soil_moisture_pct": {
            "value": 31.2, "sd": 4.5, "count": 3, "newest_at": (city.now - timedelta(hours=2)).isoformat(),
            "source": "neighbours",
        },
        "ground_temp_c": {"value": None, "sd": None, "count": 0, "newest_at": None, "source": "none"},
    }  # fmt: skip
    for rank, public_id in enumerate(order):
        if rank < 20:
            db.execute(
                "INSERT INTO twin_state VALUES (%s, %s, %s, %s, %s, %s)",
                [
                    city.segment_ids[public_id],
                    city.as_of,
                    Jsonb(state),
                    1.2 + rank % 4,
                    15,
                    city.now - timedelta(days=1),
                ],
            )


def _life_cycle(db: psycopg.Connection[Any], city: City) -> None:
    """The model was monitored yesterday, with nothing to tell, and scores were asked for once."""
    figures = {
        "window_from": (city.now - timedelta(days=181)).isoformat(), "model_runs": [], "horizons": [], "features": [],
        "features_not_compared": "No reference.", "unknown_features": [], "limits": {},
    }  # fmt: skip
    db.execute(
        "INSERT INTO model_monitoring SELECT %s, model_run_id, %s, '[]', %s FROM model_run WHERE active",
        [city.now - timedelta(days=1), city.as_of - timedelta(days=1), Jsonb(figures)],
    )
    db.execute(
        "INSERT INTO score_request (requested_at, requested_by, score_as_of) VALUES (%s, 'operator-name', %s)",
        [city.as_of - timedelta(minutes=1), city.as_of],
    )


def _potholes(db: psycopg.Connection[Any], city: City) -> None:
    now = city.now
    alfred, ruett, zweig = (city.streets[name] for name in ("Alfredstraße", "Rüttenscheider Straße", "Zweigertstraße"))
    table: list[tuple[str, str, int, datetime, datetime | None, datetime | None]] = [
        ("severe overdue", alfred[0], 3, now - timedelta(days=2), None, None),
        ("severe secured", alfred[1], 3, now - timedelta(days=2), now - timedelta(days=1), None),
        ("medium", ruett[0], 2, now - timedelta(days=3), None, None),
        ("low overdue", ruett[1], 1, now - timedelta(days=40), None, None),
        ("low", zweig[0], 1, now - timedelta(days=1), None, None),
        ("closed today", zweig[1], 2, now - timedelta(days=4), None, now - timedelta(minutes=5)),
        ("closed long ago", zweig[1], 2, now - timedelta(days=90), None, now - timedelta(days=80)),
        ("suspected", ruett[0], 3, now - timedelta(days=1), None, None),
        ("not found today", ruett[0], 3, now - timedelta(days=5), None, now - timedelta(minutes=5)),
        ("other owner", city.streets["Frankenstraße"][0], 3, now - timedelta(hours=5), None, None),
        ("warranty severe", city.streets["Am Ruhrstein"][0], 3, now - timedelta(hours=1), None, None),
        ("warranty low", city.streets["Am Ruhrstein"][1], 1, now - timedelta(hours=1), None, None),
    ]
    for name, public_id, severity, first, secured, closed in table:
        city.potholes[name] = uid(name)
        lon, lat = city.middles[public_id]
        db.execute(
            """INSERT INTO pothole SELECT %s, 1, section_id, segment_id, 50, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
               4, %s, FALSE FROM segment WHERE public_id = %s""",
            [
                uid(name), lon, lat, first, first, None if name == "suspected" else first, secured, closed,
                closed and ("not_found" if name == "not found today" else "repaired"),
                first + timedelta(minutes=30), severity,
                Jsonb([{"kind": "detection", "id": str(uid(f"{name} seen")), "part": 0, "at": first.isoformat()}]),
                public_id,
            ],
        )  # fmt: skip


def _evidence(db: psycopg.Connection[Any], city: City) -> None:
    now, first = city.now, city.by_rank[0]
    for back in range(1, 8):
        for public_id in city.by_rank[:12]:
            day = (now.astimezone(ZONE) - timedelta(days=back)).date()
            db.execute(
                "INSERT INTO segment_day VALUES (%s, %s, %s, 'loaded', 3, 2, 1, 0, 2, %s, 0.8)",
                [city.segment_ids[public_id], day, now - timedelta(days=back, hours=-2), back % 2],
            )
    old = now - timedelta(days=30)
    db.execute(
        "INSERT INTO inspection VALUES (%s, %s, %s, 'imported', %s, 'Straßenbegeher', 'Netzrisse am Rand')",
        [uid("inspection"), old, old, first],
    )
    db.execute(
        "INSERT INTO inspection_finding VALUES (%s, 0, 'D20', 2, NULL, NULL, NULL, 1.5, NULL)", [uid("inspection")]
    )
    db.execute(
        "INSERT INTO report VALUES (%s, %s, %s, 'imported', %s, NULL, NULL, NULL, 'phone', 'pothole', 'Tiefes Loch')",
        [uid("report"), old, old, first],
    )
    db.execute(
        "INSERT INTO planned_work VALUES (%s, %s, %s, 'imported', %s, %s, %s, 'resurfacing')",
        [uid("works"), old, old, city.by_rank[2], now.date() + timedelta(days=20), now.date() + timedelta(days=50)],
    )
    for hour in range(24 * 8):
        at = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hour)
        db.execute(
            "INSERT INTO weather VALUES ('city', %s, %s, 'imported', %s, 88, 3.0, 0.1, 0, 50)",
            [at, at + timedelta(minutes=10), 4.0 - (hour % 24) * 0.4],
        )


def _messages(db: psycopg.Connection[Any], city: City) -> None:
    now = city.now
    for number, status in enumerate(("confirmed", "confirmed", "unconfirmed"), 1):
        db.execute(
            """INSERT INTO device (network_source, application, device, dev_eui, name, profile_name, status,
               first_seen_at, last_seen_at) VALUES ('chirpstack-v4', 'app', %s, %s, %s, 'dragino-lse01', %s, %s, %s)""",
            [f"{number:016x}", f"{number:016x}", f"Bodenfeuchte {number}", status, now - timedelta(days=9),
             now - timedelta(seconds=40 * number)],
        )  # fmt: skip
    device_id = db.execute("SELECT min(device_id) FROM device").fetchone()[0]
    db.execute(
        "INSERT INTO device_installation (device_id, valid_from, lon, lat) VALUES (%s, %s, %s, %s)",
        [device_id, now - timedelta(days=9), LON_0, LAT_0],
    )
    series = db.execute(
        """INSERT INTO series (device_id, channel, quantity, depth_cm) VALUES (%s, '', 'soil_moisture_pct', 20)
           RETURNING series_id""",
        [device_id],
    ).fetchone()
    for minutes in (20, 5):
        at = now - timedelta(minutes=minutes)
        db.execute("INSERT INTO observation VALUES (%s, %s, %s, %s, 1, 1)", [series[0], at, at, 100.0 + minutes])
    for number in range(30):
        at = now - timedelta(seconds=10 * number + 5)
        db.execute(
            """INSERT INTO message (message_id, observed_at, recorded_at, clock, format, event_kind, origin, device_id,
               best_rssi_dbm, retained, flags, topic, payload) VALUES (%s, %s, %s, 'gateway', 'chirpstack-v4-json',
               'up', 'mqtt', %s, -97, FALSE, 0, 'application/app/device/1/event/up', '{}')""",
            [uid(f"message {number}"), at, at, device_id],
        )
        db.execute(
            """INSERT INTO ingest_batch (worker, origin, recorded_at, received, stored, duplicate, rejected,
               observations_stored, observations_duplicate, observation_conflicts)
               VALUES ('test', 'mqtt', %s, 12, 10, 1, 1, 20, 0, 0)""",
            [at],
        )
    for number in range(3):
        at = now - timedelta(minutes=number)
        payload = b"\xff{broken" + str(number).encode()
        digest = hashlib.sha256(payload).digest()
        db.execute(
            "INSERT INTO rejected_message VALUES (%s, 'application/x', %s, %s, %s, %s, 'Got no JSON.', %s, %s, 10)",
            [digest, payload, len(payload), digest, "broken-json" if number else "unknown-topic", at, at],
        )


FIXED_NOW = datetime(2026, 2, 10, 9, 30, tzinfo=UTC)
