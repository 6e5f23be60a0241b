"""The pages of MLflow's UI on which policies are compared, in a browser, and pictures of them.

python -m tests.mlflow_screens [PROJECT] [--out docs/mlflow]   of the runs in the store of a project, here by default
"""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page

from pipeline.errors import PipelineError
from pipeline.params.loading import load_params
from pipeline.tracking.experiments import policies_experiment
from pipeline.tracking.project_store import project_store
from pipeline.tracking.store import Store
from pipeline.tracking.view import Mode, address
from tests.browser import chromium

ROOT = Path(__file__).resolve().parent.parent
BETA = "optimize.dpo.beta"
_PAIRS = "artifacts/preferences/accepted/train.jsonl"
_WIDTH, _HEIGHT = 1440, 900
PATIENCE_MS = 60_000
_RETURNING = {
    "mlflow.workflowType_v1": '"machine_learning"',
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.detectIssues.guidanceShown_v1": "true",
}


@dataclass(frozen=True)
class Screen:
    """A page, and what stands on it when it is whole."""

    name: str
    path: str
    texts: Sequence[str] = ()
    selectors: Sequence[str] = ()
    height: int = _HEIGHT
    then: Callable[[Page], None] = lambda page: None
    """What a user does there."""


@dataclass(frozen=True)
class Shown:
    """What a page showed."""

    text: str
    rows: list[dict[str, str]]
    """Of a table of runs, text by column."""
    points: dict[str, set[int]]
    """Of charts, horizontal places of their points by title."""


def variants(store: Store, experiment_id: str) -> list[Any]:
    """The newest run of DPO for each beta, the best first."""
    query = "attributes.status = 'FINISHED' and tags.policy = 'dpo'"
    runs = store.client.search_runs([experiment_id], query, order_by=["attributes.start_time ASC"])
    newest = {run.data.params[BETA]: run for run in runs}
    return sorted(newest.values(), key=lambda run: -run.data.metrics["judge_score"])


def screens(store: Store, name: str) -> Iterator[Screen]:
    """The pages, of the experiment and the registered model of one name."""
    experiment = store.client.get_experiment_by_name(name).experiment_id
    runs = variants(store, experiment)
    best, names = runs[0].info.run_id, [run.info.run_name for run in runs]
    yield Screen("runs", address("", experiment), [names[0]], [".ag-center-cols-container .ag-cell"])
    drawn = [".scatterlayer .point", ".dimension"]
    yield Screen("charts", address("", experiment, Mode.CHARTS), [names[0]], drawn, 950)
    ids = quote(json.dumps([run.info.run_id for run in runs]))
    path = f"/#/compare-runs?runs={ids}&experiments={quote(json.dumps([experiment]))}"
    yield Screen("compare", path, ["Run details", *names], [".parcoords"], then=_add_results)
    chosen = ["[placeholder^='Filter by ']", ".ag-center-cols-container .ag-cell"]
    yield Screen("samples", address("", experiment, Mode.SAMPLES), ["samples.json"], chosen)
    yield Screen("versions", f"/#/models/{quote(name)}", ["Aliases"], ["a[href*='/versions/']"])
    query = f"source_run_id = '{best}'"
    (model,) = store.client.search_logged_models([experiment], filter_string=query)
    yield Screen("model", f"/#/experiments/{experiment}/models/{model.model_id}", ["Model versions", "judge_score"])
    texts = ["About this run", "Datasets", names[0]]
    yield Screen("datasets", f"/#/experiments/{experiment}/runs/{best}", texts, then=_open_datasets)


def _add_results(page: Page) -> None:
    """To the metric that the UI has chosen: others from the top of its list."""
    page.get_by_role("combobox").nth(1).click()
    for key in ("win_rate_vs_sft", "kl_nats_per_sequence"):
        page.locator("[class*=select-item-option-content]").get_by_text(key, exact=True).click()
    page.get_by_text(re.compile("^Comparing ")).click()
    page.locator(".parcoords").get_by_text("kl_nats_per_sequence").wait_for()


def _open_datasets(page: Page) -> None:
    page.get_by_text(re.compile(r"^\+\d+$")).click()
    page.get_by_text(_PAIRS).last.click()
    page.get_by_text("Data details for").wait_for()


@contextmanager
def serve(project: Path) -> Iterator[str]:
    """`make ui` on a free port, and its address, when it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # mlflow.set_tracking_uri, called in this process by others, would send the server to their store
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    environment["PYTHONPATH"] = str(ROOT)  # where the project has no code of its own
    command = [sys.executable, "-m", "pipeline.tracking.ui", "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, cwd=project, env=environment, start_new_session=True, **quiet)
    try:
        _await(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _await(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("MLflow's UI did not start")


def open_context(browser: Browser) -> BrowserContext:
    """As of somebody who has chosen "Model training" once, and closed what the UI opens on a first visit."""
    context = browser.new_context(viewport={"width": _WIDTH, "height": _HEIGHT})
    values = json.dumps(_RETURNING)
    context.add_init_script(f"for (const [key, value] of Object.entries({values})) localStorage.setItem(key, value)")
    return context


def photograph(browser: Browser, server: str, wanted: Iterator[Screen], folder: Path) -> dict[str, Shown]:
    """Open pages one after the other, and leave a picture of each; returns what they showed, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    context = open_context(browser)
    context.set_default_timeout(PATIENCE_MS)
    shown = {}
    for screen in wanted:
        page = context.new_page()
        page.set_viewport_size({"width": _WIDTH, "height": screen.height})
        page.goto(server + screen.path)
        for text in screen.texts:
            page.get_by_text(text).first.wait_for()
        for selector in screen.selectors:
            page.locator(selector).first.wait_for()
        screen.then(page)
        shown[screen.name] = _look(page)
        _save(page.screenshot(animations="disabled"), folder / f"{screen.name}.png")
        page.close()
    context.close()
    return shown


# a row of the table is in two parts, one of which does not scroll
_ROWS = """() => {
    const rows = {};
    for (const cell of document.querySelectorAll('.ag-cell')) {
        const row = cell.closest('.ag-row').getAttribute('row-index');
        (rows[row] ??= {})[cell.getAttribute('col-id')] = cell.innerText.split('\\n').pop();
    }
    return Object.values(rows);
}"""
_POINTS = """() => [...document.querySelectorAll('[data-testid="experiment-view-compare-runs-card"]')].map(card => [
    card.innerText.split('\\n')[0],
    [...card.querySelectorAll('.scatterlayer .point')].map(point => Math.round(point.getBoundingClientRect().x)),
])"""


def _look(page: Page) -> Shown:
    points = {title: set(places) for title, places in page.evaluate(_POINTS)}
    return Shown(page.locator("body").inner_text().replace("\xa0", " "), page.evaluate(_ROWS), points)


def _save(picture: bytes, path: Path) -> None:
    """With few colours, which makes it a third as large; this method leaves those of the runs as they are."""
    image = Image.open(BytesIO(picture)).convert("RGB")
    image.quantize(method=Image.Quantize.FASTOCTREE).save(path, optimize=True)


def main() -> None:
    """Pictures of the store of a project."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "project", type=Path, nargs="?", default=Path.cwd(), help="folder with params.yaml and mlflow.db"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs/mlflow", help="where the pictures go")
    arguments = parser.parse_args()
    project = arguments.project.resolve()
    try:
        experiment = policies_experiment(load_params(project / "params.yaml").tracking.experiment)
        store = project_store(project)
        if not variants(store, store.experiment(experiment.name, experiment.tags)):
            raise PipelineError(f"no run of DPO in {project} has finished")
        with chromium() as browser, serve(project) as server:
            photograph(browser, server, screens(store, experiment.name), arguments.out)
    except (PipelineError, pytest.skip.Exception) as error:
        sys.exit(f"error: {error}")
    print(f"pictures are in {arguments.out}")


if __name__ == "__main__":
    main()
