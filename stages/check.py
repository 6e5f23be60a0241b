"""check: everything that can be known of data and parameters, before the first model is trained."""

from pipeline.check.project import check_project
from pipeline.check.settings import settings_of
from pipeline.check.text import render, verdict
from pipeline.errors import PipelineError
from pipeline.params.loading import PARAMS_FILE
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage


def main(stage: Stage) -> None:
    """Look, tell, and stop where the run would stop later; what is written is always the same."""
    findings = check_project(settings_of(stage.params), stage.root, stage.root / ".state/check/policy")
    print(render(findings, stage.root / PARAMS_FILE), flush=True)
    if findings.errors:
        raise PipelineError(f"{verdict(findings)} They are above; the first: {findings.errors[0]}")
    # no counts: what follows runs again when data or parameters change it, not because they were looked at
    stage.write_json("artifacts/check.json", {"passed": True})
    stage.log_final({"warnings": len(findings.warnings)})


if __name__ == "__main__":
    run_stage(main, description=__doc__)
