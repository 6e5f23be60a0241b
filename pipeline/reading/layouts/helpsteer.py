"""HelpSteer: ratings of responses, and preferences on a scale from -3 to 3."""

import re
from typing import Any

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import text, whole
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.layouts.turns import question
from pipeline.reading.rows import Row

_ROLE = re.compile(r"\s*<extra_id_1>(User|Assistant)\n")
_STRENGTH = range(-3, 4)
_ASPECTS = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")


def _prompt(value: Any) -> Any:
    """A text, or the turns of one: `<extra_id_1>User` and `<extra_id_1>Assistant` begin those after the first."""
    if not isinstance(value, str) or "<extra_id_1>" not in value:
        return value
    first, *rest = _ROLE.split(value)
    said = [("user", first), *((role.casefold(), words) for role, words in zip(rest[::2], rest[1::2], strict=True))]
    if said[-1][0] == "assistant" and not said[-1][1].strip():
        said.pop()  # where the response begins
    return question([{"role": role, "content": words} for role, words in said])


def _winner(strength: int) -> str:
    return "tie" if strength == 0 else "a" if strength < 0 else "b"


def _preference(row: Row) -> Converted:
    winner = _winner(whole(row["preference_strength"], _STRENGTH))
    found = {"response_a": text(row["response_1"]), "response_b": text(row["response_2"]), "winner": winner}
    return [{"prompt": _prompt(row["prompt"]), **found}]


def _three(row: Row) -> Converted:
    winner = _winner(whole(row["overall_preference"], _STRENGTH))
    found = {"response_a": text(row["response1"]), "response_b": text(row["response2"]), "winner": winner}
    return [{"prompt": question(row["context"]), **found}]


def _rating(row: Row) -> Converted:
    score = row["helpfulness"]
    if score is None:
        raise Unreadable("no_score", {"helpfulness": score})
    return [{"prompt": _prompt(row["prompt"]), "response": text(row["response"]), "score": score}]


HELPSTEER_RATINGS = Layout(
    name="helpsteer_ratings",
    origin="huggingface.co/datasets/nvidia/HelpSteer, card; huggingface.co/datasets/nvidia/HelpSteer2, card; "
    "github.com/allenai/open-instruct, scripts/data/preferences/helpsteer2.py",
    form="ratings",
    needs=(("prompt",), ("response",), *((aspect,) for aspect in _ASPECTS)),
    coding="of the responses to one prompt, the one with the highest `helpfulness` over the one with the lowest; the "
    "other ratings are not used",
    convert=_rating,
)
HELPSTEER2 = Layout(
    name="helpsteer2_preference",
    origin="huggingface.co/datasets/nvidia/HelpSteer2, card on `preference`; github.com/modelscope/RM-Gallery, "
    "rm_gallery/gallery/data/load/helpsteer2_pairwise.py",
    form="comparisons",
    needs=(("prompt",), ("response_1",), ("response_2",), ("preference_strength",)),
    coding="`preference_strength` from -3 to 3: below 0 `response_1`, above 0 `response_2`, 0 a tie",
    convert=_preference,
)
HELPSTEER3 = Layout(
    name="helpsteer3_preference",
    origin="huggingface.co/datasets/nvidia/HelpSteer3, card; github.com/NVIDIA-NeMo/RL, "
    "nemo_rl/data/datasets/preference_datasets/helpsteer3.py",
    form="comparisons",
    needs=(("context",), ("response1",), ("response2",), ("overall_preference",)),
    coding="`overall_preference` from -3 to 3: below 0 `response1`, above 0 `response2`, 0 a tie",
    convert=_three,
    category="domain",
)
