"""Faults of sensors by name: each shows in the bytes, where and when the scenario says, and nowhere else."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from ingest import codecs
from ingest.profile import apply, load_profiles
from ingest.quality import LOWEST_BATTERY_V
from roadtwin.types import Flag
from simulators.devices.device_kinds import KINDS
from simulators.devices.sensors import Sensors
from simulators.instants import DAY_US
from simulators.scenario import parse_scenario
from simulators.truth.condition import Condition
from simulators.world import build_world

TODAY = date(2024, 5, 1)
KIND = {kind.short: kind for kind in KINDS}
HEAD = 'name = "test"\ntitle = "Test"\ntitle_de = "Test"\nsummary = "A test."\n'
FAULT = '[[fault]]\nkind = "{}"\nfrom = "2024-03-10T00:00"\nuntil = "2024-03-20T00:00"\n'
BEGIN, END = datetime(2024, 3, 9, 23, tzinfo=UTC), datetime(2024, 3, 19, 23, tzinfo=UTC)


def sensors_with(faults="", seed=5):
    world = build_world(
        seed=seed,
        length_km=25,
        start=datetime(2023, 9, 30, 22, tzinfo=UTC),
        scenario=parse_scenario(HEAD + faults),
        today=TODAY,
        device_count=150,
    )
    return world, Sensors(Condition(world))


@pytest.fixture(scope="module")
def plain():
    return sensors_with()


def us(moment):
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def taken(world, sensors, short, start=BEGIN - timedelta(days=2), days=14):
    """Uplinks of all devices of a kind, and their times (samples,)."""
    kind = KIND[short]
    interval_us = kind.interval_s * 1_000_000
    numbers = np.array([device.number for device in world.devices if device.kind is kind], np.int32)
    index = np.arange(us(start) // interval_us, us(start) // interval_us + days * DAY_US // interval_us)
    device = np.repeat(numbers, len(index))
    return sensors.uplinks(kind, device, np.tile(index, len(numbers)), np.tile(index * interval_us, len(numbers)))


def read(uplinks):
    """Decoded fields of bytes by device, (devices, samples), and times."""
    codec = codecs.find(uplinks.kind.codec)
    frames = [codec.decode(uplinks.f_port, payload)[0].fields for payload in uplinks.payloads]
    count = len(np.unique(uplinks.device))
    fields = {name: np.array([f[name] for f in frames], dtype=float).reshape(count, -1) for name in frames[0]}
    return fields, uplinks.at_us.reshape(count, -1)[0]


def differing(one, other):
    """Rows whose bytes differ, by device, (devices, samples)."""
    count = len(np.unique(one.device))
    return np.array([a != b for a, b in zip(one.payloads, other.payloads, strict=True)]).reshape(count, -1)


@pytest.mark.parametrize("fault", ["sensor-drift", "sensor-stuck", "sensor-spikes"])
@pytest.mark.parametrize("short", sorted(KIND))
def test_a_fault_changes_the_bytes_of_its_devices_in_its_window_only(plain, fault, short):
    more = "samples = 0.3\n" if fault == "sensor-spikes" else ""
    world, sensors = sensors_with(FAULT.format(fault) + f'devices = "{KIND[short].profile_name}"\nshare = 0.5\n' + more)
    sound, faulty = taken(*plain, short), taken(world, sensors, short)
    other = "soil" if short != "soil" else "pavement"

    changed = differing(sound, faulty)
    at_us = faulty.at_us[: changed.shape[1]]

    inside = (at_us >= us(BEGIN)) & (at_us < us(END))
    assert not changed[:, ~inside].any()
    some = changed.any(axis=1)
    # Drawn for each device by itself: of a few devices, all or none of them can be concerned.
    assert some.any() or fault == "sensor-stuck" or len(some) < 8
    assert not some.all() or len(some) < 8
    assert taken(*plain, other, days=1).payloads == taken(world, sensors, other, days=1).payloads


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_share_of_devices_is_met(seed):
    # 150 devices: 0.3 ± 0.11 is three standard deviations.
    world, sensors = sensors_with(FAULT.format("sensor-drift") + "share = 0.3\nper_day = 0.1\n", seed)
    _, sound = sensors_with(seed=seed)
    concerned = []
    for short in KIND:
        pair = [taken(world, s, short, start=BEGIN + timedelta(days=5), days=1) for s in (sensors, sound)]
        concerned.extend(differing(*pair).any(axis=1).tolist())

    assert len(concerned) == 150
    assert np.mean(concerned) == pytest.approx(0.3, abs=0.11)


def test_drift_grows_by_the_same_amount_every_day(plain):
    faults = FAULT.format("sensor-drift") + 'devices = "em500-pt100"\nper_day = 0.02\n'
    sound, at_us = read(taken(*plain, "pavement"))
    faulty, _ = read(taken(*sensors_with(faults), "pavement"))

    drift = faulty["temperature"] - sound["temperature"]
    days = (at_us - us(BEGIN)) / DAY_US
    expected = np.where((days >= 0) & (days < 10), 0.02 * days * 80, 0)  # its typical range is 80 K wide

    assert np.abs(drift - expected).max() <= 0.1 + 1e-9  # two roundings to 0.1 K


def test_drift_downwards_stops_at_what_the_bytes_carry(plain):
    faults = FAULT.format("sensor-drift") + 'devices = "tcr"\nper_day = -1\n'
    faulty, at_us = read(taken(*sensors_with(faults), "traffic"))
    late = (at_us > us(BEGIN) + 3 * DAY_US) & (at_us < us(END))

    assert (faulty["left_count"][:, late] == 0).all()


@pytest.mark.parametrize("short", sorted(KIND))
def test_a_stuck_sensor_sends_what_it_measured_first_with_a_battery_that_goes_on(short):
    world, sensors = sensors_with(FAULT.format("sensor-stuck"))
    faulty, at_us = read(taken(world, sensors, short))
    inside = (at_us >= us(BEGIN)) & (at_us < us(END))
    battery = KIND[short].battery.field

    for name, column in faulty.items():
        if name != battery:
            assert (np.ptp(column[:, inside], axis=1) == 0).all(), name
    if short == "soil":
        assert (np.ptp(faulty[battery][:, inside], axis=1) > 0).any()


def test_a_stuck_sensor_goes_on_from_what_it_would_have_measured_then(plain):
    faulty, at_us = read(taken(*sensors_with(FAULT.format("sensor-stuck")), "surface"))
    sound, _ = read(taken(*plain, "surface"))
    (first,) = np.flatnonzero(at_us == us(BEGIN))

    assert (faulty["surface_temperature"][:, first + 50] == sound["surface_temperature"][:, first]).all()


def test_spikes_are_absurd_rare_and_one_field_each(plain):
    faults = FAULT.format("sensor-spikes") + 'devices = "cws2"\nsamples = 0.05\n'
    sound, at_us = read(taken(*plain, "surface"))
    faulty, _ = read(taken(*sensors_with(faults), "surface"))
    inside = (at_us >= us(BEGIN)) & (at_us < us(END))

    struck = np.stack([faulty[name] != sound[name] for name in sound])[:, :, inside]
    share = struck.any(axis=0).mean()
    assert struck.sum(axis=0).max() == 1
    assert share == pytest.approx(0.05, abs=4 * np.sqrt(0.05 / struck[0].size))
    spikes = struck[list(sound).index("surface_temperature")]
    values = faulty["surface_temperature"][:, inside][spikes]
    assert len(values) > 5
    assert ((values < -90) | (values > 130)).all()


def test_our_own_range_check_finds_spikes_of_most_fields(plain):
    profile = load_profiles().find("decentlab-dl-smtp-20cm")
    codec = codecs.find(profile.codec)
    faulty = taken(*sensors_with(FAULT.format("sensor-spikes") + 'devices = "smtp"\nsamples = 0.2\n'), "soil-profile")
    sound = taken(*plain, "soil-profile")
    found = hit = 0
    for one, other in zip(faulty.payloads, sound.payloads, strict=True):
        if one != other:
            hit += 1
            observations, _ = apply(profile, codec.decode(1, one)[0].fields, BEGIN, Flag.NONE)
            found += any(o.flags & Flag.RANGE for o in observations)

    # Temperatures down to -75 °C and up to 205 °C, moisture from -5 to 126 %: few of them are possible.
    assert hit > 50
    assert found / hit > 0.8


def test_a_battery_dies_in_its_window_after_its_voltage_has_fallen(plain):
    faults = FAULT.format("battery-death") + 'devices = "cws2"\ndays = 6\nshare = 0.5\n'
    world, sensors = sensors_with(faults)
    numbers = np.array([d.number for d in world.devices if d.kind.short == "surface"], np.int32)

    alive = np.stack([sensors.is_alive(numbers, np.full(len(numbers), us(BEGIN) + d * DAY_US)) for d in range(40)])

    dying = ~alive[-1]
    assert 0.2 < dying.mean() < 0.8
    assert alive[0].all()
    assert (alive[10] == alive[-1]).all()
    assert (np.diff(alive.astype(int), axis=0) <= 0).all()  # nobody comes back
    assert 1 < alive[:11, dying].sum(axis=0).mean() < 10  # somewhere in the window
    faulty, at_us = read(taken(world, sensors, "surface"))
    sound, _ = read(taken(*plain, "surface"))
    lost = sound["battery_voltage"] - faulty["battery_voltage"]
    assert (lost[~dying] == 0).all()
    for row in np.flatnonzero(dying):
        last = sensors.is_alive(np.full(len(at_us), numbers[row]), at_us)
        own = lost[row, last]
        assert (np.diff(own) >= -0.0011).all()
        assert own[-1] > 1.4
        assert faulty["battery_voltage"][row, last][-1] < LOWEST_BATTERY_V
        assert (own > 0).sum() <= 6 * 48


def test_a_battery_that_is_told_in_per_cent_runs_empty_too(plain):
    faults = FAULT.format("battery-death") + 'devices = "em500"\ndays = 6\n'
    world, sensors = sensors_with(faults)
    faulty, at_us = read(taken(world, sensors, "pavement"))
    numbers = [d.number for d in world.devices if d.kind.short == "pavement"]

    for row, number in enumerate(numbers):
        alive = sensors.is_alive(np.full(len(at_us), number), at_us)
        assert faulty["battery"][row, alive][-1] <= 3
        assert not alive[-1]


def test_without_an_end_batteries_die_within_a_month_and_without_faults_never(plain):
    open_end = FAULT.format("battery-death").replace('until = "2024-03-20T00:00"\n', "")
    world, sensors = sensors_with(open_end)
    everyone = np.arange(len(world.devices), dtype=np.int32)

    def alive(which, moment):
        return which.is_alive(everyone, np.full(len(everyone), us(moment)))

    assert alive(sensors, BEGIN).all()
    assert 0 < alive(sensors, BEGIN + timedelta(days=15)).mean() < 1
    assert not alive(sensors, BEGIN + timedelta(days=30)).any()
    assert alive(plain[1], datetime(2050, 1, 1, tzinfo=UTC)).all()


def test_a_fault_of_every_winter_is_there_every_winter():
    yearly = (
        '[[fault]]\nkind = "sensor-drift"\nfrom = "12-20"\nuntil = "01-10"\nper_day = 0.05\ndevices = "em500-pt100"\n'
    )
    world, sensors = sensors_with(yearly)
    _, sound = sensors_with()
    for year, drifts in ((2023, True), (2024, True), (2025, True)):
        start = datetime(year, 12, 28, tzinfo=UTC)
        pair = [taken(world, s, "pavement", start=start, days=1) for s in (sensors, sound)]
        assert differing(*pair).all() == drifts
        autumn = [taken(world, s, "pavement", start=start - timedelta(days=60), days=1) for s in (sensors, sound)]
        assert not differing(*autumn).any()


def test_faulty_samples_too_are_the_same_in_whatever_company_they_are_asked_for():
    world, sensors = sensors_with("".join(FAULT.format(kind) for kind in ("sensor-drift", "sensor-stuck")))
    whole = taken(world, sensors, "weather", days=4)
    _, fresh = sensors_with("".join(FAULT.format(kind) for kind in ("sensor-drift", "sensor-stuck")))
    order = np.random.default_rng(2).permutation(len(whole.device))[:300]

    some = fresh.uplinks(whole.kind, whole.device[order], whole.index[order], whole.at_us[order])

    assert some.payloads == [whole.payloads[i] for i in order]
