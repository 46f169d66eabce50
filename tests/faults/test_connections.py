"""Connections that are cut, stalled and half-closed, at the worst moments: nothing lost, nothing stored twice."""

import random
import time

import pytest

from tests.faults.processes import wait_for


@pytest.mark.parametrize("trap", ["cut before COMMIT", "cut after COMMIT"])
def test_a_connection_lost_during_commit_is_written_again_and_stored_once(make_rig, trap):
    rig = make_rig()
    rig.ingester.start()
    rig.postgres.set_trap(trap)
    rig.stream.publish(300)
    assert rig.postgres.wait_until_sprung()
    result = rig.end_and_reckon()

    assert result.problems == []
    assert (result.report.accounts.duplicate > 0) == (trap == "cut after COMMIT")  # the outcome was unknown to us


def test_a_connection_to_the_database_cut_again_and_again_loses_nothing(make_any_rig):
    rig, chance = make_any_rig(), random.Random(3)
    rig.ingester.start()
    rig.stream.start(per_s=300)
    for _ in range(10):
        time.sleep(chance.uniform(0.05, 0.4))
        rig.postgres.cut()
    result = rig.end_and_reckon()

    assert result.problems == []


def test_a_connection_to_the_broker_cut_again_and_again_loses_nothing(make_any_rig):
    rig, chance = make_any_rig(), random.Random(4)
    rig.ingester.start()
    rig.stream.start(per_s=300)
    for _ in range(5):
        time.sleep(chance.uniform(0.3, 1.5))
        rig.mqtt.cut()
    result = rig.end_and_reckon()

    assert result.problems == []
    assert rig.mqtt.connections > 2


def test_a_connection_to_the_broker_half_closed_by_it_is_made_again_and_loses_nothing(make_any_rig):
    rig = make_any_rig()
    rig.ingester.start()
    rig.mqtt.acks.hold()
    rig.stream.publish(200)
    rig.mqtt.half_close()
    wait_for(lambda: rig.mqtt.connections == 2, "the ingester's new connection")
    rig.mqtt.acks.release()
    rig.stream.publish(200)
    result = rig.end_and_reckon()

    assert result.problems == []


@pytest.mark.slow
def test_a_network_to_the_broker_that_stalls_past_the_keep_alive_loses_nothing(make_any_rig):
    rig = make_any_rig()
    rig.ingester.start()
    rig.stream.start(per_s=100)
    time.sleep(0.5)
    rig.mqtt.stalled.hold()
    time.sleep(12)
    rig.mqtt.stalled.release()
    result = rig.end_and_reckon()

    assert result.problems == []
    assert rig.mqtt.connections > 1


@pytest.mark.slow
def test_an_ingester_that_finds_the_broker_stalled_between_connack_and_suback_waits_for_it(make_any_rig):
    rig = make_any_rig()
    rig.ingester.start()
    assert rig.ingester.stop() == 0
    rig.stream.publish(50)
    rig.mqtt.subacks.hold()
    rig.ingester.start(wait=False)
    wait_for(rig.mqtt.subacks.reached.is_set, "a SUBACK")
    time.sleep(11)  # our patience with a SUBACK is 10 s

    rig.mqtt.subacks.release()
    assert rig.ingester.running
    result = rig.end_and_reckon()

    assert result.problems == []
