from datetime import timedelta

import pytest

from models.state.skill import Skill
from service.routes.twin import frames_of
from tests.integration.service.test_reading import get
from tests.service_city import FIXED_NOW


def iso(at):
    return at.isoformat()


def path(city):
    return f"/v1/segments/{city.by_rank[0]}/state"


def test_the_state_of_a_segment_comes_hour_by_hour_with_units_and_labels(reading, read_city):
    begin = FIXED_NOW - timedelta(hours=3)

    history = get(reading, path(read_city), **{"from": iso(begin), "to": iso(FIXED_NOW)})

    assert history["segment_id"] == read_city.by_rank[0]
    assert [one["as_of"][11:16] for one in history["states"]] == ["06:30", "07:30", "08:30", "09:30"]
    quantities = {q["quantity"]: q for q in history["states"][-1]["state"]}
    probability = quantities["open_pothole_probability"]
    assert 0 < probability["value"] < 1
    assert probability["source"] == "camera+people"
    assert quantities["base_modulus_pct"]["label_de"].startswith("Steifigkeit")
    assert quantities["base_modulus_pct"]["value"] is None  # eight days of weather do not tell
    assert quantities["surface_temp_c"]["age_s"] >= 0
    first = {q["quantity"]: q for q in history["states"][0]["state"]}
    assert first["surface_temp_c"]["value"] != quantities["surface_temp_c"]["value"]


def test_without_times_it_is_the_state_now(reading, read_city):
    (now,) = get(reading, path(read_city))["states"]

    assert now["as_of"].startswith("2026-02-10T09:30")


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (timedelta(hours=-60), timedelta(0), "48 hours at most"),
        (timedelta(hours=-1), timedelta(hours=-2), "from ≤ to"),
        (timedelta(hours=-1), timedelta(hours=1), "no time after now"),
    ],
)
def test_times_that_make_no_sense_are_refused_in_one_sentence(reading, read_city, begin, end, expected):
    params = {"from": iso(FIXED_NOW + begin), "to": iso(FIXED_NOW + end)}

    answer = reading.get(path(read_city), params=params)

    assert answer.status_code == 422
    assert expected in answer.json()["detail"]


def test_a_time_without_offset_and_an_unknown_segment_are_problems(reading, read_city):
    assert reading.get(path(read_city), params={"to": "2026-02-10T09:00:00"}).status_code == 422
    assert reading.get("/v1/segments/no:such:0-100/state").status_code == 404


def test_what_the_twin_has_learnt_says_when_it_is_only_assumed(reading, read_city):
    learnt = get(reading, "/v1/state")

    assert learnt["as_of"] is None
    assert 0.4 < learnt["camera_recall"] < 0.8
    assert {field["quantity"]: field["fitted"] for field in learnt["fields"]} == {
        "surface_temp_c": False,
        "soil_moisture_pct": False,
    }
    assert learnt["sensor_skill"] == []
    assert (learnt["poor_frame_mistakes"], learnt["frames"]) == (1.0, [])


def test_kinds_of_poor_frames_are_told_with_what_was_learnt_of_them():
    told = frames_of(Skill(frame_factors=(0.9, 0.3, 0.6), frame_mistakes=(1.0, 4.0, 1.5)))
    only_recall = frames_of(Skill(frame_factors=(0.9, 0.3, 0.6), poor_mistakes=1.2))

    assert [(one.frames, one.recall_factor, one.mistakes_factor) for one in told] == [
        ("wet", 0.9, 1.0), ("dark", 0.3, 4.0), ("blurred", 0.6, 1.5)
    ]  # fmt: skip
    assert {one.mistakes_factor for one in only_recall} == {1.2}
