"""Rows as the documentation of each layout shows them, with texts of our own, and the preferences that they are."""

from typing import Any

from tests.reading.layouts.chosen import CHOSEN
from tests.reading.layouts.compared import COMPARED
from tests.reading.layouts.rated import RATED

EXAMPLES: dict[str, list[tuple[dict[str, Any], Any]]] = {**CHOSEN, **COMPARED, **RATED}
"""By layout: rows, each with its pair of prompt, chosen and rejected or the reason why it has none; with None where a
later row is paired with it."""
