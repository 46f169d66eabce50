"""The feed of the sensors: what network servers and generic gateways publish, part of a day by part of a day.

All devices of a kind are worked on at once. Everything is keyed by device and sample, so that neither the length of the
parts nor the order in which they are asked for changes a byte.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ingest.times import SKEW_AFTER_S
from simulators.devices.device_kinds import DeviceKind
from simulators.devices.devices import CHIRPSTACK, SENML, TTS
from simulators.devices.sensors import Sensors
from simulators.feed import FeedBlock, TimedMessage
from simulators.instants import DAY_US, as_time, us_of
from simulators.radio.byte_rows import time_text, uuid_text
from simulators.radio.chirpstack import ChirpStackJson, ChirpStackNames
from simulators.radio.chirpstack_protobuf import ChirpStackProtobuf
from simulators.radio.frames import DEDUPLICATION_US, Frames, GatewayClocks, event_times, frames_of
from simulators.radio.lorawan import Links
from simulators.radio.radio import Radio, Transmissions
from simulators.radio.radio_faults import RadioFaults, broker_outages, year_of
from simulators.radio.senml import SenMl
from simulators.radio.sessions import Samples, Schedule
from simulators.radio.things_stack import ThingsStack
from simulators.truth.truth import Truth

_RESENT_SHARE = 0.003
"""Share of uplinks that a bridge on the way publishes twice."""
_RESENT_US = (1_000_000, 20_000_000)
_PARTS_A_DAY = (1, 2, 3, 4, 6, 8, 12, 24)
_UPLINKS_A_PART = 15_000
_PROMPT_US = 120_000_000
"""What is published later than this after its part is kept apart, for long."""
_PARTS_KEPT = 4


@dataclass(slots=True)
class _Outbox:
    """Messages in the making."""

    publish_us: list[NDArray[np.int64]] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)

    def add(self, publish_us: NDArray[np.int64], topics: list[str], payloads: list[bytes]) -> None:
        self.publish_us.append(publish_us)
        self.topics += topics
        self.payloads += payloads

    def block(self) -> FeedBlock:
        return FeedBlock.of(np.concatenate([np.zeros(0, np.int64), *self.publish_us]), self.topics, self.payloads)


@dataclass(frozen=True, slots=True)
class Heard:
    """n samples that reached a server. Instants are µs since 1970, UTC."""

    device: NDArray[np.int32]
    index: NDArray[np.int64]
    """Which sample since 1970, in the interval of its kind."""
    at_us: NDArray[np.int64]
    """When it was taken."""
    received_us: NDArray[np.int64]
    """When a gateway had it, by a clock that is right."""
    known_us: NDArray[np.int64]
    """When it was published."""
    is_skewed: NDArray[np.bool_]
    """Whether the message's time is one that the ingester doubts (`Flag.SKEW`)."""

    def where(self, mask: NDArray[np.bool_]) -> "Heard":
        """Some of them."""
        return Heard(*(getattr(self, name)[mask] for name in self.__slots__))


class DeviceFeed:
    """Messages of all devices of a world."""

    def __init__(self, truth: Truth) -> None:
        world = self._world = truth.world
        self._sensors = Sensors(truth.condition)
        self._epoch_us = world.day_bounds_us(world.epoch)[0]
        self._source = np.array([device.network_source for device in world.devices])
        kinds = {device.kind.profile_name: device.kind for device in world.devices}
        numbers = np.arange(len(world.devices), dtype=np.int32)
        of_kind = np.array([device.kind.profile_name for device in world.devices])
        self._kinds = [(kind, numbers[of_kind == name]) for name, kind in kinds.items()]
        links = Links.of(world)
        self._schedule = Schedule(world, links, self._payload_bytes())
        self._radio = Radio(world, links, self._schedule)
        self._clocks = GatewayClocks(world)
        self._names = ChirpStackNames(world, links, self._schedule)
        is_protobuf = world.scenario.lora.chirpstack_marshaler == "protobuf"
        self._chirpstack = (ChirpStackProtobuf if is_protobuf else ChirpStackJson)(self._names, self._clocks)
        self._things_stack = ThingsStack(world, links, self._schedule, self._clocks)
        self._senml = SenMl(world)
        topic = {CHIRPSTACK: self._names.topic, TTS: self._things_stack.topic}
        self._topics = [
            self._senml.topic(d.number) if d.network_source == SENML else topic[d.network_source](d.number, "up")
            for d in world.devices
        ]
        self._status_every = np.maximum(np.round(DAY_US / self._schedule.interval_us), 1).astype(np.int64)
        a_day = float((DAY_US / self._schedule.interval_us).sum())
        self._part_us = DAY_US // next((n for n in _PARTS_A_DAY if a_day / n <= _UPLINKS_A_PART), _PARTS_A_DAY[-1])
        faults = self._faults(year_of(self._epoch_us))
        self._late_us = sum(round(active.fault.up_to_h * 3.6e9) for active in faults.late_uplinks)
        self._part = lru_cache(maxsize=_PARTS_KEPT)(self._made_part)
        self._late: dict[int, FeedBlock] = {}

    def _payload_bytes(self) -> NDArray[np.int64]:
        """How long the payload of each device is [bytes]: that of its kind."""
        sizes = np.zeros(len(self._world.devices), np.int64)
        for kind, devices in self._kinds:
            made = self._sensors.uplinks(kind, devices[:1], np.zeros(1, np.int64), np.array([self._epoch_us]))
            sizes[devices] = len(made.payloads[0])
        return sizes

    @lru_cache(maxsize=4)  # noqa: B019 - a feed lives as long as its world
    def _faults(self, year: int) -> RadioFaults:
        return RadioFaults(self._world, year)

    def messages(self, start: datetime, end: datetime) -> Iterator[TimedMessage]:
        """Messages of sensors published in [start, end)."""
        yield from self.block(us_of(start), us_of(end))

    def block(self, begin_us: int, end_us: int) -> FeedBlock:
        """Messages of sensors published in [begin_us, end_us) [µs since 1970, UTC], whatever the window.

        Raises SimulationError if the weather is measured and ends before.
        """
        self._world.weather.require(as_time(end_us))
        newest = (end_us - 1) // self._part_us
        prompt = range((begin_us - _PROMPT_US) // self._part_us, newest + 1)
        parts = [self._part(number).window(begin_us, end_us) for number in prompt]
        if self._late_us:
            oldest = (begin_us - self._late_us - _PROMPT_US) // self._part_us
            parts += [self._late_of(number).window(begin_us, end_us) for number in range(oldest, newest + 1)]
            for number in [number for number in self._late if number < oldest]:
                del self._late[number]
        return FeedBlock.merged(parts)

    def _late_of(self, number: int) -> FeedBlock:
        if number not in self._late:
            self._made_part(number)
        return self._late[number]

    def _made_part(self, number: int) -> FeedBlock:
        """All messages of one part that are published promptly; the others go to `_late`."""
        begin_us, end_us = max(number * self._part_us, self._epoch_us), (number + 1) * self._part_us
        outbox = _Outbox()
        if begin_us < end_us:
            faults = self._faults(year_of(end_us))
            for kind, devices in self._kinds:
                self._send(kind, devices, begin_us, end_us, faults, outbox)
            self._join(begin_us, end_us, faults, outbox)
        block = outbox.block()
        if self._late_us:
            self._late[number] = block.window(end_us + _PROMPT_US, 2**62)
            return block.window(begin_us, end_us + _PROMPT_US)
        return block

    # -- samples ---------------------------------------------------------------------------------------------------
    @property
    def kinds(self) -> Sequence[tuple[DeviceKind, NDArray[np.int32]]]:
        """Every kind of device that the world has, and the numbers of its devices."""
        return self._kinds

    @property
    def sensors(self) -> Sensors:
        """What the devices measure."""
        return self._sensors

    def heard(self, devices: NDArray[np.int32], begin_us: int, end_us: int) -> "Heard":
        """Samples of some devices, due in [begin_us, end_us), that reached a server; in the order of device and time.

        What `block` makes messages of, without the messages.
        """
        faults = self._faults(year_of(end_us))
        samples = self._sampled(devices, begin_us, end_us, faults)
        is_senml = self._source[samples.device] == SENML
        packed, packed_us = self._sent_as_senml(samples.where(is_senml), faults)
        framed = samples.where(~is_senml)
        sent = self._radio.transmit(framed, faults)
        row, sent_us = sent.sample[sent.is_first], sent.sent_us[sent.is_first]
        received_us = sent_us + self._schedule.air_us[framed.device[row]]
        parts = [
            Heard(packed.device, packed.index, packed.at_us, packed.at_us, packed_us, np.zeros(len(packed), bool)),
            Heard(
                framed.device[row], framed.index[row], framed.at_us[row], received_us, received_us + DEDUPLICATION_US,
                self._is_skewed(framed, sent.where(sent.is_first), faults),
            ),
        ]  # fmt: skip
        device, index, at_us, received_us, known_us, is_skewed = (
            np.concatenate([getattr(part, name) for part in parts]) for name in Heard.__slots__
        )
        known_us = known_us + self._lateness_us(device, device.astype(np.int64) << 34 | index, at_us, faults)
        for begin, end in broker_outages(self._world, end_us):
            known_us = np.where((known_us >= begin) & (known_us < end), end, known_us)
        order = np.lexsort((received_us, device))
        return Heard(
            device[order], index[order], at_us[order], received_us[order], known_us[order], is_skewed[order]
        )  # fmt: skip

    def _is_skewed(self, samples: Samples, sent: Transmissions, faults: RadioFaults) -> NDArray[np.bool_]:
        """Whether ChirpStack gives these a gateway's time that is too far from its own; without faults none is."""
        skewed = np.zeros(len(sent.sample), bool)
        if faults.gateway_clocks and len(skewed):
            uncounted = np.zeros(len(samples), np.int64)
            frames = frames_of(sent, samples, uncounted, uncounted, self._schedule, self._clocks, faults)
            time_us, _ = event_times(frames, self._clocks)
            ahead_us = np.abs(time_us - frames.server_us[frames.first[:-1]])
            skewed = (ahead_us > SKEW_AFTER_S * 1e6) & (self._source[frames.device] == CHIRPSTACK)
        return skewed

    def _sampled(self, devices: NDArray[np.int32], begin_us: int, end_us: int, faults: RadioFaults) -> Samples:
        """Samples that devices send: neither silent nor without a battery."""
        samples = self._schedule.samples(devices, begin_us, end_us)
        samples = samples.where(~faults.silences.cover(samples.device, samples.nominal_us))
        return samples.where(self._sensors.is_alive(samples.device, samples.at_us))

    # -- uplinks ---------------------------------------------------------------------------------------------------
    def _send(
        self,
        kind: DeviceKind,
        devices: NDArray[np.int32],
        begin_us: int,
        end_us: int,
        faults: RadioFaults,
        outbox: _Outbox,
    ) -> None:
        samples = self._sampled(devices, begin_us, end_us, faults)
        is_senml = self._source[samples.device] == SENML
        if is_senml.any():
            self._send_senml(kind, samples.where(is_senml), faults, outbox)
            samples = samples.where(~is_senml)
        if not len(samples):
            return
        sent = self._radio.transmit(samples, faults)
        session, joined_us = self._schedule.sessions(samples.device, samples.nominal_us)
        counter = self._schedule.counters(samples, joined_us, faults)
        device = samples.device[sent.sample]
        by_chirpstack = self._source[device] == CHIRPSTACK
        counts_anew = np.zeros(len(device), bool)
        for active in faults.counter_resets:
            counts_anew |= active.hits(device, sent.sent_us)

        def frames(chosen: NDArray[np.bool_]) -> tuple[Transmissions, Frames]:
            some = sent.where(chosen)
            return some, frames_of(some, samples, counter, session, self._schedule, self._clocks, faults)

        # A server that checks counters publishes a frame once. Where the check is switched off, because devices start
        # anew without a join, it does it again.
        published = sent.is_first | (sent.is_heard & by_chirpstack & counts_anew)
        for source in (CHIRPSTACK, TTS):
            some, theirs = frames(published & (self._source[device] == source))
            if len(theirs):
                self._publish(kind, source, samples, some, theirs, faults, outbox)
        _, theirs = frames(sent.is_heard & ~published & by_chirpstack)
        if len(theirs):
            self._log_repetitions(theirs, outbox)

    def _publish(
        self,
        kind: DeviceKind,
        source: str,
        samples: Samples,
        sent: Transmissions,
        frames: Frames,
        faults: RadioFaults,
        outbox: _Outbox,
    ) -> None:
        at_us = samples.at_us[sent.sample]
        uplinks = self._sensors.uplinks(kind, frames.device, frames.index, at_us)
        if source == CHIRPSTACK:
            payloads = self._chirpstack.uplinks(frames, uplinks.payloads)
            publish_us = _event_us(frames)
            asked = np.flatnonzero((frames.number - frames.device) % self._status_every[frames.device] == 0)
            if len(asked):
                self._tell_statuses(sent, asked, samples, uplinks.battery_pct, frames, faults, outbox)
        else:
            payloads, publish_us = self._things_stack.uplinks(frames, uplinks.payloads)
        self._hand_on(frames.device, samples.key[sent.sample], at_us, publish_us, payloads, faults, outbox)

    def _send_senml(self, kind: DeviceKind, samples: Samples, faults: RadioFaults, outbox: _Outbox) -> None:
        samples, publish_us = self._sent_as_senml(samples, faults)
        uplinks = self._sensors.uplinks(kind, samples.device, samples.index, samples.at_us)
        self._hand_on(
            samples.device, samples.key, samples.at_us, publish_us, self._senml.packs(uplinks), faults, outbox
        )

    def _sent_as_senml(self, samples: Samples, faults: RadioFaults) -> tuple[Samples, NDArray[np.int64]]:
        """Those samples that a generic gateway hands on, and when [µs]."""
        word = self._world.streams.words("senml/frame", samples.key, 0, 2)
        u = (word >> np.uint64(11)).astype(np.float64) / 2**53
        arrives = np.ones(len(samples), bool)
        reaches = np.ones(len(samples))
        for loss in faults.packet_losses:
            reaches = np.where(
                loss.hits(samples.device, samples.at_us), reaches * (1 - loss.fault.probability), reaches
            )
        arrives = u[0] < reaches
        samples = samples.where(arrives)
        return samples, samples.at_us + 400_000 + (u[1][arrives] * 1_800_000).astype(np.int64)

    def _hand_on(
        self,
        device: NDArray[np.int32],
        key: NDArray[np.int64],
        at_us: NDArray[np.int64],
        publish_us: NDArray[np.int64],
        payloads: list[bytes],
        faults: RadioFaults,
        outbox: _Outbox,
    ) -> None:
        """Uplinks on their way to the broker: late ones, and those that are published twice."""
        streams = self._world.streams
        publish_us = publish_us + self._lateness_us(device, key, at_us, faults)
        topics = [self._topics[number] for number in device.tolist()]
        outbox.add(publish_us, topics, payloads)
        u = streams.uniforms("messages/resent", key, 0, 2)
        again = u[0] < _RESENT_SHARE
        for duplicate in faults.duplicate_uplinks:
            chosen = (
                streams.uniform(f"fault/{duplicate.number}/duplicate-uplinks/uplink", key) < duplicate.fault.uplinks
            )
            again |= duplicate.hits(device, at_us) & chosen
        twice = np.flatnonzero(again)
        least, spread = _RESENT_US
        later_us = publish_us[twice] + least + (u[1][twice] * spread).astype(np.int64)
        rows = twice.tolist()
        outbox.add(later_us, [topics[row] for row in rows], [payloads[row] for row in rows])

    def _lateness_us(
        self, device: NDArray[np.int32], key: NDArray[np.int64], at_us: NDArray[np.int64], faults: RadioFaults
    ) -> NDArray[np.int64]:
        """By how much the scenario makes uplinks late [µs]."""
        late_us = np.zeros(len(device), np.int64)
        for late in faults.late_uplinks:
            u = self._world.streams.uniforms(f"fault/{late.number}/late-uplinks/uplink", key, 0, 2)
            is_late = late.hits(device, at_us) & (u[0] < late.fault.uplinks)
            late_us += np.where(is_late, u[1] * late.fault.up_to_h * 3.6e9, 0).astype(np.int64)
        return late_us

    # -- other events ----------------------------------------------------------------------------------------------
    def _tell_statuses(
        self,
        sent: Transmissions,
        asked: NDArray[np.intp],
        samples: Samples,
        battery_pct: NDArray[np.float64],
        frames: Frames,
        faults: RadioFaults,
        outbox: _Outbox,
    ) -> None:
        """About once a day a device answers what its server asked: how well it hears, and its battery."""
        chosen = np.zeros(len(frames), bool)
        chosen[asked] = True
        none = np.zeros(len(samples), np.int64)
        some = frames_of(sent.where(chosen), samples, none, none, self._schedule, self._clocks, faults)
        best = np.maximum.reduceat(some.receptions.snr_quarters, some.first[:-1]) // 4
        levels = np.clip(np.round(battery_pct[asked] * 2.54), 1, 254).astype(np.int64)
        payloads = self._chirpstack.statuses(some, np.clip(best, -32, 31).tolist(), levels.tolist())
        topics = [self._names.topic(number, "status") for number in some.device.tolist()]
        outbox.add(_event_us(some) + 1_000, topics, payloads)

    def _log_repetitions(self, frames: Frames, outbox: _Outbox) -> None:
        """A frame whose acknowledgement got lost comes again: the server publishes no uplink, but a warning."""
        time_us, nanos = event_times(frames, self._clocks)
        payloads, topics = [], []
        for number, octets, us, ns in zip(
            frames.device.tolist(), frames.ids, time_us.tolist(), nanos.tolist(), strict=True
        ):
            members = {
                "time": time_text(us, ns) + "+00:00",
                "deviceInfo": self._names.device_info(number),
                "level": "WARNING",
                "code": "UPLINK_F_CNT_RETRANSMISSION",
                "description": "Uplink was flagged as re-transmission / frame-counter did not increment",
                "context": {"deduplication_id": uuid_text(octets)},
            }
            payloads.append(self._chirpstack.event("log", members))
            topics.append(self._names.topic(number, "log"))
        outbox.add(_event_us(frames), topics, payloads)

    def _join(self, begin_us: int, end_us: int, faults: RadioFaults, outbox: _Outbox) -> None:
        devices = np.flatnonzero(self._source != SENML).astype(np.int32)
        devices, sessions, at_us = self._schedule.joins(devices, begin_us, end_us, faults)
        alive = self._sensors.is_alive(devices, at_us)
        devices, sessions, at_us = devices[alive], sessions[alive], at_us[alive]
        words = self._world.streams.words("radio/join", devices, sessions, 2).T
        payloads, topics = [], []
        for number, session, us, word in zip(devices.tolist(), sessions.tolist(), at_us.tolist(), words, strict=True):
            if self._source[number] == CHIRPSTACK:
                members = {
                    "deduplicationId": uuid_text(word),
                    "time": time_text(us, 1 + int(word[0] % np.uint64(998))) + "+00:00",
                    "deviceInfo": self._names.device_info(number),
                    "devAddr": self._names.dev_addr(number, session),
                    "regionConfigId": "eu868",
                }
                payloads.append(self._chirpstack.event("join", members))
                topics.append(self._names.topic(number, "join"))
            else:
                payloads.append(self._things_stack.join(number, session, us, word[None]))
                topics.append(self._things_stack.topic(number, "join"))
        outbox.add(at_us + 310_000, topics, payloads)


def _event_us(frames: Frames) -> NDArray[np.int64]:
    """When ChirpStack publishes: it waits for other gateways, and then every event is a task of its own."""
    own_us = 5_000 + ((frames.word >> np.uint64(12)) % np.uint64(40_000)).astype(np.int64)
    return frames.first_heard_us + DEDUPLICATION_US + own_us
