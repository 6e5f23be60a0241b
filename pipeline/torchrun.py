"""A stage in several processes, or behind the words of `launch.command`: how it starts, and what is said when it fails.

    python -m pipeline.torchrun ARGUMENT ... -m stages.STAGE ...      torchrun's arguments

It is torchrun (`torch.distributed.run`), which starts the processes and ends them all when one of them fails. What it
would print then is a page a process; this says once, in a sentence, which process failed and why.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

    from pipeline.params.schema import Params

SHARED = (
    "train_sft", "train_reward", "train_dpo", "train_ppo", "train_hybrid", "collect_preferences", "score_reference",
    "evaluate_reward", "evaluate_sft", "evaluate_policy", "select_checkpoint", "find_regressions",
)  # fmt: skip
"""Scripts of stages whose work several processes share; the others are one process whatever `launch.processes` is."""
COMPUTE = (*SHARED, "fit_judge")
"""Scripts of stages that compute with networks: these start behind `launch.command`."""
PARENT = "PIPELINE_TORCHRUN"
"""The environment variable with the number of torchrun's process, with which the others end."""
_PLAIN = {"processes: 1", "nodes: 1", "command: []"}
_PORT = "29400"


def command_of(stage: str, arguments: Sequence[str], root: Path, environment: Mapping[str, str]) -> list[str] | None:
    """What to start a stage with where params.yaml asks for more than one plain process here; else None.

    Args:
        stage: its script.
        arguments: of the script.
        root: the project's folder.
        environment: of whom this is started by.

    Raises:
        PipelineError: params.yaml is not valid.
    """
    if stage not in COMPUTE or _is_plain(root / "params.yaml"):
        return None
    from pipeline.params.loading import load_params  # a tenth of a second, which a plain start need not spend

    params = load_params(root / "params.yaml")
    launch = params.launch
    processes = _processes(params) if stage in SHARED else 1
    nodes = launch.nodes if stage in SHARED else 1
    program = ["-m", f"stages.{stage}", *arguments]
    if processes * nodes > 1:
        program = ["-m", "pipeline.torchrun", *_meeting(nodes, environment), f"--nproc-per-node={processes}", *program]
    elif not launch.command:
        return None
    return [*launch.command, sys.executable, *program]


def become_several(stage: str, arguments: Sequence[str], root: Path, environment: Mapping[str, str]) -> None:
    """Become what `command_of` says, which does not return; or return, where a stage is one plain process.

    Raises:
        SystemExit: with a sentence, where it cannot be started.
    """
    try:
        if command := command_of(stage, arguments, root, environment):
            replace_process(command, environment)  # the process that writes starts a mirror of its own
    except PipelineError as error:
        sys.exit(f"error in {stage}: {error}")


def replace_process(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Become the command.

    Raises:
        PipelineError: it is not there.
    """
    try:
        os.execvpe(command[0], list(command), dict(environment))
    except OSError as error:
        raise PipelineError(
            f"params.yaml: launch.command begins with {command[0]}, which cannot be started ({error.strerror}). "
            "Install it, or correct the key."
        ) from error


def _is_plain(params: Path) -> bool:
    """Whether the section says one process and no command, seen without reading all of the file."""
    try:
        _, found, section = params.read_text().partition("\nlaunch:\n")
    except (OSError, UnicodeDecodeError):
        return True  # the stage says what is wrong
    lines = []
    for line in section.splitlines():
        if line and not line.startswith((" ", "#")):
            break
        if line.strip() and not line.lstrip().startswith("#"):
            lines.append(line.strip())
    return bool(found) and set(lines) == _PLAIN


def _processes(params: "Params") -> int:
    """On each node: the number, or that of the GPUs for `auto`."""
    if params.launch.processes != "auto":
        return params.launch.processes
    if params.runtime.device == "cpu":
        return 1
    import torch

    return max(1, torch.cuda.device_count())


def _meeting(nodes: int, environment: Mapping[str, str]) -> list[str]:
    """Arguments that say where torchruns of several nodes meet: on the node that this is started from."""
    if nodes == 1:
        return ["--standalone"]
    import socket

    host, port = environment.get("MASTER_ADDR", socket.gethostname()), environment.get("MASTER_PORT", _PORT)
    job = environment.get("SLURM_JOB_ID", "stage")
    return [f"--nnodes={nodes}", "--rdzv-backend=c10d", f"--rdzv-endpoint={host}:{port}", f"--rdzv-id={job}"]


def main() -> None:
    """Run torchrun; exit with 0, with 1 when a process has failed, or as a signal ends a command."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    arguments = run.parse_args(sys.argv[1:])
    _prepare(int(arguments.nproc_per_node))
    try:
        run.run(arguments)
    except SignalException as error:
        sys.exit(128 + error.sigval)
    except ChildFailedError as error:
        words = [arguments.training_script.removeprefix("stages."), *arguments.training_script_args]
        size = int(arguments.nproc_per_node) * int(arguments.nnodes.split(":")[-1])
        if (text := failure_text(" ".join(words), size, error.failures)) is not None:
            print(f"\n{text}", file=sys.stderr)
        sys.exit(1)


def _prepare(processes: int) -> None:
    """Tell the processes whom they end with, and leave to each its share of the cores."""
    import logging

    from pipeline.processes import usable_cores

    logging.disable(logging.ERROR)  # what is wrong is said below, once
    os.environ[PARENT] = str(os.getpid())
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // processes)))


def failure_text(stage: str, size: int, failures: Mapping[int, "ProcessFailure"]) -> str | None:
    """One sentence about the process that failed first; None where it was interrupted, which it says itself.

    Args:
        stage: its name.
        size: how many processes there were.
        failures: by rank, of all processes that had failed when torchrun had ended them.
    """
    # one that said why; or that ended by itself, and not because torchrun ends those that are left; or any
    rank, failure = min(failures.items(), key=lambda item: (_by_itself(item[1]), item[1].timestamp, item[0]))
    if failure.exitcode == _INTERRUPTED:
        return None
    where = f"(rank {rank} of {size} processes)"
    if isinstance(failure.message, dict):
        name, _, text = failure.message["message"].partition(": ")
        return f"{name} {where}: {text}"
    if failure.exitcode >= 0:
        why = f"it ended with code {failure.exitcode} and said no more"
    else:
        hint = ", as the system does when memory runs out" if failure.signal_name() == "SIGKILL" else ""
        why = f"it was killed by signal {-failure.exitcode} ({failure.signal_name()}){hint}"
    return f"error in {stage} {where}: {why}. Run it again: it goes on from the last state."


def _by_itself(failure: "ProcessFailure") -> int:
    """0 where the process said why, 1 where it ended otherwise, 2 where torchrun may have ended it."""
    return 0 if isinstance(failure.message, dict) else 2 if failure.signal_name() == "SIGTERM" else 1


_INTERRUPTED = 130

if __name__ == "__main__":
    main()
