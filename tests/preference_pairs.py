"""Preference pairs for tests."""

from typing import Any

from pipeline.preferences.pair import PreferencePair

_COMPLETE: dict[str, Any] = {"category": "all", "chosen_ended": True, "rejected_ended": True}
_MADE: dict[str, Any] = {"split": "train", "source": "sampled"}


def preference_pair(prompt: str, chosen: str, rejected: str, **changes: Any) -> PreferencePair:
    """A pair of complete responses, of training, that nobody scored; its fields can be changed."""
    texts = {"id": "x", "prompt_id": "p", "prompt": prompt, "chosen": chosen, "rejected": rejected}
    return PreferencePair(**{**texts, **_COMPLETE, **_MADE, **changes})
