"""The typed contents of what is told of the preference pairs: how they were made, and what validation says of them."""

from pydantic import FiniteFloat

from pipeline.results.document import Count, Document, VerdictCounts


class VoteSummary(Document):
    """What several annotators said of the same responses."""

    comparisons: Count
    votes: Count
    votes_each: FiniteFloat
    """Mean of the comparisons."""
    annotators: Count
    verdicts: dict[str, Count]
    """Votes by verdict."""
    krippendorff_alpha: FiniteFloat | None
    """Agreement beyond chance, 1 is perfect, over comparisons with two votes or more, nominal (Krippendorff 2011); None
    without them or without two different verdicts."""
    first_shown_wins: FiniteFloat | None
    """Share of the votes for one response that chose the one shown first, 0.5 without bias; None without any."""
    decided_votes: Count
    """Votes for one response."""


class CollectionDetails(Document):
    """What one way of making pairs tells beside their number."""

    judge_verdicts: VerdictCounts | None = None
    """Verdicts of a judge that can fail to decide."""
    votes: dict[str, Count] | None = None
    """Lines of the vote files by what became of them."""
    compared: dict[str, Count] | None = None
    """Pairs of responses that people voted on, by the same."""
    agreement: VoteSummary | None = None
    """Agreement of the votes on all compared pairs."""


class Collection(CollectionDetails):
    """How pairs were made."""

    pairs: Count
    prompts: Count
    """How many prompts train, validation and test have."""
    ties_without_pair: Count


class PreferenceSummary(Document):
    """What validation accepted and why it refused the rest; shares and means are over accepted pairs, to 6 decimals."""

    raw: Count
    """Pairs, as in all counts here."""
    accepted: Count
    quarantined: Count
    by_split: dict[str, Count]
    """Accepted ones."""
    quarantined_by_reason: dict[str, Count]
    """A pair counts once for each rule that it breaks."""
    warned_by_reason: dict[str, Count]
    truncated_prompts: Count
    """Accepted pairs whose prompt lost its beginning."""
    ties_without_pair: Count
    chosen_longer_share: FiniteFloat
    """In characters; equal lengths count half, as in `longer_wins_accuracy`."""
    mean_margin: FiniteFloat | None
    """In judge-score units, of the pairs that have one; None when none has."""
    mean_prompt_words: FiniteFloat
    mean_chosen_words: FiniteFloat
    mean_rejected_words: FiniteFloat
    chosen_words: list[Count]
    """Words of each chosen response, in the order of the pairs."""
    rejected_words: list[Count]


class DefectExample(Document):
    """A pair that breaks a rule; its texts are shortened."""

    id: str
    file: str
    rows: list[Count]
    prompt: str
    chosen: str
    rejected: str


class Cue(Document):
    """A word that one response of some pairs has and the other has not."""

    kind: str
    """word, or first_word."""
    cue: str
    pairs: Count
    chosen_share: FiniteFloat
    """How often the response with it was chosen; 0.5 tells nothing."""
    low: FiniteFloat
    """As `high`, an end of the 95 % Wilson interval."""
    high: FiniteFloat


class PromptSummary(Document):
    """Accepted pairs by their prompts."""

    pairs: Count
    distinct: Count
    most_pairs_of_one: Count
    distinct_beginnings_share: FiniteFloat
    """Share of different beginnings (three words) among the distinct prompts."""


class SourcePairs(Document):
    """The pairs of one file, or samples, and how many of them break each rule."""

    raw: Count
    accepted: Count
    rules: dict[str, Count]


class PreferenceDetails(Document):
    """The accepted and the refused pairs in detail."""

    by_source: dict[str, SourcePairs]
    """By file."""
    words: dict[str, dict[str, FiniteFloat]]
    """Lengths in words, by quantile, of prompts, chosen and rejected responses."""
    prompts: PromptSummary
    cues: list[Cue]
    measured_pairs: Count
    """That words were looked for in."""
    votes: VoteSummary | None
    """Of all that was voted on where votes made the pairs, else of accepted pairs; None where they carry none."""
    examples: dict[str, list[DefectExample]]
    """A few by rule."""
