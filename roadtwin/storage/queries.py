"""Named SQL: every statement stands in a file of `storage/sql/`, under a line `-- name: what_it_does`."""

import re
from functools import lru_cache
from importlib import resources
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@lru_cache(maxsize=64)
def load(topic: str) -> dict[str, LiteralString]:
    """All statements of `sql/<topic>.sql` by name.

    They are our own files, so they may stand where psycopg wants a literal; parameters are always bound.

    Examples
    --------
    >>> sorted(load("city"))
    ['read_city', 'write_city', 'write_scenario']
    """
    text = resources.files("roadtwin.storage").joinpath("sql").joinpath(f"{topic}.sql").read_text("utf-8")
    parts = _NAME.split(text)[1:]
    return {name: cast("LiteralString", body.strip()) for name, body in zip(parts[::2], parts[1::2], strict=True)}
