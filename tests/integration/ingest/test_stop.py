"""A stop ends, whatever still comes."""

import threading
import time
from datetime import UTC, datetime

from ingest.consumer import DRAIN_S, Ingester
from ingest.received import Received
from ingest.store import Store
from ingest.writer import Writer
from tests.integration.ingest.conftest import count
from tests.integration.ingest.test_detour import uplinks
from tests.integration.ingest.test_detour_steps import NotedReceiver
from tests.samples import decoder


def test_a_stop_under_load_stores_what_came_before_it_and_leaves_the_rest(database_url, db, ingest_settings):
    receiver, stop, done = NotedReceiver(), threading.Event(), threading.Event()
    store = Store(database_url, worker="stop", stop=stop)
    writer = Writer(store, lambda job: receiver.acknowledge(job.received))
    (message,) = [(topic, payload) for topic, payload in uplinks([1], "stop")]

    def receive(mid: int) -> None:
        receiver._on_publishes([Received(*message, datetime.now(UTC), qos=1, epoch=1, mid=mid)])

    def keep_coming() -> None:
        mid = 100
        while not done.is_set():
            if receiver.waiting() > 500:  # as the bounded queue of a busy ingester: never empty
                time.sleep(0.0001)
                continue
            mid += 1
            receive(mid)

    for mid in range(1, 11):
        receive(mid)
    stop.set()
    load = threading.Thread(target=keep_coming)
    load.start()
    began_s = time.monotonic()
    ending = threading.Timer(20, done.set)
    ending.start()
    try:
        Ingester(ingest_settings, stop, decoder(), receiver, writer).run()
        lasted_s = time.monotonic() - began_s
    finally:
        done.set()
        ending.cancel()
        load.join()
        writer.close(10)
        store.close()

    assert lasted_s < DRAIN_S / 2
    assert receiver.acknowledged[:10] == list(range(1, 11))
    assert receiver.waiting() > 0
    assert count(database_url, "SELECT count(*) FROM message") == 1  # the same one all the time
