"""Who unsubscribes gets nothing new, and does not take silence for an answer."""

import threading
from uuid import uuid4

import pytest

from ingest import receiver as receiver_module
from roadtwin.errors import BrokerUnavailableError
from tests.integration.ingest.conftest import open_publisher, publish_all, wait_for
from tests.integration.ingest.mosquitto import needs_mosquitto
from tests.integration.ingest.receiving import open_receiver, take
from tests.integration.ingest.test_receiver import messages, numbers

NEVER = threading.Event()


@needs_mosquitto
def test_members_of_a_group_share_and_one_that_unsubscribes_leaves_the_rest_to_the_other(own_mosquitto):
    broker = own_mosquitto()
    first, second = (open_receiver(broker.url, f"member-{n}", "application/#", share_group="group") for n in (1, 2))
    publisher = open_publisher(broker.url)
    publish_all(publisher, messages(range(60)))
    wait_for(lambda: first.waiting() + second.waiting() == 60)
    received = take(first, first.waiting()), take(second, second.waiting())
    assert sorted(numbers(received[0] + received[1])) == list(range(60))
    assert all(received)

    first.unsubscribe()
    first.acknowledge(received[0])  # the connection is still there for that
    second.acknowledge(received[1])
    publish_all(publisher, messages(range(60, 100)))
    assert sorted(numbers(take(second, 40))) == list(range(60, 100))
    assert first.take(1, 0.1, NEVER) == []
    assert first.in_flight == 0
    first.close()
    second.close()
    publisher.disconnect()
    publisher.loop_stop()


def test_who_has_unsubscribed_does_not_subscribe_again_on_a_new_connection(mqtt_v311_url):
    part = uuid4().hex[:8]
    receiver = open_receiver(mqtt_v311_url, f"left-{part}", f"application/{part}/#")
    publisher = open_publisher(mqtt_v311_url)
    receiver.unsubscribe()
    receiver._client.drop_connection()
    wait_for(lambda: len(receiver.session_history) == 2)
    publish_all(publisher, messages(range(5), part))

    assert receiver.take(1, 0.1, NEVER) == []
    receiver.check()
    receiver.close()
    publisher.disconnect()
    publisher.loop_stop()


@needs_mosquitto
def test_a_broker_that_does_not_confirm_the_end_is_away_and_has_not_refused(own_mosquitto, monkeypatch):
    broker = own_mosquitto()
    receiver = open_receiver(broker.url, "unheard", "application/#")
    monkeypatch.setattr(receiver_module, "ANSWER_S", 0.3)
    broker.kill()

    with pytest.raises(BrokerUnavailableError, match="did not confirm"):
        receiver.unsubscribe()
    receiver.close()
