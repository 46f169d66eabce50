"""A simulated period as files: registers, records, messages, and the truth apart from them."""

import base64
import csv
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from roadtwin.errors import SimulationError
from simulators.history import live_records
from simulators.holes import STILL_OPEN_US
from simulators.messages import messages
from simulators.readings import as_time
from simulators.truth import local_day, truth_of
from simulators.world import World


def write_files(
    world: World,
    directory: Path,
    *,
    start: datetime,
    end: datetime,
    additional_buses: int = 0,
    on_progress: Callable[[float], None] | None = None,
) -> dict[str, int]:
    """Write a period to a directory, which is made; existing files of these names are replaced.

    - `network.geojson`, `devices.csv`: the registers (for `roadtwin import network`, `roadtwin import devices`);
    - `repair.jsonl` and so on, one file a kind of record (for `roadtwin import KIND`);
    - `messages.ndjson`: one message a line, `publish_at`, `topic`, `payload_base64`;
    - `truth/potholes.jsonl`, `truth/hazard.csv`: what only evaluation may read.

    Returns the number of lines of each file. Raises SimulationError when a file cannot be written.
    """
    try:
        (directory / "truth").mkdir(parents=True, exist_ok=True)
        counts = {"network.geojson": _network(world, directory), "devices.csv": _devices(world, directory)}
        for kind, records in live_records(world, start=start, end=end).items():
            (directory / f"{kind}.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(records))
            counts[f"{kind}.jsonl"] = len(records)
        counts["messages.ndjson"] = _messages(world, directory, start, end, additional_buses, on_progress)
        counts["truth/potholes.jsonl"] = _potholes(world, directory, start, end)
        counts["truth/hazard.csv"] = _hazard(world, directory, start, end)
    except OSError as exc:
        raise SimulationError(f"{directory}: cannot be written: {exc.strerror}.") from None
    return counts


def _network(world: World, directory: Path) -> int:
    features: list[dict[str, Any]] = [
        {
            "type": "Feature",
            "geometry": {"type": "LineString", "coordinates": section.line.tolist()},
            "properties": {
                "id": section.source_section_id,
                "name": section.name,
                "district": section.district,
                "road_class": section.road_class,
                "owner": section.owner,
                "maintenance_district": section.maintenance_district,
                "warranty_until": section.warranty_until,
                "inspection_interval_days": section.inspection_interval_days,
                **msgspec.to_builtins(section.attributes),
            },
        }
        for section in world.sections
    ]
    collection = {"type": "FeatureCollection", "features": features}
    (directory / "network.geojson").write_bytes(msgspec.json.encode(collection))
    return len(features)


def _devices(world: World, directory: Path) -> int:
    rows = world.device_rows()
    with (directory / "devices.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def _messages(
    world: World,
    directory: Path,
    start: datetime,
    end: datetime,
    additional_buses: int,
    on_progress: Callable[[float], None] | None,
) -> int:
    encode, count = msgspec.json.Encoder().encode, 0
    with (directory / "messages.ndjson").open("wb") as file:
        for message in messages(world, start=start, end=end, additional_buses=additional_buses):
            line = {
                "publish_at": message.publish_at,
                "topic": message.topic,
                "payload_base64": base64.b64encode(message.payload).decode(),
            }
            file.write(encode(line) + b"\n")
            count += 1
            if on_progress is not None and count % 1000 == 0:
                on_progress((message.publish_at - start) / (end - start))
    return count


def _potholes(world: World, directory: Path, start: datetime, end: datetime) -> int:
    """Holes that were open at any time of the period."""
    truth = truth_of(world)
    clock = truth.day(local_day(world, end)).clock
    holes, count = truth.holes, len(truth.holes)
    first, last = (round(t.timestamp() * 1e6) for t in (start, end))
    inside = np.flatnonzero((holes.born_us[:count] < last) & (holes.closed_us[:count] > first))
    lines = [
        {
            "segment_id": world.segment_ids[holes.segment[i]],
            "station_m": round(float(holes.station_m[i]), 2),
            "offset_m": round(float(holes.offset_m[i]), 2),
            "born_at": as_time(int(holes.born_us[i])),
            "closed_at": None if holes.closed_us[i] >= STILL_OPEN_US else as_time(int(holes.closed_us[i])),
            "severity_at_end": int(holes.severity(np.array([i]), clock)[0]),
        }
        for i in inside.tolist()
    ]
    (directory / "truth" / "potholes.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(lines))
    return len(lines)


def _hazard(world: World, directory: Path, start: datetime, end: datetime) -> int:
    """Expected new holes of each segment and local day, without what failing patches add."""
    truth, rows = truth_of(world), 0
    first, last = local_day(world, start), local_day(world, end)
    with (directory / "truth" / "hazard.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["segment_id", "day", "expected_holes"])
        for offset in range((last - first).days + 1):
            day = first + timedelta(days=offset)
            expected = truth.expected_holes(day)
            for segment_id, value in zip(world.segment_ids, expected.tolist(), strict=True):
                writer.writerow([segment_id, day.isoformat(), f"{value:.6g}"])
            rows += len(expected)
    return rows
