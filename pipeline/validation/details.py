"""The pairs in detail, for people: rules by source, lengths, cues, prompts, votes, and examples of each defect."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.data.agreement import summarise_votes, votes_of
from pipeline.data.excerpts import EXAMPLES, shorten
from pipeline.data.records import fold
from pipeline.validation.contract import ValidatedPairs
from pipeline.validation.cues import find_cues

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
    pairs = validated.accepted
    votes = votes_of(pairs)
    return {
        "by_source": _by_source(validated),
        "words": {name: _quantiles([len(pair[name].split()) for pair in pairs]) for name in _TEXTS},
        "prompts": _prompts(pairs),
        **find_cues(pairs),
        "votes": agreement or (summarise_votes(votes) if votes else None),
        "examples": _examples(validated),
    }


_TEXTS = ("prompt", "chosen", "rejected")


def _file(row: Mapping[str, Any]) -> str:
    """The file that a row is from; samples of the policy have none."""
    origin = row.get("origin")
    return origin["file"] if isinstance(origin, Mapping) and isinstance(origin.get("file"), str) else "samples"


def _by_source(validated: ValidatedPairs) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for at, row in enumerate(validated.accepted):
        entry = found.setdefault(_file(row), {"raw": 0, "accepted": 0, "rules": Counter()})
        entry["raw"] += 1
        entry["accepted"] += 1
        entry["rules"].update(validated.warned.get(at, ()))
    for row in validated.quarantined:
        entry = found.setdefault(_file(row), {"raw": 0, "accepted": 0, "rules": Counter()})
        entry["raw"] += 1
        entry["rules"].update(row["reasons"])
    return {name: {**entry, "rules": dict(sorted(entry["rules"].items()))} for name, entry in sorted(found.items())}


def _quantiles(lengths: Sequence[int]) -> dict[str, float]:
    return {
        f"{share:g}": float(value) for share, value in zip(_QUANTILES, np.quantile(lengths, _QUANTILES), strict=True)
    }


def _prompts(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    counts = Counter(fold(pair["prompt"]) for pair in pairs)
    beginnings = {" ".join(prompt.split()[:3]) for prompt in counts}
    return {
        "pairs": len(pairs),
        "distinct": len(counts),
        "most_pairs_of_one": max(counts.values()),
        "distinct_beginnings_share": round(len(beginnings) / len(counts), _DECIMALS),
    }


def _examples(validated: ValidatedPairs) -> dict[str, list[dict[str, Any]]]:
    refused = [(code, row) for row in validated.quarantined for code in row["reasons"]]
    warned = [(code, validated.accepted[at]) for at, codes in validated.warned.items() for code in sorted(codes)]
    found: dict[str, list[dict[str, Any]]] = {}
    for code, row in [*refused, *warned]:
        if len(found.setdefault(code, [])) < EXAMPLES:
            texts = {name: shorten(str(row.get(name))) for name in _TEXTS}
            found[code].append({"id": str(row.get("id")), "file": _file(row), "rows": _rows(row), **texts})
    return dict(sorted(found.items()))


def _rows(row: Mapping[str, Any]) -> list[int]:
    origin = row.get("origin")
    return list(origin.get("rows", [])) if isinstance(origin, Mapping) else []
