from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import shapely

from roadtwin.errors import DegenerateLineError, InputFileError
from roadtwin.jobs.importing import import_network
from roadtwin.network.sections import Attributes, RoadSection
from roadtwin.storage.model_inputs import read_changed_attributes
from roadtwin.storage.network import read_register_since

pytestmark = pytest.mark.every_part

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)

NORTH = RoadSection(
    "reg", "0007", np.array([[7.0, 51.45], [7.0, 51.4527]]), name="Nordweg", road_class="residential"
)  # 300.4 m
EAST = RoadSection("reg", "0008", np.array([[7.01, 51.45], [7.0128, 51.45]]), name="Oststraße")


def rows(db, statement):
    return db.execute(statement).fetchall()


def table_state(db):
    return rows(db, "SELECT s.*::text FROM road_section s ORDER BY 1") + rows(
        db, "SELECT s.*::text FROM segment s ORDER BY 1"
    )


def test_a_network_is_stored_with_its_segments(db):
    counts = import_network(db, [NORTH, EAST], recorded_at=JANUARY)

    assert (counts.added, counts.segments_added) == (2, 5)
    assert counts.length_km == pytest.approx(0.495, abs=0.001)
    ids = [row[0] for row in rows(db, "SELECT public_id FROM segment ORDER BY segment_id")]
    assert ids[:3] == ["reg:0007:0-100", "reg:0007:100-200", "reg:0007:200-300"]
    (line, mid_lon, mid_lat, north) = rows(
        db, "SELECT geometry_wkb, mid_lon, mid_lat, (bounds[0])[1] FROM segment ORDER BY segment_id LIMIT 1"
    )[0]
    assert shapely.from_wkb(bytes(line)).length == pytest.approx(0.0009, abs=1e-6)
    assert (mid_lon, mid_lat, north) == pytest.approx((7.0, 51.45045, 51.4509), abs=1e-6)


def test_importing_the_same_network_again_changes_nothing(db):
    import_network(db, [NORTH, EAST], recorded_at=JANUARY)
    before = table_state(db)

    counts = import_network(db, [EAST, NORTH], recorded_at=JUNE)

    assert not counts.changed_anything
    assert counts.unchanged == 2
    assert table_state(db) == before


def test_a_moved_line_closes_the_old_segments_and_says_where_they_went(db):
    import_network(db, [NORTH, EAST], recorded_at=JANUARY)
    longer = replace(NORTH, line=np.array([[7.0, 51.45], [7.0, 51.4554]]))  # goes on to 600 m in the same direction

    counts = import_network(db, [longer, EAST], recorded_at=JUNE)

    assert (counts.changed, counts.unchanged, counts.segments_closed, counts.segments_added) == (1, 1, 3, 6)
    lineage = rows(
        db,
        "SELECT o.public_id, n.public_id, share_of_old FROM segment_lineage AS l"
        " JOIN segment AS o ON o.segment_id = old_segment_id JOIN segment AS n ON n.segment_id = new_segment_id",
    )
    assert sorted(lineage) == [
        ("reg:0007:0-100", "reg:0007:0-100", 1.0),
        ("reg:0007:100-200", "reg:0007:100-200", 1.0),
        ("reg:0007:200-300", "reg:0007:200-300", 1.0),
    ]
    assert rows(db, "SELECT count(*) FROM segment WHERE valid_to IS NULL") == [(8,)]
    assert rows(db, "SELECT DISTINCT valid_to FROM segment WHERE valid_to IS NOT NULL") == [(JUNE,)]
    assert rows(db, "SELECT count(*), min(valid_from) FROM road_section WHERE valid_to IS NULL") == [(2, JANUARY)]


def test_a_segment_that_falls_to_two_new_ones_is_shared_by_length(db):
    import_network(db, [NORTH], recorded_at=JANUARY)
    shorter = replace(NORTH, line=np.array([[7.0, 51.45], [7.0, 51.45216]]))  # 240 m: pieces of 120 m

    import_network(db, [shorter], recorded_at=JUNE)

    shares = rows(
        db,
        "SELECT o.public_id, n.public_id, share_of_old FROM segment_lineage AS l"
        " JOIN segment AS o ON o.segment_id = old_segment_id JOIN segment AS n ON n.segment_id = new_segment_id",
    )
    assert {(old, new): share for old, new, share in shares} == pytest.approx(
        {
            ("reg:0007:0-100", "reg:0007:0-120"): 1.0,
            ("reg:0007:100-200", "reg:0007:0-120"): 0.2,
            ("reg:0007:100-200", "reg:0007:120-240"): 0.8,
            ("reg:0007:200-300", "reg:0007:120-240"): 0.65,  # 40 m, and what lies within 25 m of its end
        },
        abs=0.051,
    )


def editions(db):
    return rows(
        db,
        "SELECT count(*), e.recorded_at, e.attributes FROM segment_attributes AS e JOIN segment USING (segment_id) "
        "WHERE public_id LIKE 'reg:0007:%' GROUP BY 2, 3 ORDER BY 2",
    )


def test_every_edition_of_attributes_is_kept_and_an_unchanged_import_writes_none(db):
    old, new = (replace(NORTH, attributes=Attributes(wearing_course_year=year)) for year in (1990, 2026))
    import_network(db, [old, EAST], recorded_at=JANUARY)
    import_network(db, [old, EAST], recorded_at=JUNE)
    import_network(db, [replace(old, name="Nordallee"), EAST], recorded_at=JUNE)
    assert editions(db) == [(3, JANUARY, {"wearing_course_year": 1990})]

    import_network(db, [new, EAST], recorded_at=JUNE)
    import_network(db, [new, EAST], recorded_at=JUNE + timedelta(days=1))

    expected = [(3, JANUARY, {"wearing_course_year": 1990}), (3, JUNE, {"wearing_course_year": 2026})]
    assert editions(db) == expected
    assert rows(db, "SELECT count(*) FROM segment_attributes AS e JOIN segment USING (segment_id) "
                    "WHERE public_id LIKE 'reg:0008:%' AND e.recorded_at > segment.valid_from") == [(0,)]  # fmt: skip


def test_an_edition_before_the_newest_one_is_refused_and_overwrites_nothing(db):
    earlier = [datetime(2000, 6, 1, tzinfo=UTC), datetime(2005, 3, 1, tzinfo=UTC)]
    old, new = (replace(NORTH, attributes=Attributes(wearing_course_year=year)) for year in (1990, 2024))
    import_network(db, [old, EAST], recorded_at=JANUARY)
    moved = replace(EAST, line=EAST.line + 1e-5)
    before = table_state(db)

    for at in earlier:
        for sections in ([new, EAST], [old, moved]):
            with pytest.raises(InputFileError, match=rf"reg has an edition of 2026-01-01.* earlier {at.year}-"):
                import_network(db, sections, recorded_at=at)
        with pytest.raises(InputFileError, match="changes or ends"):
            import_network(db, [old], recorded_at=at, close_missing=True)
        assert not import_network(db, [old, EAST], recorded_at=at).changed_anything
    assert table_state(db) == before
    assert editions(db) == [(3, JANUARY, {"wearing_course_year": 1990})]


def told(db):
    """Years of the wearing course by where the segment begins, as they were known; of more than one edition only."""
    begins_m = dict(rows(db, "SELECT segment_id, round(from_station_m)::integer FROM segment"))
    known = {}
    for segment_id, recorded_at, attributes in read_changed_attributes(db):
        known.setdefault(begins_m[segment_id], []).append((recorded_at, attributes["wearing_course_year"]))
    return known


def test_where_a_line_moves_the_new_segments_keep_what_was_known_of_those_that_they_come_from(db):
    march, april = JANUARY + timedelta(days=60), JANUARY + timedelta(days=90)
    old, renewed = (replace(NORTH, attributes=Attributes(wearing_course_year=year)) for year in (1990, 2024))
    longer = replace(NORTH, line=np.array([[7.0, 51.45], [7.0, 51.4554]]),
                     attributes=Attributes(wearing_course_year=2026))  # fmt: skip
    for section, at in ((old, JANUARY), (renewed, march)):
        import_network(db, [section, EAST], recorded_at=at)
    import_network(db, [replace(longer, line=longer.line + 1e-6), EAST], recorded_at=april)
    import_network(db, [longer, EAST], recorded_at=JUNE)

    known = [(JANUARY, 1990), (march, 2024), (april, 2026), (JUNE, 2026)]
    found = told(db)
    assert [found[begin_m] for begin_m in sorted(found)] == [known] * 3 + [known[2:]] * 3
    assert read_register_since(db) == april  # when the road was made longer


def test_a_moved_line_does_not_make_the_whole_register_unknown_before(db):
    assert read_register_since(db) is None
    import_network(db, [NORTH, EAST], recorded_at=JANUARY)
    import_network(db, [NORTH, replace(EAST, line=EAST.line + 1e-6)], recorded_at=JUNE)

    assert read_register_since(db) == JANUARY


def test_of_former_segments_that_ended_at_once_the_one_that_the_new_one_holds_most_of_counts(db):
    import_network(db, [replace(NORTH, attributes=Attributes(wearing_course_year=1990))], recorded_at=JANUARY)
    db.execute(
        "UPDATE segment_attributes SET attributes = jsonb_build_object('wearing_course_year', 1990 + segment_id)"
    )
    former = dict(rows(db, "SELECT round(from_station_m)::integer, 1990 + segment_id FROM segment"))
    shorter = replace(NORTH, line=np.array([[7.0, 51.45], [7.0, 51.45216]]),
                      attributes=Attributes(wearing_course_year=2026))  # fmt: skip
    import_network(db, [shorter], recorded_at=JUNE)

    assert told(db) == {
        0: [(JANUARY, former[0]), (JUNE, 2026)],
        120: [(JANUARY, former[100]), (JUNE, 2026)],
    }


def test_other_attributes_are_updated_without_new_segments(db):
    import_network(db, [NORTH, EAST], recorded_at=JANUARY)
    renamed = replace(NORTH, name="Nordallee", attributes=Attributes(wearing_course_year=2026))

    counts = import_network(db, [renamed, EAST], recorded_at=JUNE)

    assert (counts.updated, counts.unchanged, counts.segments_added) == (1, 1, 0)
    assert rows(db, "SELECT DISTINCT name, attributes FROM segment WHERE public_id LIKE 'reg:0007:%'") == [
        ("Nordallee", {"wearing_course_year": 2026})
    ]


def test_a_section_that_is_missing_stays_unless_the_register_is_complete(db):
    import_network(db, [NORTH, EAST], recorded_at=JANUARY)

    partial = import_network(db, [NORTH], recorded_at=JUNE)
    complete = import_network(db, [NORTH], recorded_at=JUNE, close_missing=True)

    assert (partial.missing, partial.closed) == (1, 0)
    assert (complete.missing, complete.closed, complete.segments_closed) == (1, 1, 2)
    assert rows(db, "SELECT DISTINCT name FROM segment WHERE valid_to IS NULL") == [("Nordweg",)]


def test_registers_do_not_touch_each_other(db):
    import_network(db, [NORTH], recorded_at=JANUARY)

    import_network(db, [replace(EAST, source="osm")], recorded_at=JUNE, close_missing=True)

    assert rows(db, "SELECT count(*) FROM road_section WHERE valid_to IS NULL") == [(2,)]


def test_bad_networks_are_refused_and_leave_nothing_behind(db):
    broken = RoadSection("reg", "9", np.array([[7.0, 51.0], [7.0, 51.0]]))

    with pytest.raises(DegenerateLineError, match="reg:9"):
        import_network(db, [NORTH, broken], recorded_at=JANUARY)
    with pytest.raises(InputFileError, match="reg:0007 is there more than once"):
        import_network(db, [NORTH, EAST, NORTH], recorded_at=JANUARY)
    assert rows(db, "SELECT count(*) FROM road_section") == [(0,)]


def test_all_segments_of_a_database_have_the_same_nominal_length(db):
    import_network(db, [NORTH], recorded_at=JANUARY, nominal_length_m=20)

    with pytest.raises(InputFileError, match="segments of 20 m; got 100 m"):
        import_network(db, [EAST], recorded_at=JUNE)
