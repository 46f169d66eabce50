"""`roadtwin status` on devices that have something the matter with them."""

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def status(database_url):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "roadtwin.cli.main", "status", *arguments],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"ROADTWIN_DATABASE_URL": database_url},
        ).stdout

    return run


def insert_devices(db, count):
    """Devices 1, 2, …, confirmed; each was heard last twelve hours ago, and lost half of its frames lately."""
    for number in range(1, count + 1):
        db.execute(
            """WITH d AS (
                   INSERT INTO device (network_source, application, device, name, status, last_seen_at)
                   VALUES ('chirpstack-v4', '', %s, %s, 'confirmed', now() - INTERVAL '12 hours') RETURNING device_id
               )
               INSERT INTO device_health SELECT device_id, 9, 9, now() - INTERVAL '12 hours', 600, 9, 20, 0, 0, NULL, 0,
                   0, 10, 10, NULL, NULL, '{}', '{}', '{}', NULL, 0, 0, NULL, NULL, 0, NULL, 0, NULL, NULL, NULL, NULL,
                   FALSE, now() FROM d""",
            [f"{number:016x}", f"Sensor {number}"],
        )
    db.commit()


def test_silent_devices_are_named_up_to_ten_and_the_worst_losses_told(status, db):
    insert_devices(db, 12)
    db.execute(
        """INSERT INTO ingest_batch (worker, origin, recorded_at, received, stored, duplicate, rejected,
           observations_stored, observations_duplicate, observation_conflicts)
           VALUES ('test', 'mqtt', now() - INTERVAL '5 minutes', 0, 0, 0, 0, 0, 0, 0)"""
    )
    db.commit()

    told = status().splitlines()

    assert "Device health 12 silent, 12 losing frames" in told
    assert f"Silent        {', '.join(f'Sensor {n}' for n in range(1, 11))} and 2 more" in told
    assert "Frames lost   Sensor 1 50% lately (20 ever), Sensor 2 50% lately (20 ever)" in " ".join(told)
    assert "Not digested  1 batches, the oldest 5 min ago" in told


def test_the_json_has_the_same(status, db):
    insert_devices(db, 1)

    answer = json.loads(status("--json"))

    assert answer["health"]["devices_by_state"] == {"silent": 1, "losing_frames": 1}
    assert answer["health"]["silent"] == ["Sensor 1"]
    assert answer["digest"] == {"batches_waiting": 0, "waiting_since": None}


def test_without_devices_nothing_is_said_of_them(status):
    told = status()

    assert "Device health" not in told
    assert "Not digested" not in told


def test_the_last_batch_is_one_of_messages_and_not_what_was_reprocessed(status, db):
    columns = (
        "INSERT INTO ingest_batch (recorded_at, worker, origin, received, stored, duplicate, rejected, {}) VALUES "
    )
    columns = columns.format("observations_stored, observations_duplicate, observation_conflicts")
    db.execute(columns + "(now() - INTERVAL '3 hours', 'w', 'mqtt', 7, 7, 0, 0, 7, 0, 0)")
    db.execute(columns + "(now(), 'reprocess', 'reprocessed', 0, 0, 0, 0, 5, 0, 0)")
    db.commit()

    assert "Last batch    7 messages 3 h ago (mqtt, w)" in status()
