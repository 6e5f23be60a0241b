"""The run sheet: when, from which commit and at what cost the state of a page was made, on this machine.

`reports/runs/STATE.js` lies beside the page and completes it in a browser. Nothing hashes it, so that it may hold what
differs from run to run. write_report writes it; `make report` writes it again, for a page that came from a cache or
another machine.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import PipelineError
from pipeline.params.loading import flatten, load_params
from pipeline.project.defaults import committed_defaults
from pipeline.project.provenance import code_tags, experiment_tags
from pipeline.report.cost_documents import StageCost
from pipeline.report.inputs import ReportInputs, load_report_inputs, max_sampler_kl, samples_per_step
from pipeline.report.page_costs import cheapest_first, cost_table, decision_costs
from pipeline.report.palette import policy_looks
from pipeline.report.state import PAGE, RUNS, page_state, stale_reason
from pipeline.report.templates import template_environment
from pipeline.stage.costs import known_costs

_CALL, _END = "showRun(", ");\n"


@dataclass(frozen=True)
class Made:
    """How the state came to be. `here` is false where it came from elsewhere and was looked up afterwards."""

    date: str
    commit: str | None
    changed_code: bool
    experiment: str | None
    parameters: Mapping[str, str] | None
    """Parameters that differ from the committed ones, as `value (default)`; None where no default is known."""
    defaults: str
    """Which commit's params.yaml they were compared with."""
    here: bool = True


def write_run_sheet(root: Path, home: Path, name: str, inputs: ReportInputs) -> Path:
    """Say what this execution of write_report knows; the page was made now.

    Args:
        root: where the pipeline runs; `home` is the project, another folder in an experiment apart.
        name: of the page's state.
    """
    return _write(home, name, _made_now(root), inputs, stage_costs(root, home))


def look_up(root: Path) -> Path:
    """Write the sheet of the page that lies here again, with the costs that this machine knows.

    Raises:
        PipelineError: there is no page, or it is of another state than reports/comparison.json.
    """
    if (reason := stale_reason(root)) is not None:
        raise PipelineError(reason)
    state = page_state(root / PAGE)
    assert state is not None
    params = load_params(root / "params.yaml")
    optimize = params.optimize
    inputs = load_report_inputs(
        root,
        optimize.methods,
        optimize.seeds,
        samples_per_step(optimize),
        max_sampler_kl(optimize),
        plain_reward_loss=params.train_reward.loss_is_plain,
    )
    made = _earlier(root / RUNS / f"{state.name}.js") or replace(_made_now(root), here=False)
    return _write(root, state.name, made, inputs, stage_costs(root, root))


def stage_costs(root: Path, home: Path) -> dict[str, StageCost]:
    """What the stages took that wrote the outputs of dvc.lock; others, and those of other outputs, are absent."""
    known = known_costs(home)
    try:
        stages = YAML(typ="safe").load(root / "dvc.lock")["stages"]
        written = {name: {out["path"]: out["md5"] for out in entry.get("outs", [])} for name, entry in stages.items()}
        found = {name: known.of(name, outs) for name, outs in written.items()}
        return {name: StageCost.model_validate(costs) for name, costs in found.items() if costs}
    except (OSError, ValidationError, YAMLError, KeyError, TypeError):
        return {}


def _made_now(root: Path) -> Made:
    defaults, code, experiment = committed_defaults(root), code_tags(root), experiment_tags()
    values = flatten(load_params(root / "params.yaml").model_dump())
    return Made(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=code.get("git.commit"),
        changed_code=code.get("git.dirty") == "true",
        experiment=experiment.get("DVC_EXP_NAME"),
        parameters=defaults.changed(values) if defaults.values else None,
        defaults=defaults.label,
    )


def _write(home: Path, name: str, made: Made, inputs: ReportInputs, costs: Mapping[str, StageCost]) -> Path:
    path = home / RUNS / f"{name}.js"
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    sheet = {"state": name, "made": asdict(made), "slots": _slots(made, inputs, costs)}
    # "<" would end the script element if someone puts the sheet into a page
    text = json.dumps(sheet, indent=1, sort_keys=True).replace("<", "\\u003c")
    draft.write_text(f"{_CALL}{text}{_END}", encoding="utf-8")
    draft.replace(path)
    return path


def _slots(made: Made, inputs: ReportInputs, costs: Mapping[str, StageCost]) -> dict[str, str]:
    """HTML by the name of the element of the page that it is put into."""
    environment = template_environment()
    context: dict[str, Any] = {
        "made": made,
        "looks": policy_looks(inputs.policies),
        "costs": cost_table(inputs, costs),
        "rows": decision_costs(inputs, costs),
        "cheapest": cheapest_first(inputs, costs),
    }
    return {
        slot: environment.get_template(f"sheet_{slot}.html.j2").render(context)
        for slot in ("made", "changed", "costs", "decision", "cheapest")
    }


def _earlier(path: Path) -> Made | None:
    """When and from which commit the state was made, where an earlier sheet of it says so."""
    try:
        sheet = json.loads(path.read_text(encoding="utf-8").removeprefix(_CALL).removesuffix(_END))
        return Made(**sheet["made"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def main() -> None:
    """`make report`."""
    try:
        sheet = look_up(Path.cwd())
    except PipelineError as error:
        sys.exit(f"error: {error}")
    print(f"{sheet.relative_to(Path.cwd())}: costs and origin of the page, as far as this machine knows them")
    print(f"report: {PAGE.resolve()}")


if __name__ == "__main__":
    main()
