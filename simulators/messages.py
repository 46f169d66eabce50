"""The live feed: every message of sensors and vehicles with its time of publication, in order.

A window gives the same messages however it is cut. Vehicles report every ten metres, also when they see nothing.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from roadtwin.errors import SimulationError
from simulators.device_feed import DeviceFeed
from simulators.feed import TimedMessage
from simulators.truth import local_day, truth_of
from simulators.vehicle_feed import VehicleFeed
from simulators.world import World

MAX_ADDITIONAL_BUSES = 2000


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
    at = start.astimezone(UTC)
    while at < end:
        until = min(at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1), end)
        batch = [*devices.messages(at, until), *vehicles.messages(at, until)]
        batch.sort(key=lambda message: (message.publish_at, message.topic, message.payload))
        yield from batch
        at = until
