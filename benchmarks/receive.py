"""How fast a pre-filled queue is received and acknowledged, beside a bare stock paho client on the same queue.

python benchmarks/receive.py [--messages 20000] [--runs 5]

Needs Mosquitto. Both read from one broker of this benchmark's own, alternating, each run a session of its own that is
filled before the clock starts: from connecting to the broker's having the last acknowledgement written to it. Messages
are of 1.1 kB at QoS 1. The ratio matters, not the absolute figures.
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.mqtt import Session, parse_mqtt_url
from ingest.receiver import Receiver

PAYLOAD = b"{" + b"x" * 1098 + b"}"
DEVICES = 2000
BATCH_MESSAGES = 500
RECEIVE_MAXIMUM = 2000
GIVE_UP_S = 120
PROTOCOLS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}


@contextmanager
def run_mosquitto() -> Iterator[int]:
    """Port of a broker without persistence that holds a million messages a session."""
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        raise SystemExit("Mosquitto is not installed on this machine.")
    with socket.socket() as free, tempfile.TemporaryDirectory() as directory:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
        config = Path(directory) / "mosquitto.conf"
        limits = "persistence false\nmax_inflight_messages 2000\nmax_queued_messages 1000000\n"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n{limits}")
        config.chmod(0o644)
        Path(directory).chmod(0o755)
        free.close()
        process = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: answers(port))
            yield port
        finally:
            process.terminate()
            process.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + GIVE_UP_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("gave up waiting")
        time.sleep(0.01)


def stock_client(client_id: str, protocol: MQTTProtocolVersion) -> tuple[paho.Client, dict[str, Any]]:
    """An unmodified paho client, and what its connect() needs for a session that lasts."""
    if protocol != MQTTProtocolVersion.MQTTv5:
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=protocol, clean_session=False, manual_ack=True
        )
        return client, {}
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 3600
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=protocol, manual_ack=True)
    return client, {"clean_start": False, "properties": properties}


def fill(port: int, client_id: str, protocol: MQTTProtocolVersion, number: int) -> None:
    """Subscribe and leave; then publish, so that the broker holds the messages for this client id."""
    subscribed = threading.Event()
    client, options = stock_client(client_id, protocol)
    client.on_connect = lambda client, *_: client.subscribe(f"{client_id}/#", 1)
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", port, **options)
    client.loop_start()
    if not subscribed.wait(GIVE_UP_S):
        raise SystemExit("the broker did not answer a subscription")
    client.disconnect()
    client.loop_stop()
    with socket.create_connection(("127.0.0.1", port)) as publisher:
        publisher.sendall(b"\x10\x10\0\x04MQTT\x04\x02\0\0\0\x04fill")
        listening = threading.Thread(target=hear, args=(publisher, 4 + 4 * number))
        listening.start()
        for n in range(number):
            topic = f"{client_id}/device/{n % DEVICES:016x}/event/up".encode()
            body = len(topic).to_bytes(2, "big") + topic + (n % 65535 + 1).to_bytes(2, "big") + PAYLOAD
            publisher.sendall(b"\x32" + bytes([len(body) & 127 | 128, len(body) >> 7]) + body)
        listening.join()


def hear(connection: socket.socket, number_bytes: int) -> None:
    while number_bytes > 0:
        heard = connection.recv(65536)
        if not heard:
            raise SystemExit("the broker ended the publisher's connection")
        number_bytes -= len(heard)


def run_bare_paho(port: int, client_id: str, protocol: MQTTProtocolVersion, number: int) -> float:
    """Seconds in which an unmodified paho client acknowledges the queue and does nothing else with it."""
    done, count = threading.Event(), 0

    def on_message(client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        nonlocal count
        client.ack(message.mid, message.qos)
        count += 1
        if count == number:
            done.set()

    client, options = stock_client(client_id, protocol)
    client.on_message = on_message
    began = time.perf_counter()
    client.connect("127.0.0.1", port, **options)
    client.loop_start()
    if not done.wait(GIVE_UP_S):
        raise SystemExit(f"bare paho received {count} of {number} messages")
    client.disconnect()
    client.loop_stop()
    return time.perf_counter() - began


def run_receiver(port: int, client_id: str, protocol: MQTTProtocolVersion, number: int) -> tuple[float, int]:
    """Seconds in which our receiver acknowledges the queue in batches, and how many messages came more than once."""
    session = Session(client_id, 3600, RECEIVE_MAXIMUM, manual_ack=True, protocols=(protocol,))
    address, never = parse_mqtt_url(f"mqtt://127.0.0.1:{port}"), threading.Event()
    receiver = Receiver(address, session, [f"{client_id}/#"], clock=lambda: datetime.now(UTC))
    began, seen, repeated = time.perf_counter(), 0, 0
    receiver.open()
    while seen - repeated < number:
        batch = receiver.take(BATCH_MESSAGES, 0.1, never)
        receiver.acknowledge(batch)
        seen += len(batch)
        repeated += sum([item.duplicate for item in batch])
        if time.perf_counter() - began > GIVE_UP_S:
            raise SystemExit(f"the receiver took {seen - repeated} of {number} messages")
    receiver.close()
    return time.perf_counter() - began, repeated


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    number: int = arguments.messages
    with run_mosquitto() as port:
        for name, protocol in PROTOCOLS.items():
            bare: list[float] = []
            ours: list[float] = []
            for run in range(arguments.runs):
                for kind in ("bare", "ours"):
                    client_id = f"{kind}-{name}-{run}"
                    fill(port, client_id, protocol, number)
                    if kind == "bare":
                        bare.append(number / run_bare_paho(port, client_id, protocol, number))
                    else:
                        seconds, repeated = run_receiver(port, client_id, protocol, number)
                        ours.append(number / seconds)
                figures = f"paho {bare[-1]:.0f}/s, receiver {ours[-1]:.0f}/s, {repeated} delivered again"
                print(f"MQTT {name}, run {run + 1}: {figures}")
            ratio = statistics.median(ours) / statistics.median(bare)
            medians = f"paho {statistics.median(bare):.0f}/s, receiver {statistics.median(ours):.0f}/s"
            print(f"MQTT {name}, median of {arguments.runs}: {medians}, ratio {ratio:.1f}")


if __name__ == "__main__":
    main()
