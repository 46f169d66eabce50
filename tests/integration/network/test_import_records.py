import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4, uuid5

import pytest

from roadtwin.errors import InputFileError
from roadtwin.jobs.importing import import_records, import_records_file
from roadtwin.records.schema import Finding, Inspection, RecordPosition, Repair
from roadtwin.types import Origin

pytestmark = pytest.mark.every_part

AT = datetime(2026, 1, 5, 9, tzinfo=UTC)
NAMESPACE = UUID("7a5a3b4e-0000-4000-8000-000000000002")

EXAMPLES = {
    "repair": {"method": "hot_mix", "position": {"lon": 7.0, "lat": 51.4}},
    "inspection": {
        "segment_id": "r:1:0-100",
        "inspector_role": "walker",
        "findings": [{"class_code": "D40", "severity": 2}],
    },
    "report": {"channel": "app", "segment_id": "r:1:0-100", "text": "tief"},
    "weather": {"station": "01303", "air_temp_c": -2.5, "rain_mm": 0.2},
    "weather_forecast": {
        "station": "01303",
        "issued_at": "2026-01-05T09:00:00Z",
        "valid_at": "2026-01-06T09:00:00Z",
        "air_temp_c": 1,
    },
    "survey": {"segment_id": "r:1:0-100", "rule_set": "E EMI 2012", "total_grade": 2.5},
    "trench_permit": {"segment_id": "r:1:0-100", "area_m2": 6},
    "planned_work": {
        "segment_id": "r:1:0-100",
        "starts_on": "2026-04-01",
        "ends_on": "2026-05-01",
        "kind": "resurfacing",
    },
}


def line(kind, number=0, **changes):
    record = {
        "record_id": str(uuid5(NAMESPACE, f"{kind} {number}")),
        "observed_at": "2026-01-05T10:00:00+01:00",
        "recorded_at": "2026-01-05T12:00:00+01:00",
        **EXAMPLES[kind],
        **changes,
    }
    return json.dumps({key: value for key, value in record.items() if value is not None})


def written(tmp_path: Path, name: str, *lines: str) -> Path:
    path = tmp_path / name
    content = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def count(db, table):
    return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_kind_is_stored_once(db, tmp_path, kind):
    path = written(tmp_path, f"{kind}.jsonl.gz", line(kind), "", line(kind))

    first = import_records_file(db, kind, path)
    second = import_records_file(db, kind, path)

    assert (first.received, first.stored, first.duplicate, first.rejections) == (2, 1, 1, ())
    assert (second.stored, second.duplicate) == (0, 2)
    assert count(db, kind) == 1
    assert db.execute(f"SELECT recorded_at, origin FROM {kind}").fetchone() == (
        datetime(2026, 1, 5, 11, tzinfo=UTC),
        "imported",
    )


def test_findings_come_with_their_inspection_and_only_with_a_new_one(db):
    found = Inspection(
        record_id=uuid4(),
        observed_at=AT,
        recorded_at=AT,
        segment_id="r:1:0-100",
        inspector_role="walker",
        findings=(
            Finding(class_code="D40", severity=3, position=RecordPosition(7.0, 51.4), depth_m=0.05),
            Finding(class_code="D20", severity=1),
        ),
    )
    nothing = Inspection(
        record_id=found.record_id, observed_at=AT, recorded_at=AT, segment_id="r:1:0-100", inspector_role="walker"
    )

    import_records(db, "inspection", [found], origin=Origin.IMPORTED)
    import_records(db, "inspection", [nothing], origin=Origin.IMPORTED)

    rows = db.execute("SELECT finding_no, class_code, severity, lon, depth_m FROM inspection_finding").fetchall()
    assert rows == [(0, "D40", 3, 7.0, pytest.approx(0.05)), (1, "D20", 1, None, None)]


def test_bad_lines_are_named_and_the_good_ones_kept(db, tmp_path):
    path = written(
        tmp_path,
        "repair.jsonl",
        line("repair", 1),
        "{not json",
        line("repair", 2, method="magic"),
        line("repair", 3, recorded_at=None),
        line("repair", 4, recorded_at="2026-01-01T00:00:00Z"),
        line("repair", 5, observed_at="2026-01-05T10:00:00"),
        line("repair", 6, colour="red"),
        line("repair", 7),
    )

    counts = import_records_file(db, "repair", path)

    assert (counts.received, counts.stored, counts.rejected) == (8, 2, 6)
    assert count(db, "repair") == 2
    for number, reason in (
        (2, "malformed"),
        (3, "method"),
        (4, "recorded_at is missing"),
        (5, "before observed_at"),
        (6, "timezone"),
        (7, "colour"),
    ):
        assert any(r.startswith(f"line {number}: ") and reason in r for r in counts.rejections)


def test_times_that_cannot_be_are_rejected_and_the_other_lines_kept(db, tmp_path):
    path = written(
        tmp_path,
        "repair.jsonl",
        line("repair", 1, observed_at="0001-01-01T00:00:00+14:00", recorded_at=None),
        line("repair", 2, observed_at="9999-12-31T23:00:00Z", recorded_at=None),
        line("repair", 3),
    )

    counts = import_records_file(db, "repair", path, reporting_lag=timedelta(days=1))

    assert (counts.stored, counts.rejected) == (1, 2)
    assert all("expected one from 1900 to before 2200" in sentence for sentence in counts.rejections)


def test_a_stated_reporting_lag_makes_up_for_a_missing_recorded_at(db, tmp_path):
    path = written(tmp_path, "repair.jsonl", line("repair", recorded_at=None))

    counts = import_records_file(db, "repair", path, reporting_lag=timedelta(hours=36))

    assert counts.rejections == ()
    assert db.execute("SELECT recorded_at - observed_at FROM repair").fetchone() == (timedelta(hours=36),)


def test_a_spreadsheet_of_repairs_is_read_and_the_same_row_is_the_same_repair(db, tmp_path):
    path = written(
        tmp_path,
        "reparaturen.csv",
        "\ufeffobserved_at;recorded_at;method;lon;lat;area_m2;crew",
        "2026-01-05T10:00:00+01:00;2026-01-06T08:00:00+01:00;hot_mix;7.01;51.45;0.4;Kolonne 3",
        "2026-01-05T11:00:00+01:00;2026-01-06T08:00:00+01:00;cold_mix;7.02;51.45;;",
        "2026-01-05T11:00:00+01:00;2026-01-06T08:00:00+01:00;cold_mix;700;51.45;;",
        "2026-01-05T11:00:00+01:00;2026-01-06T08:00:00+01:00;cold_mix;7.02;51.45;;;;",
    )

    first = import_records_file(db, "repair", path)
    second = import_records_file(db, "repair", path)

    assert (first.stored, first.rejected, second.stored, second.duplicate) == (2, 2, 0, 2)
    assert [r.split(":")[0] for r in first.rejections] == ["line 4", "line 5"]
    assert db.execute("SELECT lon, area_m2, crew FROM repair ORDER BY lon").fetchall() == [
        (7.01, pytest.approx(0.4), "Kolonne 3"),
        (7.02, None, None),
    ]


def test_the_writer_can_give_the_time_of_recording(db):
    repair = Repair(record_id=uuid4(), observed_at=AT, method="hot_mix", segment_id="r:1:0-100")
    future = Repair(record_id=uuid4(), observed_at=AT + timedelta(days=9), method="hot_mix", segment_id="r:1:0-100")

    counts = import_records(db, "repair", [repair, future], origin=Origin.API, recorded_at=AT + timedelta(minutes=1))

    assert (counts.stored, counts.rejected) == (1, 1)


@pytest.mark.parametrize("name", ["missing.jsonl", "broken.jsonl.gz"])
def test_a_file_that_cannot_be_read_is_named(db, tmp_path, name):
    (tmp_path / "broken.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00nonsense")

    with pytest.raises(InputFileError, match=name):
        import_records_file(db, "repair", tmp_path / name)


def test_an_unknown_kind_is_refused(db, tmp_path):
    with pytest.raises(InputFileError, match="expected one of repair"):
        import_records_file(db, "wish", written(tmp_path, "wish.jsonl", "{}"))
