"""Kills are spread over the stages as the benchmark says."""

import random
from collections import Counter

from benchmarks.kill_plan import TRAINED, StageTime, plan_kills

_TIMES = {
    "prepare_data": StageTime(30.0, 0),
    **{stage: StageTime(10.0, 90) for stage in TRAINED},
    "write_report": StageTime(0.0, 0),
}


def test_every_trained_stage_is_hit_often_and_the_rest_by_time() -> None:
    runs = plan_kills(_TIMES, kills=50, runs=3, rng=random.Random(0))
    counts = Counter(moment.stage for run in runs for moment in run)
    assert counts.total() == 50
    assert all(counts[stage] >= 5 for stage in TRAINED)
    assert counts["prepare_data"] > 5
    assert counts["write_report"] == 0


def test_kills_of_a_run_come_in_the_order_of_the_graph() -> None:
    order = list(_TIMES)
    for run in plan_kills(_TIMES, kills=30, runs=4, rng=random.Random(1)):
        moments = [(order.index(moment.stage), moment.fraction) for moment in run]
        assert moments == sorted(moments)
        assert all(0 < fraction < 1 for _, fraction in moments)
