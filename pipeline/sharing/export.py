"""Write a released policy in another form: `python -m pipeline.sharing.export dpo --form adapter [--base OWNER/NAME]`.

adapter: its adapters alone, as PEFT loads them onto the model that they were trained on.
gguf: one file for llama.cpp and ollama, by the converter of a checkout of llama.cpp (--llama-cpp PATH).
"""

import argparse
import shutil
import sys
from pathlib import Path

from pipeline.environment import set_environment
from pipeline.errors import PipelineError
from pipeline.sharing.adapter import write_adapter
from pipeline.sharing.gguf_form import write_gguf
from pipeline.sharing.hub import check_repository
from pipeline.sharing.variants import ADAPTER, GGUF, seal_export, variant_folder

FORMS = (ADAPTER, GGUF)


def main() -> None:
    """Parse the command line; exit 1 with a message for what a user can mend."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.sharing.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("policy", help="a folder of artifacts/release: dpo, ppo")
    parser.add_argument("--form", choices=FORMS, required=True)
    parser.add_argument("--base", metavar="OWNER/NAME", help="adapter: where the model that they lie on was published")
    parser.add_argument("--llama-cpp", type=Path, default=Path("llama.cpp"), metavar="PATH", help="gguf: a checkout")
    arguments = parser.parse_args()
    set_environment()
    try:
        export(Path.cwd(), arguments)
    except PipelineError as error:
        sys.exit(f"error: {error}")


def export(root: Path, arguments: argparse.Namespace) -> None:
    """Write it beside the folder that it replaces, and put it there when it is whole."""
    if arguments.base is not None:
        check_repository(arguments.base)
    folder = variant_folder(root, arguments.policy, arguments.form)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    try:
        if arguments.form == ADAPTER:
            write_adapter(root, arguments.policy, unfinished, base_repo=arguments.base)
        else:
            write_gguf(root, arguments.policy, unfinished, llama_cpp=arguments.llama_cpp)
        seal_export(root, arguments.policy, unfinished)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder.relative_to(root)}: {len(list(folder.iterdir()))} files, {size / 2**20:,.1f} MiB")


if __name__ == "__main__":
    main()
