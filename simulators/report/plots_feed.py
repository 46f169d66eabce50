"""Plots of what came in: cameras, positions, sensors, radio, times."""

import numpy as np
from matplotlib.axes import Axes

from roadtwin.reporting.drawing import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    REFERENCE,
    SKY,
    day_axis,
    day_numbers,
    figure,
    legend,
    note,
    svg,
)  # fmt: skip
from roadtwin.reporting.words import Plot
from roadtwin.units import QUANTITIES
from simulators.report.damage import FRAMES, CameraCounts
from simulators.report.feed import Feed, Series
from simulators.report.words import measured, plot

_LINE_COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)
_FORMAT_COLOURS = (BLUE, GREEN, ORANGE, PURPLE, SKY, BLACK)
_RECALL_REFERENCE = (0.62, 0.80, 0.92)
# What is drawn where a device measures several things, best first.
_PREFERRED = (
    "surface_temp_c", "soil_moisture_pct", "water_level_mm", "distance_mm", "load_kg", "heavy_vehicle_count",
    "vehicle_count", "shake_count", "ground_temp_c", "air_temp_c",
)  # fmt: skip
_MOST_KINDS = 10


def camera_plots(counts: CameraCounts, feed: Feed) -> list[Plot]:
    """Plots of cameras."""
    return [_recall(counts), _confidence(feed)]


def _recall(counts: CameraCounts) -> Plot:
    with figure(columns=2) as (drawing, (left, right)):
        for place, (name, colour) in enumerate(zip(FRAMES, (GREEN, BLUE, BLACK), strict=True)):
            there, seen = counts.there[place, 1:], counts.seen[place, 1:]
            share = seen / np.maximum(there, 1)
            error = 2 * np.sqrt(share * (1 - share) / np.maximum(there, 1))
            at = np.arange(3) + 0.25 * (place - 1)
            enough = there > 0
            left.bar(at[enough], share[enough], 0.22, yerr=error[enough], color=colour, label=name, ecolor="#777777")
        left.hlines(_RECALL_REFERENCE, np.arange(3) - 0.4, np.arange(3) + 0.4, color=REFERENCE, ls="--", lw=1)
        left.set_xticks(range(3), ["low", "medium", "severe"])
        left.set_ylim(0, 1.05)
        left.set_title("Recall in the own lane, by severity")
        legend(left, 3)
        total = counts.true + counts.false
        precision = counts.true / np.maximum(total, 1)
        right.bar(range(3), precision, 0.5, color=(GREEN, BLUE, BLACK))
        right.axhspan(0.67, 0.79, color="#DDDDDD", lw=0, zorder=0)
        right.set_xticks(range(3), list(FRAMES))
        right.set_ylim(0, 1.05)
        right.set_title("Precision by frame")
        for axes in (left, right):
            axes.grid(axis="x", visible=False)
        image = svg(drawing)
    return plot("cameras", image)


def _confidence(feed: Feed) -> Plot:
    with figure(columns=2, width_ratios=[3, 2]) as (drawing, (left, right)):
        for (version, found), colour in zip(sorted(feed.confidence.items()), _LINE_COLOURS, strict=False):
            at, confidence = day_numbers([t for t, _ in found]), [value for _, value in found]
            left.plot(at, confidence, ".", color=colour, ms=3, label=f"v{version}")
            right.hist(confidence, np.linspace(0, 1, 26).tolist(), color=colour, alpha=0.65)
        if not feed.confidence:
            note(left, "no pothole was reported in these days", 0.3, 0.5)
        else:
            legend(left, 4)
        left.set_ylim(0, 1)
        left.set_title("Confidence of each reported pothole")
        right.set_xlim(0, 1)
        right.set_title("Their distribution: number by confidence")
        left.set_xlim(*day_numbers([feed.start, feed.end]))
        day_axis(left, feed.days)
        image = svg(drawing)
    return plot("confidence", image)


def sensor_plots(feed: Feed) -> list[Plot]:
    """Plots of sensors, radio and times."""
    return [_series(feed), _radio(feed), _hours(feed), _times(feed)]


def _series(feed: Feed) -> Plot:
    kinds = sorted(feed.series)[:_MOST_KINDS]
    with figure((9.2, 0.5 + 1.15 * len(kinds)), rows=max(1, len(kinds)), sharex=True) as (drawing, all_axes):
        for axes, kind in zip(all_axes, kinds, strict=False):
            devices = feed.series[kind]
            channel = _shown_channel(devices)
            lines = [channels[channel] for _, channels in sorted(devices.items()) if channel in channels]
            axes.set_ylim(*_limits(lines))
            for series, colour in zip(lines, _LINE_COLOURS, strict=False):
                _line(axes, series, colour)
            axes.set_title(measured(QUANTITIES[lines[0].quantity])[0])
            depth = "" if lines[0].depth_cm is None else f", {lines[0].depth_cm} cm"
            note(axes, kind + depth, 1.0, 1.04, ha="right", va="bottom")
        all_axes[-1].set_xlim(*day_numbers([feed.start, feed.end]))
        day_axis(all_axes[-1], feed.days)
        image = svg(drawing)
    return plot("series", image)


def _shown_channel(devices: dict[str, dict[str, Series]]) -> str:
    """The channel that says most of what a device is for."""
    quantities = {name: series.quantity for channels in devices.values() for name, series in channels.items()}
    order = {quantity: place for place, quantity in enumerate(_PREFERRED)}
    return min(quantities, key=lambda name: (order.get(quantities[name], len(order)), name))


def _line(axes: Axes, series: Series, colour: str) -> None:
    order = np.argsort(np.array([t.timestamp() for t in series.at]), kind="stable")
    at = day_numbers([series.at[i] for i in order])
    value = np.array(series.value)[order]
    gap = np.flatnonzero(np.diff(at) > 3.5 * max(float(np.median(np.diff(at))) if len(at) > 2 else 1, 1e-6)) + 1
    axes.plot(np.insert(at, gap, at[gap - 1]), np.insert(value, gap, np.nan), color=colour, lw=0.8)
    flagged = np.array(series.flagged)[order]
    if flagged.any():
        axes.plot(at[flagged], np.clip(value[flagged], *axes.get_ylim()), ".", color="#CC0000", ms=3)


def _limits(lines: list[Series]) -> tuple[float, float]:
    """Bounds of what is sound, so that a spike does not flatten the rest; it ends at the edge."""
    values = np.concatenate([np.array(series.value)[~np.array(series.flagged, bool)] for series in lines])
    low, high = np.percentile(values, [0.3, 99.7]) if len(values) else (0.0, 1.0)
    margin = 0.12 * max(high - low, 1e-3 * abs(high), 1e-6)
    return float(low - margin), float(high + margin)


def _radio(feed: Feed) -> Plot:
    with figure(columns=4) as (drawing, (spreading, gateways, loss, signal)):
        factors = sorted(feed.spreading_factors)
        total = max(sum(feed.spreading_factors.values()), 1)
        shares = [100 * feed.spreading_factors[f] / total for f in factors]
        spreading.bar([f"SF{factor}" for factor in factors], shares, 0.7, color=BLUE)
        spreading.set_title("Spreading factor [% of uplinks]")
        heard = sorted(feed.gateways)
        total = max(sum(feed.gateways.values()), 1)
        gateways.bar(heard, [100 * feed.gateways[n] / total for n in heard], 0.7, color=GREEN)
        gateways.set_xticks(heard)
        gateways.set_title("Gateways that heard [%]")
        lost = np.sort([100 * part for part in feed.loss().values()])[::-1]
        loss.bar(np.arange(len(lost)), lost, 1.0, color=ORANGE)
        loss.set_ylim(0, max(5.0, 1.1 * float(lost.max(initial=0.0))))
        loss.set_title("Loss of each device [%]")
        loss.set_xticks([])
        levels = np.array(feed.rssi_snr).reshape(-1, 2)
        some = levels[:: max(1, len(levels) // 500)]
        signal.plot(some[:, 0], some[:, 1], ".", color=PURPLE, ms=1.5)
        signal.set_title("SNR [dB] over RSSI [dBm]")
        for axes in (spreading, gateways, loss):
            axes.grid(axis="x", visible=False)
        image = svg(drawing)
    return plot("radio", image)


def _hours(feed: Feed) -> Plot:
    with figure((9.2, 3.2), rows=2, sharex=True) as (drawing, (above, below)):
        at = day_numbers([feed.start])[0] + (np.arange(len(next(iter(feed.per_hour.values())))) + 0.5) / 24
        bottom = np.zeros(len(at))
        for (name, counts), colour in zip(
            sorted(item for item in feed.per_hour.items() if not item[0].startswith("vehicle")),
            _FORMAT_COLOURS,
            strict=False,
        ):
            above.fill_between(at, bottom, bottom + counts, step="mid", color=colour, lw=0, label=name)
            bottom += counts
        above.set_title("Messages of sensors an hour")
        legend(above, 6)
        above.set_ylim(0, 1.1 * max(1.0, float(bottom.max())))
        vehicles = sum((v for k, v in feed.per_hour.items() if k.startswith("vehicle")), np.zeros(len(at), np.int64))
        below.fill_between(at, 0, vehicles, step="mid", color=RED, lw=0)
        below.set_ylim(0, 1.1 * max(1, vehicles.max()))
        below.set_title("Messages of vehicles an hour")
        below.set_xlim(*day_numbers([feed.start, feed.end]))
        day_axis(below, feed.days)
        image = svg(drawing)
    total = int(sum(counts.sum() for counts in feed.per_hour.values()))
    return plot("hours", image, days=feed.days, total=total)


def _times(feed: Feed) -> Plot:
    edges = np.concatenate([[-1e9], -np.logspace(6, -1, 15), np.logspace(-1, 6, 29), [1e9]])
    with figure(columns=2) as (drawing, (left, right)):
        for axes, values, colour in ((left, feed.delay_s, BLUE), (right, feed.skew_s, PURPLE)):
            counts = np.histogram(values, edges)[0]
            axes.bar(np.arange(len(counts)), np.maximum(counts, 0), 1.0, color=colour)
            axes.set_yscale("symlog", linthresh=1)
            axes.set_ylim(0, None)
            shown = {-3600.0: "-1 h", -1.0: "-1 s", 1.0: "1 s", 60.0: "1 min", 3600.0: "1 h", 86_400.0: "1 d"}
            axes.set_xticks(np.interp(list(shown), edges, np.arange(len(edges)) - 0.5), list(shown.values()))
            axes.grid(axis="x", visible=False)
        left.set_title("From measurement to arrival: number of messages")
        right.set_title("Gateway's clock against the server's: number")
        image = svg(drawing)
    return plot("times", image)
