"""What of the sources nothing read is told with the data."""

from pipeline.lineage.tree import lineage
from pipeline.lineage.tree_text import render
from pipeline.lineage.unused import unused_columns
from pipeline.project.defaults import Defaults
from tests.lineage.conftest import SOURCES, Project


def test_columns_that_nothing_read_are_shown_with_the_data(rlhf: Project) -> None:
    assert unused_columns(rlhf.lock(), rlhf.contents()) == {}
    sources = '[{"file": "a.csv", "unused": ["system", "tools"]}, {"file": "b.csv", "unused": [], "rows": 3}]'
    rlhf.write(SOURCES, f'{{"sources": {sources}}}')
    rlhf.stage("prepare_data", ["data/raw"], ["artifacts/data", SOURCES])
    unused = unused_columns(rlhf.lock(), rlhf.contents())
    assert unused == {"a.csv": ["system", "tools"]}
    tree = lineage("artifacts/data", rlhf.lock(), rlhf.contents(), None)
    assert "unused in a.csv: system, tools" in render(tree, Defaults("none"), unused=unused)


def test_parameters_that_were_changed_are_shown_and_beta_always(rlhf: Project) -> None:
    params = {"optimize": {"dpo": {"beta": 0.2, "loss": "ipo", "epochs": 1}}}
    rlhf.entries["optimize_policy@dpo-0"]["params"] = {"params.yaml": params}
    tree = lineage("artifacts/training/dpo/seed-0", rlhf.lock(), rlhf.contents(), None)
    values = {"optimize.dpo.beta": 0.2, "optimize.dpo.loss": "sigmoid", "optimize.dpo.epochs": 1}
    text = render(tree, Defaults("params.yaml of then", values), unused={})
    assert "changed: optimize.dpo.loss = 'ipo' (default 'sigmoid')" in text
    assert "main: optimize.dpo.beta = 0.2" in text and "epochs" not in text
    full = render(tree, Defaults("params.yaml of then", values), unused={}, full=True)
    assert "optimize.dpo.epochs: 1" in full
