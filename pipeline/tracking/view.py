"""The view of the experiment of policies: results and what was varied, in the table and as charts.

It is what MLflow's UI (3.x) stores when somebody saves a view under "Views", as a tag of the experiment.
"""

import base64
import json
import zlib
from typing import Any

KEY = "policies-1"
"""Names the view in addresses; another one when it changes, so that a view that users edited stays theirs."""
WORKFLOW = "workflowType=machine_learning"
"""Without it the UI shows every experiment as one of prompts and traces."""
_SCORE, _WINS, _KL, _PERPLEXITY = "judge_score", "win_rate_vs_sft", "kl_nats_per_sequence", "perplexity_held_out"
_VARIED = ("optimize.dpo.beta", "optimize.ppo.kl_coef")
_COLUMNS = [
    *(f"metrics.`{key}`" for key in (_SCORE, _WINS, _KL, _PERPLEXITY)),
    *(f"params.`{key}`" for key in _VARIED),
    "tags.`champion`",
]
_CURVES = ("loss", "score", "kl_k3", "accuracy", "margin")


def saved_view() -> tuple[str, str]:
    """Key and value of the tag."""
    state = base64.b64encode(zlib.compress(json.dumps(_state()).encode(), 9)).decode()
    view = {"name": "Policies", "createdAt": 0, "updatedAt": 0, "state": f"deflate;{state}"}
    return f"mlflow.sharedViewState.{KEY}", json.dumps(view)


def address(server: str, experiment_id: str) -> str:
    """Where a browser finds the view."""
    return f"{server}/#/experiments/{experiment_id}/runs?{WORKFLOW}&viewStateShareKey={KEY}"


def _state() -> dict[str, Any]:
    scatters = [(("PARAM", key), ("METRIC", y)) for key in _VARIED for y in (_SCORE, _KL)]
    scatters.insert(0, (("METRIC", _KL), ("METRIC", _SCORE)))
    charts = [_scatter(*axes) for axes in scatters]
    charts += [_bar(key) for key in (_SCORE, _WINS, _KL, _PERPLEXITY)]
    charts.append(
        {"type": "PARALLEL", "selectedParams": list(_VARIED), "selectedMetrics": [_SCORE, _WINS, _KL],
         "metricSectionId": "results", "runsCountToCompare": 100}
    )  # fmt: skip
    charts += [_line(f"train/{key}") for key in _CURVES]
    common = {"deleted": False, "isGenerated": False}
    names = {"results": "What was varied against what came out", "training": "Training"}
    return {
        "searchFilter": "", "orderByKey": f"metrics.`{_SCORE}`", "orderByAsc": False, "startTime": "ALL",
        "lifecycleFilter": "Active", "datasetsFilter": [], "modelVersionFilter": "All Runs",
        "selectedColumns": _COLUMNS, "columnOrder": [], "columnWidths": {}, "runsHiddenMode": "SHOWALL",
        "compareRunCharts": [{**common, "uuid": f"chart-{n}", **chart} for n, chart in enumerate(charts)],
        "compareRunSections": [
            {**common, "uuid": key, "name": name, "display": True, "isReordered": False} for key, name in names.items()
        ],
        "viewMaximized": False, "runListHidden": False, "isAccordionReordered": True, "hideEmptyCharts": True,
        "useGroupedValuesInCharts": True, "groupBy": None, "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }  # fmt: skip


def _scatter(x: tuple[str, str], y: tuple[str, str]) -> dict[str, Any]:
    axes = {name: {"type": kind, "key": key} for name, (kind, key) in (("xaxis", x), ("yaxis", y))}
    return {"type": "SCATTER", "metricSectionId": "results", "runsCountToCompare": 100, **axes}


def _bar(key: str) -> dict[str, Any]:
    return {"type": "BAR", "metricSectionId": "results", "runsCountToCompare": 100, "metricKey": key}


def _line(key: str) -> dict[str, Any]:
    return {
        "type": "LINE", "metricSectionId": "training", "runsCountToCompare": 100, "metricKey": key,
        "lineSmoothness": 0, "xAxisScaleType": "linear", "scaleType": "linear", "range": {}, "xAxisKey": "step",
        "selectedXAxisMetricKey": "", "yAxisKey": "metric", "yAxisExpressions": [], "ignoreOutliers": False,
        "useGlobalXaxisKey": True, "useGlobalLineSmoothing": True,
    }  # fmt: skip
