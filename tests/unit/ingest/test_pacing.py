"""Making messages ahead of time, in another thread."""

import threading
import time

import pytest

from ingest.pacing import ahead


def test_items_come_in_order_and_no_more_are_made_than_told():
    made = []

    def items():
        for number in range(20):
            made.append(number)
            yield number

    taken = []
    for item in ahead(items(), threading.Event(), most=2):
        taken.append(item)
        assert len(made) - len(taken) <= 3  # two wait, one is about to be handed over
    assert taken == list(range(20))


def test_what_fails_while_making_fails_where_it_is_asked_for():
    def items():
        yield 1
        raise ValueError("broken")

    it = ahead(items(), threading.Event())
    assert next(it) == 1
    with pytest.raises(ValueError, match="broken"):
        next(it)


def test_a_stop_ends_the_wait_for_an_item():
    stop = threading.Event()
    going_on = threading.Event()

    def items():
        yield 1
        going_on.wait(30)
        yield 2

    it = ahead(items(), stop)
    assert next(it) == 1
    threading.Timer(0.2, stop.set).start()
    assert list(it) == []
    going_on.set()


def test_the_maker_ends_when_nobody_asks_any_more():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    it = ahead(items(), threading.Event())
    next(it)
    it.close()
    deadline = time.monotonic() + 10
    while "making messages" in {thread.name for thread in threading.enumerate()} and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "making messages" not in {thread.name for thread in threading.enumerate()}
