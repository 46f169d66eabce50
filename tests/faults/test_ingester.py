"""The ingester is killed, frozen, doubled and put under a wrong clock: nothing lost, nothing stored twice."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.processes import FAKETIME_LIBRARY, Ingester, wait_for


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_an_ingester_killed_at_random_instants_loses_nothing_and_stores_nothing_twice(make_any_rig, seed):
    rig, chance = make_any_rig(), random.Random(seed)
    rig.ingester.start()
    rig.stream.start(per_s=400)
    for _ in range(4):
        time.sleep(chance.uniform(0.05, 0.8))
        rig.ingester.kill()
        rig.ingester.start(wait=chance.random() < 0.7)  # else it may be killed before it has subscribed again

    result = rig.end_and_reckon()

    assert result.problems == []
    assert result.report.witness.rejected > 0


@pytest.mark.parametrize("trap", ["hold before COMMIT", "hold after COMMIT"])
def test_an_ingester_killed_around_its_commit_loses_nothing_and_stores_nothing_twice(make_any_rig, trap):
    rig = make_any_rig()
    rig.ingester.start()
    rig.postgres.set_trap(trap)
    rig.stream.publish(100)
    assert rig.postgres.wait_until_sprung()
    assert rig.mqtt.acknowledged == 0  # never before the answer to COMMIT

    rig.ingester.kill()
    rig.postgres.cut()
    rig.postgres.release()
    committed = rig.rows()
    rig.ingester.start()
    result = rig.end_and_reckon()

    assert result.problems == []
    assert (committed > 0) == (trap == "hold after COMMIT")
    assert (result.report.accounts.duplicate > 0) == (trap == "hold after COMMIT")


def test_an_ingester_killed_between_commit_and_puback_stores_the_redelivered_once(make_any_rig):
    rig = make_any_rig()
    rig.ingester.start()
    rig.mqtt.acks.hold()
    rig.stream.publish(100)
    rig.wait_for_rows(100)
    wait_for(rig.mqtt.acks.reached.is_set, "an acknowledgement")

    rig.ingester.kill()
    rig.mqtt.cut()
    rig.mqtt.acks.release()
    rig.ingester.start()
    result = rig.end_and_reckon()

    assert result.problems == []
    wait_for(lambda: rig.mqtt.redeliveries == 100, "the messages again")
    assert result.report.accounts.duplicate > 0


def test_an_ingester_told_to_stop_stores_and_acknowledges_what_it_has_received(make_any_rig):
    rig = make_any_rig()
    rig.ingester.start()
    rig.stream.publish(1000)
    code = rig.ingester.stop()
    delivered, acknowledged, rows = rig.mqtt.deliveries, rig.mqtt.acknowledged, rig.rows()
    rig.ingester.start()
    result = rig.end_and_reckon()

    assert code == 0
    assert delivered == acknowledged == rows > 0
    assert result.problems == []


def test_an_ingester_told_to_stop_while_messages_keep_coming_stops_within_five_seconds(make_any_rig):
    """Container managers kill after ten."""
    rig = make_any_rig()
    rig.ingester.start()
    rig.stream.start(per_s=300)
    time.sleep(1)
    began = time.monotonic()
    code = rig.ingester.stop()
    took_s = time.monotonic() - began
    rig.ingester.start()
    result = rig.end_and_reckon()

    assert code == 0
    assert result.problems == []
    assert took_s < 5


@pytest.mark.slow
def test_an_ingester_frozen_for_longer_than_its_keep_alive_goes_on_where_it_stopped(make_any_rig):
    rig = make_any_rig()
    rig.ingester.start()
    rig.stream.start(per_s=100)
    time.sleep(0.5)
    rig.ingester.freeze()
    time.sleep(14)  # Mosquitto looks every 5 s for connections silent for 1.5 times their keep-alive of 5 s
    rig.ingester.thaw()
    result = rig.end_and_reckon()

    assert result.problems == []
    assert rig.mqtt.connections > 1
    assert rig.mqtt.sessions_present[-1]


def test_two_ingesters_with_one_client_id_flap_and_lose_nothing_and_store_nothing_twice(make_any_rig):
    rig = make_any_rig()
    rig.ingester.start()
    second = rig.make_ingester("second")
    try:
        rig.stream.start(per_s=200)
        second.start()
        time.sleep(5)
        connections = rig.mqtt.connections
        second.kill()
    finally:
        second.close()
    result = rig.end_and_reckon()

    assert result.problems == []
    assert connections >= 4  # each throws the other out
    assert rig.ingester.log.read_text().count("mqtt_disconnected") > 0  # and says so


@pytest.mark.skipif(FAKETIME_LIBRARY is None, reason="libfaketime is not installed on this machine (apt: faketime)")
@pytest.mark.parametrize("jump", ["+2d", "-2d"])
def test_a_clock_that_jumps_by_two_days_loses_nothing_and_stores_nothing_twice(make_any_rig, data_dir, jump):
    rig = make_any_rig()
    set_clock = put_under_a_false_clock(rig.ingester, data_dir)
    rig.ingester.start()
    rig.stream.publish(100)
    rig.wait_for_rows(100)
    rig.mqtt.acks.hold()
    rig.stream.publish(100)
    rig.wait_for_rows(200)
    set_clock(jump)
    rig.stream.publish(100)
    rig.wait_for_rows(300)
    rig.mqtt.cut()  # what is stored and not acknowledged comes again, and is judged by another clock
    rig.mqtt.acks.release()
    rig.stream.publish(100)
    result = rig.end_and_reckon()

    assert result.problems == []
    assert rig.mqtt.redeliveries > 0
    with rig.straight() as conn:
        ((jumped,),) = conn.execute(
            "SELECT count(*) FROM message WHERE abs(extract(epoch FROM recorded_at - now())) > 86400"
        ).fetchall()
    assert jumped > 0


def put_under_a_false_clock(ingester: Ingester, directory: Path) -> Callable[[str], None]:
    """Have the ingester, from its next start, see a clock that the returned function shifts while it runs."""
    offset, site = directory / "faketime", directory / "site"
    offset.write_text("+0")
    site.mkdir()
    # With its monotonic clock left alone, libfaketime 0.9.10 makes clock_nanosleep fail with EINVAL.
    (site / "sitecustomize.py").write_text(
        "import threading, time\ntime.sleep = lambda seconds: threading.Event().wait(seconds) and None\n"
    )
    ingester.preload = {
        "LD_PRELOAD": str(FAKETIME_LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": str(site),
    }

    def set_clock(shift: str) -> None:
        half = directory / "faketime.new"  # it is read at every look at the clock: never half written
        half.write_text(shift)
        half.replace(offset)

    return set_clock
