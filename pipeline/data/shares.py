"""How many of the prompts each use gets where `data.splits` and `data.limits` leave it open: by what the source is.

Labelled texts pay for a judge of their own and for SFT. Everything else, preferences above all, is trained and measured
on: the judge's labels and the SFT texts are then those of the train split.
"""

from collections.abc import Mapping, Sequence

from pipeline.errors import PipelineError
from pipeline.params.data import Data, Limits, Splits

_LABELLED = {"judge": 0.6, "sft": 0.2, "train": 0.12, "validation": 0.02, "test": 0.03, "evaluation": 0.03}
_LABELLED_LIMITS = {"judge": 0, "sft": 384, "train": 448, "validation": 64, "test": 192, "evaluation": 192}
_HELD_OUT = {"validation": (0.06, 1_000), "test": (0.16, 4_000), "evaluation": (0.12, 1_000)}
"""Share of each, and the rows beyond which no interval gets much narrower but every run longer."""


def fill_shares(resolved: Sequence[Data], *, rows: int) -> list[Data]:
    """The sources with a number in each of `data.splits` and `data.limits`.

    Those that params.yaml names stay; the others divide what is left as the kind of source says.

    Args:
        resolved: with their formats.
        rows: of all sources together.

    Raises:
        PipelineError: the named splits leave something that no other one takes.
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
