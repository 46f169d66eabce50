"""What the page says of potholes whose evidence contradicts itself."""

import pytest
from psycopg.types.json import Jsonb

from roadtwin.storage.database import connect


@pytest.fixture
def contradictory(visit):
    """One hole that a person found, one that is probably there, one likelier gone, one broken up again."""
    holes = visit.site.city.potholes
    with connect(visit.site.database_url) as db:
        for name, probability in (("severe overdue", 0.04), ("medium", 0.93), ("low", 0.71)):
            state = Jsonb({"open_pothole_probability": {"value": probability, "source": "camera"}})
            db.execute(
                """INSERT INTO twin_state SELECT segment_id, %s, %s, NULL, 3, NULL FROM pothole WHERE pothole_id = %s
                   ON CONFLICT (segment_id) DO UPDATE SET as_of = excluded.as_of, state = excluded.state""",
                [visit.site.city.now, state, holes[name]],
            )
        db.execute(
            """UPDATE pothole SET reopened = TRUE,
               opened_at = ARRAY[first_recorded_at, first_recorded_at + '2 h'::interval],
               shut_at = ARRAY[first_recorded_at + '1 h'::interval, NULL] WHERE pothole_id = %s""",
            [holes["severe overdue"]],
        )
        db.execute("UPDATE pothole SET reopened = TRUE WHERE pothole_id = %s", [holes["medium"]])
        db.execute("UPDATE pothole SET seen_by_person_at = now() WHERE pothole_id = %s", [holes["low overdue"]])
    visit.page.reload()
    return visit


@pytest.mark.writes
def test_the_list_says_how_sure_each_hole_is_and_whether_it_was_seen_or_broke_up_again(contradictory):
    page, holes = contradictory.page, contradictory.site.city.potholes

    def line(name):
        return page.locator(f'[data-focus="p-{holes[name]}"] .line').inner_text()

    page.locator(f'[data-focus="p-{holes["severe overdue"]}"]').wait_for()
    assert "fraglich, zu 4,0 % sicher" in line("severe overdue")
    assert "wieder gesehen" in line("severe overdue")
    assert "aufgebrochen" not in line("severe overdue")
    assert "zu 93 % sicher" in line("medium")
    assert "wieder aufgebrochen" in line("medium")
    assert "bestätigt" in line("low overdue")
    page.locator('input[name=language][value="en"]').check()
    page.locator(".line", has_text="doubtful, 4.0 % sure").wait_for()
    assert "seen again" in line("severe overdue")
    assert "broken up again" in line("medium")
    assert "confirmed" in line("low overdue")
    assert contradictory.complaints == []
