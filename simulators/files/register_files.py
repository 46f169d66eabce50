"""The registers of a simulated city as files: its roads and its devices."""

import csv
from pathlib import Path
from typing import Any

import msgspec

from simulators.world import World

NETWORK_FILE, DEVICES_FILE = "network.geojson", "devices.csv"


def write_network(world: World, path: Path) -> int:
    """Sections as GeoJSON, for `roadtwin import network`; returns their number."""
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
    path.write_bytes(msgspec.json.encode({"type": "FeatureCollection", "features": features}))
    return len(features)


def write_devices(world: World, path: Path) -> int:
    """Devices, where they are and from when on, for `roadtwin import devices`; returns their number."""
    rows = world.device_rows()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)
