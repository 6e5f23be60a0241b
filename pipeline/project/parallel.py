"""Stages that do not wait for each other, side by side on several GPUs: methods, seeds, evaluations.

    python -m pipeline.project.parallel 0,1           everything that `dvc repro` would run, on GPUs 0 and 1

Every stage is run by its own `dvc repro --single-item`, which sees one GPU; DVC's locks protect dvc.lock and the
outputs. The results are those of `dvc repro`, because no stage depends on what runs beside it.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.project.graph import stages_before

Start = Callable[[str, str], "subprocess.Popen[str]"]
"""Starts a stage (first argument) on a device (second)."""
_PAUSE = 0.2


def main() -> None:
    """Exit with 1 if a stage fails; stages that are running then finish, and no other is started."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("devices", help="numbers of GPUs, as nvidia-smi lists them: 0,1")
    arguments = parser.parse_args()
    try:
        devices = check_devices(arguments.devices, _count_gpus())
        run_side_by_side(stages_before(Path.cwd()), devices, _start)
    except PipelineError as error:
        sys.exit(f"error: {error}")


def check_devices(named: str, present: int) -> list[str]:
    """The devices that a list names.

    Args:
        named: numbers with commas between.
        present: how many GPUs this machine has.

    Raises:
        PipelineError: fewer than two are named, one is named twice, or one does not exist.
    """
    devices = [device.strip() for device in named.split(",") if device.strip()]
    if len(set(devices)) != len(devices) or len(devices) < 2:
        raise PipelineError(
            f"DEVICES={named}: name two GPUs or more, each once. Two stages on one device would share its memory and "
            "take as long; for one, run `make repro`."
        )
    unknown = [device for device in devices if not device.isdigit() or int(device) >= present]
    if unknown:
        raise PipelineError(
            f"DEVICES={named}: this machine has {present} GPUs, with numbers from 0; {', '.join(unknown)} is none."
        )
    return devices


def run_side_by_side(before: Mapping[str, set[str]], devices: Sequence[str], start: Start) -> None:
    """Run all stages, each once the stages that it waits for have succeeded and a device is free.

    Args:
        before: the stages in an order in which they can run, each with those that it waits for.
        devices: each runs one stage at a time.
        start: starts a stage.

    Raises:
        PipelineError: naming the stages that failed.
    """
    waiting, done, failed = list(before), set[str](), list[str]()
    running: dict[str, tuple[str, subprocess.Popen[str]]] = {}
    while running or (waiting and not failed):
        free = [device for device in devices if device not in running]
        ready = [name for name in waiting if before[name] <= done] if not failed else []
        for device, name in zip(free, ready, strict=False):
            waiting.remove(name)
            running[device] = (name, start(name, device))
        if not running:
            raise PipelineError(f"these stages wait for each other: {', '.join(waiting)}")
        time.sleep(_PAUSE)
        for device, (name, process) in list(running.items()):
            if process.poll() is not None:
                del running[device]
                (failed.append if process.returncode else done.add)(name)
    if failed:
        raise PipelineError(
            f"failed: {', '.join(failed)}. Not begun: {', '.join(waiting) or 'none'}. What went wrong stands above; "
            "after the next start, stages that have succeeded are not repeated."
        )


def _start(name: str, device: str) -> "subprocess.Popen[str]":
    print(f"GPU {device}: {name}", flush=True)
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": device}
    command = ["dvc", "--wait-for-lock", "repro", "--single-item", name]
    return subprocess.Popen(command, env=environment, text=True)


def _count_gpus() -> int:
    import torch

    return torch.cuda.device_count()


if __name__ == "__main__":
    main()
