"""A whole reports/ folder, its page and its plots."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.params.loading import flatten
from pipeline.params.schema import Params, WriteReport
from pipeline.report import efficiency
from pipeline.report.comparison import build_comparison
from pipeline.report.inputs import ReportInputs
from pipeline.report.page import render_page
from pipeline.report.page_run import RunFacts, run_facts
from pipeline.report.plots import draw_plots
from tests.conftest import ROOT
from tests.report.trained_files import load
from tests.report.written_reports import write_synthetic_reports

WriteReports = Callable[..., Path]


@pytest.fixture(scope="session")
def write_report_params() -> WriteReport:
    return WriteReport(samples_shown=8, max_kl=10.0, max_perplexity_ratio=1.1, min_distinct_ratio=0.8)


@pytest.fixture
def write_reports(tmp_path: Path) -> WriteReports:
    """Writes the reports of all stages under a temporary root and returns the root."""

    def write(
        methods: Sequence[str] = ("dpo", "ppo"), *, seeds: Sequence[int] = (0,), prompts: int = 48, costs: bool = True
    ) -> Path:
        write_synthetic_reports(tmp_path, methods, seeds=seeds, prompts=prompts, costs=costs)
        return tmp_path

    return write


@pytest.fixture(scope="session")
def render(write_report_params: WriteReport, params: Params) -> Callable[..., str]:
    """The page of inputs and their plots, as write_report renders it before it is sealed."""

    def page(inputs: ReportInputs, plots: dict[str, Path], **changed: object) -> str:
        comparison = build_comparison(inputs, write_report_params)
        run = run_of(inputs, params, **changed)
        return render_page(inputs, comparison, plots, write_report_params, run, compared="0123456789abcdef")

    return page


def run_of(inputs: ReportInputs, params: Params, **changed: object) -> RunFacts:
    """What was run: the repository's parameters but for some, and hashes made up."""
    hashes = {
        "artifacts/models/policy": "00112233445566778899aabbccddeeff.dir",
        "artifacts/models/reward_backbone": "ff112233445566778899aabbccddeeff.dir",
        "artifacts/data/fates.jsonl": "ee112233445566778899aabbccddeeff",
    }
    keys = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]["write_report"]["params"]
    values = flatten(params.model_dump()) | changed
    declared = {key: value for key, value in values.items() if any(f"{key}.".startswith(f"{one}.") for one in keys)}
    return run_facts(inputs, declared, hashes)


@pytest.fixture(scope="package", autouse=True)
def few_resamples() -> Iterator[None]:
    """Intervals of ratios from a tenth of the resamples: half of the time for a page went there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(efficiency, "_RESAMPLES", 200)
        yield


@pytest.fixture(scope="session")
def read_inputs(tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    """What `write_reports` writes, read once; tests get copies."""
    root = tmp_path_factory.mktemp("reports")
    write_synthetic_reports(root, ["dpo", "ppo"], seeds=[0], prompts=48, costs=True)
    return load(root)


@pytest.fixture
def inputs(read_inputs: ReportInputs) -> ReportInputs:
    return deepcopy(read_inputs)


@pytest.fixture(scope="session")
def drawn_plots(read_inputs: ReportInputs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The plots of `inputs`, drawn once: drawing is the slow part."""
    return draw_plots(read_inputs, tmp_path_factory.mktemp("drawn") / "plots")
