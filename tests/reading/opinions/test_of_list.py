"""Lists of responses are held against other verdicts."""

from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from tests.reading.comparing import read
from tests.tiny_models import changed


@pytest.fixture
def data(params: Params) -> Data:
    return changed(
        params.data, format="auto", source="rows.jsonl", columns=dict.fromkeys(params.data.columns.model_dump())
    )


LISTS: list[tuple[str, list[Any], list[Any]]] = [
    ("is_best", [[False, True, False]] * 3, [[False, True, False], [True, False, False], [False, True, False]]),
    ("preferred_response", ["q0 r1", "q1 r1", "q2 r1"], ["q0 r1", "q1 r0", "q2 r1"]),
    ("winner", ["B", "B", "B"], ["B", "A", "B"]),
    ("winner", [1, 1, 1], [1, 0, 1]),
    ("label", [2, 2, 2], [2, 1, 2]),
    ("loser", ["q0 r0", "q1 r2", "q2 r0"], ["q0 r0", "q1 r1", "q2 r0"]),
    ("ranks", [[3, 1, 2]] * 3, [[3, 1, 2], [1, 2, 3], [3, 1, 2]]),
    ("ratings", [[1, 9, 2]] * 3, [[1, 9, 2], [9, 1, 2], [1, 9, 2]]),
]


@pytest.mark.parametrize(("column", "agrees", "against"), LISTS, ids=[f"{case[0]}-{case[1][0]}" for case in LISTS])
@pytest.mark.parametrize("inside", [True, False])
def test_opinions_beside_scored_lists(
    column: str, agrees: list[Any], against: list[Any], inside: bool, data: Data
) -> None:
    """Scores that stand in the list, or in a column of their own."""

    def listed(values: list[Any]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for at, value in enumerate(values):
            texts, scores = [f"q{at} r{place}" for place in range(3)], [1.5, 4.5, 2.5]
            scored = [{"text": text, "score": score} for text, score in zip(texts, scores, strict=True)]
            lists = {"responses": scored} if inside else {"responses": texts, "scores": scores}
            rows.append({"prompt": f"Q{at}", **lists, column: value})
        return rows

    scored = changed(
        data, format="scored_responses", best_rank="lowest", columns={**data.columns.model_dump(), "winner": None}
    )
    assert len([one for one in read(listed(agrees), scored) if one.record]) == 3
    found = []
    try:
        found = read(listed(against), scored)
    except PipelineError as error:
        assert "contradict each other in 1 of 3 rows" in str(error)
    # a column that is read itself, as usual names are, drops its row
    assert not found or [one.reason for one in found if not one.unused] == ["", "verdicts_contradict", ""]
