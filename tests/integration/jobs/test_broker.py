"""The embedded brokers: at least once over a lost connection, large messages, orphans and clear errors."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit
from uuid import uuid4

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from roadtwin.errors import BrokerUnavailableError
from roadtwin.jobs.broker import start_broker

pytestmark = pytest.mark.every_part


class Client:
    """A paho client with a persistent session, which acknowledges only when told to."""

    def __init__(self, url, client_id, protocol, *, acknowledge):
        persistent = {} if protocol == mqtt.MQTTv5 else {"clean_session": False}
        self.paho = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol, manual_ack=True, **persistent
        )
        self.payloads, self.session_present = [], None
        self._ready = threading.Event()
        self._acknowledge = acknowledge
        self.paho.on_connect = self._on_connect
        self.paho.on_subscribe = lambda *_: self._ready.set()
        self.paho.on_message = self._on_message
        options = {}
        if protocol == mqtt.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 3600
            properties.ReceiveMaximum = 2000
            options = {"clean_start": False, "properties": properties}
        address = urlsplit(url)
        self.paho.connect(address.hostname, address.port, **options)
        self.paho.loop_start()
        assert self._ready.wait(10)

    def _on_connect(self, client, userdata, flags, reason, properties):
        self.session_present = flags.session_present
        self._ready.set()

    def _on_message(self, client, userdata, message):
        self.payloads.append(message.payload)
        if self._acknowledge:
            client.ack(message.mid, message.qos)

    def subscribe(self, topic):
        self._ready.clear()
        self.paho.subscribe(topic, qos=1)
        assert self._ready.wait(10)

    def wait_for(self, count):
        deadline = time.monotonic() + 20
        while len(self.payloads) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.payloads

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


def publish(url, protocol, topic, payloads):
    client = Client(url, f"publisher-{uuid4().hex}", protocol, acknowledge=True)
    for info in [client.paho.publish(topic, payload, qos=1) for payload in payloads]:
        info.wait_for_publish(20)
        assert info.is_published()
    client.close()


@pytest.mark.parametrize("protocol", [mqtt.MQTTv5, mqtt.MQTTv311], ids=["mqtt5", "mqtt311"])
def test_messages_that_were_not_acknowledged_come_again_after_a_reconnect(mqtt_broker, protocol):
    url = mqtt_broker.url if protocol == mqtt.MQTTv5 else mqtt_broker.url_v311
    name = f"test-{uuid4().hex}"
    first = Client(url, name, protocol, acknowledge=False)
    first.subscribe(f"{name}/#")
    sent = [str(i).encode() for i in range(300)]
    publish(url, protocol, f"{name}/readings", sent)
    assert first.wait_for(1)
    first.close()

    second = Client(url, name, protocol, acknowledge=True)

    assert second.session_present
    assert sorted(second.wait_for(300), key=int) == sent
    second.close()


def test_a_message_of_ten_megabytes_is_delivered_so_that_it_can_be_rejected_by_name(mqtt_broker):
    name = f"test-{uuid4().hex}"
    subscriber = Client(mqtt_broker.url, name, mqtt.MQTTv5, acknowledge=True)
    subscriber.subscribe(f"{name}/#")

    publish(mqtt_broker.url, mqtt.MQTTv5, f"{name}/big", [b"x" * 10_000_000, b"after"])

    assert [len(payload) for payload in subscriber.wait_for(2)] == [10_000_000, 5]
    subscriber.close()


def test_a_broker_whose_starter_was_killed_is_replaced_and_its_queue_kept(data_dir):
    try:
        start_broker(data_dir, kind="mosquitto").close()
    except BrokerUnavailableError as exc:
        pytest.skip(str(exc))
    program = (
        "import sys, time; from pathlib import Path; from roadtwin.jobs.broker import start_broker\n"
        f"b = start_broker(Path({str(data_dir)!r}), kind='mosquitto'); print(b.url, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as starter:
        url = starter.stdout.readline().strip()
        subscriber = Client(url, "worker", mqtt.MQTTv5, acknowledge=False)
        subscriber.subscribe("t/#")
        subscriber.close()
        publish(url, mqtt.MQTTv5, "t/1", [b"1", b"2"])
        os.kill(starter.pid, signal.SIGKILL)

    with start_broker(data_dir, kind="mosquitto") as broker:
        again = Client(broker.url, "worker", mqtt.MQTTv5, acknowledge=True)
        assert again.wait_for(2) == [b"1", b"2"]
        again.close()


def test_an_embedded_rumqttd_ends_with_the_process_that_started_it(data_dir):
    program = (
        "import time; from pathlib import Path; from roadtwin.jobs.broker import start_broker\n"
        f"b = start_broker(Path({str(data_dir)!r}), kind='iotcore'); print(b.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as starter:
        pid = int(starter.stdout.readline())
        os.kill(starter.pid, signal.SIGKILL)

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        with open(f"/proc/{pid}/stat") as status:  # noqa: PTH123 - a zombie that nobody reaps has ended too
            if ") Z" in status.read():
                return
        time.sleep(0.05)
    pytest.fail("rumqttd still runs")


def test_a_second_broker_in_the_same_directory_is_refused(data_dir):
    with start_broker(data_dir), pytest.raises(BrokerUnavailableError, match="Another Roadtwin runs a broker"):
        start_broker(data_dir)


def test_a_taken_port_is_a_clear_error(data_dir):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BrokerUnavailableError, match="did not start"):
            start_broker(data_dir, port=taken.getsockname()[1])


def test_a_closed_broker_is_gone_and_can_start_again_on_its_port(data_dir):
    broker = start_broker(data_dir)
    port = urlsplit(broker.url).port
    broker.close()
    assert not broker.running

    with start_broker(data_dir, port=port) as again:
        assert urlsplit(again.url).port == port
