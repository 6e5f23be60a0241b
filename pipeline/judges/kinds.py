"""The kinds of judges, and how reports describe them."""

from typing import NamedTuple

OF_TEXTS = ("classifier", "lexicon")
"""Judges that are right or wrong about a single text; the others compare two."""
_FAMILIES = {
    "classifier": ("linear classifier of words", "human labels of the data"),
    "lexicon": ("sentiment lexicon", "no labels of the data: words that people rated (VADER)"),
    "reward_model": ("reward model", "nothing here: taken as it is"),
    "chat": ("chat model", "nothing here: taken as it is"),
}
"""The family of each kind of judge, and what such a judge was fitted on."""


class Description(NamedTuple):
    """A judge as reports describe it."""

    kind: str
    family: str
    fitted_on: str


def describe(kind: str, *, labels: int | None = None) -> Description:
    """The description of a judge of this kind.

    Args:
        labels: how many labels it was fitted on; None where it was fitted on none.
    """
    family, source = _FAMILIES[kind]
    return Description(kind, family, source if labels is None else f"{labels} {source}")
