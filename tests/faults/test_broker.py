"""The broker is restarted, killed, frozen and overrun. What it may lose by itself is told, and is all that is lost."""

import time

from tests.faults.processes import DURABLE, wait_for

FORGETFUL = "persistence false\nmax_inflight_messages 2000\nmax_queued_messages 1000000"


def test_a_graceful_restart_of_a_persistent_broker_loses_nothing(make_any_rig):
    rig = make_any_rig()
    rig.ingester.start()
    rig.stream.start(per_s=200)
    for connections in (2, 3):
        time.sleep(0.7)
        rig.broker.stop()
        rig.broker.start()
        wait_for(lambda n=connections: len(rig.mqtt.sessions_present) == n, "the ingester's new connection")
    result = rig.end_and_reckon()

    assert result.problems == []
    assert rig.mqtt.sessions_present == [False, True, True]


def test_a_persistent_broker_restarted_while_a_batch_waits_for_its_commit_loses_nothing(make_any_rig):
    rig = make_any_rig()
    rig.ingester.start()
    rig.postgres.set_trap("hold before COMMIT")
    rig.stream.publish(300)
    assert rig.postgres.wait_until_sprung()
    rig.broker.stop()
    rig.broker.start()
    wait_for(lambda: rig.mqtt.connections == 2, "the ingester's new connection")
    rig.stream.publish(300)
    rig.postgres.release()
    result = rig.end_and_reckon()

    assert result.problems == []
    assert result.report.accounts.duplicate > 0  # delivered again on the new connection


def test_a_broker_restarted_without_its_sessions_while_a_batch_waits_loses_nothing_that_reached_us(make_any_rig):
    """The epoch trap: packet ids begin at 1 again, and late acknowledgements of old messages would take new ones."""
    rig = make_any_rig(broker_options=FORGETFUL)
    rig.ingester.start()
    rig.postgres.set_trap("hold before COMMIT")
    rig.stream.publish(200)
    assert rig.postgres.wait_until_sprung()
    wait_for(lambda: rig.mqtt.deliveries == 200, "all messages at the ingester")
    time.sleep(0.5)  # until it has read them from its socket

    rig.broker.kill()
    rig.broker.start()
    wait_for(lambda: rig.mqtt.sessions_present == [False, False], "the ingester's new session")
    time.sleep(0.5)  # until it has subscribed again: what comes before, this broker drops
    rig.stream.publish(200)
    rig.postgres.release()
    result = rig.end_and_reckon()

    assert result.problems == []
    assert result.report.witness.published == 400


def test_a_broker_restarted_without_its_sessions_loses_only_what_never_reached_us_and_the_loss_is_visible(
    make_any_rig,
):
    rig = make_any_rig(broker_options=FORGETFUL)
    rig.ingester.start()
    rig.stream.publish(100)
    rig.wait_for_rows(100)
    assert rig.ingester.stop() == 0
    rig.stream.publish(100)  # confirmed by the broker, and in its memory only
    rig.broker.kill()
    rig.broker.start()
    rig.ingester.start()
    rig.stream.publish(100)
    lost = 100
    result = rig.end_and_reckon(allowed_missing=lost)

    assert len(result.missing) == lost
    assert not result.missing & rig.mqtt.delivered
    assert result.numbers_missing == tuple(range(100, 200))
    assert any("published messages are nowhere" in text for text in result.report.differences)
    assert rig.mqtt.sessions_present[-1] is False
    assert rig.ingester.log.read_text().count("mqtt_new_session") == 2
    assert result.order_violations == ()


def test_a_session_that_the_broker_lost_is_counted_by_the_ingester(make_any_rig):
    rig = make_any_rig(broker_options=FORGETFUL)
    rig.ingester.start()
    before = rig.ingester.metric("roadtwin_mqtt_connections_total", session="new")
    rig.broker.kill()
    rig.broker.start()
    wait_for(lambda: rig.mqtt.sessions_present == [False, False], "the ingester's new session")

    wait_for(lambda: rig.ingester.metric("roadtwin_mqtt_connections_total", session="new") == before + 1, "its metric")


def test_a_killed_persistent_broker_loses_only_what_it_took_after_its_last_snapshot_and_had_not_delivered(
    make_any_rig,
):
    rig = make_any_rig(broker_options=DURABLE)
    rig.ingester.start()
    rig.stream.publish(50)
    rig.wait_for_rows(50)
    assert rig.ingester.stop() == 0
    rig.stream.publish(200)
    rig.broker.save()
    rig.stream.publish(100)  # confirmed, and in no snapshot: lost by the broker
    rig.broker.kill()
    rig.broker.start()
    rig.ingester.start()
    rig.stream.publish(50)
    lost = 100
    result = rig.end_and_reckon(allowed_missing=lost)

    assert result.numbers_missing == tuple(range(250, 350))
    assert not result.missing & rig.mqtt.delivered
    assert result.stored_twice == 0
    assert result.order_violations == ()


def test_a_killed_broker_whose_snapshot_is_current_loses_nothing(make_any_rig):
    rig = make_any_rig()
    rig.ingester.start()
    rig.stream.publish(200)
    rig.mqtt.acks.hold()
    rig.stream.publish(100)
    rig.broker.save()
    rig.broker.kill()
    rig.mqtt.acks.release()
    rig.broker.start()
    rig.stream.publish(100)
    result = rig.end_and_reckon()

    assert result.problems == []


def test_a_broker_that_freezes_for_a_while_loses_nothing(make_any_rig):
    rig = make_any_rig()
    rig.ingester.start()
    rig.stream.start(per_s=100)
    time.sleep(0.5)
    rig.broker.freeze()
    time.sleep(4)
    rig.broker.thaw()
    result = rig.end_and_reckon()

    assert result.problems == []


def test_what_a_default_mosquitto_drops_of_1100_messages_offline_is_found_by_the_witness(make_any_rig):
    rig = make_any_rig(broker_options="")  # no persistence, 20 in flight, 1000 queued: its defaults
    rig.ingester.start()
    assert rig.ingester.stop() == 0
    rig.stream.publish(1100)  # every one confirmed as a success
    rig.ingester.start()
    result = rig.end_and_reckon(allowed_missing=100)
    witness = result.report.witness

    assert witness.published == 1100
    assert witness.missing == 100
    assert witness.stored + witness.rejected == 1000
    assert any("100 published messages are nowhere" in text for text in result.report.differences)
