"""What the stages of a made-up run took."""

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]


def made_costs(methods: Sequence[str], seeds: Sequence[int]) -> list[tuple[str, Json]]:
    """What each stage took, with the hash of its made-up output."""
    runs = [(one, f"{one}-{seed}") for one in methods for seed in seeds]
    seconds = {
        "check": 2.0,
        "fetch_models": 14.2, "prepare_data": 3.1, "fit_judge": 11.8, "train_sft": 61.0, "collect_preferences": 98.4,
        "validate_preferences": 0.8, "train_reward": 52.3, "evaluate_reward": 4.1, "score_reference": 21.7,
        "evaluate_sft": 84.0, **{f"optimize_policy@{run}": 88.0 + 130.0 * (one != "dpo") for one, run in runs},
        **{f"select_checkpoint@{run}": 40.0 for _, run in runs},
        **{f"evaluate_policy@{run}": 61.5 for _, run in runs}, **{f"find_regressions@{seed}": 30.0 for seed in seeds},
    }  # fmt: skip
    rates = {
        "train_sft": 540.0,
        "collect_preferences": 460.0,
        **{f"optimize_policy@{run}": 498.0 - 154.0 * (one != "dpo") for one, run in runs},
    }
    return [
        (stage, {"seconds": value, "peak_memory_mib": 400 + 12 * value, "tokens_per_second": rates.get(stage),
                 "device": "cpu, bf16, 2 threads", "outs": {stage: "made"}})
        for stage, value in seconds.items()
    ]  # fmt: skip
