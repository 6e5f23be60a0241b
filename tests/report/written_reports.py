"""A whole reports/ folder of made-up but realistic results."""

import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.report.cost_files import made_costs
from tests.report.document_files import reward_and_data_documents
from tests.report.policy_files import policy_metrics
from tests.report.trained_files import LAST_STEPS, LEVELS, rising_checkpoints, spread

Json = dict[str, Any]

OPENINGS = ["This film is", "I watched it twice and", "The acting was", "My wife thought it", "Nobody expected that"]
WORDS = {
    "sft": "not the worst but the plot drags and the ending makes little sense to anyone who read the book",
    "dpo": "a wonderful moving story with brilliant acting that stays with you long after the beautiful ending",
    "ppo": "one of the best films of the year funny warm and superbly acted from start to finish",
}


def write_synthetic_reports(
    root: Path, methods: Sequence[str], *, seeds: Sequence[int], prompts: int, costs: bool
) -> None:
    rng = random.Random(0)
    baseline = _samples("sft", prompts, rng)
    folder = root / "reports" / "policies" / "sft"
    _write_lines(folder / "samples.jsonl", baseline)
    _write(folder / "metrics.json", policy_metrics("sft", baseline, baseline))
    _write(folder / "frontier.json", {"points": _best_of_n()})
    for name in methods:
        for seed in seeds:
            _write_trained(root / "reports", name, seed, _samples(name, prompts, rng), baseline)
    for name, steps, row_of in (("train_sft", 32, _sft_row), ("train_reward", 72, _reward_row)):
        _write_lines(root / "reports" / "training" / f"{name}.jsonl", _history(steps, row_of, rng))
    for path, document in reward_and_data_documents(rng).items():
        _write(root / "reports" / path, document)
    if costs:
        _write(root / "reports" / "costs.json", {"stages": {name: [cost] for name, cost in made_costs(methods, seeds)}})
        outs = {name: {"outs": [{"path": name, "md5": "made"}]} for name, _ in made_costs(methods, seeds)}
        _write(root / "dvc.lock", {"stages": outs})


def _write_trained(reports: Path, name: str, seed: int, samples: list[Json], baseline: list[Json]) -> None:
    found = rising_checkpoints(name)
    steps = {"selected_step": found["selected_step"], "last_step": found["last_step"], "last": None}
    folder = reports / "policies" / name / f"seed-{seed}"
    _write_lines(folder / "samples.jsonl", samples)
    _write(folder / "metrics.json", policy_metrics(name, samples, baseline) | steps)
    _write(reports / "checkpoints" / name / f"seed-{seed}.json", found)
    row_of = _dpo_row if name == "dpo" else _ppo_row
    rows = _history(LAST_STEPS[name], row_of, random.Random(seed))
    _write_lines(reports / "training" / name / f"seed-{seed}.jsonl", rows)


def _history(steps: int, row_of: Callable[[float, random.Random, int], Json], rng: random.Random) -> list[Json]:
    return [{"step": step, **row_of(step / steps, rng, step)} for step in range(1, steps + 1)]


def _samples(name: str, count: int, rng: random.Random) -> list[Json]:
    judge, kl = LEVELS[name]
    words = WORDS.get(name, WORDS["dpo"]).split()
    rows = []
    for index in range(count):
        score = min(max(rng.gauss(judge, 0.22), 0.01), 0.99)
        text = " " + " ".join(words[rng.randrange(4) :][: rng.randint(6, 18)])
        opening = OPENINGS[index % len(OPENINGS)]
        rows.append({
            "id": f"prompt-{index:03d}", "category": ("glad", "<i>sad</i>")[index % 2],
            "prompt": f"{opening} really quite", "response": text, "tokens": 24,
            "ended": rng.random() < 0.1, "judge_score": score, "reward_score": 4 * (score - 0.47) + rng.gauss(0, 0.5),
            "kl_nats": rng.gauss(kl, 1.5) if kl else 0.0, "kl_k3_nats": kl,
            "second_judge_score": min(max(0.5 * score + random.Random(index).gauss(0.25, 0.1), 0.0), 1.0),
        })  # fmt: skip
    return rows


def _best_of_n() -> list[Json]:
    judge = {1: 0.47, 2: 0.55, 4: 0.61, 8: 0.65}
    return [
        {"label": f"best of {n}", "best_of_n": n, "judge_scores": spread(mean, 0.1),
         **_point(math.log(n) - (n - 1) / n, mean)}
        for n, mean in judge.items()
    ]  # fmt: skip


def _point(kl: float, judge: float) -> Json:
    reward = 4 * (judge - 0.47)
    return {
        "kl_nats_per_sequence": kl,
        "judge_score": {"mean": judge, "low": judge - 0.04, "high": judge + 0.04},
        "reward_score": {"mean": reward, "low": reward - 0.2, "high": reward + 0.2},
    }


def _sft_row(done: float, rng: random.Random, step: int) -> Json:
    rate = 5e-4 * min(done / 0.1, (1 - done) / 0.9)
    return {"loss": 3.9 - 0.4 * done + rng.gauss(0, 0.08), "learning_rate": rate, "grad_norm": 1.1 + rng.random() / 4}


def _reward_row(done: float, rng: random.Random, step: int) -> Json:
    validation = {"validation_accuracy": 0.6 + 0.18 * done} if step % 24 == 0 else {}
    return {
        "loss": 0.69 - 0.35 * done + rng.gauss(0, 0.04) * (step > 1),
        "accuracy": min(1.0, 0.5 + 0.4 * done + rng.gauss(0, 0.06)),
        "margin": 1.9 * done + rng.gauss(0, 0.1),
        **validation,
    }


def _dpo_row(done: float, rng: random.Random, step: int) -> Json:
    chosen = 0.25 * done + rng.gauss(0, 0.03)
    rejected = -0.9 * done + rng.gauss(0, 0.05)
    return {
        "loss": 0.693 - 0.3 * done + rng.gauss(0, 0.02),
        "accuracy": min(1.0, 0.5 + 0.42 * done + rng.gauss(0, 0.07)),
        "margin": chosen - rejected,
        "chosen_rewards": chosen,
        "rejected_rewards": rejected,
        "chosen_logps_change": 10 * chosen,
    }


def _ppo_row(done: float, rng: random.Random, step: int) -> Json:
    return {
        "score": -0.1 + 1.2 * done + rng.gauss(0, 0.05), "kl_k1": 4.1 * done**1.3, "kl_k3": 4.3 * done**1.3,
        "entropy": 3.4 - 0.9 * done, "policy_loss": rng.gauss(-0.03, 0.01), "value_loss": 0.5 - 0.3 * done,
        "clip_fraction": 0.06 + 0.1 * done, "approximate_kl": 0.02, "ratio_max": 1.5 + 1.8 * rng.random(),
        "explained_variance": 0.1 + 0.5 * done, "response_tokens": 23.5 - done, "eos_rate": 0.05 + 0.04 * done,
        "sampler_kl": 1e-4, "sampler_logprob_difference": 0.01, "sampler_logprob_difference_max": 0.1 + 0.1 * done,
    }  # fmt: skip


def _write(path: Path, value: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def _write_lines(path: Path, rows: list[Json]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
