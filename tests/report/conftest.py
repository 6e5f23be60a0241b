"""A whole reports/ folder of made-up but realistic results."""

import json
import math
import random
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.params.loading import flatten
from pipeline.params.schema import Params, WriteReport
from pipeline.report.comparison import build_comparison
from pipeline.report.inputs import ReportInputs
from pipeline.report.page import render_page
from pipeline.report.page_run import RunFacts, run_facts
from pipeline.report.plots import draw_plots
from tests.conftest import ROOT
from tests.report.cost_files import made_costs
from tests.report.policy_files import policy_metrics
from tests.report.trained_files import LAST_STEPS, LEVELS, load, rising_checkpoints, spread

Json = dict[str, Any]
WriteReports = Callable[..., Path]

OPENINGS = ["This film is", "I watched it twice and", "The acting was", "My wife thought it", "Nobody expected that"]
WORDS = {
    "sft": "not the worst but the plot drags and the ending makes little sense to anyone who read the book",
    "dpo": "a wonderful moving story with brilliant acting that stays with you long after the beautiful ending",
    "ppo": "one of the best films of the year funny warm and superbly acted from start to finish",
}


@pytest.fixture
def write_report_params() -> WriteReport:
    return WriteReport(samples_shown=8, max_kl=10.0, max_perplexity_ratio=1.1, min_distinct_ratio=0.8)


@pytest.fixture
def write_reports(tmp_path: Path) -> WriteReports:
    """Writes the reports of all stages under a temporary root and returns the root."""

    def write(
        methods: Sequence[str] = ("dpo", "ppo"), *, seeds: Sequence[int] = (0,), prompts: int = 48, costs: bool = True
    ) -> Path:
        write_synthetic_reports(tmp_path, methods, seeds=seeds, prompts=prompts, costs=costs)
        return tmp_path

    return write


@pytest.fixture
def render(write_report_params: WriteReport, params: Params) -> Callable[..., str]:
    """The page of inputs and their plots, as write_report renders it before it is sealed."""

    def page(inputs: ReportInputs, plots: dict[str, Path], **changed: object) -> str:
        comparison = build_comparison(inputs, write_report_params)
        run = run_of(inputs, params, **changed)
        return render_page(inputs, comparison, plots, write_report_params, run, compared="0123456789abcdef")

    return page


def run_of(inputs: ReportInputs, params: Params, **changed: object) -> RunFacts:
    """What was run: the repository's parameters but for some, and hashes made up."""
    hashes = {
        "artifacts/models/policy": "00112233445566778899aabbccddeeff.dir",
        "artifacts/models/reward_backbone": "ff112233445566778899aabbccddeeff.dir",
        "artifacts/data/fates.jsonl": "ee112233445566778899aabbccddeeff",
    }
    keys = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]["write_report"]["params"]
    values = flatten(params.model_dump()) | changed
    declared = {key: value for key, value in values.items() if any(f"{key}.".startswith(f"{one}.") for one in keys)}
    return run_facts(inputs, declared, hashes)


@pytest.fixture
def inputs(write_reports: WriteReports) -> ReportInputs:
    return load(write_reports())


@pytest.fixture(scope="session")
def drawn_plots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The plots of `inputs`, drawn once: drawing is the slow part."""
    root = tmp_path_factory.mktemp("drawn")
    write_synthetic_reports(root, ["dpo", "ppo"], seeds=[0], prompts=48, costs=True)
    return draw_plots(load(root), root / "plots")


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
    for path, document in _documents(rng).items():
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
            "kl_nats": rng.gauss(kl, 1.5) if kl else 0.0,
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


def _documents(rng: random.Random) -> dict[str, Json]:
    chosen = [round(rng.gauss(0.7, 1.1), 4) for _ in range(160)]
    rejected = [round(rng.gauss(-0.7, 1.1), 4) for _ in range(160)]
    bins: list[Json] = []
    for index, count in enumerate([22, 18, 17, 15, 16, 14, 20, 18, 12, 0]):
        low = 0.5 + index / 20
        known = {"confidence": low + 0.025, "accuracy": min(1.0, low + 0.02 + rng.gauss(0, 0.05))}
        bins.append({"low": low, "high": low + 0.05, "confidence": None, "accuracy": None, "count": count}
                    | (known if count else {}))  # fmt: skip
    return {
        "reward_model/metrics.json": {
            "accuracy": {"mean": 0.79, "low": 0.73, "high": 0.85}, "longer_wins_accuracy": 0.52,
            "expected_calibration_error": 0.043, "pairs": 160, "mean_margin": 1.4, "truncated_texts": 0,
            "accuracy_design_effect": 1.0, "equal_scores_share": 0.0,
            "scores": {"chosen": _distribution(chosen), "rejected": _distribution(rejected)},
            "model": "own", "length_matched": {"accuracy": {"mean": 0.75, "low": 0.6, "high": 0.86}, "pairs": 40},
            "calibration": {
                "temperature": 1.31, "temperature_at_limit": False, "validation_pairs": 60, "loss_before": 0.46,
                "loss_after": 0.45, "error_before": 0.043, "error_after": 0.021,
                "expected_if_calibrated": {"mean": 0.051, "high": 0.077},
            },
            "robustness": {
                "texts": 64, "batch_deviation": 1e-6, "left_padding_deviation": None, "right_padding_deviation": 0.0,
                "max_deviation": 1e-6, "exceeds_limit": False,
            },
            "judge_agreement": {"spearman": 0.71, "pairs": 160, "weighted_accuracy": 0.88}, "near_ties_share": 0.02,
            "groups": [
                {"field": "source", "value": "<i>given</i>", "pairs": 160,
                 "accuracy": {"mean": 0.79, "low": 0.73, "high": 0.85}},
            ],
            "judge_margin_bins": [
                {"low": 0.1, "high": 0.4, "pairs": 80, "accuracy": {"mean": 0.7, "low": 0.6, "high": 0.8}},
                {"low": 0.4, "high": 0.9, "pairs": 80, "accuracy": {"mean": 0.9, "low": 0.8, "high": 0.95}},
            ],
            "model_margin_bins": [],
            "models": [
                {"name": name, "accuracy": {"mean": mean, "low": mean - 0.06, "high": mean + 0.06},
                 "length_matched": {"accuracy": None, "pairs": 0}, "expected_calibration_error": 0.04,
                 "error_after_temperature": 0.02, "max_deviation": 1e-6, "truncated_texts": 0, "pairs": 160}
                for name, mean in (("own", 0.79), ("bought", 0.84), ("weak", 0.6))
            ],
        },
        "reward_model/calibration.json": {
            "bins": bins, "bins_after_temperature": bins, "chosen_scores": chosen, "rejected_scores": rejected,
        },
        "preferences/summary.json": {
            "raw": 560, "accepted": 543, "quarantined": 17, "by_split": {"train": 352, "validation": 44, "test": 147},
            "quarantined_by_reason": {"duplicate_pair": 11, "length_ratio": 6}, "ties_without_pair": 32,
            "warned_by_reason": {"prefix_pair": 3, "near_duplicate": 0}, "truncated_prompts": 0,
            "chosen_longer_share": 0.51, "mean_margin": 0.41, "mean_prompt_words": 6.0, "mean_chosen_words": 17.6,
            "mean_rejected_words": 17.1, "chosen_words": [max(3, round(rng.gauss(17.6, 3))) for _ in range(543)],
            "rejected_words": [max(3, round(rng.gauss(17.1, 3))) for _ in range(543)],
        },
        "preferences/details.json": {
            "by_source": {"pairs.jsonl": {"raw": 560, "accepted": 543, "rules": {"length_ratio": 6}}},
            "words": {name: {"0.5": 17.0} for name in ("prompt", "chosen", "rejected")},
            "prompts": {"pairs": 543, "distinct": 540, "most_pairs_of_one": 2, "distinct_beginnings_share": 0.8},
            "measured_pairs": 543, "votes": None,
            "cues": [
                {"kind": "word", "cue": "wonderful", "pairs": 40, "chosen_share": 0.9, "low": 0.77, "high": 0.96},
                {"kind": "first_word", "cue": "<b>not</b>", "pairs": 12, "chosen_share": 0.1, "low": 0.02, "high": 0.4},
            ],
            "examples": {
                "length_ratio": [
                    {"id": "0123456789abcdef", "file": "pairs.jsonl", "rows": [7], "prompt": "The film is",
                     "chosen": " <script>alert(1)</script>", "rejected": " bad"},
                ],
            },
        },
        "data/sources.json": {
            "chat_format": "transcript",
            "sources": [
                {"file": "reviews.csv", "md5": None, "format": "labelled_texts: text = text", "rows": 9000,
                 "fates": {"used.judge": 900, "used.train": 560, "unused.sft": 8000, "dropped.empty_text": 400,
                           "dropped.duplicate": 40, "dropped.near_duplicate_across_splits": 3}},
            ],
            "examples": {"empty_text": [{"file": "reviews.csv", "row": 3, "value": "{'text': ''}"}]},
            "votes": {
                "comparisons": 50, "votes": 150, "annotators": 3, "votes_each": 3.0,
                "verdicts": {"a": 60, "b": 70, "tie": 20}, "krippendorff_alpha": 0.61,
                "first_shown_wins": 0.52, "decided_votes": 130,
            },
        },
        "judge/metrics.json": {
            **measured_judge("classifier", 0.861),
            "evaluation": {**measured_judge("classifier", 0.853), **_SHARED, "agreement": 0.91},
            "second": {**measured_judge("lexicon", 0.66), **_SHARED},
        },
    }  # fmt: skip


def _distribution(scores: list[float]) -> Json:
    quantiles = {"05": 0.05, "25": 0.25, "50": 0.5, "75": 0.75, "95": 0.95}
    ordered = sorted(scores)
    return {
        "mean": statistics.fmean(scores), "standard_deviation": statistics.pstdev(scores),
        **{f"quantile_{name}": ordered[int(share * len(ordered))] for name, share in quantiles.items()},
    }  # fmt: skip


_SHARED = {"agreement": 0.7, "shared_error_share": 0.41, "expected_shared_error_share": 0.34}


def measured_judge(kind: str, accuracy: float) -> Json:
    """What fit_judge says of a judge that may be trusted."""
    return {
        "kind": kind, "family": f"made-up {kind}", "fitted_on": "labels", "texts": 1989, "majority_share": 0.503,
        "held_out_accuracy": {"mean": accuracy, "low": accuracy - 0.015, "high": accuracy + 0.015}, "problem": None,
    }  # fmt: skip


def _write(path: Path, value: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def _write_lines(path: Path, rows: list[Json]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
