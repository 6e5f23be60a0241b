"""The validated pairs in detail, for people: rules by source, lengths, cues, prompts, votes, examples of defects."""

from collections.abc import Mapping

import numpy as np

from pipeline.data.views import View
from pipeline.excerpts import EXAMPLES, shorten
from pipeline.preferences.agreement import summarise_votes
from pipeline.preferences.pair import RawPair
from pipeline.results.preferences import DefectExample, PreferenceDetails, PromptSummary, SourcePairs, VoteSummary
from pipeline.validation.contract import ValidatedPairs
from pipeline.validation.cues import find_cues
from pipeline.validation.facts import TEXTS, file_of
from pipeline.validation.reasons import REASONS

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_DECIMALS = 6


def detail_pairs(validated: ValidatedPairs, *, agreement: VoteSummary | None = None) -> PreferenceDetails:
    """The report of validate_preferences.

    Args:
        agreement: how far annotators agree on all comparisons, where votes made the pairs.
    """
    pairs = validated.facts[validated.kept]
    voted = [pair.votes for pair in View(np.flatnonzero(pairs["votes"]), validated.accepted.__getitem__) if pair.votes]
    measured_pairs, cues = find_cues(validated.accepted)
    return PreferenceDetails(
        by_source=_by_source(validated),
        words={name: _quantiles(pairs[f"{name}_words"]) for name in TEXTS},
        prompts=_prompts(pairs),
        cues=cues,
        measured_pairs=measured_pairs,
        votes=agreement or (summarise_votes(voted) if voted else None),
        examples=_examples(validated),
    )


def _by_source(validated: ValidatedPairs) -> dict[str, SourcePairs]:
    files, count = validated.facts["file"], len(validated.files)
    raw, accepted = (np.bincount(rows, minlength=count) for rows in (files, files[validated.kept]))
    rules = {code: np.bincount(files[validated.found.breaks([code])], minlength=count) for code in sorted(REASONS)}
    return {
        name: SourcePairs(
            raw=int(raw[at]),
            accepted=int(accepted[at]),
            rules={code: int(counts[at]) for code, counts in rules.items() if counts[at]},
        )
        for name, at in sorted((name, at) for at, name in enumerate(validated.files))
    }


def _quantiles(lengths: np.ndarray) -> dict[str, float]:
    return {
        f"{share:g}": float(value) for share, value in zip(_QUANTILES, np.quantile(lengths, _QUANTILES), strict=True)
    }


def _prompts(pairs: np.ndarray) -> PromptSummary:
    prompts, first, counts = np.unique(pairs["prompt"], return_index=True, return_counts=True)
    beginnings = np.unique(pairs["beginning"][first])
    return PromptSummary(
        pairs=len(pairs),
        distinct=len(prompts),
        most_pairs_of_one=int(counts.max()),
        distinct_beginnings_share=round(len(beginnings) / len(prompts), _DECIMALS),
    )


def _examples(validated: ValidatedPairs) -> dict[str, list[DefectExample]]:
    return {
        code: [_example(row) for row in validated.examples(code, EXAMPLES)]
        for code, count in sorted(validated.counts.items())
        if count
    }


def _example(row: RawPair) -> DefectExample:
    prompt, chosen, rejected = (shorten(str(row.get(name))) for name in TEXTS)
    return DefectExample(
        id=str(row.get("id")),
        file=file_of(row),
        rows=_rows(row),
        prompt=prompt,
        chosen=chosen,
        rejected=rejected,
    )


def _rows(row: RawPair) -> list[int]:
    origin = row.get("origin")
    return list(origin.get("rows", [])) if isinstance(origin, Mapping) else []
