"""Many faults in random order while the stream runs: nothing lost, nothing stored twice, PUBACKs in order."""

import pytest

from tests.faults.schedule import Schedule


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11])
def test_a_random_schedule_of_faults_loses_nothing_and_stores_nothing_twice(make_any_rig, seed):
    rig = make_any_rig(JOURNAL_AFTER_S="1")
    rig.ingester.start()
    rig.stream.start(per_s=150)
    schedule = Schedule(rig, seed)
    for _ in range(6):
        schedule.inject_next(pause_s=(0.1, 1.0))
    result = rig.end_and_reckon(within_s=60)

    assert result.problems == [], f"seed {seed}, faults {list(schedule.injected)}"
    assert schedule.ended_by_itself == []
