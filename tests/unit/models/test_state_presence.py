import numpy as np
import pytest

from models.inputs import EvidenceKind
from models.state.places import CameraDays, Frames, Looks, Road, Sightings, places_of
from models.state.presence import open_potholes
from models.state.skill import Skill, skill_of

DAYS = 60
NEW_PER_DAY = 0.005
DETECTION, FINDING, REPORT, REPAIR, SECURING, RENEWAL = EvidenceKind


def sightings(*rows):
    """Rows of (kind, day, segment, station [m]) or with accuracy [m], camera and frames."""
    full = [(*row, *(3.0, 0 if row[0] == DETECTION else -1, 0)[len(row) - 4 :]) for row in rows]
    columns = list(zip(*full, strict=True)) or [()] * 7
    whole = [np.array(column, np.int64) for column in (*columns[:3], *columns[5:])]
    metres = [np.array(column, np.float64) for column in columns[3:5]]
    return Sightings(*whole[:3], *metres, *whole[3:])


def passes(*rows, days=range(DAYS), segment=0, good=2.0, poor=0.0):
    """A row a day, or rows of (day, segment, good, poor), or with what of the poor was wet and dark."""
    rows = rows or [(day, segment, good, poor) for day in days]
    day, on, *counts = zip(*((*row, np.nan, np.nan)[:6] for row in rows), strict=True)
    return CameraDays(np.array(on), np.array(day), *(np.array(count, float) for count in counts))


NO_PASSES = CameraDays(*[np.zeros(0, np.int64)] * 2, *[np.zeros(0)] * 4)
NO_LOOKS = Looks(*[np.zeros(0, np.int64)] * 2)


def looks(*days, segment=0):
    return Looks(np.full(len(days), segment), np.array(days, np.int64))


def result(seen=(), cameras=NO_PASSES, looked=(), lids=(), *, rails=None, skill=None, n=1, length_m=100.0):
    road = Road(np.arange(n), np.full(n, length_m), None if rails is None else np.array(rails))
    rows = sightings(*seen)
    places = places_of(road, rows, sightings(*lids))
    return open_potholes(
        road, cameras, rows, looks(*looked), places, np.full(n, NEW_PER_DAY), skill or Skill(), days=DAYS
    )


def probability(*args, **kwargs):
    return float(result(*args, **kwargs).probability[0])


def test_without_any_look_the_probability_is_that_of_what_arises_and_goes():
    skill = Skill()

    alone = result()

    assert alone.expected[0] == pytest.approx(NEW_PER_DAY * skill.life_days, rel=0.1)
    assert alone.probability[0] == pytest.approx(-np.expm1(-alone.expected[0]))


def test_passes_that_see_nothing_make_a_hole_less_likely_the_more_the_fitter_and_the_newer_they_are():
    none, few, many = probability(), probability(cameras=passes(days=range(50, 60))), probability(cameras=passes())
    poor = probability(cameras=passes(good=0.0, poor=2.0))
    old = probability(cameras=passes(days=range(30)))

    assert many <= few < poor < none
    assert few < old <= none
    assert probability(looked=[59]) < probability(looked=[40]) < none


def test_a_lone_detection_makes_a_hole_likelier_and_each_pass_that_misses_it_less_likely():
    lone = probability([(DETECTION, 59, 0, 40.0)], passes(days=[59]))
    missed = [
        probability([(DETECTION, 50, 0, 40.0)], passes((50, 0, 2, 0), *((51 + i, 0, 2, 0) for i in range(n))))
        for n in (0, 2, 9)
    ]

    assert lone > 3 * probability(cameras=passes(days=[59]))
    assert lone > missed[0] > missed[1] > missed[2]
    assert missed[2] < 0.1


def test_detections_of_several_passes_at_one_place_make_a_hole_nearly_sure():
    rows = [(DETECTION, day, 0, 40.0 + day % 3) for day in (50, 53, 56, 59)]

    assert probability(rows, passes(days=[50, 53, 56, 59], good=1.0)) > 0.9


def test_a_finding_is_strong_evidence_that_passes_weaken_and_a_person_who_sees_nothing_weakens_more():
    finding = [(FINDING, 50, 0, 40.0)]

    found = probability(finding, looked=[50])
    passed = probability(finding, passes(days=[51, 52]), looked=[50])
    looked_again = probability(finding, looked=[50, 58])

    assert found > 0.8
    assert looked_again < passed < found
    assert looked_again < 0.5


def test_a_repair_near_by_closes_the_place_and_one_far_off_does_not():
    finding = [(FINDING, 50, 0, 40.0)]

    assert probability([*finding, (REPAIR, 52, 0, 43.0)], looked=[50]) < 0.15
    assert probability([*finding, (REPAIR, 52, 0, 90.0)], looked=[50]) > 0.8
    assert probability([*finding, (RENEWAL, 52, 0, 50.0)], looked=[50]) < 0.15


def test_what_was_detected_before_a_repair_of_the_same_day_belongs_to_the_closed_hole():
    rows = [(FINDING, 50, 0, 40.0), (REPAIR, 55, 0, 40.0), (DETECTION, 55, 0, 41.0)]

    assert probability(rows, passes((55, 0, 1, 0)), looked=[50]) < 0.15


def test_a_place_that_cameras_report_again_and_again_and_no_person_finds_is_masked():
    days = range(0, 60, 6)
    rows = [(DETECTION, day, 0, 40.0) for day in days]
    cameras = passes(days=days, good=1.0)

    seen = result(rows, cameras)
    not_found = result(rows, cameras, looked=[5, 17, 29, 41])

    assert not_found.mistake[0] > 0.95
    assert not_found.mistake[0] > seen.mistake[0]
    assert not_found.probability[0] < 0.1


def test_a_lid_at_the_place_makes_a_detection_worth_less():
    rows, cameras = [(DETECTION, 55, 0, 40.0), (DETECTION, 58, 0, 40.0)], passes(days=[55, 58])

    bare, with_lid = result(rows, cameras), result(rows, cameras, lids=[(DETECTION, 20, 0, 41.0)])

    assert with_lid.probability[0] < bare.probability[0]
    assert with_lid.mistake[0] > bare.mistake[0]


def test_rails_mask_what_is_seen_along_them_less_than_a_lid_does_and_a_person_outweighs_them():
    rows, cameras = [(DETECTION, 55, 0, 40.0), (DETECTION, 58, 0, 40.0)], passes(days=[55, 58])

    bare, railed = result(rows, cameras, rails=[False]), result(rows, cameras, rails=[True])
    with_lid = result(rows, cameras, lids=[(DETECTION, 20, 0, 41.0)], rails=[True])

    assert with_lid.probability[0] < railed.probability[0] < bare.probability[0]
    assert with_lid.mistake[0] > railed.mistake[0] > bare.mistake[0]
    assert result(rows, cameras).probability == bare.probability  # unknown is none
    assert probability([*rows, (FINDING, 59, 0, 40.0)], cameras, looked=[59], rails=[True]) > 0.9


def test_two_places_make_two_holes_and_reports_count_for_less_than_findings():
    two = result([(FINDING, 58, 0, 20.0), (FINDING, 58, 0, 70.0)], looked=[58])
    reported = probability([(REPORT, 58, 0, 50.0, 25.0)])

    assert 1.6 < two.expected[0] < 2.3
    assert 0 < two.sd[0] < 0.8
    assert probability() < reported < probability([(FINDING, 58, 0, 50.0)], looked=[58])


def test_segments_do_not_disturb_each_other():
    rows = [(FINDING, 50, 1, 40.0), (DETECTION, 55, 1, 41.0), (REPORT, 57, 2, 10.0)]
    together = result(rows, passes(days=[55], segment=1, good=1.0), n=3)

    assert together.probability[0] == pytest.approx(probability())
    assert together.probability[1] > 0.9
    assert together.probability[2] > together.probability[0]


def test_a_camera_that_is_mistaken_more_often_counts_for_less():
    row, cameras = [(DETECTION, 59, 0, 40.0, 3.0, 1)], passes(days=[59])

    usual = probability(row, cameras)
    worse = probability(row, cameras, skill=Skill(camera_factors=(1.0, 5.0)))

    assert worse < usual


def known_holes(rng, count, factor, *, poor=0.0):
    """Holes found on day 5 and closed on day 45, each with passes that see it `factor` times as well as published."""
    rows, driven = [], []
    for i in range(count):
        rows += [(FINDING, 5, i, 50.0), (REPAIR, 45, i, 50.0)]
        easy = rng.random() < Skill().share_easy
        of_pass = factor * (Skill().recall_easy if easy else Skill().recall_hard) * (poor or 1.0)
        for day in range(8, 44, 4):
            driven.append((day, i, 0.0, 1.0) if poor else (day, i, 1.0, 0.0))
            if rng.random() < of_pass:
                rows.append((DETECTION, day, i, 50.0 + rng.normal(0, 3)))
    return sightings(*rows), passes(*driven)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.25])
def test_recall_is_estimated_by_recapture(factor):
    rng = np.random.default_rng(4)
    rows, cameras = known_holes(rng, 150, factor)
    road = Road(np.arange(150), np.full(150, 100.0))

    skill = skill_of(road, places_of(road, rows, sightings()), cameras, rows, NO_LOOKS)

    assert skill.recall == pytest.approx(factor * Skill().recall, rel=0.1)
    assert skill.poor_factor == pytest.approx(Skill().poor_factor)


def test_what_poor_frames_miss_is_estimated_too():
    rng = np.random.default_rng(5)
    fit_rows, fit_passes = known_holes(rng, 100, 1.0)
    road = Road(np.arange(200), np.full(200, 100.0))
    poor_rows, poor_passes = known_holes(rng, 100, 1.0, poor=0.3)
    rows = Sightings(
        *(
            np.concatenate([getattr(fit_rows, c), getattr(poor_rows, c) + 100 * (c == "segment")])
            for c in Sightings.__slots__
        )
    )
    cameras = CameraDays(
        *(
            np.concatenate([getattr(fit_passes, c), getattr(poor_passes, c) + 100 * (c == "segment")])
            for c in CameraDays.__slots__
        )
    )

    skill = skill_of(road, places_of(road, rows, sightings()), cameras, rows, NO_LOOKS)

    assert skill.poor_factor == pytest.approx(0.3, abs=0.1)
    assert skill.recall == pytest.approx(Skill().recall, rel=0.15)


def test_a_city_without_repeats_keeps_the_published_recall():
    road = Road(np.arange(1), np.full(1, 100.0))
    rows = sightings((DETECTION, 5, 0, 50.0))

    assert skill_of(road, places_of(road, rows, sightings()), passes(days=[5]), rows, NO_LOOKS) == Skill()


def test_cameras_are_told_apart_by_what_people_confirm():
    rows = []
    for i in range(200):
        rows.append((DETECTION, 5, i, 50.0, 3.0, i % 2))
        if i % 2 == 0 or i % 10 == 1:  # of camera 1 one in five
            rows.append((FINDING, 6, i, 50.0))
    road, seen = Road(np.arange(200), np.full(200, 100.0)), sightings(*rows)

    right, wrong = skill_of(road, places_of(road, seen, sightings()), NO_PASSES, seen, NO_LOOKS).camera_factors

    assert right < 0.5
    assert wrong > 1.5


def drives(rng, segments, *, wet, dark, see=1.0):
    """Passes over segments at which a person looks every 10 days and finds nothing: of four one is fit, one wet, one
    dark and one blurred; the camera is mistaken `wet` and `dark` times as often as usual when it is so."""
    rows, driven = [], []
    for segment in range(segments):
        for number, day in enumerate(range(0, 56, 2)):
            kind = (number + segment) % 4
            driven.append((day, segment, float(kind == 0), float(kind > 0), float(kind == 1), float(kind == 2)))
            if rng.random() < 0.04 * (1.0, wet, dark, 1.0)[kind]:
                rows.append((DETECTION, day, segment, 100 * rng.random(), 3.0, 0, kind))
    return sightings(*rows), passes(*driven)


def test_how_much_more_often_poor_frames_are_mistaken_is_estimated_by_what_persons_refute():
    rows, cameras = drives(np.random.default_rng(6), 500, wet=3.0, dark=0.5)
    road = Road(np.arange(500), np.full(500, 100.0))
    everywhere, days = np.arange(500).repeat(6), np.tile(np.arange(5, 60, 10), 500)

    skill = skill_of(road, places_of(road, rows, sightings()), cameras, rows, Looks(everywhere, days))
    unlooked = skill_of(road, places_of(road, rows, sightings()), cameras, rows, NO_LOOKS)
    found = sightings(*((FINDING, 58, i, s) for i, s in zip(rows.segment, rows.station_m, strict=True)))
    both = Sightings(*(np.concatenate([getattr(a, c) for a in (rows, found)]) for c in Sightings.__slots__))
    confirmed = skill_of(road, places_of(road, both, sightings()), cameras, both, Looks(everywhere, days))

    assert skill.poor_mistakes == pytest.approx(1.5, abs=0.25)
    assert skill.frame_mistakes == pytest.approx((3.0, 0.5, 1.0), rel=0.25)
    assert (unlooked.poor_mistakes, unlooked.frame_mistakes) == (1.0, ())  # nobody refuted any
    assert (confirmed.poor_mistakes, confirmed.frame_mistakes) == (1.0, ())


def test_recall_of_wet_dark_and_blurred_frames_is_told_apart_where_their_passes_are():
    rng = np.random.default_rng(7)
    recall = {Frames.FIT: 1.0, Frames.WET: 0.9, Frames.DARK: 0.2, Frames.BLURRED: 0.6}
    rows, driven = [], []
    for i in range(400):
        kind = Frames(i % 4)
        lot, _ = known_holes(rng, 1, recall[kind])
        rows += [
            (k, d, i, s, a, c, kind if k == DETECTION else 0)
            for k, d, s, a, c in zip(lot.kind, lot.day, lot.station_m, lot.accuracy_m, lot.camera, strict=True)
        ]
        driven += [(day, i, float(kind == 0), float(kind > 0), float(kind == 1), float(kind == 2))
                   for day in range(8, 44, 4)]  # fmt: skip
    road, seen, cameras = Road(np.arange(400), np.full(400, 100.0)), sightings(*rows), passes(*driven)

    skill = skill_of(road, places_of(road, seen, sightings()), cameras, seen, NO_LOOKS)

    assert skill.frame_factors == pytest.approx((0.9, 0.2, 0.6), abs=0.12)
    assert skill.poor_factor == pytest.approx(np.mean([0.9, 0.2, 0.6]), abs=0.07)


def test_a_detection_counts_for_as_much_as_its_frames_are_trusted():
    skill = Skill(frame_factors=(0.9, 0.3, 0.6), frame_mistakes=(1.0, 4.0, 1.5), poor_mistakes=2.0)

    def seen(frames, wet, dark):
        row = (DETECTION, 59, 0, 40.0, 3.0, 0, frames)
        return probability([row], passes((59, 0, 0.0, 1.0, wet, dark)), skill=skill)

    fit = probability([(DETECTION, 59, 0, 40.0)], passes((59, 0, 1.0, 0.0)), skill=skill)
    assert fit > seen(Frames.WET, 1.0, 0.0) > seen(Frames.BLURRED, 0.0, 0.0) > seen(Frames.DARK, 0.0, 1.0)


def test_a_pass_that_sees_nothing_counts_for_as_much_as_its_frames_see():
    skill = Skill(frame_factors=(0.9, 0.3, 0.6))
    days = range(50, 60)

    def nothing(*poor):
        return probability(cameras=passes(*((day, 0, 0.0, 2.0, *poor) for day in days)), skill=skill)

    wet, blurred, dark = nothing(2.0, 0.0), nothing(0.0, 0.0), nothing(0.0, 2.0)
    assert wet < blurred < dark < probability(skill=skill)
    assert nothing() == pytest.approx(blurred)  # not told apart: as all poor ones together
