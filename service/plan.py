"""The worklist as jobs for crews (models.crews): tasks in, jobs out; each task learns its job."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np

from models.crews import SECURED_SHARE, SEVERITY_WEIGHT, CostModel, Job, Tasks, merge_tasks, plan_day
from models.worklist import FAIR_CHANCE, PotholeStatus, is_likely, is_urgent
from service.nearest import metres_per_degree
from service.schemas import Point
from service.schemas_worklist import InspectionTask, JobNote, PlanAssumptions, PotholeTask, SelectedBy, WorkPlan

Task = PotholeTask | InspectionTask

LONGEST_JOB_SHARE = 0.5
"""A job takes at most this share of a crew's day [-]: larger ones leave the day no room for another place."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task lies, and the new holes expected there."""

    lon: float
    lat: float
    section_id: int
    station_m: float
    expected_count: float = 0.0


@dataclass(frozen=True, slots=True)
class Day:
    """Who goes out, for how long, at which costs."""

    crews: int
    hours: float
    cost: CostModel


def _key(task: Task) -> str:
    return str(task.pothole_id) if isinstance(task, PotholeTask) else task.segment_id


def _benefit(task: Task, place: Place) -> float:
    if isinstance(task, InspectionTask):
        return place.expected_count
    probability = 1.0 if task.open_probability is None else task.open_probability
    return (
        SEVERITY_WEIGHT[task.severity] * probability * (SECURED_SHARE if task.status is PotholeStatus.SECURED else 1.0)
    )


def _must(task: Task, due_by: datetime) -> bool:
    if isinstance(task, InspectionTask):
        return task.selected_by is SelectedBy.RANDOM  # left out when time is short, the sample would be none
    due = task.due_at <= due_by and is_likely(task.open_probability, FAIR_CHANCE)
    return due or is_urgent(task.severity, task.status, task.open_probability)


def plan_work(
    potholes: Sequence[PotholeTask],
    inspections: Sequence[InspectionTask],
    places: Mapping[str, Place],
    day: Day,
    *,
    due_by: datetime,
) -> WorkPlan:
    """Merge tasks into jobs and spread them over the crews; sets each task's `job`.

    Potholes due by `due_by` and open severe ones cannot wait if there is at least a fair chance that they are there;
    nor can inspections by lot. `places` has every task, by pothole or segment id.
    """
    todo: list[Task] = [*potholes, *(task for task in inspections if task.inspected_since_at is None)]
    where = [places[_key(task)] for task in todo]
    tasks = _tasks(todo, where, day.cost, due_by)
    minutes = day.hours * 60
    jobs = merge_tasks(tasks, day.cost, longest_min=LONGEST_JOB_SHARE * minutes)
    plan = plan_day(tasks, jobs, day.cost, crews=day.crews, minutes=minutes)
    order = [(job, crew, place) for crew, route in enumerate(plan.routes, 1) for place, job in enumerate(route, 1)]
    notes = [_note(n, jobs[job], todo, where, crew, place) for n, (job, crew, place) in enumerate(order, 1)]
    notes += [_note(n, jobs[job], todo, where, None, None) for n, job in enumerate(plan.left, len(notes) + 1)]
    planned = [jobs[job] for job, _, _ in order]
    return WorkPlan(
        crews=day.crews,
        hours=day.hours,
        jobs=notes,
        crew_minutes=[
            round(drive + sum(jobs[job].duration_min for job in route), 1)
            for route, drive in zip(plan.routes, plan.drive_min, strict=True)
        ],
        drive_minutes=[round(drive, 1) for drive in plan.drive_min],
        planned_tasks=sum(len(job.members) for job in planned),
        saved_minutes=round(sum((len(j.members) - 1) * day.cost.mobilisation_min - j.way_min for j in planned), 1),
        benefit=round(plan.benefit, 3),
        assumptions=_assumptions(day.cost),
    )


def _tasks(todo: Sequence[Task], where: Sequence[Place], cost: CostModel, due_by: datetime) -> Tasks:
    lon_lat = np.array([(p.lon, p.lat) for p in where], dtype=np.float64).reshape(-1, 2)
    return Tasks(
        position_m=lon_lat * metres_per_degree(float(lon_lat[:, 1].mean()) if where else 0.0),
        section=np.array([p.section_id for p in where], dtype=np.int64),
        station_m=np.array([p.station_m for p in where], dtype=np.float64),
        work_min=np.array(
            [
                cost.pothole_min[task.severity]
                if isinstance(task, PotholeTask)
                else cost.inspection_min * task.length_m / 100
                for task in todo
            ],
            dtype=np.float64,
        ),
        benefit=np.array([_benefit(*pair) for pair in zip(todo, where, strict=True)], dtype=np.float64),
        must=np.array([_must(task, due_by) for task in todo], dtype=bool),
    )


def _note(
    number: int, job: Job, todo: Sequence[Task], where: Sequence[Place], crew: int | None, order: int | None
) -> JobNote:
    members = [todo[m] for m in job.members]
    lon, lat = np.array([(where[m].lon, where[m].lat) for m in job.members]).T
    for task in members:
        task.job = number
    streets = Counter((task.name, task.district) for task in members)
    (name, district), _ = streets.most_common(1)[0]
    potholes: list[UUID] = [task.pothole_id for task in members if isinstance(task, PotholeTask)]
    return JobNote(
        job=number,
        crew=crew,
        order=order,
        name=name,
        district=district,
        mid=Point(lon=float(lon.mean()), lat=float(lat.mean())),
        bbox=[float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())],
        must=job.must,
        pothole_ids=potholes,
        segment_ids=[task.segment_id for task in members if isinstance(task, InspectionTask)],
        duration_min=round(job.duration_min, 1),
        mobilisation_min=job.mobilisation_min,
        way_min=round(job.way_min, 1),
        work_min=round(job.work_min, 1),
        benefit=round(job.benefit, 3),
    )


def _assumptions(cost: CostModel) -> PlanAssumptions:
    return PlanAssumptions(
        mobilisation_min=cost.mobilisation_min,
        reach_m=cost.reach_m,
        extent_m=cost.extent_m,
        member_speed_kmh=cost.member_speed_kmh,
        drive_speed_kmh=cost.drive_speed_kmh,
        detour=cost.detour,
        pothole_min=dict(cost.pothole_min),
        inspection_min=cost.inspection_min,
        severity_weight=dict(SEVERITY_WEIGHT),
        secured_share=SECURED_SHARE,
        depot_counted=False,
    )
