"""From votes on the page to the raw pairs of the stage."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.params.schema import Params
from stages.collect_preferences import main
from tests.labelling.serving import ITEMS, read_lines, serving, vote, write_items
from tests.tiny_models import changed


class Folder:
    """Stands for the stage: inputs and outputs in a folder, without DVC and MLflow."""

    def __init__(self, root: Path, params: Params) -> None:
        collect = changed(params.collect_preferences, source="labelled")
        self.root, self.params = root, params.model_copy(update={"collect_preferences": collect})
        self.logged: dict[str, Any] = {}

    def input(self, path: str) -> Path:
        return self.root / path

    output = input

    def only_first_goes_on(self) -> None:
        """It is alone."""

    def write_json(self, path: str, value: Any) -> None:
        write_items(self.root / path, [value])

    def log_final(self, metrics: dict[str, Any]) -> None:
        self.logged = metrics


@pytest.fixture
def stage(tmp_path: Path, params: Params) -> Folder:
    write_items(tmp_path / "artifacts/preferences/raw.jsonl")
    (tmp_path / "data/labels").mkdir(parents=True)
    for number, split in enumerate(("train", "validation", "test")):
        prompts = [{"id": f"p{split}", "prompt": ITEMS[number]["prompt"], "category": "all"}]
        write_items(tmp_path / f"artifacts/data/prompts/{split}.jsonl", prompts)
    return Folder(tmp_path, params)


def test_votes_become_raw_pairs_and_their_items_can_be_voted_on_again(stage: Folder) -> None:
    with serving(stage.root) as page:
        for row, winner in zip(ITEMS, ("a", "b", "tie", "a"), strict=False):
            assert vote(page.url, row["id"], winner)[0] == 200
    main(stage)  # type: ignore[arg-type]
    pairs = {pair["prompt"]: pair for pair in read_lines(stage.root / "artifacts/preferences/raw.jsonl")}
    for line in read_lines(stage.root / "data/labels/ann.jsonl")[:2]:
        pair = pairs[line["prompt"]]
        assert pair["chosen"] == line[f"response_{line['winner']}"]
        assert pair["chosen_ended"] == line[f"response_{line['winner']}_ended"]
        assert pair["votes"] == [{"annotator": "ann", "verdict": "a", "swapped": line["winner"] == "b"}]
    assert {pair["split"] for pair in pairs.values()} == {"train", "validation"}
    counts = json.loads((stage.root / "reports/preferences/collection.json").read_text())
    assert counts == stage.logged
    assert (counts["pairs"], counts["prompts"], counts["ties_without_pair"]) == (2, 3, 1)
    assert counts["votes"]["prompt_in_no_split"] == counts["votes"]["tie"] == 1
    assert counts["agreement"]["comparisons"] == 4 and counts["agreement"]["verdicts"]["tie"] == 1
    with serving(stage.root, annotator="bob") as page:
        assert "bob: 0 of 4 done" in page.said


def test_votes_that_give_no_pair_stop_the_stage(stage: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(stage.root) as page:
        vote(page.url, ITEMS[5]["id"], "a")
    with (stage.root / "data/labels/ann.jsonl").open("a") as stream:
        stream.write("{")
    with pytest.raises(PipelineError, match=r"no vote gives a pair.*'prompt_in_no_split': 1.*make label"):
        main(stage)  # type: ignore[arg-type]
    assert "ann.jsonl was cut off" in capsys.readouterr().out
