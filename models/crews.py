"""Jobs for crews: neighbouring tasks under one mobilisation, and the jobs of a day for a number of crews and hours.

Cost of a job [min]: mobilisation (signs, cones, unloading) + way between its members + work at each of them. Merging
two jobs saves one mobilisation and costs the way between them; a closure moves along a road only so far, and so large
is a job at most. A crew's day: its jobs and the drives between them.

What a day is worth is the sum of the benefits of what is done: severity-weighted open potholes and expected new holes
at inspected segments. Choosing jobs and routes for it under a limit of time is the team orienteering problem [1]_,
which is NP-hard; here jobs are inserted one by one where they give most benefit for a minute, those that cannot wait
first.

References
----------
.. [1] I.-M. Chao, B. L. Golden and E. A. Wasil, "The team orienteering problem," Eur. J. Oper. Res., vol. 88, no. 3,
   pp. 464-474, 1996, doi:10.1016/0377-2217(94)00289-4.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from models.inputs import Floats

SEVERITY_WEIGHT: Mapping[int, float] = {1: 1.0, 2: 3.0, 3: 10.0}
"""Benefit of treating an open pothole, in expected new holes found early [-]; ours, no source."""
SECURED_SHARE = 0.25
"""Share of that for a pothole that was made safe [-]; ours."""

BALANCE = 0.05
"""Minutes of drive accepted to spare a crew that is a minute busier, where all jobs fit into the day [-]."""


@dataclass(frozen=True, slots=True)
class CostModel:
    """What a day costs; every figure is ours, to be replaced by the office's own.

    Attributes
    ----------
    mobilisation_min : float
        Setting up and clearing a closure, for each job. [min]
    reach_m : float
        Farthest from a task of a closure to the next one. [m]
    extent_m : float
        Diagonal of the rectangle that a job's tasks may fill: what is farther away takes a closure of its own. [m]
    member_speed_kmh : float
        Speed of crew and gear between members of a job. [km/h]
    drive_speed_kmh, detour : float
        Speed between jobs in town [km/h], and road distance over straight distance [-].
    pothole_min : mapping
        Work at a pothole by severity. [min]
    inspection_min : float
        Walking 100 m of road with both sides. [min]
    """

    mobilisation_min: float = 20.0
    reach_m: float = 150.0
    extent_m: float = 300.0
    member_speed_kmh: float = 5.0
    drive_speed_kmh: float = 25.0
    detour: float = 1.3
    pothole_min: Mapping[int, float] = field(default_factory=lambda: {1: 10.0, 2: 15.0, 3: 25.0})
    inspection_min: float = 8.0


DEFAULT_COST = CostModel()


@dataclass(frozen=True, slots=True)
class Tasks:
    """What there is to do, each array of shape (n,) or (n, 2).

    Attributes
    ----------
    position_m : ndarray, shape (n, 2)
        On a plane. [m]
    section : ndarray of int
        Road section; tasks of one section lie along it.
    station_m : ndarray
        Position along the section. [m]
    work_min : ndarray
        Work at the task itself. [min]
    benefit : ndarray
        What doing it is worth. [expected new holes]
    must : ndarray of bool
        Cannot wait: planned before all others.
    """

    position_m: Floats
    section: NDArray[np.int64]
    station_m: Floats
    work_min: Floats
    benefit: Floats
    must: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.work_min)


@dataclass(frozen=True, slots=True)
class Job:
    """Tasks done under one mobilisation, in the order of the way through them."""

    members: tuple[int, ...]
    way_min: float
    work_min: float
    mobilisation_min: float
    benefit: float
    must: bool

    @property
    def duration_min(self) -> float:
        """Mobilisation, way between members, and work. [min]"""
        return self.mobilisation_min + self.way_min + self.work_min


@dataclass(frozen=True, slots=True)
class Plan:
    """A day: `routes[c]` are the jobs of crew c in order, `drive_min[c]` its drives; `left` did not fit."""

    jobs: tuple[Job, ...]
    routes: tuple[tuple[int, ...], ...]
    drive_min: tuple[float, ...]
    left: tuple[int, ...]

    @property
    def benefit(self) -> float:
        """Of all that is planned."""
        return sum(self.jobs[j].benefit for route in self.routes for j in route)


def way_m(tasks: Tasks, a: NDArray[np.int64], b: NDArray[np.int64], cost: CostModel) -> Floats:
    """Way between tasks a and b, shape of both: along the section where they share one, else straight × detour. [m]"""
    straight = np.hypot(*(tasks.position_m[a] - tasks.position_m[b]).T) * cost.detour
    along = np.abs(tasks.station_m[a] - tasks.station_m[b])
    return np.where(tasks.section[a] == tasks.section[b], along, straight)


def merge_tasks(tasks: Tasks, cost: CostModel, *, longest_min: float) -> list[Job]:
    """Jobs: nearest tasks first are put under one closure, as long as that saves time and takes at most `longest_min`.

    The way through a job is that of the spanning tree which the merging builds, walked once (a closure that moves along
    a road), so a job's cost is known without solving its route. Tasks that cannot wait merge with others: who is there
    anyway does the rest. Jobs come with those that cannot wait and the most benefit for a minute first. Cost grows with
    the number of pairs of tasks within reach of each other (n log n where tasks lie equally dense).
    """
    if not len(tasks):
        return []
    parent = list(range(len(tasks)))
    minutes_m = 60 / (cost.member_speed_kmh * 1000)
    work, way = tasks.work_min.tolist(), [0.0] * len(tasks)
    boxes = np.hstack([tasks.position_m, tasks.position_m]).tolist()  # of each job: low x, y and high x, y

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    pairs = cKDTree(tasks.position_m).query_pairs(cost.reach_m, output_type="ndarray").astype(np.int64)
    metres = way_m(tasks, pairs[:, 0], pairs[:, 1], cost)
    near = np.flatnonzero((metres <= cost.reach_m) & (metres * minutes_m < cost.mobilisation_min))
    near = near[np.lexsort((pairs[near, 1], pairs[near, 0], metres[near]))]  # equally near: in the order of the tasks
    for (first, second), between in zip(pairs[near].tolist(), (metres[near] * minutes_m).tolist(), strict=True):
        a, b = root(first), root(second)
        if a == b or cost.mobilisation_min + work[a] + work[b] + way[a] + way[b] + between > longest_min:
            continue
        (low_x, low_y, high_x, high_y), other = boxes[a], boxes[b]
        box = [min(low_x, other[0]), min(low_y, other[1]), max(high_x, other[2]), max(high_y, other[3])]
        if math.hypot(box[2] - box[0], box[3] - box[1]) > cost.extent_m:
            continue
        keep, gone = min(a, b), max(a, b)
        parent[gone] = keep
        work[keep], way[keep] = work[a] + work[b], way[a] + way[b] + between
        boxes[keep] = box
    roots = np.array([root(i) for i in range(len(tasks))])
    by_job = np.argsort(roots, kind="stable")  # a search for each job's members would cost tasks × jobs
    starts = np.flatnonzero(np.diff(roots[by_job], prepend=-1))
    jobs = []
    for members in np.split(by_job, starts[1:]):
        r = int(roots[members[0]])
        jobs.append(
            Job(
                members=_ordered(tasks, members),
                way_min=way[r],
                work_min=work[r],
                mobilisation_min=cost.mobilisation_min,
                benefit=float(tasks.benefit[members].sum()),
                must=bool(tasks.must[members].any()),
            )
        )
    return sorted(jobs, key=lambda job: (not job.must, -job.benefit / job.duration_min, job.members))


def _ordered(tasks: Tasks, members: NDArray[np.int64]) -> tuple[int, ...]:
    """Members along their longer axis: one pass down the road."""
    spread = tasks.position_m[members] - tasks.position_m[members].mean(axis=0)
    axis = np.linalg.svd(spread, full_matrices=False)[2][0] if members.size > 1 else np.array([1.0, 0.0])
    axis = axis if axis[np.argmax(np.abs(axis))] > 0 else -axis  # the sign of a singular vector is arbitrary
    return tuple(members[np.argsort(spread @ axis, kind="stable")].tolist())


def plan_day(tasks: Tasks, jobs: Sequence[Job], cost: CostModel, *, crews: int, minutes: float) -> Plan:
    """Jobs of a day for each crew.

    Jobs that cannot wait are inserted first, then the others; among those, the job with the most benefit for each added
    minute (work, mobilisation and detour of the route) comes next, as long as one fits, for the crew with the least
    detour. Where all fits, work is spread over the crews. The way from and to the depot is not counted.

    Parameters
    ----------
    tasks, jobs, cost
        What there is to do, merged.
    crews : int
        Number of crews, at least 1. All can do every job.
    minutes : float
        Of each crew, drives included. [min]
    """
    if crews < 1 or minutes <= 0:
        raise ValueError(f"Got {crews} crews and {minutes} minutes, expected at least 1 and more than 0.")
    if not jobs:
        return Plan((), ((),) * crews, (0.0,) * crews, ())
    place = np.array([tasks.position_m[list(job.members)].mean(axis=0) for job in jobs])
    apart = np.hypot(place[:, None, 0] - place[None, :, 0], place[:, None, 1] - place[None, :, 1])
    drive = apart * cost.detour * 60 / (cost.drive_speed_kmh * 1000)
    plan = _fill(jobs, drive, crews, minutes, balance=0.0)
    if plan.left:
        return plan
    spread = _fill(jobs, drive, crews, minutes, balance=BALANCE)
    return plan if spread.left else spread


def _fill(jobs: Sequence[Job], drive: Floats, crews: int, minutes: float, *, balance: float) -> Plan:
    """Insert jobs into routes; `balance` is the drive [min] accepted to spare a crew that is a minute busier."""
    need = np.array([job.duration_min for job in jobs])
    worth = np.array([max(job.benefit, 1e-9) for job in jobs])
    routes: list[list[int]] = [[] for _ in range(crews)]
    used = np.zeros(crews)
    open_ = np.ones(len(jobs), dtype=bool)
    for wanted in (np.array([job.must for job in jobs]), np.ones(len(jobs), dtype=bool)):
        # Best insertion of every job into every route; after an insertion only one route's column changes.
        added, where = np.full((len(jobs), crews), np.inf), np.zeros((len(jobs), crews), dtype=np.int64)
        for crew in range(crews):
            added[:, crew], where[:, crew] = _insertion(routes[crew], drive)
        while True:
            total = need[:, None] + added
            fits = (open_ & wanted)[:, None] & (used[None, :] + total <= minutes + 1e-9)
            if not fits.any():
                break
            rate = np.where(fits, worth[:, None] / total, -np.inf)
            job = int(np.argmax(rate.max(axis=1)))
            crew = int(np.argmin(np.where(fits[job], added[job] + balance * used, np.inf)))
            routes[crew].insert(int(where[job, crew]), job)
            used[crew] += total[job, crew]
            open_[job] = False
            added[:, crew], where[:, crew] = _insertion(routes[crew], drive)
    drives = tuple(float(sum(drive[a, b] for a, b in pairwise(r))) for r in routes)
    return Plan(tuple(jobs), tuple(tuple(r) for r in routes), drives, tuple(np.flatnonzero(open_).tolist()))


def _insertion(route: Sequence[int], drive: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Added drive [min] of the cheapest insertion of every job into a route, and where, each of shape (n_jobs,)."""
    if not route:
        return np.zeros(len(drive)), np.zeros(len(drive), dtype=np.int64)
    r = np.array(route)
    between = drive[:, r[:-1]] + drive[:, r[1:]] - drive[r[:-1], r[1:]][None, :]
    costs = np.column_stack([drive[:, r[0]], between, drive[:, r[-1]]])
    where = np.argmin(costs, axis=1)
    return costs[np.arange(len(drive)), where], where
