"""What is worked out behind the writer: flags that need history, and the health of devices, gateways and series.

Unit of work is a committed batch that is not digested yet. All that follows from it is written in one transaction
with the mark that it is done: a crash repeats it, and nothing counts twice, whoever wrote the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from psycopg.pq import TransactionStatus

from ingest import frames, quality
from ingest.frame_payload import frame_payload
from ingest.gateways import add_up, follow_gateway
from ingest.quality import NEVER, Bools, Floats, Ints
from roadtwin.storage import health
from roadtwin.storage.health import Columns
from roadtwin.types import Flag
from roadtwin.units import QUANTITIES, SENSOR_DAY_QUANTITIES

Connection = psycopg.Connection[Any]

MOST_BATCHES = 1000
"""Batches of one round at most."""
MOST_ROWS = 250_000
"""Messages and observations of one round at most, unless one batch holds more: it bounds memory and the transaction."""

_NAMES = tuple(QUANTITIES)
_BATTERY_V, _BATTERY_PCT = _NAMES.index("battery_v"), _NAMES.index("battery_pct")
_BY_DAY = tuple(_NAMES.index(name) for name in SENSOR_DAY_QUANTITIES)
_LIMITS = np.array(
    [[q.max_rate_per_h or np.nan, q.stuck_after_h or np.nan, q.minimum, q.maximum] for q in QUANTITIES.values()]
    + [[np.nan] * 4]  # −1: a quantity that is not in the table any more
)


@dataclass(frozen=True, slots=True)
class DigestCounts:
    """What one round did. `locked_out`: another worker is at it, and nothing was done."""

    batches: int = 0
    messages: int = 0
    observations: int = 0
    messages_flagged: int = 0
    observations_flagged: int = 0
    locked_out: bool = False


def digest(
    conn: Connection, now: datetime, *, most_batches: int = MOST_BATCHES, most_rows: int = MOST_ROWS
) -> DigestCounts:
    """Digest the oldest batches that wait, in one transaction of its own. No batch in the counts: none is left.

    `conn` must be idle. Several workers may call it: one works, the others are told so at once. Errors of psycopg pass
    through: nothing is written then, and the next call does it again.
    """
    if conn.info.transaction_status != TransactionStatus.IDLE:
        raise ValueError("digest got a connection with an open transaction, expected an idle one.")
    with conn.transaction():
        if not health.try_lock(conn):
            return DigestCounts(locked_out=True)
        batches: list[health.Undigested] = []
        rows = 0
        for batch in health.read_undigested(conn, most_batches):
            rows += batch.stored + batch.observations_stored
            if batches and rows > most_rows:
                break
            batches.append(batch)
        if not batches:
            return DigestCounts()
        health.make_temporary_tables(conn)
        messages = health.read_messages(conn, batches)
        counts = _digest_messages(conn, batches, messages, now) if len(messages["device_id"]) else DigestCounts()
        heard = add_up(batch.receptions for batch in batches if batch.receptions)
        known = health.read_gateways(conn, sorted(heard))
        health.write_gateways(conn, [follow_gateway(name, known.get(name), heard[name], now) for name in sorted(heard)])
        health.mark_digested(conn, [batch.batch_id for batch in batches], now)
    return DigestCounts(
        len(batches),
        len(messages["device_id"]),
        counts.observations,
        counts.messages_flagged,
        counts.observations_flagged,
    )


def digest_all(conn: Connection, now: datetime) -> None:
    """Digest what waits, until nothing does or another worker is at it; see `digest`."""
    while not (counts := digest(conn, now)).locked_out and counts.batches:
        pass


def _digest_messages(
    conn: Connection, batches: Sequence[health.Undigested], messages: Columns, now: datetime
) -> DigestCounts:
    device_ids, row = np.unique(messages["device_id"], return_inverse=True)
    devices, recent, joins = health.read_devices(conn, device_ids)
    measured = _read_measured(conn, batches, messages, device_ids, row)
    observations_flagged = _digest_values(conn, measured)
    _touch_days(conn, measured)

    weak = _follow_batteries(devices, measured)
    flags = _of_messages(messages, row, measured, weak) * int(Flag.LOW_BATTERY)
    _count_messages(devices, messages, row)
    frames_flagged, arrays = _digest_frames(conn, devices, recent, joins, messages, row, device_ids)
    health.write_devices(conn, devices | arrays | {"digested_at": np.full(len(device_ids), _microseconds(now))})

    changed = flags & ~messages["flags"] != 0
    flagged = {
        "message_id": messages["message_id"][changed],
        "observed_at": messages["observed_at"][changed],
        "flags": flags[changed],
    }
    return DigestCounts(
        observations=len(measured["value"]),
        messages_flagged=health.flag_messages(conn, flagged) + frames_flagged,
        observations_flagged=observations_flagged,
    )


def _microseconds(at: datetime) -> int:
    """As instants are told in arrays."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _numbers(row: Ints, values: Ints) -> tuple[Ints, Ints]:
    """Keys of (row, value) pairs, and the sorted values by whose place they are made."""
    places, place = np.unique(values, return_inverse=True)
    return (row << 32) + place, places


def _find(row: Ints, values: Ints, keys: Ints, places: Ints) -> tuple[Bools, Ints]:
    """Which (row, value) pairs are among the keys of `_numbers`, and their index there; row −1 is none."""
    if not len(keys):
        return np.zeros(len(row), bool), np.zeros(len(row), np.int64)
    order = np.argsort(keys, kind="stable")
    place = np.minimum(np.searchsorted(places, values), len(places) - 1)
    key = (row << 32) + place
    index = order[np.minimum(np.searchsorted(keys[order], key), len(keys) - 1)]
    return (row >= 0) & (places[place] == values) & (keys[index] == key), index


def _read_measured(
    conn: Connection, batches: Sequence[health.Undigested], messages: Columns, device_ids: Ints, row: Ints
) -> Columns:
    """The observations of these messages, with `series` and `device` as rows, and the state of their series.

    An observation does not name its message: it is told by device and time of arrival. One of another batch that has
    both is looked at twice, which changes nothing.
    """
    begins, ends = _windows(messages["batch_id"], messages["recorded_at"])
    found = health.read_observations(conn, batches, begins, ends)
    series = health.read_series(conn, np.unique(found["series_id"]), _NAMES)
    index = np.searchsorted(series["series_id"], found["series_id"])
    device = np.searchsorted(device_ids, series["device_id"])
    known = device_ids[np.minimum(device, len(device_ids) - 1)] == series["device_id"]
    device = np.where(known, device, -1)[index]
    ours, _ = _find(device, found["recorded_at"], *_numbers(row, messages["recorded_at"]))
    index = index[ours]
    measured = {name: values[ours] for name, values in found.items()}
    used, measured["series"] = np.unique(index, return_inverse=True)
    measured["device"], measured["quantity_no"] = device[ours], series["quantity_no"][index]
    return measured | {f"state_{name}": values[used] for name, values in series.items()}


def _windows(batch_id: Ints, recorded_at: Ints) -> tuple[Ints, Ints]:
    """When the messages of each batch came, as intervals that do not overlap."""
    order = np.argsort(batch_id, kind="stable")
    first = np.flatnonzero(quality.starts(batch_id[order]))
    begins = np.minimum.reduceat(recorded_at[order], first)
    ends = np.maximum.reduceat(recorded_at[order], first)
    order = np.argsort(begins, kind="stable")
    begins, reached = begins[order], np.maximum.accumulate(ends[order])
    apart = np.ones(len(begins), bool)
    apart[1:] = begins[1:] > reached[:-1]
    first = np.flatnonzero(apart)
    return begins[first], np.maximum.reduceat(reached, first)


def _digest_values(conn: Connection, measured: Columns) -> int:
    """Flag values that changed too fast or not at all, and keep what the next ones are compared with."""
    state = quality.SeriesState(*(measured[f"state_{name}"] for name in quality.SeriesState.__slots__))
    limits = quality.Limits(*_LIMITS[measured["state_quantity_no"]].T)
    added, state = quality.judge_values(
        measured["series"], measured["observed_at"], measured["value"], measured["flags"], state, limits
    )
    known = state.last_at != NEVER  # a series whose values were all passed over has no state
    after = {name: getattr(state, name)[known] for name in quality.SeriesState.__slots__}
    health.write_series(conn, after | {"series_id": measured["state_series_id"][known]})
    changed = added & ~measured["flags"] != 0
    names = ("series_id", "observed_at", "profile_version")
    return health.flag_observations(conn, {name: measured[name][changed] for name in names} | {"flags": added[changed]})


def _touch_days(conn: Connection, measured: Columns) -> None:
    """Say which days have to be rolled up: by the first and the last value of each series in each day of UTC, which
    lie in all local days that there are in it."""
    index = np.flatnonzero(np.isin(measured["quantity_no"], _BY_DAY))
    series, at = measured["series_id"][index].astype(np.int64), measured["observed_at"][index]
    order = np.lexsort((at, series))
    first = quality.starts(series[order]) | quality.starts(at[order] // quality.DAY)
    chosen = order[first | np.roll(first, -1)]
    health.touch_sensor_days(conn, series[chosen], at[chosen])


def _follow_batteries(devices: Columns, measured: Columns) -> Ints:
    """Keep what devices say of their batteries. Gives the observations that say that one is nearly empty."""
    usable = (measured["flags"] & int(Flag.RANGE | Flag.SENTINEL | Flag.FUTURE)) == 0
    told = np.flatnonzero(usable & np.isin(measured["quantity_no"], (_BATTERY_V, _BATTERY_PCT)))
    told = told[np.argsort(measured["observed_at"][told], kind="stable")]
    device, at, value = measured["device"][told], measured["observed_at"][told], measured["value"][told]
    is_v = measured["quantity_no"][told] == _BATTERY_V
    highest = np.nan_to_num(devices["highest_battery_v"], nan=0.0)
    np.maximum.at(highest, device[is_v], value[is_v])
    low = quality.low_battery(np.where(is_v, np.nan, value), np.where(is_v, value, np.nan), highest[device])

    newest = at >= devices["battery_at"][device]
    for name, chosen in (("battery_v", newest & is_v), ("battery_pct", newest & ~is_v)):
        devices[name][device[chosen]] = value[chosen]  # in the order of time: the newest one stays
    np.maximum.at(devices["battery_at"], device, at)
    devices["highest_battery_v"] = np.where(highest > 0, highest, np.nan)
    devices["battery_low"] = quality.low_battery(devices["battery_pct"], devices["battery_v"], highest)
    return told[low]


def _of_messages(messages: Columns, row: Ints, measured: Columns, chosen: Ints) -> Ints:
    """1 for each message that one of the chosen observations has device and time of."""
    found, index = _find(
        measured["device"][chosen], measured["observed_at"][chosen], *_numbers(row, messages["observed_at"])
    )
    marks = np.zeros(len(row), np.int64)
    marks[index[found]] = 1
    return marks


def _count_messages(devices: Columns, messages: Columns, row: Ints) -> None:
    """Counts, running means and the interval, after messages in any order."""
    count = len(devices["device_id"])
    is_up = np.isin(messages["kind"], (health.UP, health.READINGS))
    # A clock ahead does not make a device seen later than its message came.
    seen_at = np.minimum(messages["observed_at"], messages["recorded_at"])
    before = devices["last_message_at"]
    newest = before.copy()
    np.maximum.at(newest, row, seen_at)
    devices["messages"] += np.bincount(row, minlength=count)
    devices["uplinks"] += np.bincount(row[is_up], minlength=count)
    devices["interval_s"], devices["interval_count"] = quality.running_median(
        devices["interval_s"], devices["interval_count"], before, row[is_up], seen_at[is_up]
    )
    kept = quality.fading(newest, before)

    def follow(name: str, weight: str, values: Floats) -> None:
        mean = quality.RunningMean(devices[name], devices[weight])
        mean = mean.with_values(row, seen_at, values, kept, newest)
        devices[name], devices[weight] = mean.mean, mean.weight

    skew = messages["clock_skew_s"]
    gateways = messages["gateway_count"].astype(np.float64)
    follow("clock_skew_s", "clock_skew_weight", skew)
    follow("rssi_dbm", "rssi_weight", messages["best_rssi_dbm"])
    follow("gateways", "gateways_weight", np.where(gateways >= 0, gateways, np.nan))
    told = np.flatnonzero(np.isfinite(skew))
    told = told[np.argsort(seen_at[told], kind="stable")]
    devices["clock_skew_count"] += np.bincount(row[told], minlength=count)
    recent = told[seen_at[told] >= before[row[told]]]
    devices["last_clock_skew_s"][row[recent]] = skew[recent]
    devices["last_message_at"] = newest


def _digest_frames(
    conn: Connection, devices: Columns, recent: Columns, joins: Columns, messages: Columns, row: Ints, device_ids: Ints
) -> tuple[int, Columns]:
    """Follow the frame counters. Gives the number of uplinks whose flags changed, and the arrays of the state."""
    count = len(device_ids)
    chosen = np.flatnonzero((messages["kind"] == health.UP) & frames.countable(messages["f_cnt"]))
    # A clock that is ahead now and then would put a frame behind those that follow it, and look like a reset.
    ahead = (messages["flags"][chosen] & int(Flag.FUTURE)) != 0
    at = np.where(ahead, messages["recorded_at"][chosen], messages["observed_at"][chosen])
    new = frames.Frames(row[chosen], at, messages["f_cnt"][chosen])
    repeated = _mark_received(conn, new, device_ids)
    state = frames.CounterState(
        devices["first_frame_at"],
        devices["first_f_cnt"],
        devices["last_reset_at"],
        devices["recent_frames"],
        devices["recent_missing"],
        frames.Frames(np.searchsorted(device_ids, recent["device_id"]), recent["at"], recent["f_cnt"]),
        frames.Instants(np.searchsorted(device_ids, joins["device_id"]), joins["at"]),
    )
    is_join = messages["kind"] == health.JOIN
    changes = frames.follow_counters(
        state,
        new,
        repeated=repeated,
        by_arrival=ahead | ((messages["flags"][chosen] & int(Flag.CLOCK)) != 0),
        new_joins=frames.Instants(row[is_join], messages["observed_at"][is_join]),
    )
    copies = _retransmissions(conn, changes.repeats, device_ids)
    sent_again = np.bincount(copies.device, minlength=count)
    after = changes.state
    devices["frames_missing"] = np.maximum(devices["frames_missing"] + changes.missing, 0)
    devices["counter_falls"] += changes.falls
    devices["rejoins"] += changes.rejoins
    devices["retransmissions"] += sent_again
    devices["repeated_counters"] += np.maximum(np.bincount(new.device[repeated], minlength=count) - sent_again, 0)
    devices["last_reset_at"] = after.last_reset_at
    devices["first_frame_at"], devices["first_f_cnt"] = after.first_at, after.first_f_cnt
    devices["recent_frames"], devices["recent_missing"] = after.recent_frames, after.recent_missing
    reset, again = int(Flag.COUNTER_RESET), int(Flag.RETRANSMISSION)
    flagged = _flag_frames(
        conn, ((changes.fell, reset, 0), (copies, again, 0), (changes.not_fell, 0, reset)), device_ids
    )
    arrays = {
        "recent_frames_at": _padded(after.recent.device, after.recent.at, count, frames.RECENT_FRAMES, NEVER),
        "recent_f_cnts": _padded(after.recent.device, after.recent.f_cnt, count, frames.RECENT_FRAMES, -1),
        "recent_joins_at": _padded(after.joins.device, after.joins.at, count, frames.RECENT_JOINS, NEVER),
    }
    return flagged, arrays


def _mark_received(conn: Connection, new: frames.Frames, device_ids: Ints) -> Bools:
    """Write down which counters came. Gives the frames whose counter had come before."""
    keys, page = np.unique((new.device << 32) + (new.f_cnt >> frames.PAGE_BITS), return_inverse=True)
    device_id, number = device_ids[keys >> 32], keys & 0xFFFF_FFFF
    known = health.read_frame_pages(conn, device_id, number)
    received = np.zeros(len(keys), np.int64)
    found = (np.searchsorted(device_ids, known["device_id"]) << 32) + known["page"]
    received[np.searchsorted(keys, found)] = known["received"]
    repeated, received = frames.mark_received(new, page, received)
    health.write_frame_pages(conn, {"device_id": device_id, "page": number, "received": received})
    return repeated


def _retransmissions(conn: Connection, repeats: tuple[frames.Frames, frames.Frames], device_ids: Ints) -> frames.Frames:
    """The later ones of neighbours with one counter that also carry one payload."""
    earlier, later = repeats
    if not len(later.at):
        return later
    kept = health.read_raw_frames(
        conn,
        device_ids[np.append(earlier.device, later.device)],
        np.append(earlier.at, later.at),
        np.append(earlier.f_cnt, later.f_cnt),
    )
    payloads = [[frame_payload(*message) for message in messages] for messages in kept]
    count = len(later.at)
    same = np.zeros(count, bool)
    for i, (before, after) in enumerate(zip(payloads[:count], payloads[count:], strict=True)):
        if earlier.at[i] == later.at[i]:  # found twice: two messages of one instant
            before, after = before[:1], after[1:]
        same[i] = any(payload is not None and payload in before for payload in after)
    return later[same]


def _flag_frames(conn: Connection, changes: Sequence[tuple[frames.Frames, int, int]], device_ids: Ints) -> int:
    """Set and clear flags; a frame may be named several times, and one row must change once only."""
    masks: dict[tuple[int, int, int], list[int]] = {}
    for which, to_set, to_clear in changes:
        for key in zip(device_ids[which.device].tolist(), which.at.tolist(), which.f_cnt.tolist(), strict=True):
            mask = masks.setdefault(key, [0, 0])
            mask[0], mask[1] = mask[0] | to_set, mask[1] | to_clear
    rows = np.array([(*key, *mask) for key, mask in masks.items()], np.int64).reshape(-1, 5)
    names = ("device_id", "observed_at", "f_cnt", "to_set", "to_clear")
    return health.flag_frames(conn, dict(zip(names, rows.T, strict=True)))


def _padded(device: Ints, values: Ints, count: int, width: int, padding: int) -> Ints:
    """Values by device (sorted) as rows of one width."""
    rows = np.full((count, width), padding, np.int64)
    first = np.flatnonzero(quality.starts(device))
    place = np.arange(len(device)) - np.repeat(first, np.diff(np.append(first, len(device))))
    rows[device, place] = values
    return rows
