"""Sound sensors pass the checks that need a history (ingest.quality), faulty ones do not."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from ingest import codecs
from ingest.profile import load_profiles
from ingest.quality import NEVER, Limits, SeriesState, judge_values
from roadtwin.types import Flag
from roadtwin.units import QUANTITIES
from simulators.devices.device_kinds import KINDS
from simulators.devices.sensors import Sensors
from simulators.instants import DAY_US
from simulators.scenario import parse_scenario
from simulators.truth.condition import Condition
from simulators.world import build_world

START, DAYS = datetime(2024, 1, 5, tzinfo=UTC), 25
HEAD = 'name = "test"\ntitle = "Test"\ntitle_de = "Test"\nsummary = "A test."\n'
LIBRARY = load_profiles()


def flagged(kind, faults="", seed=3, start=START, days=DAYS):
    """For each field of a profile, the parts of its values that are out of range, too fast, and stuck."""
    world = build_world(
        seed=seed,
        length_km=15,
        start=datetime(2023, 9, 30, 22, tzinfo=UTC),
        scenario=parse_scenario(HEAD + faults),
        today=date(2024, 5, 1),
        device_count=30,
    )
    numbers = np.array([device.number for device in world.devices if device.kind is kind], np.int32)
    interval_us = kind.interval_s * 1_000_000
    begin_us = (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    index = np.tile(np.arange(begin_us // interval_us, (begin_us + days * DAY_US) // interval_us), len(numbers))
    device = np.repeat(numbers, len(index) // len(numbers))
    uplinks = Sensors(Condition(world)).uplinks(kind, device, index, index * interval_us)
    codec = codecs.find(kind.codec)
    frames = [codec.decode(uplinks.f_port, payload)[0].fields for payload in uplinks.payloads]
    series = (device - numbers[0]).astype(np.int64)
    result = {}
    for step in LIBRARY.find(kind.profile_name).steps:
        path, quantity = step.field.path[0], QUANTITIES[step.quantity]
        if path not in frames[0]:
            continue
        raw = np.array([frame[path] for frame in frames], dtype=float)
        value = raw * step.factor + step.offset
        outside = np.isin(raw, step.sentinels) | (value < step.low) | (value > step.high)
        flags = np.where(outside, int(Flag.RANGE), 0)
        added, _ = judge_values(series, uplinks.at_us, value, flags, *_fresh(len(numbers), quantity))
        result[path] = tuple(
            float(np.mean(m)) for m in (outside, added & int(Flag.RATE) != 0, added & int(Flag.STUCK) != 0)
        )
    return result


def _fresh(count, quantity):
    def ints(value=NEVER):
        return np.full(count, value, np.int64)

    state = SeriesState(
        last_at=ints(),
        last_value=np.full(count, np.nan),
        unchanged_since=ints(),
        unchanged_count=ints(0),
        stuck=np.zeros(count, bool),
        sound_at=ints(),
        sound_value=np.full(count, np.nan),
    )

    def limit(value):
        return np.full(count, np.nan if value is None else value)

    limits = Limits(
        max_rate_per_h=limit(quantity.max_rate_per_h),
        stuck_after_h=limit(quantity.stuck_after_h),
        minimum=limit(quantity.minimum),
        maximum=limit(quantity.maximum),
    )
    return state, limits


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.short)
@pytest.mark.parametrize("start", [START, datetime(2024, 6, 20, tzinfo=UTC)], ids=["winter", "summer"])
def test_a_sound_sensor_is_neither_out_of_range_nor_too_fast_nor_stuck(kind, start):
    for path, shares in flagged(kind, start=start).items():
        assert shares == (0, 0, 0), path


@pytest.mark.parametrize("short", ["surface", "soil-profile", "weather"])
def test_a_stuck_sensor_is_found(short):
    (kind,) = (kind for kind in KINDS if kind.short == short)
    found = flagged(kind, '[[fault]]\nkind = "sensor-stuck"\nfrom = "2024-01-05"\nuntil = "2024-03-20"\n')

    limits = {"surface": ("surface_temperature", 48), "soil-profile": ("soil_moisture_at_depth_0", 336)}
    path, hours = limits.get(short, ("barometric_pressure", 48))
    assert found[path][2] == pytest.approx(1 - hours / 24 / DAYS, abs=0.06)


def test_spikes_are_found_by_their_rate_or_range():
    (kind,) = (kind for kind in KINDS if kind.short == "weather")
    spikes = '[[fault]]\nkind = "sensor-spikes"\nfrom = "2024-01-05"\nuntil = "2024-03-20"\nsamples = 0.06\n'

    found = flagged(kind, spikes)

    # Each of six fields is hit in 1 % of the samples, ± three standard deviations; the others are as they were. What
    # goes up within the range of a quantity goes too fast.
    samples = DAYS * 144
    for field in kind.measured:
        out_of_range, too_fast, _ = found[field.name]
        assert out_of_range + too_fast == pytest.approx(0.01, abs=3 * np.sqrt(0.01 / samples)), field.name
