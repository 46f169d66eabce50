"""Binary COPY into arrays."""

import numpy as np
import psycopg
import pytest

from roadtwin.storage.columns import copy_columns

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
    columns = copy_columns(db, COPY, TYPES, {"one": 1})

    assert columns["a"].tolist() == [7, 7]
    np.testing.assert_array_equal(columns["b"], [1.5, np.nan])
    assert columns["c"].astype(str).tolist() == ["2026-01-01T00:00:00.000001", "NaT"]
    assert columns["d"].astype(str).tolist() == ["1999-12-31"] * 2
    assert columns["e"][0].tobytes().hex() == "ff".rjust(32, "0")
    assert columns["f"].dtype == bool


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
