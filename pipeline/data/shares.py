"""The share and the limit of each split where `data.splits` and `data.limits` are null: by the kind of the source.

Of labelled texts, the judge and SFT get splits of their own. All other data, preferences above all, goes to the splits
that policies are trained and measured on: the judge's labels and the SFT texts are then those of the train split.
"""

from collections.abc import Mapping, Sequence

from pipeline.errors import PipelineError
from pipeline.params.data import Data, Limits, Splits

_LABELLED = {"judge": 0.6, "sft": 0.2, "train": 0.12, "validation": 0.02, "test": 0.03, "evaluation": 0.03}
_LABELLED_LIMITS = {"judge": 0, "sft": 384, "train": 448, "validation": 64, "test": 192, "evaluation": 192}
_HELD_OUT = {"validation": (0.06, 1_000), "test": (0.16, 4_000), "evaluation": (0.12, 1_000)}
"""Share of each held-out split, and its most rows: more make every run longer and hardly an interval narrower."""


def fill_shares(resolved: Sequence[Data], *, rows: int) -> list[Data]:
    """The settings of each source with a number in each of `data.splits` and `data.limits`.

    Shares that params.yaml names stay; the others divide the rest as the kind of source says.

    Args:
        resolved: the settings of each source, with its format.
        rows: the number of rows of all sources together.

    Raises:
        PipelineError: the named shares add up to less than 1, and no other split takes the rest.
    """
    labelled = any(data.format == "labelled_texts" for data in resolved)
    usual = _LABELLED if labelled else _by_rows(rows)
    limits = _LABELLED_LIMITS if labelled else dict.fromkeys(_LABELLED_LIMITS, 0)
    return [
        data.model_copy(update={"splits": _splits(data.splits, usual), "limits": _limits(data.limits, limits)})
        for data in resolved
    ]


def _by_rows(rows: int) -> dict[str, float]:
    held_out = {split: min(share, most / max(1, rows)) for split, (share, most) in _HELD_OUT.items()}
    return {"judge": 0.0, "sft": 0.0, "train": 1.0 - sum(held_out.values()), **held_out}


def _splits(named: Splits, usual: Mapping[str, float]) -> Splits:
    given = {split: share for split, share in named.model_dump().items() if share is not None}
    if not given:
        return Splits(**usual)
    left, open_shares = 1.0 - sum(given.values()), sum(usual[split] for split in usual if split not in given)
    if left > 1e-9 and not open_shares:
        raise PipelineError(
            f"data.splits: the shares add up to {1 - left:g}, and for this kind of source the ones that are null get "
            "nothing. Let them add up to 1, or leave train null."
        )
    scale = max(0.0, left) / open_shares if open_shares else 0.0
    return Splits(**{split: given.get(split, usual[split] * scale) for split in usual})


def _limits(named: Limits, usual: Mapping[str, int]) -> Limits:
    given = {split: limit for split, limit in named.model_dump().items() if limit is not None}
    return Limits(**{**usual, **given})
