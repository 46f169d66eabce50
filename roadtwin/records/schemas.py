"""JSON Schemas (2020-12) of everything that has a versioned JSON form, made from the types that read it.

`python -m roadtwin.records.schemas docs/reference/schemas` writes them.
"""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from roadtwin.records.schema import RECORD_KINDS
from roadtwin.records.senml import SenmlPack
from roadtwin.records.vehicle import WireVehicleReading

SCHEMA_TYPES: dict[str, Any] = {
    "vehicle_reading": WireVehicleReading,
    "senml_pack": SenmlPack,
    **RECORD_KINDS,
}
"""File name without `.json` → type."""


def json_schemas() -> dict[str, str]:
    """File name → JSON text with a newline at its end."""
    texts = {}
    for name, kind in SCHEMA_TYPES.items():
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name} | msgspec.json.schema(kind)
        texts[f"{name}.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return texts


def write_schemas(directory: Path) -> list[Path]:
    """Write all of them and give their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in json_schemas().items():
        paths.append(directory / name)
        paths[-1].write_text(text, "utf-8")
    return paths


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
