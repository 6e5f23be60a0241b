"""Say what each stage of a run will need, before anything runs: `python -m pipeline.plan`.

Parameters, bytes of memory by what they are for, disk, tokens and time, by the configs of the models, params.yaml, and
the lengths of the data where it can be read. Exits with 1 where something will not fit, and says what to change.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from pipeline.environment import set_environment
from pipeline.errors import PipelineError
from pipeline.params.loading import PARAMS_FILE, load_params

_UNITS = {"GiB": 2**30, "MiB": 2**20, "GB": 10**9, "MB": 10**6, "TB": 10**12, "TiB": 2**40}


def bytes_of(text: str) -> int:
    """Bytes of a size such as 24GiB; argparse tells people what is wrong with another one."""
    found = re.fullmatch(rf"\s*([0-9.]+)\s*({'|'.join(_UNITS)})\s*", text)
    if found is None or not float(found[1]) > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 24GiB or 80GB")
    return round(float(found[1]) * _UNITS[found[2]])


def main() -> None:
    """Plan the project in the current folder."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.plan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--params", type=Path, default=PARAMS_FILE, help="parameters to plan (default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="of another machine than this")
    parser.add_argument("--device-memory", type=bytes_of, metavar="24GiB", help="memory of that machine, or of its GPU")
    parser.add_argument("--teraflops", type=float, help="how fast that multiplies matrices, for times")
    parser.add_argument("--without-data", action="store_true", help="take the lengths that params.yaml allows")
    parser.add_argument("--json", action="store_true", help="for programs: bytes, tokens and seconds")
    asked = parser.parse_args()
    if (asked.device == "cuda" or asked.teraflops) and asked.device_memory is None:
        parser.error("another machine needs --device-memory, such as 24GiB")
    set_environment()
    try:
        params = load_params(asked.params)
        # they take seconds to import, and a wrong key should not wait for them
        from pipeline.memory.conditions import Machine
        from pipeline.plan.project import plan_project
        from pipeline.plan.text import as_json, render

        machine = None
        if asked.device_memory is not None:
            machine = Machine(asked.device or "cpu", asked.device_memory)
        plan = plan_project(params, Path.cwd(), machine=machine, teraflops=asked.teraflops, read=not asked.without_data)
    except PipelineError as error:
        sys.exit(f"error: {error}")
    print(json.dumps(as_json(plan), indent=2) if asked.json else render(plan), flush=True)
    sys.exit(1 if plan.problems else 0)


if __name__ == "__main__":
    main()
