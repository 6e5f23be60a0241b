"""The kinds of judges, as people are told of them."""

from typing import Any

OF_TEXTS = ("classifier", "lexicon")
"""Judges that are right or wrong about a single text; the others compare two."""
_FAMILIES = {
    "classifier": ("linear classifier of words", "human labels of the data"),
    "lexicon": ("sentiment lexicon", "no labels of the data: words that people rated (VADER)"),
    "reward_model": ("reward model", "nothing here: taken as it is"),
    "chat": ("chat model", "nothing here: taken as it is"),
}
"""Of each kind of judge: its family, and what it was fitted on."""


def describe(kind: str, *, labels: int | None = None) -> dict[str, Any]:
    """`kind`, `family` and `fitted_on` of a judge.

    Args:
        labels: that it was fitted on; None where it was fitted on none.
    """
    family, source = _FAMILIES[kind]
    return {"kind": kind, "family": family, "fitted_on": source if labels is None else f"{labels} {source}"}
