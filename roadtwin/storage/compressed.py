"""Updates of rows that TimescaleDB Community has compressed.

It unpacks whole batches of rows before it changes one of them, and fails when a transaction unpacks more than
`timescaledb.max_tuples_decompressed_per_dml_transaction` (100,000 unless it is set). From a join it does not know
which batches are meant: without a list of series it unpacks all of them.
"""

from collections.abc import Iterable
from typing import Any

import psycopg

from roadtwin.storage.database import DatabaseMode, detect_mode

# Until the end of the transaction: how much it may unpack is bounded by what it was given to change.
_LIFT_LIMIT = "SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true)"


def narrow_update(conn: psycopg.Connection[Any], series_ids: Iterable[int]) -> dict[str, object]:
    """Parameter `only_series` of an UPDATE of observations of these series; call it in the same transaction.

    On TimescaleDB Community it is the series, each once, and the limit is lifted until the transaction ends. Elsewhere
    it is None: there the condition would only take the planner away from the key.
    """
    if detect_mode(conn) is not DatabaseMode.COMMUNITY:
        return {"only_series": None}
    conn.execute(_LIFT_LIMIT)
    return {"only_series": sorted(set(series_ids))}
