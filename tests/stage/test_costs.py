"""What a stage cost: counted, and kept beside the costs of the others."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.stage.costs import COSTS_FILE, CostMeter, peak_memory_mib, record_costs


def test_tokens_per_second_are_those_of_the_main_work() -> None:
    meter = CostMeter()
    meter.add_work(300, 2.0)
    meter.add_work(100, 3.0)
    costs = meter.measure("cpu, fp32")
    assert costs["tokens_per_second"] == 80.0
    assert costs["device"] == "cpu, fp32"
    assert isinstance(costs["seconds"], float) and 0 <= costs["seconds"] < 60


def test_a_stage_without_tokens_has_no_speed() -> None:
    assert CostMeter().measure("cpu")["tokens_per_second"] is None


def test_memory_is_in_mib() -> None:
    # a Python process with torch: tens of MiB to a few GiB
    assert 20 < peak_memory_mib() < 100_000


def stages(root: Path) -> dict[str, list[dict[str, object]]]:
    return json.loads((root / COSTS_FILE).read_text())["stages"]


def test_stages_keep_their_costs_beside_each_other(tmp_path: Path) -> None:
    record_costs(tmp_path, "train_sft", {"seconds": 1.0}, outs={"sft": "one"})
    record_costs(tmp_path, "train_reward", {"seconds": 2.0}, outs={"reward": "one"})
    record_costs(tmp_path, "train_sft", {"seconds": 3.0}, outs={"sft": "two"})
    record_costs(tmp_path, "train_sft", {"seconds": 4.0}, outs={"sft": "one"})
    assert stages(tmp_path) == {
        "train_reward": [{"seconds": 2.0, "outs": {"reward": "one"}}],
        # of each version of the outputs the last execution
        "train_sft": [{"seconds": 3.0, "outs": {"sft": "two"}}, {"seconds": 4.0, "outs": {"sft": "one"}}],
    }


def test_stages_that_end_together_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: record_costs(tmp_path, f"stage{i}", {"seconds": float(i)}, outs={}), range(40)))
    assert len(stages(tmp_path)) == 40
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["costs.json"]


def test_a_broken_file_does_not_cost_a_training_run(tmp_path: Path) -> None:
    # costs are bookkeeping: a hand-edited file must not fail a stage that has done its work
    (tmp_path / COSTS_FILE).parent.mkdir()
    for broken in ("{half", '{"stages": {"train_sft": {"seconds": 2.0}}}', '{"stages": 1}'):
        (tmp_path / COSTS_FILE).write_text(broken)
        record_costs(tmp_path, "train_sft", {"seconds": 1.0}, outs={"sft": "one"})
        assert stages(tmp_path) == {"train_sft": [{"seconds": 1.0, "outs": {"sft": "one"}}]}
