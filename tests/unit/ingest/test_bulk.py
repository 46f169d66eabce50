import inspect
import socket
import ssl
import threading
import time
from datetime import UTC, datetime

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from ingest import bulk
from ingest.bulk import BulkClient
from ingest.received import Received
from tests.unit.ingest.wire import PINGREQ, PINGRESP, V5, V311, connack, publish, suback, with_mid

ARRIVED_AT = datetime(2026, 3, 10, 12, tzinfo=UTC)
DEADLINE_S = 10.0


def test_the_parts_of_paho_that_we_rely_on_are_there():
    """Each is used in one place of ingest/bulk.py, which says what for."""
    client = paho.Client(CallbackAPIVersion.VERSION2, "parts", protocol=V5, manual_ack=True)

    assert list(inspect.signature(client._sock_recv).parameters) == ["bufsize"]
    assert list(inspect.signature(client._packet_read).parameters) == []
    assert list(inspect.signature(client._packet_queue).parameters) == ["command", "packet", "mid", "qos", "info"]
    assert list(inspect.signature(client._loop_rc_handle).parameters) == ["rc"]
    assert isinstance(client._last_bytes_received, float)
    assert isinstance(client._ping_t, float)
    assert paho.time_func is time.monotonic  # _last_bytes_received is on this clock
    with client._msgtime_mutex:
        pass
    assert isinstance(paho.MQTTMessage(topic=b"a")._topic, bytes)
    source = inspect.getsource(paho.Client._packet_read)
    assert source.count("self._sock_recv(") == inspect.getsource(paho.Client).count("self._sock_recv(") == 3
    assert "self._out_packet.clear()" in inspect.getsource(paho.Client.reconnect)  # acks of the earlier connection
    assert "self.loop_forever(" in inspect.getsource(paho.Client._thread_main)
    assert "'Caught exception in on_connect" in inspect.getsource(paho.Client._handle_connack)
    assert "self.loop_read(" in inspect.getsource(paho.Client._loop)


class Broker:
    """One end of a loopback connection: says what it is told to, and hears all that the client says."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connection: socket.socket | None = None

    def accept(self) -> None:
        self.connection, _ = self._listener.accept()
        self.connection.settimeout(DEADLINE_S)
        assert self.hear(2)[0] == 0x10
        self.hear_all()
        self.say(connack(V5))

    def say(self, packets: bytes) -> None:
        assert self.connection is not None
        self.connection.sendall(packets)

    def hear(self, number_bytes: int) -> bytes:
        assert self.connection is not None
        heard = b""
        while len(heard) < number_bytes:
            part = self.connection.recv(number_bytes - len(heard))
            assert part, f"the client ended the connection after {heard!r}"
            heard += part
        return heard

    def hear_all(self) -> bytes:
        """What has come, until nothing comes for a moment."""
        assert self.connection is not None
        heard = b""
        self.connection.settimeout(0.1)
        try:
            while part := self.connection.recv(65536):
                heard += part
        except TimeoutError:
            pass
        self.connection.settimeout(DEADLINE_S)
        return heard

    def hang_up(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def close(self) -> None:
        self.hang_up()
        self._listener.close()


class Taken:
    """What on_publishes got."""

    def __init__(self) -> None:
        self.lists: list[list[Received]] = []
        self._changed = threading.Condition()

    def __call__(self, publishes: list[Received]) -> None:
        with self._changed:
            self.lists.append(publishes)
            self._changed.notify_all()

    @property
    def all(self) -> list[Received]:
        return [item for publishes in self.lists for item in publishes]

    def wait(self, number: int) -> list[Received]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.all) >= number, DEADLINE_S)
        return self.all


@pytest.fixture
def broker():
    broker = Broker()
    yield broker
    broker.close()


@pytest.fixture
def client(broker):
    client = BulkClient(CallbackAPIVersion.VERSION2, "bulk", protocol=V5, clock=lambda: ARRIVED_AT)
    client.suppress_exceptions = True
    client.reconnect_delay_set(1, 1)
    client.on_publishes = Taken()
    client.connect("127.0.0.1", broker.port, keepalive=5, clean_start=False)
    client.loop_start()
    broker.accept()
    yield client
    client.disconnect()
    client.loop_stop()
    client._reset_sockets()


def test_what_one_read_brings_is_one_list_with_one_arrival_time(broker, client):
    broker.say(b"".join(publish(V5, f"t/{mid % 3}", b"p%d" % mid, mid=mid) for mid in range(1, 51)))

    received = client.on_publishes.wait(50)

    assert len(client.on_publishes.lists) == 1
    assert received[4] == Received("t/2", b"p5", ARRIVED_AT, qos=1, epoch=client.epoch, mid=5)
    assert received[1].topic is received[4].topic  # decoded once


def test_acknowledgements_of_a_batch_are_one_write_in_order_of_receipt(broker, client):
    mids = [*range(65500, 65536), *range(1, 40)]
    broker.say(b"".join(publish(V5, mid=mid) for mid in mids) + publish(V5, qos=0))
    received = client.on_publishes.wait(len(mids) + 1)

    assert client.acknowledge(received) == len(mids)

    assert broker.hear(4 * len(mids)) == b"".join(with_mid(0x40, mid) for mid in mids)


def test_acknowledgements_go_between_what_paho_sends_itself(broker, client):
    broker.say(publish(V5, mid=7) + publish(V5, mid=8))
    received = client.on_publishes.wait(2)
    client.publish("up", b"1", qos=1)
    client.acknowledge(received)
    client.publish("up", b"2", qos=1)
    broker.say(PINGREQ)

    heard = broker.hear_all()

    packets = [publish(V5, "up", b"1", mid=1), with_mid(0x40, 7) + with_mid(0x40, 8), publish(V5, "up", b"2", mid=2)]
    assert b"".join(packets) in heard
    assert b"\xd0\0" in heard


def test_a_qos_2_message_comes_after_its_pubrel_and_is_completed_by_its_acknowledgement(broker, client):
    broker.say(publish(V5, "a", b"two", qos=2, mid=9))
    assert broker.hear(4) == with_mid(0x50, 9)
    assert client.on_publishes.all == []
    broker.say(with_mid(0x62, 9))

    client.acknowledge(client.on_publishes.wait(1))

    assert broker.hear(4) == with_mid(0x70, 9)


def test_an_acknowledgement_of_an_earlier_connection_is_never_sent(broker, client):
    broker.say(publish(V5, mid=1) + publish(V5, mid=2)[:5])
    old = client.on_publishes.wait(1)
    broker.hang_up()
    broker.accept()  # it connects again by itself
    broker.say(publish(V5, "new", mid=1))
    new = client.on_publishes.wait(2)[1:]

    assert client.acknowledge(old) == 0
    assert client.acknowledge(old + new) == 1

    assert new[0].topic == "new"  # the half packet of the first connection is forgotten
    assert new[0].epoch != old[0].epoch
    assert broker.hear(4) == with_mid(0x40, 1)
    assert broker.hear_all() == b""


def test_nothing_is_acknowledged_while_there_is_no_connection(broker, client):
    broker.say(publish(V5, mid=1))
    old = client.on_publishes.wait(1)
    gone = threading.Event()
    client.on_disconnect = lambda *_: gone.set()
    broker.hang_up()
    assert gone.wait(DEADLINE_S)

    assert client.acknowledge(old) == 0


def test_messages_that_are_not_taken_come_again_on_a_new_connection(broker, client):
    take = client.on_publishes

    def fail(publishes):
        client.on_publishes = take
        raise RuntimeError("no room in here")

    client.on_publishes = fail
    broker.say(publish(V5, mid=1))
    assert broker.hear_all() == b""  # no acknowledgement, and then the end
    broker.hang_up()
    broker.accept()
    broker.say(publish(V5, mid=1, dup=True))

    assert client.on_publishes.wait(1)[0].duplicate
    assert client.failure is None


def test_an_exception_in_a_callback_ends_nothing(broker, client):
    def fail(*_):
        raise RuntimeError("in a callback")

    client.on_subscribe = fail
    broker.say(suback(V5, 1, 1) + publish(V5))

    assert client.on_publishes.wait(1)
    assert client.failure is None
    assert client.is_connected()


def test_nothing_is_read_while_there_is_no_room_and_the_connection_stays(broker, client):
    broker.say(publish(V5, "before"))
    client.on_publishes.wait(1)  # it is connected
    room = threading.Event()
    client.has_room = room.wait
    broker.say(publish(V5))
    client._last_bytes_received = client._last_msg_out = 0.0  # a ping is overdue
    assert broker.hear(2) == PINGREQ
    time.sleep(0.2)
    assert len(client.on_publishes.all) == 1

    room.set()

    assert client.on_publishes.wait(2)[1].epoch == client.epoch
    broker.say(PINGRESP)
    assert client.is_connected()


def test_what_ends_the_network_thread_is_kept(broker, client, monkeypatch):
    def mistake():
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(client, "loop_misc", mistake)
    thread = client._thread
    broker.say(publish(V5))
    thread.join(DEADLINE_S)

    assert isinstance(client.failure, ZeroDivisionError)


def test_dropping_the_connection_makes_a_new_one(broker, client):
    epoch = client.epoch
    client.drop_connection()
    broker.hang_up()
    broker.accept()
    broker.say(publish(V5))

    assert client.on_publishes.wait(1)[0].epoch > epoch


def test_only_a_bounded_number_of_topics_and_properties_is_remembered(broker, client, monkeypatch):
    monkeypatch.setattr(bulk, "CACHE_ENTRIES", 10)
    packets = [publish(V5, f"t/{n}", mid=n, properties=b"\x0b" + bytes([n])) for n in range(1, 101)]
    broker.say(b"".join(packets) + publish(V5, "x" * 10_000, properties=b"\x03\x02\x58" + b"y" * 600))
    received = client.on_publishes.wait(101)

    assert [item.topic for item in received[:-1]] == [f"t/{n}" for n in range(1, 101)]
    assert len(client._publish_reader._topics) <= 10
    assert len(client._publish_reader._properties) <= 10
    assert max(map(len, client._publish_reader._topics)) < 600


def test_keep_alive_counts_from_messages_too(broker, client):
    client._last_bytes_received = 0.0

    broker.say(publish(V5))
    client.on_publishes.wait(1)

    assert time.monotonic() - client._last_bytes_received < DEADLINE_S


class Source:
    """Stands for a TLS socket that has several records decrypted or waiting: one a read, and no select in between."""

    def __init__(self, *records: bytes | Exception) -> None:
        self.records = list(records)

    def read(self, _most_bytes: int) -> bytes:
        record = self.records.pop(0)
        if isinstance(record, Exception):
            raise record
        return record


@pytest.mark.parametrize(
    ("records", "several", "expected"),
    [
        ([b"ab", b"cd", BlockingIOError()], True, (b"abcd", False)),
        ([b"ab", b""], True, (b"ab", True)),
        ([b"ab", ConnectionResetError()], True, (b"ab", True)),
        ([ssl.SSLError("bad record")], True, (b"", True)),
        ([b"ab", b"never read"], False, (b"ab", False)),
        ([b"a" * bulk.READ_BYTES, b"next time"], True, (b"a" * bulk.READ_BYTES, False)),
    ],
)
def test_one_read_takes_what_is_there(monkeypatch, records, several, expected):
    client = BulkClient(CallbackAPIVersion.VERSION2, "read", protocol=V311)
    monkeypatch.setattr(client, "_receive", Source(*records).read)

    assert client._read(several=several) == expected


def test_without_a_connection_there_is_nothing_to_read_or_acknowledge():
    client = BulkClient(CallbackAPIVersion.VERSION2, "unconnected", protocol=V5)

    assert client.loop_read() == MQTTErrorCode.MQTT_ERR_NO_CONN
    assert client.acknowledge([Received("a", b"", ARRIVED_AT, qos=1, epoch=client.epoch, mid=1)]) == 0
    client.drop_connection()
