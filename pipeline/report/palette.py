"""The colour, marker and name of each policy, the same in every plot and on the page."""

from collections.abc import Iterable
from dataclasses import dataclass

SFT_COLOUR = "#5f6b7a"
# Okabe and Ito's colours, told apart with every kind of colour blindness; the markers tell them apart in print.
_KNOWN = {"sft": (SFT_COLOUR, "o"), "dpo": ("#0072b2", "s"), "ppo": ("#d55e00", "D"), "hybrid": ("#009e73", "^")}
_OTHERS = [("#cc79a7", "v"), ("#b8860b", "P"), ("#56b4e9", "X")]


@dataclass(frozen=True)
class Look:
    """Name for people, colour (hex) and matplotlib marker of a policy."""

    label: str
    colour: str
    marker: str


def policy_looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each policy: fixed for sft, dpo, ppo and hybrid, by order of appearance for others."""
    looks: dict[str, Look] = {}
    others = 0
    for name in names:
        if name in _KNOWN:
            colour, marker = _KNOWN[name]
        else:
            colour, marker = _OTHERS[others % len(_OTHERS)]
            others += 1
        looks[name] = Look(policy_label(name), colour, marker)
    return looks


def policy_label(name: str) -> str:
    """Short methods are abbreviations (DPO), longer ones words (Hybrid)."""
    return name.upper() if len(name) <= 4 else name.replace("_", " ").capitalize()
