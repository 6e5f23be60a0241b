"""The typed contents of what validation says of the preference pairs."""

from pydantic import FiniteFloat

from pipeline.results.document import Count, Document


class PreferenceSummary(Document):
    """What validation accepted and why it refused the rest; lengths in words."""

    raw: Count
    accepted: Count
    quarantined: Count
    by_split: dict[str, Count]
    quarantined_by_reason: dict[str, Count]
    warned_by_reason: dict[str, Count]
    truncated_prompts: Count
    ties_without_pair: Count
    chosen_longer_share: FiniteFloat
    mean_margin: FiniteFloat | None
    mean_prompt_words: FiniteFloat
    mean_chosen_words: FiniteFloat
    mean_rejected_words: FiniteFloat
    chosen_words: list[Count]
    rejected_words: list[Count]


class VoteSummary(Document):
    """What several annotators said of the same responses."""

    comparisons: Count
    votes: Count
    votes_each: FiniteFloat
    annotators: Count
    verdicts: dict[str, Count]
    krippendorff_alpha: FiniteFloat | None
    first_shown_wins: FiniteFloat | None
    decided_votes: Count


class DefectExample(Document):
    """A pair that breaks a rule; its texts are shortened."""

    id: str
    file: str
    rows: list[Count]
    prompt: str
    chosen: str
    rejected: str


class CueDocument(Document):
    kind: str
    cue: str
    pairs: Count
    chosen_share: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat


class PromptSummary(Document):
    pairs: Count
    distinct: Count
    most_pairs_of_one: Count
    distinct_beginnings_share: FiniteFloat


class SourcePairs(Document):
    """The pairs of one file, and how many of them break each rule."""

    raw: Count
    accepted: Count
    rules: dict[str, Count]


class PreferenceDetails(Document):
    """The accepted and the refused pairs in detail."""

    by_source: dict[str, SourcePairs]
    words: dict[str, dict[str, FiniteFloat]]
    """Of prompts, chosen and rejected responses: lengths in words by quantile."""
    prompts: PromptSummary
    cues: list[CueDocument]
    measured_pairs: Count
    votes: VoteSummary | None
    examples: dict[str, list[DefectExample]]
