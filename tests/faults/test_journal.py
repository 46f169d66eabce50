"""The database is away for long: the journal takes over, in order, whatever else dies meanwhile."""

import time
from collections.abc import Callable

import pytest

from tests.faults.processes import wait_for
from tests.faults.rig import Rig

WINDOW = 200
"""Most messages that broker and ingester allow in flight: an hour by volume is a small multiple of it."""


def rig_with_journal(make: Callable[..., Rig], **environment: str) -> Rig:
    """A rig whose ingester turns to its journal after half a second, and has stored 100 messages."""
    options = f"persistence true\nmax_inflight_messages {WINDOW}\nmax_queued_messages 1000000"
    defaults = {"MQTT_RECEIVE_MAXIMUM": str(WINDOW), "JOURNAL_AFTER_S": "0.5"}
    rig = make(broker_options=options, **(defaults | environment))
    rig.ingester.start()
    rig.stream.publish(100)
    rig.wait_for_rows(100)
    wait_for(lambda: rig.mqtt.acknowledged == 100, "their acknowledgements")
    return rig


@pytest.mark.slow
def test_while_the_database_is_away_messages_go_on_being_acknowledged_and_are_all_there_in_order_afterwards(
    make_rig,
):
    rig = rig_with_journal(make_rig)
    rig.server.stop("fast")
    rig.stream.publish(8 * WINDOW)
    wait_for(lambda: rig.mqtt.acknowledged >= 100 + 8 * WINDOW, "acknowledgements from the journal")
    assert rig.ingester.metric("roadtwin_journal_messages") > 7 * WINDOW
    rig.server.start()
    rig.stream.publish(100)
    result = rig.end_and_reckon()

    assert result.problems == []
    assert out_of_order(rig) == 0


def test_an_ingester_killed_with_a_full_journal_and_while_it_drains_loses_nothing_and_stores_nothing_twice(
    make_any_rig,
):
    rig = rig_with_journal(make_any_rig)
    rig.server.stop("immediate")
    rig.stream.publish(6 * WINDOW)
    wait_for(lambda: rig.mqtt.acknowledged > 100 + 2 * WINDOW, "acknowledgements from the journal")
    rig.ingester.kill()  # in the middle of its writing there, or after it
    rig.ingester.start(wait=False)
    wait_for(lambda: rig.mqtt.acknowledged >= 100 + 6 * WINDOW, "the other acknowledgements")
    rig.server.start()
    rig.wait_for_rows(100 + WINDOW)
    rig.ingester.kill()  # while it drains
    rig.ingester.start(wait=False)
    result = rig.end_and_reckon()

    assert result.problems == []


def test_an_ingester_told_to_stop_while_its_journal_is_full_and_the_database_away_keeps_it(make_any_rig):
    rig = rig_with_journal(make_any_rig)
    rig.server.stop("fast")
    rig.stream.publish(4 * WINDOW)
    wait_for(lambda: rig.mqtt.acknowledged >= 100 + 4 * WINDOW, "acknowledgements from the journal")
    assert rig.ingester.stop() == 0
    rig.server.start()
    assert rig.rows() == 100
    rig.ingester.start()
    result = rig.end_and_reckon()

    assert result.problems == []


@pytest.mark.slow
def test_a_journal_that_cannot_grow_stops_acknowledging_and_loses_nothing(make_any_rig, tiny_disk):
    rig = rig_with_journal(make_any_rig, JOURNAL_DIR=str(tiny_disk))
    rig.server.stop("fast")
    rig.stream.publish(4000)  # about 4 MB, and the disk holds one
    wait_for(lambda: rig.mqtt.acknowledged > 100 + 2 * WINDOW, "acknowledgements from the journal")
    time.sleep(3)
    acknowledged = rig.mqtt.acknowledged
    time.sleep(1)
    assert rig.mqtt.acknowledged == acknowledged < 4100  # full: it stopped, and did not fall
    assert rig.ingester.running
    rig.server.start()
    result = rig.end_and_reckon(within_s=60)

    assert result.problems == []


def out_of_order(rig: Rig) -> int:
    """Uplinks of a device that were stored in an earlier batch than one with a lower number."""
    with rig.straight() as conn:
        ((count,),) = conn.execute(
            "SELECT count(*) FROM (SELECT batch_id < lag(batch_id) OVER (PARTITION BY device_id ORDER BY f_cnt)"
            " AS late FROM message WHERE f_cnt IS NOT NULL) AS m WHERE late"
        ).fetchall()
    return int(count)
