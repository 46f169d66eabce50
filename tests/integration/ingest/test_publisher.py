"""Publishing to a real broker: all qualities of service, exact accounts, and what happens when the broker goes away."""

import hashlib
import threading
import time
from uuid import uuid4

import pytest

from ingest.mqtt import Session, open_client, parse_mqtt_url
from ingest.publisher import IN_FLIGHT, Publisher
from roadtwin.errors import BrokerRefusedError, BrokerUnavailableError
from tests.integration.ingest.conftest import wait_for
from tests.integration.ingest.mosquitto import needs_mosquitto

COUNT = 3 * IN_FLIGHT + 7


@pytest.fixture
def witness():
    """Subscribe at QoS 2 with a stock client of its own; gives the list that its messages come into."""
    clients = []

    def subscribe(url, topic_filter):
        messages, subscribed = [], threading.Event()

        def prepare(client):
            client.on_message = lambda _client, _userdata, message: messages.append(message)
            client.on_subscribe = lambda *_: subscribed.set()
            client.on_connect = lambda client, *_: client.subscribe(topic_filter, qos=2)

        clients.append(open_client(parse_mqtt_url(url), Session(f"witness-{uuid4().hex[:8]}"), prepare))
        assert subscribed.wait(10)
        return messages

    yield subscribe
    for client in clients:
        client.disconnect()
        client.loop_stop()


def test_messages_arrive_in_order_with_their_qos_and_retain_flag(mqtt_broker, mqtt_url, witness):
    topic = f"publisher-test/{uuid4().hex}"
    received = witness(mqtt_url, f"{topic}/#")
    # One topic for each level: the order is kept within these.
    topics = [f"{topic}/{number % 3}" for number in range(COUNT)]
    payloads = [f"{number}".encode() * (1 + number % 100) for number in range(COUNT)]
    with Publisher(parse_mqtt_url(mqtt_url), name="test", keep_digests=True) as publisher:
        levels = [number % 3 for number in range(COUNT)]
        for at in range(0, COUNT, 500):
            part = slice(at, at + 500)
            assert publisher.publish_many(topics[part], payloads[part], qos=levels[part]) == len(payloads[part])
        publisher.wait_for_confirmations()
        assert (publisher.published, publisher.settled) == (COUNT, COUNT)
        assert publisher.confirmed == sum(level > 0 for level in levels)
        confirmed = [payload for payload, level in zip(payloads, levels, strict=True) if level]
        assert publisher.digests == tuple(hashlib.sha256(payload).digest() for payload in confirmed)

        wait_for(lambda: len(received) == COUNT)
        for level in range(3):
            of_level = [message for message in received if message.topic == f"{topic}/{level}"]
            assert [message.payload for message in of_level] == payloads[level::3]
            if mqtt_broker.kind == "mosquitto":  # the embedded broker delivers at the subscription's level
                assert {message.qos for message in of_level} == {level}

        publisher.publish_many([f"{topic}/kept"], [b"kept"], retained=[True])
        publisher.wait_for_confirmations()
        (kept,) = witness_of_retained(witness, mqtt_url, f"{topic}/kept")
        assert kept.retain
        publisher.publish_many([f"{topic}/kept"], [b""], retained=[True])
        publisher.wait_for_confirmations()


def witness_of_retained(witness, mqtt_url, topic):
    received = witness(mqtt_url, topic)
    wait_for(lambda: received)
    return received


@needs_mosquitto
@pytest.mark.parametrize("options", ["", "max_inflight_messages 0", "max_inflight_messages 1"])
def test_what_a_restarted_broker_did_not_confirm_is_sent_again(own_mosquitto, data_dir, options):
    """Whatever the broker lets us have in flight; its subscriber must see every message at least once."""
    del data_dir
    broker = own_mosquitto(options=f"{options}\nset_tcp_nodelay true")
    with Publisher(parse_mqtt_url(broker.url), name="test") as publisher:
        stop, killed = threading.Event(), threading.Event()

        def restart():
            wait_for(lambda: publisher.confirmed > 100)
            broker.kill()
            killed.set()
            time.sleep(0.3)
            broker.start()

        thread = threading.Thread(target=restart)
        thread.start()
        count = 0
        while not killed.is_set():
            count += publisher.publish_many(["a"] * 50, [b"x" * 200] * 50, stop=stop)
        publisher.publish_many(["a"] * 10, [b"y"] * 10)
        publisher.wait_for_confirmations(60)
        thread.join()
        assert publisher.published == publisher.confirmed == publisher.settled == count + 10


@needs_mosquitto
def test_a_broker_that_stays_away_leaves_messages_unconfirmed_and_says_how_many(own_mosquitto):
    broker = own_mosquitto()
    with Publisher(parse_mqtt_url(broker.url), name="test") as publisher:
        publisher.publish("a", b"1")
        publisher.wait_for_confirmations()
        broker.kill()
        publisher.publish_many(["a"] * 3, [b"2"] * 3)
        with pytest.raises(BrokerUnavailableError, match="left 3 of 4 messages unconfirmed"):
            publisher.wait_for_confirmations(1.0)
        assert publisher.confirmed == 1


@needs_mosquitto
def test_a_message_that_the_broker_refuses_is_an_error(own_mosquitto, data_dir):
    rules = data_dir / "acl"
    rules.write_text("topic write allowed/#\n")
    rules.chmod(0o644)
    broker = own_mosquitto(options=f"acl_file {rules}")
    with Publisher(parse_mqtt_url(broker.url), name="test") as publisher:
        publisher.publish("allowed/a", b"1")
        publisher.wait_for_confirmations()
        publisher.publish("forbidden/a", b"2")
        with pytest.raises(BrokerRefusedError, match="refused a message: Not authorized"):
            publisher.wait_for_confirmations()


@needs_mosquitto
def test_messages_of_qos_0_alone_are_held_back_too(own_mosquitto, witness):
    """More than a socket takes at once: all of them arrive where nothing is lost on the way."""
    broker = own_mosquitto(options="max_queued_messages 0")
    received = witness(broker.url, "a/#")
    with Publisher(parse_mqtt_url(broker.url), name="test") as publisher:
        for _ in range(200):
            publisher.publish_many(["a/b"] * 50, [b"z" * 1000] * 50, qos=[0] * 50)
        publisher.wait_for_confirmations()
        assert (publisher.confirmed, publisher.settled) == (0, 10_000)
        wait_for(lambda: len(received) == 10_000)


def test_what_mqtt_cannot_express_is_refused(mqtt_url):
    with Publisher(parse_mqtt_url(mqtt_url), name="test") as publisher:
        with pytest.raises(ValueError, match=r"Topic: got 65536 bytes"):
            publisher.publish("a" * 65_536, b"")
        publisher.publish("a", b"1")
        publisher.wait_for_confirmations()
        assert publisher.confirmed == 1
