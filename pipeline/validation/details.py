"""The pairs in detail, for people: rules by source, lengths, cues, prompts, votes, and examples of each defect."""

from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from pipeline.data.views import View
from pipeline.excerpts import EXAMPLES, shorten
from pipeline.preferences.agreement import Agreement, summarise_votes
from pipeline.preferences.pair import RawPair
from pipeline.validation.contract import ValidatedPairs
from pipeline.validation.cues import Cues, find_cues
from pipeline.validation.facts import TEXTS, file_of
from pipeline.validation.reasons import REASONS

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_DECIMALS = 6


class SourceCounts(TypedDict):
    """Pairs of one file, or samples."""

    raw: int
    accepted: int
    rules: dict[str, int]
    """By the rule that they break."""


class PromptCounts(TypedDict):
    """Accepted pairs by their prompts."""

    pairs: int
    distinct: int
    most_pairs_of_one: int
    distinct_beginnings_share: float
    """Of the first three words of the distinct prompts."""


class RuleExample(TypedDict):
    """A pair that breaks a rule, shortened."""

    id: str
    file: str
    rows: list[int]
    prompt: str
    chosen: str
    rejected: str


class PairDetails(Cues):
    """The document reports/preferences/details.json."""

    by_source: dict[str, SourceCounts]
    """By file."""
    words: dict[str, dict[str, float]]
    """Quantiles of the lengths of prompts, chosen and rejected responses in words, of accepted pairs."""
    prompts: PromptCounts
    votes: Agreement | None
    """Of all that was voted on where votes made the pairs, else of accepted pairs; None where they carry none."""
    examples: dict[str, list[RuleExample]]
    """A few by rule."""


def detail_pairs(validated: ValidatedPairs, *, agreement: Agreement | None = None) -> PairDetails:
    """The report of validate_preferences.

    Args:
        agreement: over all that was voted on, where votes made the pairs.
    """
    pairs = validated.facts[validated.kept]
    voted = [pair.votes for pair in View(np.flatnonzero(pairs["votes"]), validated.accepted.__getitem__) if pair.votes]
    return {
        "by_source": _by_source(validated),
        "words": {name: _quantiles(pairs[f"{name}_words"]) for name in TEXTS},
        "prompts": _prompts(pairs),
        **find_cues(validated.accepted),
        "votes": agreement or (summarise_votes(voted) if voted else None),
        "examples": _examples(validated),
    }


def _by_source(validated: ValidatedPairs) -> dict[str, SourceCounts]:
    files, count = validated.facts["file"], len(validated.files)
    raw, accepted = (np.bincount(rows, minlength=count) for rows in (files, files[validated.kept]))
    rules = {code: np.bincount(files[validated.found.breaks([code])], minlength=count) for code in sorted(REASONS)}
    return {
        name: {
            "raw": int(raw[at]),
            "accepted": int(accepted[at]),
            "rules": {code: int(counts[at]) for code, counts in rules.items() if counts[at]},
        }
        for name, at in sorted((name, at) for at, name in enumerate(validated.files))
    }


def _quantiles(lengths: np.ndarray) -> dict[str, float]:
    return {
        f"{share:g}": float(value) for share, value in zip(_QUANTILES, np.quantile(lengths, _QUANTILES), strict=True)
    }


def _prompts(pairs: np.ndarray) -> PromptCounts:
    prompts, first, counts = np.unique(pairs["prompt"], return_index=True, return_counts=True)
    beginnings = np.unique(pairs["beginning"][first])
    return {
        "pairs": len(pairs),
        "distinct": len(prompts),
        "most_pairs_of_one": int(counts.max()),
        "distinct_beginnings_share": round(len(beginnings) / len(prompts), _DECIMALS),
    }


def _examples(validated: ValidatedPairs) -> dict[str, list[RuleExample]]:
    return {
        code: [_example(row) for row in validated.examples(code, EXAMPLES)]
        for code, count in sorted(validated.counts.items())
        if count
    }


def _example(row: RawPair) -> RuleExample:
    prompt, chosen, rejected = (shorten(str(row.get(name))) for name in TEXTS)
    return {
        "id": str(row.get("id")),
        "file": file_of(row),
        "rows": _rows(row),
        "prompt": prompt,
        "chosen": chosen,
        "rejected": rejected,
    }


def _rows(row: RawPair) -> list[int]:
    origin = row.get("origin")
    return list(origin.get("rows", [])) if isinstance(origin, Mapping) else []
