"""The entry point of every stage script: the command line, one execution, one clear message when it fails."""

import argparse
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from pydantic import ValidationError

from pipeline import group
from pipeline.errors import PipelineError
from pipeline.params.loading import load_params
from pipeline.project.graph import stage_declaration
from pipeline.results.document import as_pipeline_error
from pipeline.stage.execution import Released, Stage
from pipeline.stage.lock import stage_lock
from pipeline.stage.ranks import join_in, leave_reason, wait_for_end


def run_stage(
    main: Callable[..., None],
    *,
    description: str,
    matrix: Sequence[str] = (),
    stage: str | None = None,
    place: Mapping[str, str] | None = None,
) -> None:
    """Entry point of a stage script: parse the command line, run `main(stage)`, exit with 0, 1 or 130.

    Args:
        main: takes the `Stage`, and in a matrix stage the value of each axis that the command line names, as a text.
        description: the script's docstring, shown by `--help`.
        matrix: the axes that the command line names, such as `method` and `seed`, in the order of dvc.yaml.
        stage: its name in dvc.yaml; None where it has that of the script.
        place: the axes that the script itself decides, which dvc.yaml has before those of `matrix`.
    """
    script = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(
        prog=f"python -m stages.{script}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--traceback", action="store_true", help="show the Python traceback of an error")
    for axis in matrix:
        parser.add_argument(axis, help=f"one of optimize.{axis}s in params.yaml")
    told = vars(parser.parse_args())
    join_in()
    given = {axis: str(told[axis]) for axis in matrix}
    sys.exit(_execute(main, given, stage=stage or script, fixed=place or {}, show_traceback=told["traceback"]))


def _execute(
    main: Callable[..., None], given: Mapping[str, str], *, stage: str, fixed: Mapping[str, str], show_traceback: bool
) -> int:
    """Run `main(stage, *given)` as the stage at this place in the matrix, the axes of `fixed` before those given."""
    place = {**fixed, **given}
    name = f"{stage}@{'-'.join(place.values())}" if place else stage
    root = Path.cwd()
    running: Stage | None = None
    try:
        params = load_params(root / "params.yaml")
        declaration = stage_declaration(name, root)
        with stage_lock(root, name) if group.is_first() else nullcontext():
            running = Stage(name, root, params, declaration, place)
            running.begin()
            with suppress(Released):
                main(running, *given.values())
            running.succeed()
    except (Exception, KeyboardInterrupt) as raised:
        error = (as_pipeline_error(raised) or raised) if isinstance(raised, ValidationError) else raised
        if running is not None:
            running.fail()
        if isinstance(error, group.OthersEnded):
            wait_for_end()
            # no other process has failed, or torchrun would have ended this one: the exchange itself does not work
            leave_reason(f"error in {name}: {error}")
            return 1
        if isinstance(error, KeyboardInterrupt):
            if group.is_first():
                print(f"\n{name}: interrupted", file=sys.stderr)
            return 130
        known = isinstance(error, PipelineError) or (isinstance(error, OSError) and error.errno == 28)
        if show_traceback or not known:
            traceback.print_exc()
        text = f"error in {name}: {error}"
        if not leave_reason(text):
            print(f"\n{text}", file=sys.stderr)
        return 1
    return 0
