"""Writes the OpenAPI document to `docs/reference/openapi.json`: `python -m service.openapi [FILE]`."""

import json
import sys
from pathlib import Path

from roadtwin.settings import Settings
from service.app import create_app

DEFAULT_FILE = Path(__file__).parents[1] / "docs" / "reference" / "openapi.json"


def render() -> str:
    """The document as text, keys in their own order. Opens nothing."""
    app = create_app(Settings(_secrets_dir=None), "postgresql://")  # type: ignore[call-arg]
    return json.dumps(app.openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(render(), encoding="utf-8")
