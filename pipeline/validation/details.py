"""The pairs in detail, for people: rules by source, lengths, cues, prompts, votes, and examples of each defect."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.data.agreement import summarise_votes, votes_of
from pipeline.data.views import View
from pipeline.excerpts import EXAMPLES, shorten
from pipeline.validation.contract import ValidatedPairs
from pipeline.validation.cues import find_cues
from pipeline.validation.facts import TEXTS, file_of
from pipeline.validation.reasons import REASONS

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_DECIMALS = 6


def detail_pairs(validated: ValidatedPairs, *, agreement: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The report of validate_preferences.

    Args:
        agreement: of `summarise_votes`, over all that was voted on, where votes made the pairs.

    Returns:
        `by_source` (file to raw, accepted and rows by rule), `words` (quantiles of the lengths of prompts, chosen and
        rejected responses in words, of accepted pairs), `prompts` (accepted pairs, distinct prompts, largest number
        of pairs of one prompt, share of distinct first three words), `cues` and `measured_pairs` of `find_cues`,
        `votes` (`agreement`, or that of accepted pairs; None where they carry none), `examples` (rule to a few rows).
    """
    pairs = validated.facts[validated.kept]
    voted = View(validated.kept[pairs["votes"]], validated.row)
    return {
        "by_source": _by_source(validated),
        "words": {name: _quantiles(pairs[f"{name}_words"]) for name in TEXTS},
        "prompts": _prompts(pairs),
        **find_cues(validated.accepted),
        "votes": agreement or (summarise_votes(votes_of(voted)) if len(voted) else None),
        "examples": _examples(validated),
    }


def _by_source(validated: ValidatedPairs) -> dict[str, dict[str, Any]]:
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


def _prompts(pairs: np.ndarray) -> dict[str, Any]:
    prompts, first, counts = np.unique(pairs["prompt"], return_index=True, return_counts=True)
    beginnings = np.unique(pairs["beginning"][first])
    return {
        "pairs": len(pairs),
        "distinct": len(prompts),
        "most_pairs_of_one": int(counts.max()),
        "distinct_beginnings_share": round(len(beginnings) / len(prompts), _DECIMALS),
    }


def _examples(validated: ValidatedPairs) -> dict[str, list[dict[str, Any]]]:
    return {
        code: [_example(row) for row in validated.examples(code, EXAMPLES)]
        for code, count in sorted(validated.counts.items())
        if count
    }


def _example(row: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: shorten(str(row.get(name))) for name in TEXTS}
    return {"id": str(row.get("id")), "file": file_of(row), "rows": _rows(row), **texts}


def _rows(row: Mapping[str, Any]) -> list[int]:
    origin = row.get("origin")
    return list(origin.get("rows", [])) if isinstance(origin, Mapping) else []
