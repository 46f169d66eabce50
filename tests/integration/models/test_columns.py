"""Binary COPY into arrays."""

import numpy as np
import psycopg
import pytest

from roadtwin.storage import columns
from roadtwin.storage.columns import copy_columns, write_columns

TYPES = (("a", "int2"), ("b", "float8"), ("c", "timestamptz"), ("d", "date"), ("e", "uuid"), ("f", "bool"))
COPY = """
COPY (
    SELECT 7::smallint, x.b, x.c, DATE '1999-12-31', '00000000-0000-0000-0000-0000000000ff'::uuid, x.b > 0
    FROM (VALUES (1.5::float8, TIMESTAMPTZ '2026-01-01 00:00:00.000001+00'), ('NaN', 'infinity')) AS x (b, c)
    WHERE 1 = %(one)s
) TO STDOUT (FORMAT BINARY)
"""

pytestmark = pytest.mark.every_part


def test_columns_come_with_their_types_and_infinity_is_no_time(db):
    found = copy_columns(db, COPY, TYPES, {"one": 1})

    assert found["a"].tolist() == [7, 7]
    np.testing.assert_array_equal(found["b"], [1.5, np.nan])
    assert found["c"].astype(str).tolist() == ["2026-01-01T00:00:00.000001", "NaT"]
    assert found["d"].astype(str).tolist() == ["1999-12-31"] * 2
    assert found["e"][0].tobytes().hex() == "ff".rjust(32, "0")
    assert found["f"].dtype == bool


def test_no_row_gives_empty_columns(db):
    assert copy_columns(db, COPY, TYPES, {"one": 2})["c"].shape == (0,)


def test_nulls_and_other_types_are_refused(db):
    with pytest.raises(ValueError, match="none of them null"):
        copy_columns(db, "COPY (SELECT NULL::int4) TO STDOUT (FORMAT BINARY)", [("a", "int4")], {})
    with pytest.raises(ValueError, match="a int8"):
        copy_columns(db, "COPY (SELECT 1::int4) TO STDOUT (FORMAT BINARY)", [("a", "int8")], {})


def test_an_error_of_the_server_midway_is_raised_and_the_connection_stays_usable(db):
    divide = "COPY (SELECT 1000 / (900 - x) FROM generate_series(1, 1000) AS x) TO STDOUT (FORMAT BINARY)"

    with pytest.raises(psycopg.OperationalError, match="division by zero"), db.transaction():
        copy_columns(db, divide, [("a", "int4")], {})

    assert copy_columns(db, COPY, TYPES, {"one": 1})["a"].tolist() == [7, 7]


def test_more_rows_than_a_chunk_holds_come_in_order(db, monkeypatch):
    monkeypatch.setattr(columns, "_CHUNK_BYTES", 1000)
    many = "COPY (SELECT x, x / 2.0::float8 FROM generate_series(1, 999) AS x) TO STDOUT (FORMAT BINARY)"

    found = copy_columns(db, many, [("a", "int4"), ("b", "float8")], {})

    np.testing.assert_array_equal(found["a"], np.arange(1, 1000))
    np.testing.assert_array_equal(found["b"], np.arange(1, 1000) / 2)


def test_written_columns_are_read_again_with_nulls_arrays_and_json(db):
    db.execute("CREATE TEMP TABLE t (a int4, b timestamptz, c real[], d real, e jsonb)")
    kinds = [("a", "int4"), ("b", "timestamptz"), ("c", "float4[]"), ("d", "float4"), ("e", "jsonb")]
    at = np.array(["1999-12-31T23:59:59.999999", "2026-01-01"], "datetime64[us]")
    numbers = np.array([[1.5, np.nan, -2.0], [0.0, 1e-30, 3e38]], np.float32)

    write_columns(
        db, "COPY t FROM STDIN (FORMAT BINARY)", kinds,
        {"a": np.array([7, -1]), "b": at, "c": numbers, "d": None, "e": {1: '{"x": "ä"}'.encode()}},
    )  # fmt: skip

    rows = db.execute("SELECT a, b AT TIME ZONE 'UTC', c, d, e FROM t ORDER BY a DESC").fetchall()
    assert [row[0] for row in rows] == [7, -1]
    np.testing.assert_array_equal(np.array([row[1] for row in rows], "datetime64[us]"), at)
    np.testing.assert_array_equal(np.array([row[2] for row in rows], np.float32), numbers)
    assert [row[3] for row in rows] == [None, None]
    assert [row[4] for row in rows] == [None, {"x": "ä"}]
    with pytest.raises(ValueError, match=r"\[1, 2\] rows"):
        write_columns(db, "COPY t FROM STDIN (FORMAT BINARY)", kinds[:2], {"a": np.zeros(1), "b": at})
