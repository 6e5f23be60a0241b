"""What may be wrong with prepared data: warnings, and errors that stop a run."""

from collections.abc import Sequence

from pipeline.data.fates import dropped_reason, raw_rows_of
from pipeline.data.leakage import advise_of_leaks
from pipeline.data.preparation import PreparedData
from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.reading.reasons import advise_reason
from pipeline.reading.sources import Source

_SHOWN = 200
"""Characters of a row in an error."""


def warn_of_glued_pairs(prepared: PreparedData) -> None:
    """Warn where responses of pairs begin right behind the last letter of the prompt."""
    if prepared.glued_pairs:
        print(
            f"warning: in {prepared.glued_pairs} of {len(prepared.paired)} pairs the response begins right behind the "
            'last letter of the prompt; data.separator, such as "\\n", comes between them.',
            flush=True,
        )


def warn_of_lost_categories(categories: Sequence[str]) -> None:
    """Warn of categories that are trained on and have no held-out row left, because such rows were leaks."""
    if categories:
        print(
            f"warning: no held-out row is left of {', '.join(categories)} (data.columns.category): rows were dropped "
            "that nearly repeat what is learnt from. Raise data.leakage.threshold, up to 1, where they are new all the "
            "same.",
            flush=True,
        )


def check_prepared(prepared: PreparedData, sources: Sequence[Source], *, max_dropped_share: float) -> None:
    """Stop where too much was dropped, or a split has no prompts.

    Args:
        sources: the sources that were read.
        max_dropped_share: `data.max_dropped_share`.

    Raises:
        PipelineError: with the first dropped row, or with what to change so that the split gets some.
    """
    if prepared.dropped_share > max_dropped_share:
        dropped = {fate: count for fate, count in sorted(prepared.counts.items()) if fate.startswith("dropped.")}
        first = _first_dropped(prepared, sources)
        raise PipelineError(
            f"{prepared.dropped_share:.1%} of the rows of data.source are dropped ({dropped}, first: {first}). "
            f"Mend the data, or raise data.max_dropped_share (now {max_dropped_share:g})."
        )
    for split, records in prepared.prompts.items():
        if not records:
            advice = advise_of_leaks(prepared.counts, split)
            raise PipelineError(
                f"data.source: no prompts for {split} ({dict(sorted(prepared.counts.items()))}). Add rows, or give the "
                f"split a larger share (data.splits.{split}).{advice}"
            )


def _first_dropped(prepared: PreparedData, sources: Sequence[Source]) -> str:
    first, reason = next((fate, reason) for fate in prepared.fates if (reason := dropped_reason(fate)) is not None)
    shown, seen = shorten(str(raw_rows_of(sources)(first)), _SHOWN), first.get("seen")
    said = f"{reason}, which has {seen}" if seen else reason
    return f"row {first['row']} of {first['source']}, {said}: {shown}. What to do: {advise_reason(reason)}"
