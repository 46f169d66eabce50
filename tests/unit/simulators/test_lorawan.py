"""The air: times, duty cycle, counters, sessions, and who hears whom."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from simulators.devices.devices import SENML, TTS
from simulators.instants import DAY_US, HOUR_US
from simulators.radio.lorawan import (
    AIR_TIME_LIMIT_US,
    MAC_BYTES,
    SUB_BAND_OF_CHANNEL,
    Links,
    air_time_us,
    loss_probability,
)
from simulators.radio.radio import Radio
from simulators.radio.radio_faults import RadioFaults
from simulators.radio.sessions import SESSION_DAYS, Schedule
from simulators.scenario import CounterReset, GatewayOutage, Lora, PacketLoss, Scenario, SensorOutage
from simulators.world import build_world

START = datetime(2024, 9, 30, 22, tzinfo=UTC)
T0_US = round(datetime(2025, 1, 15, tzinfo=UTC).timestamp() * 1e6)


def scenario(*faults, **lora):
    return Scenario(name="made-up", title="t", title_de="t", summary="s", lora=Lora(**lora), fault=faults)


@pytest.fixture(scope="module")
def world():
    return build_world(seed=5, length_km=60, start=START, device_count=150, scenario=scenario(confirmed_share=0.3))


def schedule_of(world, links=None, payload_bytes=20):
    return Schedule(world, links or Links.of(world), np.full(len(world.devices), payload_bytes))


def of_lora(world):
    return np.array([d.number for d in world.devices if d.network_source != SENML], np.int32)


@pytest.mark.parametrize(
    ("size", "factor", "air_ms"),
    [(24, 7, 61.696), (19, 7, 51.456), (51 + MAC_BYTES, 12, 2793.472), (11 + MAC_BYTES, 12, 1482.752)],
)  # the first as The Things Stack tells it of a real uplink, the others by Semtech's formula
def test_the_time_on_air_is_that_of_the_modem(size, factor, air_ms):
    assert air_time_us(size, factor) == pytest.approx(air_ms * 1000)


@pytest.mark.parametrize("payload_bytes", [8, 51])
def test_no_device_is_on_the_air_for_longer_than_the_duty_cycle_allows(world, payload_bytes):
    """The worst that can be: the slowest rate, and nobody ever acknowledges."""
    deaf = replace(world, scenario=scenario(PacketLoss(probability=1.0), confirmed_share=1.0))
    links = Links.of(deaf)
    links = replace(links, spreading_factor=np.full_like(links.spreading_factor, 12))
    schedule = schedule_of(deaf, links, payload_bytes)
    samples = schedule.samples(of_lora(deaf), T0_US, T0_US + DAY_US)

    sent = Radio(deaf, links, schedule).transmit(samples, RadioFaults(deaf, 2025))

    assert not sent.is_heard.any()
    assert sent.attempt.max() == 3
    device, band = samples.device[sent.sample], np.array(SUB_BAND_OF_CHANNEL)[sent.channel]
    for shift_us in range(0, HOUR_US, HOUR_US // 6):
        hour = (sent.sent_us - shift_us) // HOUR_US
        key = (device * 2 + band) * 100 + hour - hour.min()
        assert np.bincount(key, schedule.air_us[device]).max() <= AIR_TIME_LIMIT_US
    assert (schedule.stride > 1).any() == (payload_bytes == 51)  # then some have to send less often


def test_a_counter_goes_up_by_one_with_every_uplink_and_begins_anew_with_a_session(world):
    outage = SensorOutage(begins="2025-01-10", ends="2025-01-14T07:00", share=0.5)
    world = replace(world, scenario=scenario(outage, SensorOutage(begins="2025-01-13", ends="2025-01-20", share=0.5)))
    schedule, faults, devices = schedule_of(world), RadioFaults(world, 2025), of_lora(world)
    samples = schedule.samples(devices, T0_US - 100 * DAY_US, T0_US + 60 * DAY_US)
    silent = faults.silences.cover(samples.device, samples.nominal_us)
    assert silent.any()
    samples = samples.where(~silent)

    session, joined_us = schedule.sessions(samples.device, samples.nominal_us)
    counter = schedule.counters(samples, joined_us, faults)

    same = samples.device[1:] == samples.device[:-1]
    new = session[1:] != session[:-1]
    assert (np.diff(counter)[same & ~new] == 1).all()
    assert (counter[1:][same & new] == 0).all()
    assert (same & new).sum() > len(devices)  # everybody but the lasting ones joined once or twice in 160 days
    assert not new[same & schedule.is_lasting[samples.device[1:]]].any()
    assert np.diff(np.unique(joined_us[~schedule.is_lasting[samples.device]])).min() > 0
    assert counter.max() < (SESSION_DAYS + 600) * 144


def test_counters_of_sixteen_bits_go_round(world):
    schedule, faults = schedule_of(world), RadioFaults(world, 2029)
    later_us = T0_US + 1200 * DAY_US
    samples = schedule.samples(of_lora(world), later_us, later_us + DAY_US)
    counter = schedule.counters(samples, schedule.sessions(samples.device, samples.nominal_us)[1], faults)

    short = schedule.has_short_counter[samples.device]
    many = schedule.is_lasting[samples.device] & (schedule.interval_us[samples.device] == 600_000_000)
    assert (counter[short] < 2**16).all()
    assert (counter[many & ~short] > 2**16).all()  # others count on, with 32 bits
    assert all(world.devices[n].network_source == TTS for n in np.flatnonzero(schedule.has_short_counter))


@pytest.mark.parametrize("per_day", [0.3, 4.0])
def test_counter_resets_come_as_often_as_the_scenario_says_and_only_in_their_window(world, per_day):
    fault = CounterReset(begins="2025-01-15", ends="2025-02-14", per_day=per_day)
    faulty = replace(world, scenario=scenario(fault))
    schedule, devices = schedule_of(world), of_lora(world)
    samples = schedule.samples(devices, T0_US - 5 * DAY_US, T0_US + 40 * DAY_US)
    joined_us = schedule.sessions(samples.device, samples.nominal_us)[1]

    usual = schedule.counters(samples, joined_us, RadioFaults(world, 2025))
    counter = schedule.counters(samples, joined_us, RadioFaults(faulty, 2025))

    before = samples.nominal_us < T0_US - HOUR_US  # the window begins at local midnight
    assert (counter[before] == usual[before]).all()
    starts = np.flatnonzero((counter[1:] == 0) & (usual[1:] != 0) & (samples.device[1:] == samples.device[:-1])) + 1
    assert (samples.nominal_us[starts] < T0_US + 30 * DAY_US + HOUR_US).all()
    # Two resets between two uplinks show as one: of a Poisson process, 1 - exp(-rate · interval) are seen.
    interval_day = schedule.interval_us[devices] / DAY_US
    expected = (30 / interval_day * -np.expm1(-per_day * interval_day)).sum()
    assert len(starts) == pytest.approx(expected, abs=5 * expected**0.5)
    again = np.diff(counter)[samples.device[1:] == samples.device[:-1]]
    assert (again[again <= 0] <= 0).all()


def test_the_same_whatever_the_period_that_is_asked_for(world):
    faulty = replace(world, scenario=scenario(CounterReset(per_day=0.5), SensorOutage(begins="2025-01-01", share=0.2)))
    schedule, faults, devices = schedule_of(faulty), RadioFaults(faulty, 2025), of_lora(world)

    def counters(begin_us, end_us):
        samples = schedule.samples(devices, begin_us, end_us)
        joined_us = schedule.sessions(samples.device, samples.nominal_us)[1]
        counter = schedule.counters(samples, joined_us, faults)
        return dict(
            zip(zip(samples.device.tolist(), samples.index.tolist(), strict=True), counter.tolist(), strict=True)
        )

    whole = counters(T0_US, T0_US + 3 * DAY_US)
    cut = T0_US + 31 * HOUR_US + 12_345_678
    assert counters(T0_US, cut) | counters(cut, T0_US + 3 * DAY_US) == whole


def test_every_device_is_heard_and_few_frames_are_lost(world):
    """Loss by collisions and fading of some per cent at most, whatever the spreading factor."""
    for seed in (5, 6):
        world = build_world(
            seed=seed, length_km=60, start=START, device_count=150, scenario=scenario(confirmed_share=0)
        )
        links, schedule = Links.of(world), schedule_of(world)
        samples = schedule.samples(of_lora(world), T0_US, T0_US + 5 * DAY_US)
        sent = Radio(world, links, schedule).transmit(samples, RadioFaults(world, 2025))
        sent_by = np.bincount(samples.device, minlength=len(world.devices))[of_lora(world)]
        heard = np.bincount(samples.device[sent.sample[sent.is_first]], minlength=len(world.devices))[of_lora(world)]
        assert 0.001 < 1 - heard.sum() / sent_by.sum() < 0.03
        assert (heard / sent_by).min() > 0.75
        assert np.bincount(sent.receptions.transmission).max() > 1
        needed = links.needed_snr_db[samples.device[sent.sample[sent.receptions.transmission]]]
        assert (sent.receptions.snr_quarters / 4 >= needed - 0.13).all()  # rounded to quarters
        assert len(np.unique(links.spreading_factor)) > 1
        assert np.mean(links.spreading_factor == 7) > 0.5


def test_collisions_grow_with_air_time_and_traffic(world):
    links = Links.of(world)
    links = replace(links, spreading_factor=np.full_like(links.spreading_factor, 9))
    air_us, rate = np.full(len(world.devices), 200_000), np.full(len(world.devices), 1 / 3600)

    alone = loss_probability(world, links, rate, air_us * 0)  # to what disturbs them in any case
    collided = (loss_probability(world, links, rate, air_us) - alone)[of_lora(world)]

    assert (collided > 0).all()
    assert ((loss_probability(world, links, rate * 30, air_us) - alone)[of_lora(world)] > 2 * collided).all()
    assert ((loss_probability(world, links, rate, air_us * 8) - alone)[of_lora(world)] > 7 * collided).all()


def test_a_confirmed_uplink_is_repeated_until_it_is_acknowledged(world):
    lossy = replace(world, scenario=scenario(PacketLoss(probability=0.4), confirmed_share=0.3))
    links, schedule = Links.of(lossy), schedule_of(lossy)
    samples = schedule.samples(of_lora(lossy), T0_US, T0_US + 3 * DAY_US)

    sent = Radio(lossy, links, schedule).transmit(samples, RadioFaults(lossy, 2025))

    confirmed = schedule.is_confirmed[samples.device]
    attempts = np.bincount(sent.sample, minlength=len(samples))
    assert (attempts[~confirmed] == 1).all()
    assert attempts[confirmed].max() == 4
    published = np.bincount(sent.sample[sent.is_first], minlength=len(samples))
    assert published.max() == 1
    # 0.4 are lost on the air and some more by fading and collisions; of four attempts few all are.
    assert published[~confirmed].mean() == pytest.approx(0.595, abs=0.025)
    assert published[confirmed].mean() > 0.95
    gap_us = np.diff(np.sort(sent.sent_us[sent.sample == np.flatnonzero(attempts == 4)[0]]))
    assert ((gap_us > 3_000_000) & (gap_us < 12_000_000)).all()


def test_a_gateway_that_is_off_hears_nothing(world):
    faulty = replace(
        world, scenario=scenario(GatewayOutage(begins="2025-01-15T06:00", ends="2025-01-15T18:00", share=0.5))
    )
    links, schedule, faults = Links.of(world), schedule_of(world), RadioFaults(faulty, 2025)
    samples = schedule.samples(of_lora(world), T0_US, T0_US + DAY_US)

    usual = Radio(world, links, schedule).transmit(samples, RadioFaults(world, 2025)).receptions
    fewer = Radio(faulty, links, schedule).transmit(samples, faults)

    (outage,) = faults.gateway_outages
    off = outage.who[fewer.receptions.gateway]
    at_us = fewer.sent_us[fewer.receptions.transmission]
    inside = (at_us >= T0_US + 5 * HOUR_US) & (at_us < T0_US + 17 * HOUR_US)
    assert 0 < outage.who.sum() < len(outage.who)
    assert not (off & inside).any()
    assert (off & ~inside).any()
    assert len(usual.gateway) > len(fewer.receptions.gateway)
