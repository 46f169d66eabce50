"""From real brokers: what is received, acknowledged, delivered again, refused; and what a receiver knows of itself."""

import gc
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from uuid import uuid4

import pytest

from ingest import receiver as receiver_module
from ingest.mqtt import BrokerAddress, Session, parse_mqtt_url
from ingest.receiver import Receiver
from roadtwin.errors import BrokerRefusedError, BrokerUnavailableError, ReceiverStoppedError
from roadtwin.telemetry import QOS0_MESSAGES, STALE_ACKS
from tests.integration.ingest.conftest import open_publisher, publish_all, wait_for
from tests.integration.ingest.mosquitto import OwnMosquitto, needs_mosquitto
from tests.integration.ingest.receiving import now, open_receiver, take
from tests.unit.ingest import wire

NEVER = threading.Event()


def messages(numbers, part="x", size=0) -> list[tuple[str, bytes]]:
    return [(f"application/{part}/device/d/event/up", b"%d" % number + b" " * size) for number in numbers]


def numbers(received) -> list[int]:
    return [int(item.payload) for item in received]


@pytest.fixture
def publisher(mqtt_url):
    client = open_publisher(mqtt_url)
    yield client
    client.disconnect()
    client.loop_stop()


def test_messages_come_in_order_with_what_the_broker_says_of_them(mqtt_url, publisher):
    part = uuid4().hex[:8]
    before = now()
    receiver = open_receiver(mqtt_url, f"order-{part}", f"application/{part}/#")
    publish_all(publisher, messages(range(300), part))
    received = take(receiver, 100)
    receiver.acknowledge(received)  # more than 100 are never in flight
    received += take(receiver, 100)
    receiver.acknowledge(received[100:])
    received += take(receiver, 100)
    receiver.acknowledge(received[200:])
    receiver.close()

    assert numbers(received) == list(range(300))
    assert {item.qos for item in received} == {1}
    assert {item.topic for item in received} == {f"application/{part}/device/d/event/up"}
    assert not any(item.retained or item.duplicate for item in received)
    assert before <= received[0].recorded_at <= received[-1].recorded_at <= now()


@needs_mosquitto
def test_what_was_published_at_qos_0_and_what_was_retained_is_marked(own_mosquitto):
    broker = own_mosquitto()
    publisher = open_publisher(broker.url)
    publish_all(publisher, [("application/x", b"1")], retain=True)
    qos0_before = QOS0_MESSAGES._value.get()
    receiver = open_receiver(broker.url, "marks", "application/#")
    (retained,) = take(receiver, 1)
    publisher.publish("application/x", b"2", qos=0)
    (qos0,) = take(receiver, 1)
    receiver.close()
    publisher.disconnect()
    publisher.loop_stop()

    assert (retained.retained, retained.qos) == (True, 1)
    assert (qos0.retained, qos0.qos) == (False, 0)
    assert QOS0_MESSAGES._value.get() == qos0_before + 1


def test_what_is_in_flight_is_counted_until_acknowledged_or_the_connection_ends(mqtt_url, publisher):
    part = uuid4().hex[:8]
    receiver = open_receiver(mqtt_url, f"flight-{part}", f"application/{part}/#")
    publish_all(publisher, messages(range(30), part))
    wait_for(lambda: receiver.waiting() == 30)
    received = take(receiver, 30)

    assert (receiver.waiting(), receiver.in_flight) == (0, 30)
    receiver.acknowledge(received[:10])
    assert receiver.in_flight == 20
    time.sleep(0.2)  # until the broker has them
    receiver._client.drop_connection()
    again = take(receiver, 20)
    assert numbers(again) == list(range(10, 30))
    assert receiver.in_flight == 20
    receiver.acknowledge(received[10:])  # of the connection that is gone
    assert receiver.in_flight == 20
    receiver.acknowledge(again)
    assert receiver.in_flight == 0
    assert [present for _, present in receiver.session_history] == [False, True]
    receiver.close()


def test_a_lone_message_after_a_pause_is_a_batch_at_once(mqtt_url, publisher, monkeypatch):
    monkeypatch.setattr(receiver_module, "IDLE_FLUSH_S", 3.0)
    part = uuid4().hex[:8]
    receiver = open_receiver(mqtt_url, f"idle-{part}", f"application/{part}/#")
    assert receiver.take(100, 5.0, NEVER) == []
    assert receiver.idle_s > 0.15
    threading.Timer(0.1, publisher.publish, [f"application/{part}/x", b"1", 1]).start()

    began_s = time.monotonic()
    received = take_once(receiver)

    assert numbers(received) == [1]
    assert time.monotonic() - began_s < 1.5
    assert receiver.idle_s < 1.5
    receiver.close()


def take_once(receiver, most=100, longest_s=5.0):
    deadline = time.monotonic() + 10
    while not (received := receiver.take(most, longest_s, NEVER)):
        assert time.monotonic() < deadline
    return received


@needs_mosquitto
def test_a_batch_does_not_wait_for_more_than_the_broker_has_in_flight(own_mosquitto):
    broker = own_mosquitto()
    receiver = open_receiver(broker.url, "twenty", "application/#", receive_maximum=20)
    publisher = open_publisher(broker.url)
    publish_all(publisher, messages(range(200)))
    wait_for(lambda: receiver.waiting() == 20)

    began_s, received, batches = time.monotonic(), [], 0
    while len(received) < 200:
        batch = take_once(receiver, longest_s=1.0)
        receiver.acknowledge(batch)
        received += batch
        batches += 1

    assert numbers(received) == list(range(200))
    assert time.monotonic() - began_s < 0.9 * 10  # ten times 20: none has waited for its second
    assert batches <= 100
    receiver.close()
    publisher.disconnect()
    publisher.loop_stop()


def test_a_stop_is_not_waited_out(mqtt_url):
    receiver = open_receiver(mqtt_url, f"stop-{uuid4().hex[:8]}", f"nothing/{uuid4().hex}")
    stop = threading.Event()
    stop.set()

    began_s = time.monotonic()
    assert receiver.take(10, 5.0, stop) == []
    assert time.monotonic() - began_s < 0.15
    receiver.close()


@needs_mosquitto
def test_two_processes_with_one_client_id_are_named(own_mosquitto, monkeypatch):
    monkeypatch.setattr(receiver_module, "HANG_UPS_MOST", 2)  # each takes a second
    broker = own_mosquitto()
    receivers = [open_receiver(broker.url, "twice", "application/#") for _ in range(2)]

    def one_gives_up() -> bool:
        for receiver in receivers:
            receiver.check()
        return False

    with pytest.raises(BrokerRefusedError, match="two processes use the client id 'twice'"):
        wait_for(one_gives_up, within_s=40)
    for receiver in receivers:
        receiver.close()


def test_a_network_thread_that_has_ended_is_told(mqtt_url, monkeypatch):
    receiver = open_receiver(mqtt_url, f"thread-{uuid4().hex[:8]}", f"nothing/{uuid4().hex}")
    receiver.check()

    def mistake():
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(receiver._client, "loop_misc", mistake)  # where paho's loop passes by
    with pytest.raises(ReceiverStoppedError, match="ended by a mistake in the program: ZeroDivisionError"):
        wait_for(receiver.check)


def take_all_slowly(receiver, number):
    received = []
    while len(received) < number:
        batch = take_once(receiver, longest_s=0.01)
        receiver.acknowledge(batch)
        received += batch
    return received


def test_a_full_queue_stops_reading_and_not_the_connection(mqtt_url, publisher):
    part = uuid4().hex[:8]
    session = Session(f"full-{part}", expiry_s=60, receive_maximum=25, keepalive_s=1, manual_ack=True)
    receiver = Receiver(parse_mqtt_url(mqtt_url), session, [f"application/{part}/#"], clock=now)
    most = receiver._most_messages = 10  # four times 25 would be 10 MB: too much for a quick test
    receiver.open()
    publish_all(publisher, messages(range(200), part, size=100_000))
    time.sleep(3)  # longer than the broker waits for a sign of us
    assert most <= receiver.waiting() <= most + 3  # one read is 256 KiB

    received = take_all_slowly(receiver, 200)

    assert numbers(received) == list(range(200))
    assert len(receiver.session_history) == 1
    receiver.close()


def test_a_full_queue_is_no_obstacle_to_closing_and_its_messages_stay_with_the_broker(mqtt_url, publisher):
    part = uuid4().hex[:8]
    receiver = open_receiver(mqtt_url, f"shut-{part}", f"application/{part}/#", receive_maximum=25)
    receiver._most_messages = 10
    publish_all(publisher, messages(range(60), part, size=100_000))
    wait_for(lambda: receiver.waiting() >= 10)
    began_s = time.monotonic()
    receiver.close()
    assert time.monotonic() - began_s < 3

    receiver = open_receiver(mqtt_url, f"shut-{part}", f"application/{part}/#")
    assert numbers(take_all_slowly(receiver, 60)) == list(range(60))
    receiver.close()


def test_payloads_of_a_queue_are_bounded_in_bytes(mqtt_url, publisher, monkeypatch):
    monkeypatch.setattr(receiver_module, "QUEUE_MOST_BYTES", 500_000)
    part = uuid4().hex[:8]
    receiver = open_receiver(mqtt_url, f"bytes-{part}", f"application/{part}/#")
    publish_all(publisher, messages(range(60), part, size=100_000))
    wait_for(lambda: receiver.waiting() >= 5)
    time.sleep(0.2)
    assert receiver.waiting() <= 5 + 3

    received = take_all_slowly(receiver, 60)

    assert numbers(received) == list(range(60))
    assert len(receiver.session_history) == 1
    receiver.close()


def publish_over_tls(port: int, ca_file: Path, number: int) -> None:
    """At QoS 1, all in one write; returns when all are acknowledged."""
    context = ssl.create_default_context(cafile=ca_file)
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1") as connection:
        connection.sendall(b"\x10\x0f\0\x04MQTT\x04\x02\0\x3c\0\x03pub")
        expected = b"\x20\x02\0\0"
        for mid, (topic, payload) in enumerate(messages(range(number), size=1100), start=1):
            body = len(topic).to_bytes(2, "big") + topic.encode() + mid.to_bytes(2, "big") + payload
            connection.sendall(b"\x32" + bytes([len(body) & 127 | 128, len(body) >> 7]) + body)
            expected += b"\x40\x02" + mid.to_bytes(2, "big")
        heard = b""
        while len(heard) < len(expected):
            heard += connection.recv(65536)
        assert heard == expected


def make_certificates(directory: Path) -> None:
    """Certificates for 127.0.0.1 that sign themselves, and their keys, readable by the broker's own user."""
    for name in ("ours", "stranger"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", f"{name}.key", "-out", f"{name}.crt"],
            cwd=directory, check=True, capture_output=True,
        )  # fmt: skip
        (directory / f"{name}.key").chmod(0o644)


# paho leaves a socket whose handshake failed to the collector.
ignores_socket_of_paho = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def start_with_tls(own_mosquitto, directory: Path) -> OwnMosquitto:
    make_certificates(directory)
    options = f"certfile {directory}/ours.crt\nkeyfile {directory}/ours.key\nmax_queued_messages 10000"
    broker: OwnMosquitto = own_mosquitto(options=options)
    return broker


def receiver_over_tls(port: int, ca_file: Path) -> Receiver:
    address = BrokerAddress("127.0.0.1", port, True, None, None, ca_file=ca_file)
    session = Session("tls", expiry_s=60, receive_maximum=1000, keepalive_s=5, manual_ack=True)
    return Receiver(address, session, ["application/#"], clock=now)


@needs_mosquitto
def test_messages_come_and_are_acknowledged_over_tls(own_mosquitto, data_dir):
    broker = start_with_tls(own_mosquitto, data_dir)
    receiver = receiver_over_tls(broker.port, data_dir / "ours.crt")
    receiver.open()
    publish_over_tls(broker.port, data_dir / "ours.crt", 3000)
    received = []
    while len(received) < 3000:
        batch = take_once(receiver, most=500, longest_s=0.2)
        receiver.acknowledge(batch)
        received += batch
    time.sleep(0.2)  # until the broker has the acknowledgements
    receiver._client.drop_connection()
    wait_for(lambda: len(receiver.session_history) == 2)

    assert receiver.take(1, 0.1, NEVER) == []
    receiver.close()
    assert numbers(received) == list(range(3000))


@needs_mosquitto
@ignores_socket_of_paho
def test_a_broker_whose_certificate_nobody_we_trust_has_signed_is_refused(own_mosquitto, data_dir):
    broker = start_with_tls(own_mosquitto, data_dir)

    with pytest.raises(BrokerRefusedError, match="offers no TLS that we trust"):
        receiver_over_tls(broker.port, data_dir / "stranger.crt").open()
    gc.collect()


class TakenOver:
    """A broker that gives the session of everyone who connects to another client, and says so."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(1000)
                connection.sendall(wire.connack(wire.V5, present=True))
                connection.recv(1000)
                connection.sendall(wire.suback(wire.V5, 1, 1) + wire.packet(0xE0, b"\x8e\0"))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def test_a_session_that_is_taken_over_again_and_again_is_named():
    broker = TakenOver()
    receiver = open_receiver(broker.url, "contested", "application/#")
    with pytest.raises(BrokerRefusedError, match="gave our session to another client 3 times"):
        wait_for(receiver.check)
    broker.close()


@needs_mosquitto
def test_acknowledgements_of_an_earlier_connection_are_not_sent(own_mosquitto):
    broker = own_mosquitto()  # keeps no session over its restart: packet ids begin at 1 again
    receiver = open_receiver(broker.url, "epochs", "application/#")
    publisher = open_publisher(broker.url)
    publish_all(publisher, messages(range(10)))
    old = take(receiver, 10)
    stale_before = STALE_ACKS._value.get()

    broker.kill()
    broker.start()
    wait_for(publisher.is_connected)
    wait_for(lambda: len(receiver.session_history) == 2)
    time.sleep(0.5)  # until it has subscribed again
    publish_all(publisher, messages(range(10, 20)))
    new = take(receiver, 10)
    assert {r.mid for r in new} & {r.mid for r in old}  # the trap: the same packet ids
    receiver.acknowledge(old)

    assert STALE_ACKS._value.get() == stale_before + 10
    receiver.close()
    receiver = open_receiver(broker.url, "epochs", "application/#")
    assert {r.payload for r in take(receiver, 10)} == {r.payload for r in new}  # none was acknowledged by mistake
    receiver.close()
    publisher.disconnect()
    publisher.loop_stop()


@needs_mosquitto
def test_a_broker_that_grants_less_than_qos_1_is_refused_by_name(own_mosquitto):
    broker = own_mosquitto(options="max_qos 0")

    with pytest.raises(BrokerRefusedError, match="granted only QoS 0 for application/#, expected QoS 1"):
        open_receiver(broker.url, "modest", "application/#")


@needs_mosquitto
def test_a_wrong_password_is_refused_without_being_repeated(own_mosquitto):
    broker = own_mosquitto(options="allow_anonymous false")
    url = broker.url.replace("mqtt://", "mqtt://user:secret@")

    with pytest.raises(BrokerRefusedError, match="refused the connection") as caught:
        open_receiver(url, "stranger", "application/#")

    assert "secret" not in str(caught.value)


def test_a_broker_that_does_not_answer_is_named():
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1 cannot be reached"):
        open_receiver("mqtt://127.0.0.1:1", "nobody", "application/#")
