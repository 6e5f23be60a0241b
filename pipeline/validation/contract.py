"""The contract of a preference pair: every row is accepted, or quarantined with its reasons.

The rules run in rounds, from the single field to the whole set. A row that one round refuses does not enter the
next: its texts are not measured when its types are wrong, and a refused row never makes another one a duplicate or
a leak. So a row's reasons all come from one round.

Rows are read in batches, and some numbers of each row are kept. Over the whole set, hashes are compared; texts are read
again only for rows that are accepted, quarantined or shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import numpy as np

from pipeline.data.record_files import RecordFile
from pipeline.data.records import record_line
from pipeline.data.splits import PAIR_SPLITS
from pipeline.data.views import View
from pipeline.errors import PipelineError
from pipeline.params.schema import Rule, ValidatePreferences
from pipeline.preferences.pair import PairRecord, PreferencePair, RawPair
from pipeline.validation.examining import Examined, Examiner, Meter, as_one_text, examine_all
from pipeline.validation.findings import Findings
from pipeline.validation.pair_rules import SCORES
from pipeline.validation.set_rules import check_set


@dataclass(frozen=True)
class ValidatedPairs:
    """Every raw row, on one of two sides, in the raw order."""

    rows: Sequence[RawPair]
    """The raw rows, as they came."""
    found: Findings
    """The codes of the rules that each row breaks, by the position of the row."""
    facts: np.ndarray
    """The facts of each row, see FACTS: (N,)."""
    files: Sequence[str]
    """The names of the files, by their number in the facts."""
    reject: frozenset[str]
    """The rules whose rows are quarantined."""

    @cached_property
    def kept(self) -> np.ndarray:
        """Positions of the accepted rows."""
        return np.flatnonzero(~self.found.breaks(self.reject))

    @cached_property
    def refused(self) -> np.ndarray:
        """Positions of the quarantined rows."""
        return np.flatnonzero(self.found.breaks(self.reject))

    @property
    def accepted(self) -> Sequence[PreferencePair]:
        """Accepted pairs, each read when it is asked for, with their prompts as they were cut."""
        return View(self.kept, lambda at: PreferencePair.of(self.row(at)))

    @property
    def quarantined(self) -> Sequence[PairRecord]:
        """Quarantined rows, with `reasons` (sorted codes) and `row` (position in the raw rows, from 0)."""
        return View(self.refused, lambda at: {**self.row(at), "reasons": sorted(self.found[at]), "row": at})

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many rows break each rule; a row counts once for each rule that it breaks."""
        return self.found.counts()

    @property
    def truncated_prompts(self) -> int:
        """How many accepted pairs have a prompt whose beginning was cut."""
        return int(np.count_nonzero(self.facts["cut_tokens"][self.kept]))

    def row(self, at: int) -> PairRecord:
        """One row, with its prompt as it was cut."""
        row, facts = dict(self.rows[at]), self.facts[at]
        if not facts["cut_tokens"]:
            return row
        prompt = row["prompt"][facts["cut_characters"] :]
        return {**row, "prompt": prompt, "prompt_truncated": int(facts["cut_tokens"])}

    def examples(self, code: str, count: int) -> list[PairRecord]:
        """The first rows that break a rule, quarantined ones before accepted ones."""
        breaks = self.found.breaks([code])
        first = [positions[breaks[positions]][:count] for positions in (self.refused, self.kept)]
        return [self.row(int(at)) for at in np.concatenate(first)[:count]]

    def lines(self, split: str) -> Iterator[bytes]:
        """The accepted rows of a split as JSON Lines; lines that would stay the same are copied from the file."""
        chosen = self.kept[self.facts["split"][self.kept] == PAIR_SPLITS.index(split)]
        copied = self.facts["as_written"] & (self.facts["cut_tokens"] == 0)
        for at in chosen.tolist():
            if copied[at] and isinstance(self.rows, RecordFile):
                yield self.rows.lines(at, at + 1)[0] + b"\n"
            else:
                yield record_line(self.row(at))


def validate_pairs(
    rows: Sequence[RawPair],
    settings: ValidatePreferences,
    *,
    meter: Meter | None = None,
    templated: bool = False,
    processes: int = 1,
) -> ValidatedPairs:
    """Accept or quarantine every pair; fields beyond the contract (such as `prompt_id`) are not checked.

    Args:
        rows: the raw pairs, in memory or as a `RecordFile`.
        settings: validate_preferences: the limits, and the severity of each rule.
        meter: counts the tokens of prompt and longer response, and cuts prompts; None measures nothing.
        templated: a chat template wrote the prompts, so these may have control tokens.
        processes: the most processes that read the rows of a file.

    Raises:
        PipelineError: there are no rows, a row is no mapping, or the environment switches pandera's checks off.
    """
    if not len(rows):
        raise PipelineError(
            "there is no preference pair to validate. Lower collect_preferences.min_margin if every prompt was a tie, "
            "or check data.source and data.limits."
        )
    _require_working_checks()
    examiner = Examiner(rows, settings, meter, templated)
    return _validate(examiner, examine_all(examiner, processes=processes))


def _validate(examiner: Examiner, examined: Examined) -> ValidatedPairs:
    """Run the rounds over the whole set."""
    rows, settings = examiner.rows, examiner.settings
    validated = ValidatedPairs(rows, examined.found, examined.facts, examined.files, frozenset(settings.reject))
    texts = View(examined.keys["position"], lambda at: as_one_text(validated.row(at)))
    check_set(examined.keys, texts, settings, examined.found)
    return validated


def _require_working_checks() -> None:
    """Check that known-bad rows are refused: an environment variable can switch pandera off, and then all rows pass."""
    texts = {"prompt": "p", "chosen": "a", "rejected": "b"}
    flags = {"chosen_ended": True, "rejected_ended": True}
    good = {"id": "1", **texts, **flags, "split": "test", "source": "given", **dict.fromkeys(SCORES)}
    settings = ValidatePreferences(
        max_characters=9,
        max_length_ratio=9.0,
        max_tokens=None,
        over_context="drop",
        near_duplicate_similarity=1.0,
        max_quarantined_share=1.0,
        min_pairs=1,
        reject=dict.fromkeys(get_args(Rule), 1.0),
        warn={},
    )
    canaries = [good, {**good, "id": "2", "chosen": " "}, good]
    examiner = Examiner(canaries, settings, None, False)
    found = _validate(examiner, examiner(range(len(canaries)))).found
    if dict(found) != {1: {"blank_text"}, 2: {"duplicate_id", "duplicate_pair"}}:
        raise PipelineError(
            "pandera lets known-bad pairs pass, so nothing can be validated. "
            "Unset PANDERA_VALIDATION_ENABLED and PANDERA_VALIDATION_DEPTH."
        )
