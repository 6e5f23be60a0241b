"""Preference pairs: from ranked samples, or as given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pipeline.data.passages import Passage
from pipeline.data.records import record_id
from pipeline.data.views import View


class Judge(Protocol):
    """Ranks the samples of a prompt among themselves."""

    def rank(self, prompts: Sequence[str], samples: Sequence[Sequence[Passage]]) -> np.ndarray:
        """How good each is, shape (prompts, copies), higher is better; NaN where the judge could not tell."""
        ...


@dataclass(frozen=True)
class TextPair:
    """Prompt and response together, as the reward model reads them."""

    chosen: Passage
    rejected: Passage
    id: str = ""
    margin: float | None = None
    """By how much the chosen response is better, in the units of who judged; None when nobody said."""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "TextPair":
        """From a pair record."""
        chosen, rejected = (
            Passage(row[side], row[f"{side}_ended"]).after(row["prompt"]) for side in ("chosen", "rejected")
        )
        return cls(chosen, rejected, id=row.get("id", ""), margin=row.get("margin"))


def rank_samples(
    prompts: Sequence[Mapping[str, Any]], samples: Sequence[Passage], judge: Judge, *, copies: int, min_margin: float
) -> tuple[list[dict[str, Any]], int]:
    """The best and the worst of each prompt's samples, as the judge ranks them.

    Args:
        prompts: rows with `id`, `prompt`, `category` and `split`.
        samples: `copies` for each prompt, adjacent.
        min_margin: judge-score units; below it a prompt is a tie and gives no pair.

    Returns:
        Pairs, and the number of ties, among them prompts with fewer than two samples that the judge could rank.
    """
    drawn = [samples[i * copies : (i + 1) * copies] for i in range(len(prompts))]
    if len(samples) != copies * len(prompts):
        raise ValueError(f"{len(samples)} samples for {len(prompts)} prompts of {copies} each")
    scores = judge.rank([row["prompt"] for row in prompts], drawn)
    pairs = []
    for index, row in enumerate(prompts):
        if np.isnan(scores[index]).all():
            continue
        best, worst = int(np.nanargmax(scores[index])), int(np.nanargmin(scores[index]))
        margin = float(scores[index, best] - scores[index, worst])
        if best == worst or margin < min_margin:
            continue
        chosen, rejected = samples[index * copies + best], samples[index * copies + worst]
        pairs.append(
            {
                "id": record_id(row["prompt"], chosen.text, rejected.text),
                "prompt_id": row["id"],
                "prompt": row["prompt"],
                "category": row["category"],
                "chosen": chosen.text,
                "rejected": rejected.text,
                "chosen_ended": chosen.ended,
                "rejected_ended": rejected.ended,
                "chosen_score": round(float(scores[index, best]), 6),
                "rejected_score": round(float(scores[index, worst]), 6),
                "margin": round(margin, 6),
                "split": row["split"],
                "source": "sampled",
            }
        )
    return pairs, len(prompts) - len(pairs)


def given_pairs(rows: Sequence[Mapping[str, Any]]) -> Sequence[dict[str, Any]]:
    """Pairs as people gave them: complete responses, without a margin, and with scores where the data has some.

    Each is made when it is asked for.
    """
    return View(np.arange(len(rows)), lambda at: _given_pair(rows[at]))


def _given_pair(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{key: row[key] for key in ("id", "prompt", "category", "chosen", "rejected", "split")},
        "prompt_id": row["id"],
        "chosen_ended": True,
        "rejected_ended": True,
        "chosen_score": None,
        "rejected_score": None,
        "margin": None,
        "source": "given",
        **{key: row[key] for key in ("origin", "votes", "chosen_score", "rejected_score") if key in row},
    }


def given_ties(fates: Mapping[str, Any]) -> int:
    """Raw rows of given preferences that prefer neither response, by the counts of prepare_data."""
    return sum(fates.get(f"dropped.{reason}", 0) for reason in ("tie", "games_disagree"))
