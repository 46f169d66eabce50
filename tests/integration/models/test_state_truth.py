"""The twin state of a simulated city beside its hidden truth."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import rankdata

from roadtwin.jobs.events import derive_potholes
from roadtwin.jobs.simulated import SimulatedCity, world_of
from roadtwin.twin.compute import learn_parameters, read_network, state_of
from roadtwin.twin.parameters import Parameters
from roadtwin.twin.setting import Setting
from roadtwin.twin.weather import weather_quantities
from simulators.instants import us_of
from simulators.scenario import read_scenario
from simulators.truth.truth import truth_of
from simulators.weather.pavement import pavement_year

START, NOW = datetime(2023, 12, 1, tzinfo=UTC), datetime(2026, 6, 1, 3, tzinfo=UTC)
TIMES = [
    datetime(year, month, 20, 19, tzinfo=UTC) for year, month in ((2025, 1), (2025, 4), (2025, 9), (2026, 1), (2026, 4))
]


@pytest.fixture(scope="module")
def truth():
    made = SimulatedCity(3, 18.0, START, NOW, read_scenario("ordinary"), NOW.date())
    truth = truth_of(world_of(made, "Europe/Berlin"))
    truth.run_to(NOW.date())
    return truth


def states(conn, simulated, network, times):
    derive_potholes(conn, now=NOW)
    zone = simulated.settings.timezone
    for now in times:
        # As the twin does every day: how many holes arise in January says nothing of April.
        parameters = learn_parameters(conn, network, zone=zone, now=now)
        yield now, state_of(Setting(conn, network, network, zone, now, parameters)), parameters


def test_the_probability_of_an_open_pothole_ranks_and_is_as_often_right_as_it_says(conn, simulated, truth):
    network = read_network(conn, now=NOW)
    row_of = {public_id: row for row, public_id in enumerate(truth.world.segment_ids)}
    order = [row_of[segment.public_id] for segment in network.segments]
    holes = truth.holes
    said, known, there, counted = [], [], [], []
    for now, state, _ in states(conn, simulated, network, TIMES):
        is_open = (holes.born_us <= us_of(now)) & (holes.closed_us > us_of(now))
        true_count = np.bincount(holes.segment[is_open], minlength=len(order))[order]
        there.append(true_count > 0)
        counted.append(within_90(state["open_potholes_count"], true_count))
        assert_all_uncertain(state)
        said.append(state["open_pothole_probability"].value)
        known.append(state["open_potholes_count"].value)
    said, known, there, counted = (np.concatenate(column) for column in (said, known, there, counted))

    assert 0.8 < counted.mean() <= 0.99
    assert counted[there].mean() > 0.5  # not only where there is none
    assert there.sum() > 30  # else this test says nothing
    assert roc_auc(there, said) > 0.85
    assert roc_auc(there, said) > roc_auc(there, known)
    assert 0.7 < said.sum() / there.sum() < 1.3
    sure = said > 0.7
    assert there[sure].mean() > 0.6
    assert there[said < 0.05].mean() < 0.05


def test_of_open_holes_that_no_person_found_the_twin_tells_those_that_are_there_from_ghosts(conn, simulated, truth):
    """What the worklist's order rests on, for holes as they were listed, also after they had been lost from sight."""
    network = read_network(conn, now=NOW)
    row_of = {public_id: row for row, public_id in enumerate(truth.world.segment_ids)}
    segments = {s.segment_id: (number, row_of[s.public_id]) for number, s in enumerate(network.segments)}
    holes, count = truth.holes, len(truth.holes)
    said, there = [], []
    for now, state, _ in states(conn, simulated, network, TIMES):
        at_us, value = us_of(now), state["open_pothole_probability"].value
        is_open = (holes.born_us[:count] <= at_us) & (holes.closed_us[:count] > at_us)
        listed = conn.execute(
            """SELECT segment_id, station_m
               FROM pothole CROSS JOIN unnest(opened_at, shut_at) WITH ORDINALITY AS spell (begun, shut, number)
               WHERE begun <= %(now)s AND coalesce(shut, 'infinity') > %(now)s AND NOT EXISTS (
                   SELECT FROM jsonb_array_elements(evidence) AS e
                   WHERE e ->> 'kind' IN ('finding', 'repair') AND (e ->> 'at')::timestamptz <= %(now)s
                   AND (e ->> 'at')::timestamptz > coalesce(shut_at[number - 1], '-infinity')
               )""",
            {"now": now},
        ).fetchall()
        for segment_id, station_m in listed:
            number, row = segments[segment_id]
            near = np.abs(holes.station_m[:count] - station_m) <= 12
            there.append(bool((is_open & near & (holes.segment[:count] == row)).any()))
            said.append(value[number])
    said, there = np.array(said), np.array(there)

    assert min(there.sum(), (~there).sum()) >= 4  # else this test says nothing
    assert roc_auc(there, said) > 0.8
    assert there[said >= 0.5].mean() > 0.8
    assert there[said < 0.1].mean() < 0.25


def test_how_many_holes_arise_at_present_follows_the_season_and_is_as_usual_where_nobody_looks_any_more(
    conn, simulated
):
    network = read_network(conn, now=NOW)
    derive_potholes(conn, now=NOW)

    def season(now):
        return learn_parameters(conn, network, zone=simulated.settings.timezone, now=now).season

    winter, summer = season(datetime(2025, 1, 20, 19, tzinfo=UTC)), season(datetime(2025, 9, 20, 19, tzinfo=UTC))
    assert winter > 1.5
    assert summer < 0.6
    assert 0.9 < season(NOW + timedelta(days=30)) < 1.1  # the records ended


def within_90(quantity, true):
    """Whether the truth lies in the 90 % interval of each segment of which something is known."""
    known = np.isfinite(quantity.value)
    return (np.abs(quantity.value - true) <= 1.645 * quantity.sd)[known]


def assert_all_uncertain(state):
    sure = {name for name, q in state.items() if not (q.sd[np.isfinite(q.value)] > 0).all()}
    assert not sure


def roc_auc(there, said):
    ranks, positive = rankdata(said), there.sum()
    return (ranks[there].sum() - positive * (positive + 1) / 2) / (positive * (len(there) - positive))


def test_cracks_lie_within_their_uncertainty_of_the_true_share(conn, simulated, truth):
    network = read_network(conn, now=NOW)
    row_of = {public_id: row for row, public_id in enumerate(truth.world.segment_ids)}
    true_pct = truth.condition.crack_pct(2026, 4)[[row_of[segment.public_id] for segment in network.segments]]

    ((_, state, parameters),) = states(conn, simulated, network, TIMES[-1:])
    cracks = state["crack_index_pct"]

    assert parameters.cracks != Parameters().cracks  # calibrated on surveys
    off = (cracks.value - true_pct) / cracks.sd
    assert (np.abs(off) < 1.645).mean() > 0.75
    assert np.corrcoef(cracks.value, true_pct)[0, 1] > 0.9


def surface_of(truth, now):
    """True surface temperature of the 720 hours up to a time [°C] by exposure, and how weak the base is then [-]."""
    year = now.year - (now.month < 7)
    hours = np.concatenate([pavement_year(truth.condition.weather, y).surface_temp_c for y in (year - 1, year)])
    end = (now - datetime(year - 1, 7, 1, tzinfo=UTC)) // timedelta(hours=1)
    weakness = pavement_year(truth.condition.weather, year).thaw_weakness[(now.date() - date(year, 7, 1)).days]
    return hours[end - 720 : end], weakness


def cycles(surface_c):
    side = np.sign(surface_c) * (np.abs(surface_c) > 1)
    side = side[side != 0]
    return np.count_nonzero((side[:-1] < 0) & (side[1:] > 0))


def test_frost_and_its_cycles_lie_within_their_uncertainty_in_winter_and_none_is_sure_in_summer(conn, simulated, truth):
    network = read_network(conn, now=NOW)
    row_of = {public_id: row for row, public_id in enumerate(truth.world.segment_ids)}
    exposure = truth.condition.exposure[[row_of[segment.public_id] for segment in network.segments]]
    zone, held = simulated.settings.timezone, {}
    winters = [(year, month, day) for year in (2025, 2026) for month in (1, 2, 3) for day in (5, 20)]
    for at in (*winters, (2025, 7, 20), (2025, 10, 20)):
        now = datetime(*at, 6, tzinfo=UTC)
        state = weather_quantities(Setting(conn, network, network, zone, now, Parameters()))
        surface_c, weakness = surface_of(truth, now)
        columns = surface_c.T
        true = {
            "freeze_thaw_cycles_30d": np.array([cycles(c) for c in columns])[exposure],
            "frost_index_30d_c_d": np.array([np.maximum(-c.reshape(30, 24).mean(1), 0).sum() for c in columns])[
                exposure
            ],
            "base_modulus_pct": np.full(len(exposure), 100 * (1 - 0.65 * weakness)),
        }
        assert_all_uncertain(state)
        for name, values in true.items() if at in winters else ():
            held.setdefault(name, []).append(within_90(state[name], values))

    share = {name: np.concatenate(column).mean() for name, column in held.items()}
    assert 0.8 < share["freeze_thaw_cycles_30d"] <= 0.99
    assert 0.8 < share["frost_index_30d_c_d"] <= 0.99
    assert share["base_modulus_pct"] > 0.8  # weakness is of the whole city: all or none of a day
