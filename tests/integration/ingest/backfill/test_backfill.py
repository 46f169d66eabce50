"""Uplinks that The Things Stack kept: nothing is missing afterwards, and nothing is there twice."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from ingest.backfill import LONGEST_BACK
from ingest.membership import total
from roadtwin.cli.backfill import app
from roadtwin.errors import BackfillError, SettingsError
from roadtwin.storage import backfill as storage
from roadtwin.storage.database import connect
from roadtwin.storage.messages import read_accounts
from roadtwin.telemetry import MESSAGES, RECEIVED
from roadtwin.types import Flag
from tests.integration.ingest.backfill.backfilling import (
    NOW,
    RUNNER,
    SOIL,
    TOPIC,
    fill,
    messages,
    run,
    store_live,
    told,
    uplink,
)
from tests.integration.ingest.conftest import fetch
from tests.storage_integration import KEY


def test_what_was_missed_comes_with_its_own_time_and_the_arrival_of_today(db, settings, server):
    fill(server, NOW - timedelta(hours=3), 2)

    done = run(db, settings, since=NOW - timedelta(hours=4))

    assert told(done) == (2, 2, 0, 0)
    assert done.failure is None
    rows = fetch(db, "SELECT observed_at, recorded_at, origin, topic, flags FROM message ORDER BY 1")
    first = NOW - timedelta(hours=3, milliseconds=200)
    assert [row[0] for row in rows] == [first, first + timedelta(seconds=10)]
    assert {row[1:4] for row in rows} == {(NOW, "backfilled", TOPIC)}
    assert all(row[4] & Flag.LATE for row in rows)
    assert fetch(db, "SELECT count(*) FROM observation") == [(6,)]


def test_what_came_live_is_stored_once_whichever_came_first(db, settings, server):
    early, late = uplink(NOW - timedelta(minutes=2), 1), uplink(NOW - timedelta(minutes=1), 2)
    for message in (early, late):
        server.add(message)
    assert b"session_key_id" not in server.lines[0][1]
    assert b"correlation_ids" not in server.lines[0][1]
    assert early["correlation_ids"]
    assert early["uplink_message"]["session_key_id"]
    store_live(db, early)

    done = run(db, settings, since=NOW - timedelta(hours=1))
    live = store_live(db, late)

    assert told(done) == (2, 1, 1, 0)
    assert (live.stored, live.duplicate) == (0, 1)
    assert messages(db) == (2, 2)


def test_pages_follow_each_other_until_nothing_new_comes(db, settings, server):
    server.most_a_page = 7  # fewer than we ask for
    fill(server, NOW - timedelta(hours=2), 40)

    done = run(db, settings, since=NOW - timedelta(hours=3))

    assert told(done) == (40, 40, 0, 0)
    assert messages(db) == (40, 40)
    assert len(server.requests) == 8


@pytest.mark.parametrize("fault", [429, 503, "cut", "error"])
def test_a_fault_is_waited_out_and_the_fetch_goes_on_where_it_was(db, settings, server, fault):
    fill(server, NOW - timedelta(hours=2), 30)
    server.faults.extend([fault, fault])

    done = run(db, settings, since=NOW - timedelta(hours=3))

    assert done.failure is None
    assert messages(db) == (30, 30)
    after = [datetime.fromisoformat(query["after"]) for query in server.requests]
    assert after == sorted(after)
    if fault in ("cut", "error"):
        assert after[1] > after[0], "what had come is not fetched again"


def test_after_some_tries_it_gives_up_with_the_reason(db, settings, server):
    server.faults.extend([503] * 20)

    done = run(db, settings, since=NOW - timedelta(hours=3))

    assert done.failure.endswith("answered 503 for application roads: it cannot serve us now.")
    assert len(server.requests) == 6


def test_a_refusal_is_not_tried_again_and_leaves_no_mark(db, settings, server):
    server.faults.append(403)

    done = run(db, settings)

    assert "RIGHT_APPLICATION_TRAFFIC_READ" in done.failure
    assert len(server.requests) == 1
    again = run(db, settings, now=NOW + timedelta(hours=5))
    assert again.since == done.since, "the next one begins where this one had to"


def test_a_garbage_line_is_kept_with_its_reason_and_the_rest_is_stored(db, settings, server):
    fill(server, NOW - timedelta(hours=2), 4)
    garbage = b'{"result": {"end_device_ids": '
    server.lines.append((server.lines[1][0] + timedelta(seconds=1), garbage))
    server.lines.append((server.lines[2][0] + timedelta(seconds=1), b"{" + b"x" * 2_000_000))

    done = run(db, settings, since=NOW - timedelta(hours=3))

    assert told(done) == (6, 4, 0, 2)
    rejected = fetch(db, "SELECT code, topic, payload_bytes, reason FROM rejected_message ORDER BY payload_bytes")
    assert [row[:3] for row in rejected] == [
        ("invalid_json", "v3/roads@essen/devices/-/up", len(garbage.strip())),
        ("payload_too_large", "v3/roads@essen/devices/-/up", 2_000_001),
    ]
    assert "2000001 bytes, expected at most 1048576" in rejected[1][3]


@pytest.mark.skipif(not SOIL.exists(), reason=f"{SOIL} is not there")
def test_real_stored_uplinks_are_those_that_came_live(db, settings, server):
    results = [item["result"] for item in json.loads(SOIL.read_text())]
    for number, result in enumerate(results):
        server.add(result)
        if number % 2:  # as it came live; the made-up members are in live messages and not in stored ones
            live = {**result["uplink_message"], "session_key_id": "AXA50tHUGUucuzS/bCGMNw=="}
            store_live(db, result | {"correlation_ids": ["as:up:01"], "uplink_message": live})
    done = run(db, settings, since=datetime(2023, 6, 1, tzinfo=UTC))

    assert told(done) == (96, 48, 48, 0)
    assert messages(db) == (96, 96)


def test_ten_thousand_uplinks_come_in_bounded_memory_and_the_accounts_balance(db, settings, server):
    fill(server, NOW - timedelta(hours=20), 10_000, step_s=5)
    difference = total(RECEIVED) - total(MESSAGES)

    done = run(db, settings, since=NOW - timedelta(hours=21))
    counts = read_accounts(db)
    db.rollback()

    assert told(done) == (10_000, 10_000, 0, 0)
    assert messages(db) == (10_000, 10_000)
    assert (counts.received, counts.stored, counts.duplicate, counts.rejected) == (10_000, 10_000, 0, 0)
    assert total(RECEIVED) - total(MESSAGES) == difference, "what a worker says about itself would not balance"
    assert fetch(db, "SELECT max(received) <= 500 FROM ingest_batch") == [(True,)]


def test_a_server_that_does_not_keep_the_order_is_found_out(db, settings, server):
    fill(server, NOW - timedelta(hours=2), 5)
    server.faults.append("backwards")

    done = run(db, settings, since=NOW - timedelta(hours=3))

    assert "expected the order of received_at" in done.failure


def test_a_server_that_ignores_the_time_asked_for_is_found_out(db, settings, server):
    fill(server, NOW - timedelta(hours=2), 1000)
    server.page = lambda _query: [line for _, line in server.lines]

    done = run(db, settings, since=NOW - timedelta(hours=3))

    assert done.counts.stored == 1000
    assert "the server does not go on from there" in done.failure or "expected the order" in done.failure
    assert len(server.requests) == 2


# From where.


def test_where_nothing_is_stored_it_begins_a_day_ago(db, settings):
    assert run(db, settings).since == NOW - timedelta(hours=24)


def test_at_first_it_begins_an_hour_before_the_newest_message(db, settings):
    store_live(db, uplink(NOW - timedelta(hours=9)))

    assert run(db, settings).since == NOW - timedelta(hours=10, milliseconds=200)


def test_it_never_begins_more_than_thirty_days_ago(db, settings):
    store_live(db, uplink(NOW - LONGEST_BACK + timedelta(minutes=10)))

    assert run(db, settings).since == NOW - LONGEST_BACK


def test_afterwards_it_begins_an_hour_before_the_last_fetch_whatever_came_live_since(db, settings):
    run(db, settings)
    later = NOW + timedelta(hours=7)
    store_live(db, uplink(later))

    assert run(db, settings, now=later).since == NOW - timedelta(hours=1)


def test_a_fetch_from_a_given_time_is_no_mark(db, settings):
    store_live(db, uplink(NOW - timedelta(hours=9)))

    run(db, settings, since=NOW - timedelta(minutes=5))

    assert run(db, settings).since == NOW - timedelta(hours=10, milliseconds=200)


def test_a_dry_run_counts_and_changes_nothing(db, settings, server):
    fill(server, NOW - timedelta(hours=2), 3)
    known = uplink(NOW - timedelta(hours=1), 9)
    store_live(db, known)
    server.add(known)

    done = run(db, settings, since=NOW - timedelta(hours=3), dry_run=True)

    assert done.counts.stored == 3
    assert messages(db) == (1, 1)
    assert fetch(db, "SELECT count(*) FROM ingest_batch") == [(1,)]


def test_two_do_not_fetch_at_once(db, settings, database_url):
    with connect(database_url) as other:
        assert storage.try_lock(other)

        with pytest.raises(BackfillError, match="is fetching stored uplinks"):
            run(db, settings)

        storage.unlock(other)
    run(db, settings)


# The command.


@pytest.fixture
def command(database_url, server, tmp_path):
    environment = {
        "ROADTWIN_DATABASE_URL": database_url,
        "ROADTWIN_DATA_DIR": str(tmp_path),
        "ROADTWIN_TTS_URL": server.url,
        "ROADTWIN_TTS_APPLICATIONS": "roads@essen,parks@essen",
        "ROADTWIN_TTS_API_KEY": KEY,
    }
    return lambda *arguments, **changes: RUNNER.invoke(app, list(arguments), env=environment | changes)


def test_the_command_fetches_all_applications_and_says_what_came(command, server):
    fill(server, NOW - timedelta(hours=2), 3)

    result = command("--json", "--since", "2026-03-10T00:00:00Z", "--application", "roads@essen")
    again = command("--since", "2026-03-10T00:00:00Z")

    assert result.exit_code == 0, result.output
    [roads] = json.loads(result.stdout)["applications"]
    assert (roads["application"], roads["stored"], roads["failure"]) == ("roads@essen", 3, None)
    assert "roads@essen since 2026-03-10T00:00:00Z: 3 received = 0 stored + 3 duplicate + 0 rejected." in again.stdout
    assert "parks@essen since" in again.stdout


def test_one_application_that_fails_does_not_keep_the_others_back(command, server):
    fill(server, NOW - timedelta(hours=2), 3)
    server.faults.append(404)

    result = command("--json", "--since", "2026-03-10T00:00:00Z", "--application", "gone@essen", "--application",
                     "roads@essen")  # fmt: skip

    gone, roads = json.loads(result.stdout)["applications"]
    assert roads["stored"] == 3
    assert "no such application" in gone["failure"]
    assert isinstance(result.exception, BackfillError)
    assert str(result.exception).startswith("gone@essen: ")
    assert KEY not in result.output + str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "changes", "error", "sentence"),
    [
        (("--since", "yesterday"), {}, BackfillError, "--since: got 'yesterday'"),
        (("--application", "Roads"), {}, SettingsError, "Got application 'Roads'"),
        ((), {"ROADTWIN_TTS_APPLICATIONS": ""}, BackfillError, "ROADTWIN_TTS_APPLICATIONS: got nothing"),
        ((), {"ROADTWIN_TTS_API_KEY": None}, SettingsError, "ROADTWIN_TTS_API_KEY: got nothing"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(command, arguments, changes, error, sentence):
    result = command(*arguments, **changes)

    assert isinstance(result.exception, error)
    assert sentence in str(result.exception)
