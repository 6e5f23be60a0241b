"""The saved view that compares policies in MLflow's UI: results and varied parameters, as a table and as charts.

It is a tag of the experiment, in the format in which MLflow's UI (3.x) stores a view that somebody saves under "Views".
"""

import base64
import json
import zlib
from collections.abc import Iterator
from enum import Enum
from typing import Any

KEY = "policies-2"
"""Name of the view in addresses. A changed view gets a new key, so that users keep the one that they edited."""
WORKFLOW = "workflowType=machine_learning"
"""Part of an address, which opens the view for the training of models. Without it the UI shows what the browser was
last asked for, and at first every experiment as one of prompts and traces, whatever its kind
(github.com/mlflow/mlflow/issues/24498)."""
_SCORE, _WINS, _KL, _PERPLEXITY = "judge_score", "win_rate_vs_sft", "kl_nats_per_sequence", "perplexity_held_out"
_RESULTS = {_SCORE: "judge score", _WINS: "win rate", _KL: "KL", _PERPLEXITY: "perplexity"}
"""The names of these metrics in charts."""
_VARIED = {"optimize.dpo.beta": "DPO: results by beta", "optimize.ppo.kl_coef": "PPO: results by kl_coef"}
"""The parameters that are varied first, each with the title of its charts."""
_COLUMNS = {
    "attributes.`Run Name`": 240,
    "runDateAndNestInfo": 130,  # when it was created
    "params.`optimize.dpo.beta`": 125,
    "params.`optimize.ppo.kl_coef`": 145,
    f"metrics.`{_SCORE}`": 110,
    f"metrics.`{_WINS}`": 115,
    f"metrics.`{_KL}`": 105,
    f"metrics.`{_PERPLEXITY}`": 100,
    "tags.`champion`": 150,
    "duration": 80,  # of the evaluation alone
}
"""Columns from left to right, with their widths in pixels. The UI always shows the two without quotes."""
_CURVES = ("loss", "score", "kl_k3", "accuracy", "margin")
UiState = dict[str, Any]
"""The whole state or a part of it, such as a chart, with the keys that MLflow's UI gives it."""
_ALL = {"runsCountToCompare": 100}


class Mode(Enum):
    """How the view shows the runs; the values are those of the UI's addresses."""

    TABLE = ""
    CHARTS = "CHART"
    SAMPLES = "ARTIFACT"


def saved_view() -> tuple[str, str]:
    """Key and value of the tag that holds the view."""
    state = base64.b64encode(zlib.compress(json.dumps(_state()).encode(), 9)).decode()
    view = {"name": "Policies", "createdAt": 0, "updatedAt": 0, "state": f"deflate;{state}"}
    return f"mlflow.sharedViewState.{KEY}", json.dumps(view)


def address(server: str, experiment_id: str, mode: Mode = Mode.TABLE) -> str:
    """The address at which a browser finds the view."""
    shown = f"&compareRunsMode={mode.value}" if mode.value else ""
    return f"{server}/#/experiments/{experiment_id}/runs?{WORKFLOW}&viewStateShareKey={KEY}{shown}"


def _state() -> UiState:
    common = {"deleted": False, "isGenerated": False}
    charts = [*_charts_of_varied(), *_charts_of_results(), *(_line(f"train/{key}") for key in _CURVES)]
    return {
        "searchFilter": "", "orderByKey": f"metrics.`{_SCORE}`", "orderByAsc": False, "startTime": "ALL",
        "lifecycleFilter": "Active", "datasetsFilter": [], "modelVersionFilter": "All Runs",
        "selectedColumns": [key for key in _COLUMNS if "`" in key], "columnOrder": list(_COLUMNS),
        "columnWidths": _COLUMNS, "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": [{**common, "uuid": f"chart-{n}", **chart} for n, chart in enumerate(charts)],
        "compareRunSections": [{**common, **section} for section in _sections()],
        "viewMaximized": False, "runListHidden": False, "isAccordionReordered": True, "hideEmptyCharts": True,
        "useGroupedValuesInCharts": True, "groupBy": None, "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }  # fmt: skip


def _sections() -> Iterator[UiState]:
    """Sections of charts: one for each varied parameter, whose four charts fit on a screen, and two for all runs."""
    shown = {"display": True, "isReordered": False}
    for key, name in _VARIED.items():
        yield {"uuid": key, "name": name, "columns": 2, "cardHeight": 260, **shown}
    yield {"uuid": "results", "name": "Results", **shown}
    yield {"uuid": "training", "name": "Training", **shown}


def _charts_of_varied() -> Iterator[UiState]:
    """Each varied parameter against each result, and against all together; only runs that have it are shown."""
    for key in _VARIED:
        for result in (_SCORE, _WINS, _KL):
            yield _scatter(key, ("PARAM", key), ("METRIC", result))
        together = {"selectedParams": [key], "selectedMetrics": [_KL, _WINS, _SCORE]}
        yield {"type": "PARALLEL", "metricSectionId": key, **_ALL, **together}


def _charts_of_results() -> Iterator[UiState]:
    yield _scatter("results", ("METRIC", _KL), ("METRIC", _SCORE))
    for key, name in _RESULTS.items():
        yield {"type": "BAR", "metricSectionId": "results", "metricKey": key, "displayName": name, **_ALL}


def _scatter(section: str, x: tuple[str, str], y: tuple[str, str]) -> UiState:
    axes = {name: {"type": kind, "key": key} for name, (kind, key) in (("xaxis", x), ("yaxis", y))}
    return {"type": "SCATTER", "metricSectionId": section, **_ALL, **axes}


def _line(key: str) -> UiState:
    return {
        "type": "LINE", "metricSectionId": "training", **_ALL, "metricKey": key, "lineSmoothness": 0,
        "xAxisScaleType": "linear", "scaleType": "linear", "range": {}, "xAxisKey": "step",
        "selectedXAxisMetricKey": "", "yAxisKey": "metric", "yAxisExpressions": [], "ignoreOutliers": False,
        "useGlobalXaxisKey": True, "useGlobalLineSmoothing": True,
    }  # fmt: skip
