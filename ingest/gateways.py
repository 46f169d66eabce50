"""Health of gateways, from what the writer of each batch summed up of its receptions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import exp
from typing import Any

from ingest.quality import MEDIAN_MEMORY, RECENT, SECOND

RECENT_S = RECENT / SECOND


@dataclass(slots=True)
class Receptions:
    """Sums over some batches for one gateway; `newest_s` is Unix time, skews are its clock minus the server's [s]."""

    count: int = 0
    newest_s: float = 0.0
    skew_count: int = 0
    skew_sum_s: float = 0.0
    skew_greatest_s: float | None = None
    skew_last_s: float | None = None
    strongest_rssi_dbm: float | None = None

    def add(self, summed: Sequence[Any]) -> None:
        """One batch: count, newest, skews (count, sum, greatest), strongest signal."""
        count, newest_s, skews, skew_sum, skew_greatest, rssi = summed
        self.count += count
        if skews:
            self.skew_count += skews
            self.skew_sum_s += skew_sum
            self.skew_greatest_s = max(self.skew_greatest_s or 0.0, skew_greatest)
            if newest_s >= self.newest_s or self.skew_last_s is None:
                self.skew_last_s = skew_sum / skews
        self.newest_s = max(self.newest_s, newest_s)
        if rssi is not None:
            self.strongest_rssi_dbm = rssi if self.strongest_rssi_dbm is None else max(self.strongest_rssi_dbm, rssi)


def add_up(batches: Iterable[Mapping[str, Sequence[Any]]]) -> dict[str, Receptions]:
    """Receptions of several batches, by gateway."""
    sums: dict[str, Receptions] = {}
    for batch in batches:
        for gateway_id, summed in batch.items():
            sums.setdefault(gateway_id, Receptions()).add(summed)
    return sums


def follow_gateway(
    gateway_id: str, known: tuple[Any, ...] | None, heard: Receptions, now: datetime
) -> dict[str, object]:
    """What to write of a gateway: `known` are receptions, last seen, mean interval, mean skew and its weight.

    The mean interval moves by the number of receptions against `MEDIAN_MEMORY`; the mean skew forgets as devices' do.
    """
    newest = datetime.fromtimestamp(heard.newest_s, UTC)
    interval_s = skew_s = None
    weight = 0.0
    if known is not None:
        _, last_seen_at, interval_s, skew_s, weight = known
        passed_s = (newest - last_seen_at).total_seconds()
        if passed_s > 0:
            mean_s = passed_s / heard.count
            share = heard.count / (heard.count + MEDIAN_MEMORY)
            interval_s = mean_s if interval_s is None else interval_s + share * (mean_s - interval_s)
            weight *= exp(-passed_s / RECENT_S)
    if heard.skew_count:
        total = weight + heard.skew_count
        skew_s = ((skew_s or 0.0) * weight + heard.skew_sum_s) / total
        weight = total
    return {
        "gateway_id": gateway_id,
        "receptions": heard.count,
        "last_seen_at": newest,
        "interval_s": interval_s,
        "clock_skew_s": skew_s,
        "clock_skew_weight": weight,
        "clock_skew_count": heard.skew_count,
        "last_clock_skew_s": heard.skew_last_s,
        "greatest_clock_skew_s": heard.skew_greatest_s,
        "strongest_rssi_dbm": heard.strongest_rssi_dbm,
        "now": now,
    }
