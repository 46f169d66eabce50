"""The live feed: every message of sensors and vehicles with its time of publication, in order.

A window gives the same messages however it is cut. Vehicles report every ten metres, also when they see nothing.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from roadtwin.errors import SimulationError
from simulators.devices.device_feed import DeviceFeed
from simulators.feed import FeedBlock, TimedMessage
from simulators.instants import HOUR_US, us_of
from simulators.radio.radio_faults import Spans, broker_outages
from simulators.truth.truth import local_day, truth_of
from simulators.vehicles.vehicle_feed import VehicleFeed
from simulators.world import World

MAX_ADDITIONAL_BUSES = 2000
BURST = 1000
"""So many times as fast as it came about goes out what was kept while the broker was away."""

Source = Callable[[int, int], FeedBlock]
"""Gives the messages that are due in [begin, end) [µs since 1970, UTC]."""


def messages(world: World, *, start: datetime, end: datetime, additional_buses: int = 0) -> Iterator[TimedMessage]:
    """Messages published from `start` to before `end`, in the order of publication.

    Parameters
    ----------
    start, end : datetime
        Aware; `start` not before the world's first day.
    additional_buses : int
        Buses with cameras that circulate day and night besides the timetable, for a livelier feed: about 0.6 messages
        a second each. They only watch: what they see is not in the history, and no crew is sent for it.

    Raises
    ------
    SimulationError
        If an argument is out of range.
    """
    for block in message_blocks(world, start=start, end=end, additional_buses=additional_buses):
        yield from block


def message_blocks(world: World, *, start: datetime, end: datetime, additional_buses: int = 0) -> Iterator[FeedBlock]:
    """The same as blocks of at most an hour, none of them empty."""
    if start.tzinfo is None or end.tzinfo is None:
        raise SimulationError("Period: got a time without zone, expected times with an offset.")
    if local_day(world, start) < world.epoch:
        raise SimulationError(
            f"Begin: got {start.isoformat()}, expected no time before the world's first day, {world.epoch}."
        )
    if not 0 <= additional_buses <= MAX_ADDITIONAL_BUSES:
        raise SimulationError(f"Additional buses: got {additional_buses}, expected 0 to {MAX_ADDITIONAL_BUSES}.")
    truth = truth_of(world)
    devices, vehicles = DeviceFeed(truth), VehicleFeed(truth, additional_buses)

    def due(begin_us: int, end_us: int) -> FeedBlock:
        return FeedBlock.merged([devices.block(begin_us, end_us), vehicles.block(begin_us, end_us)])

    yield from published_blocks(world, due, us_of(start), us_of(end))


def published_blocks(world: World, due: Source, begin_us: int, end_us: int) -> Iterator[FeedBlock]:
    """What is published in [begin_us, end_us) of what is due: the broker of the scenario may be away at times.

    Blocks of at most an hour, none of them empty.
    """
    at_us = begin_us
    while at_us < end_us:
        until_us = min(at_us - at_us % HOUR_US + HOUR_US, end_us)
        yield from kept_and_sent(due, broker_outages(world, until_us), at_us, until_us)
        at_us = until_us


def kept_and_sent(due: Source, outages: Spans, begin_us: int, end_us: int) -> Iterator[FeedBlock]:
    """What is published in [begin_us, end_us) although the broker was away at times.

    What is due in an outage is kept by its senders and goes out in a burst at its end, in the same order, `BURST` times
    as fast. Where a burst would reach into the next outage, both count as one.
    """
    outages = _with_room_for_bursts(outages)
    at_us = begin_us
    while at_us < end_us:
        span = next((span for span in outages if at_us < _burst_end(span)), None)
        if span is None or end_us <= span[0]:
            block, until_us = due(at_us, end_us), end_us
        elif at_us < span[0]:
            block, until_us = due(at_us, span[0]), span[0]
        elif at_us < span[1]:
            block, until_us = None, min(span[1], end_us)  # nobody can publish
        else:
            until_us = min(_burst_end(span), end_us, at_us + HOUR_US // BURST)
            block = _burst(due, span, at_us, until_us)
        if block is not None and len(block):
            yield block
        at_us = until_us


def _burst(due: Source, span: tuple[int, int], begin_us: int, end_us: int) -> FeedBlock:
    """What goes out in a part of the burst after an outage, beside what is due then anyway."""
    first_us, last_us = span
    kept = due(first_us + (begin_us - last_us) * BURST, min(first_us + (end_us - last_us) * BURST, last_us))
    sent_us: NDArray[np.int64] = last_us + (kept.publish_us - first_us) // BURST
    return FeedBlock.merged([FeedBlock.of(sent_us, kept.topics, kept.payloads), due(begin_us, end_us)])


def _burst_end(span: tuple[int, int]) -> int:
    return span[1] + -(-(span[1] - span[0]) // BURST)


def _with_room_for_bursts(outages: Spans) -> Spans:
    """Outages between which every burst ends: one that begins before is one with the outage before."""
    result: list[tuple[int, int]] = []
    for span in outages:
        if result and span[0] <= _burst_end(result[-1]):
            result[-1] = result[-1][0], span[1]
        else:
            result.append(span)
    return tuple(result)
