from itertools import combinations, pairwise, permutations, product

import numpy as np
import pytest

from models.crews import CostModel, Tasks, merge_tasks, plan_day

COST = CostModel()


def tasks_at(position_m, *, work_min=10.0, benefit=1.0, must=False, section=None, station_m=None):
    position = np.array(position_m, dtype=float).reshape(-1, 2)
    n = len(position)
    return Tasks(
        position_m=position,
        section=np.arange(n) if section is None else np.array(section),
        station_m=np.zeros(n) if station_m is None else np.array(station_m, dtype=float),
        work_min=np.broadcast_to(np.asarray(work_min, dtype=float), n).copy(),
        benefit=np.broadcast_to(np.asarray(benefit, dtype=float), n).copy(),
        must=np.broadcast_to(np.asarray(must), n).copy(),
    )


def random_tasks(count, seed, extent_m=6000):
    rng = np.random.default_rng(seed)
    severity = rng.integers(1, 4, count)
    return tasks_at(
        rng.uniform(0, extent_m, (count, 2)),
        work_min=np.array([COST.pothole_min[s] for s in severity.tolist()]),
        benefit=np.array([1.0, 3.0, 10.0])[severity - 1],
    )


def minutes_of(plan, crew):
    return plan.drive_min[crew] + sum(plan.jobs[j].duration_min for j in plan.routes[crew])


def test_neighbours_share_one_mobilisation_and_far_ones_do_not():
    jobs = merge_tasks(tasks_at([[0, 0], [80, 0], [3000, 0]]), COST, longest_min=200)
    assert [job.members for job in jobs] == [(0, 1), (2,)]
    way_min = 80 * COST.detour / (COST.member_speed_kmh * 1000 / 60)
    assert jobs[0].way_min == pytest.approx(way_min)
    assert jobs[0].duration_min == pytest.approx(COST.mobilisation_min + 20 + way_min)


def test_way_along_a_section_is_its_stations_and_members_come_in_order_of_the_road():
    line = [[0, 0], [200, 0], [100, 0]]
    (job,) = merge_tasks(tasks_at(line, section=[7, 7, 7], station_m=[0, 200, 100]), COST, longest_min=200)
    assert job.members == (0, 2, 1)
    assert job.way_min == pytest.approx(200 / (COST.member_speed_kmh * 1000 / 60))


def test_a_job_is_never_longer_nor_larger_than_it_may():
    chain = [[40.0 * i, 0] for i in range(60)]
    jobs = merge_tasks(tasks_at(chain), COST, longest_min=100)
    assert all(job.duration_min <= 100 for job in jobs)
    assert sorted(m for job in jobs for m in job.members) == list(range(60))
    for job in merge_tasks(tasks_at(chain), COST, longest_min=1000):
        assert max(job.members) - min(job.members) <= COST.extent_m / 40
        assert len(job.members) > 1


def test_merging_is_off_where_the_way_costs_more_than_a_mobilisation():
    slow = CostModel(mobilisation_min=0.5)
    assert len(merge_tasks(tasks_at([[0, 0], [80, 0]]), slow, longest_min=200)) == 2


def merged_by_definition(tasks, cost, longest_min):
    """Members, way and work of jobs as the docstring of `merge_tasks` says: every pair, every job, no index."""
    minutes_m = 60 / (cost.member_speed_kmh * 1000)

    def metres(a, b):
        if tasks.section[a] == tasks.section[b]:
            return abs(tasks.station_m[a] - tasks.station_m[b])
        return np.hypot(*(tasks.position_m[a] - tasks.position_m[b])) * cost.detour

    def within_reach(a, b):
        straight = np.hypot(*(tasks.position_m[a] - tasks.position_m[b]))
        return straight <= cost.reach_m and metres(a, b) <= cost.reach_m

    jobs = [({i}, 0.0) for i in range(len(tasks))]
    pairs = [(a, b) for a, b in combinations(range(len(tasks)), 2) if within_reach(a, b)]
    for a, b in sorted(pairs, key=lambda pair: (metres(*pair), pair)):
        (one, one_way), (other, other_way) = (next(job for job in jobs if i in job[0]) for i in (a, b))
        between = metres(a, b) * minutes_m
        both = sorted(one | other)
        way_min = one_way + other_way + between
        duration_min = cost.mobilisation_min + tasks.work_min[both].sum() + way_min
        extent_m = np.hypot(*np.ptp(tasks.position_m[both], axis=0))
        apart = one is not other
        if apart and between < cost.mobilisation_min and duration_min <= longest_min and extent_m <= cost.extent_m:
            jobs = [job for job in jobs if job[0] is not one and job[0] is not other] + [(one | other, way_min)]
    return {tuple(sorted(members)): way_min for members, way_min in jobs}


@pytest.mark.parametrize("seed", range(12))
def test_jobs_are_those_of_the_definition_worked_out_pair_by_pair(seed):
    """Among the cases: places on a lattice (many pairs equally near), whole sections, closures of other sizes."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 70))
    at = rng.uniform(0, 1500, (count, 2))
    if seed % 3 == 0:
        at = at // 60 * 60
    section = rng.integers(0, count, count) if seed % 2 else np.arange(count)
    cost = CostModel(
        reach_m=float(rng.choice([60, 150, 600])),
        extent_m=float(rng.choice([120, 300, 900])),
        mobilisation_min=float(rng.choice([1.0, 5.0, 20.0])),
    )
    work_min = rng.choice([8.0, 10.0, 25.0], count)
    must = rng.random(count) < 0.2
    tasks = tasks_at(
        at, work_min=work_min, benefit=rng.uniform(0, 10, count), must=must, section=section, station_m=at[:, 0]
    )
    longest_min = float(rng.choice([60, 210]))

    jobs = merge_tasks(tasks, cost, longest_min=longest_min)

    expected = merged_by_definition(tasks, cost, longest_min)
    assert {tuple(sorted(job.members)) for job in jobs} == set(expected)
    for job in jobs:
        members = list(job.members)
        assert job.way_min == pytest.approx(expected[tuple(sorted(members))])
        assert job.work_min == pytest.approx(work_min[members].sum())
        assert job.benefit == pytest.approx(tasks.benefit[members].sum())
        assert job.must == must[members].any()
    order = [(not job.must, -job.benefit / job.duration_min) for job in jobs]
    assert order == sorted(order)


@pytest.mark.parametrize("seed", range(4))
def test_no_crew_works_longer_than_its_day_and_nothing_is_done_twice(seed):
    tasks = random_tasks(150, seed)
    jobs = merge_tasks(tasks, COST, longest_min=210)
    plan = plan_day(tasks, jobs, COST, crews=4, minutes=420)
    for crew in range(4):
        assert minutes_of(plan, crew) <= 420 + 1e-6
    done = [j for route in plan.routes for j in route]
    assert sorted(done + list(plan.left)) == list(range(len(jobs)))
    assert plan.left


def test_what_cannot_wait_is_planned_even_where_it_brings_less():
    tasks = tasks_at([[0, 0], [5000, 0]], work_min=[30, 30], benefit=[0.01, 100], must=[True, False])
    jobs = merge_tasks(tasks, COST, longest_min=60)
    plan = plan_day(tasks, jobs, COST, crews=1, minutes=60)
    assert [jobs[j].members for j in plan.routes[0]] == [(0,)]


def test_where_all_fits_the_work_is_spread_over_the_crews():
    tasks = random_tasks(24, 3, extent_m=2000)
    plan = plan_day(tasks, merge_tasks(tasks, COST, longest_min=210), COST, crews=3, minutes=600)
    busy = [minutes_of(plan, crew) for crew in range(3)]
    assert not plan.left
    assert min(busy) > 0.6 * max(busy)


def in_order_of_benefit(tasks, crews, minutes):
    """Benefit of a plan that takes unmerged tasks by benefit, for the crew that can take them with the least drive."""
    used, last = np.zeros(crews), [None] * crews
    total = 0.0
    for i in np.argsort(-tasks.benefit, kind="stable"):
        need = COST.mobilisation_min + tasks.work_min[i]

        def drive(crew, i=i):
            if last[crew] is None:
                return 0.0
            return float(np.hypot(*(tasks.position_m[i] - last[crew]))) * COST.detour / (COST.drive_speed_kmh / 0.06)

        crew = min(range(crews), key=lambda c: used[c] + drive(c))
        if used[crew] + drive(crew) + need <= minutes:
            used[crew] += drive(crew) + need
            last[crew], total = tasks.position_m[i], total + tasks.benefit[i]
    return total


@pytest.mark.parametrize("seed", range(4))
def test_jobs_bring_more_than_going_down_the_list(seed):
    tasks = random_tasks(200, seed)
    plan = plan_day(tasks, merge_tasks(tasks, COST, longest_min=210), COST, crews=4, minutes=420)
    assert plan.benefit > 1.1 * in_order_of_benefit(tasks, 4, 420)


def best_possible(tasks, jobs, crews, minutes):
    """The best plan by trying every assignment and order."""
    place = np.array([tasks.position_m[list(job.members)].mean(axis=0) for job in jobs])
    drive = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1)) * COST.detour / (COST.drive_speed_kmh / 0.06)
    best = 0.0
    for who in product(range(crews + 1), repeat=len(jobs)):
        benefit = sum(job.benefit for job, crew in zip(jobs, who, strict=True) if crew < crews)
        if benefit <= best:
            continue
        routes = [[j for j, crew in enumerate(who) if crew == c] for c in range(crews)]
        if all(
            sum(jobs[j].duration_min for j in route)
            + min(sum(drive[a, b] for a, b in pairwise(order)) for order in permutations(route))
            <= minutes
            for route in routes
        ):
            best = benefit
    return best


def test_the_plan_is_near_the_best_possible_one_of_small_cases():
    shares = []
    for seed in range(6):
        tasks = random_tasks(7, seed, extent_m=9000)
        jobs = merge_tasks(tasks, COST, longest_min=120)
        plan = plan_day(tasks, jobs, COST, crews=2, minutes=90)
        shares.append(plan.benefit / best_possible(tasks, jobs, 2, 90))
    assert max(shares) <= 1 + 1e-9
    assert np.mean(shares) > 0.9


def test_without_tasks_there_is_nothing_to_plan_and_no_crew_is_refused():
    none = tasks_at(np.zeros((0, 2)))
    assert merge_tasks(none, COST, longest_min=100) == []
    assert plan_day(none, [], COST, crews=3, minutes=60).routes == ((), (), ())
    with pytest.raises(ValueError, match="Got 0 crews"):
        plan_day(none, [], COST, crews=0, minutes=60)
