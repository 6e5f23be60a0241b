"""MLflow's UI after three values of beta, as users see it: what its pages show, and where they lead.

`RLHF_SCREENSHOTS=FOLDER` keeps the pictures.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from ruamel.yaml import YAML

from pipeline.compare.selection import select
from pipeline.errors import PipelineError
from pipeline.tracking.project_store import connect
from pipeline.tracking.registry import Registry
from pipeline.tracking.store import Store
from tests.mlflow_screens import BETA, PATIENCE_MS, Shown, photograph, screens, serve, variants
from tests.tiny_pipeline.conftest import dvc
from tests.tiny_project import edit_params

pytestmark = pytest.mark.slow(
    beside="tests/tracking/test_experiments.py::test_the_description_links_the_view_and_stays_as_users_edit_it"
)
NAME = "reproducible-rlhf"
BETAS = ["0.1", "0.01", "2.0"]
RESULTS = ("judge_score", "win_rate_vs_sft", "kl_nats_per_sequence")


@pytest.fixture(scope="module")
def three_betas(browser: Browser, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with two more policies; without a browser it is not made."""
    root = tmp_path_factory.mktemp("betas") / "project"
    shutil.copytree(project, root, symlinks=True)
    for beta in BETAS[1:]:
        edit_params(root, {BETA: float(beta)})
        done = dvc(root, "repro", "evaluate_policy@dpo-0")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return root


@pytest.fixture(scope="module")
def store(three_betas: Path) -> Store:
    return connect(f"sqlite:///{three_betas / 'mlflow.db'}", three_betas / "lock")


@pytest.fixture(scope="module")
def experiment(store: Store) -> str:
    return str(store.client.get_experiment_by_name(NAME).experiment_id)


@pytest.fixture(scope="module")
def runs(store: Store, experiment: str) -> dict[str, Any]:
    """The runs of DPO by their beta."""
    return {run.data.params[BETA]: run for run in variants(store, experiment)}


@pytest.fixture(scope="module")
def champion(store: Store, runs: dict[str, Any]) -> str:
    version = Registry(store, NAME).version_of(runs[BETAS[-1]])
    Registry(store, NAME).promote(str(version))
    return str(version)


@pytest.fixture(scope="module")
def server(three_betas: Path) -> Iterator[str]:
    with serve(three_betas) as address:
        yield address


@pytest.fixture(scope="module")
def shown(browser: Browser, server: str, store: Store, champion: str, tmp_path_factory: Any) -> dict[str, Shown]:
    """What each page shows, by its name."""
    folder = Path(os.environ.get("RLHF_SCREENSHOTS") or tmp_path_factory.mktemp("pictures"))
    found = photograph(browser, server, screens(store, NAME), folder)
    assert {path.stem for path in folder.glob("*.png")} >= found.keys()
    return found


def test_runs_are_told_apart_by_their_names(runs: dict[str, Any]) -> None:
    assert {beta: run.info.run_name for beta, run in runs.items()} == {
        beta: f"dpo seed 0 · beta={beta}" for beta in BETAS
    }  # fmt: skip


def test_runs_are_told_apart_by_their_colours(store: Store, experiment: str) -> None:
    runs = store.client.search_runs([experiment], order_by=["attributes.start_time DESC"], max_results=10)
    assert len({run.data.tags["mlflow.runColor"] for run in runs}) == len(runs) > 5


def test_the_beginning_of_a_name_that_several_runs_share_names_none(store: Store, runs: dict[str, Any]) -> None:
    with pytest.raises(PipelineError, match="names 3 runs"):
        select(store, NAME, ["dpo seed 0"])
    (one,) = select(store, NAME, [f"dpo seed 0 · beta={BETAS[1]}"])
    assert one.run_id == runs[BETAS[1]].info.run_id


def test_the_table_has_beta_beside_results_and_no_stages(shown: dict[str, Shown], runs: dict[str, Any]) -> None:
    rows = {row["attributes.`Run Name`"]: row for row in shown["runs"].rows}
    assert "sft" in rows and not [name for name in rows if "@" in name], list(rows)
    for beta, run in runs.items():
        row = rows[run.info.run_name]
        assert row[f"params.`{BETA}`"] == beta
        for key in RESULTS:
            assert float(row[f"metrics.`{key}`"]) == pytest.approx(run.data.metrics[key]), (beta, key)
    scores = [float(row["metrics.`judge_score`"]) for row in shown["runs"].rows]
    assert scores == sorted(scores, reverse=True)


def test_charts_have_a_point_of_each_beta(shown: dict[str, Shown]) -> None:
    for key in RESULTS:
        assert len(shown["charts"].points[f"{BETA} vs. {key}"]) == len(BETAS), key
    assert "Parallel Coordinates" in shown["charts"].points
    assert "DPO: results by beta\n(4)" in shown["charts"].text


def test_runs_that_are_compared_differ_in_beta_and_begin_with_the_judge_score(
    shown: dict[str, Shown], runs: dict[str, Any]
) -> None:
    plot, _, details = shown["compare"].text.partition("Run details")
    chosen = plot.partition("Parameters:")[2].partition("Clear All")[0].split()
    assert chosen == [BETA, "Metrics:", *RESULTS]
    lines = [line.split() for line in details.splitlines()]
    assert [line[1:] for line in lines if line[:1] == [BETA]] == [list(runs)]


def test_samples_of_policies_stand_side_by_side(shown: dict[str, Shown], store: Store, runs: dict[str, Any]) -> None:
    row = shown["samples"].rows[0]
    policies = [key for key in row if len(key) == 32]
    assert len(policies) > 1, "a column for each policy, as many as fit"
    for run_id in policies:
        responses = {sample["prompt"]: sample["response"] for sample in store.samples(run_id).values()}
        assert row[run_id] == responses[row["prompt"]].split("\n")[-1]


def test_versions_have_names_results_and_aliases(shown: dict[str, Shown], champion: str, runs: dict[str, Any]) -> None:
    blocks = shown["versions"].text.split("\nVersion ")[1:]
    versions = {number: rest for number, _, rest in (block.partition("\n") for block in blocks) if number.isdigit()}
    assert "@ champion" in versions[champion] and f"beta={BETAS[-1]}" in versions[champion]
    assert sum("@ candidate" in text for text in versions.values()) == 1
    assert f": {runs[BETAS[-1]].data.metrics['judge_score']:.3f}\n" in versions[champion]
    assert "dvc.dep" not in shown["versions"].text, "hashes of all that it read make a version fill the screen"


def test_a_model_leads_to_its_version_run_and_dataset(shown: dict[str, Shown], runs: dict[str, Any]) -> None:
    text, best = shown["model"].text, next(iter(runs.values()))
    assert f"Source run\n{best.info.run_name}\n" in text and "artifacts/data/prompts/evaluation.jsonl (#" in text
    assert f"Model versions\n{NAME}\nv" in text and "Not registered" not in text
    assert "The weights lie in DVC, as artifacts/policies/dpo/seed-0 with the hash" in text


def test_datasets_have_the_hashes_of_dvc(shown: dict[str, Shown], three_betas: Path) -> None:
    lock = YAML(typ="safe").load((three_betas / "dvc.lock").read_text())["stages"]
    digests = {dep["path"]: dep["md5"] for stage in lock.values() for dep in stage["deps"]}
    text = shown["datasets"].text.rpartition("Data details for")[2]
    pairs = "artifacts/preferences/accepted/train.jsonl"
    assert f"{pairs} ({digests[pairs]})" in text and f"Digest: {digests[pairs]}" in text.replace("\n", " ")
    assert "data/raw/reviews.csv (" in text and "artifacts/data/pairs.jsonl" not in text, "it has no rows"


def test_whoever_opens_the_experiment_for_the_first_time_is_led_to_the_table(browser: Browser, server: str) -> None:
    """MLflow takes it for one of prompts and traces then; its description is shown there, too."""
    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.goto(f"{server}/#/experiments")
        page.get_by_role("link", name=NAME, exact=True).click()
        page.get_by_text("Got it").click()
        with context.expect_page() as opened:
            page.get_by_role("link", name="Table", exact=True).click()
        table = opened.value
        table.get_by_text(BETA).first.wait_for()
        assert table.get_by_text("dpo seed 0 · beta=").count() == len(BETAS) and "machine_learning" in table.url
