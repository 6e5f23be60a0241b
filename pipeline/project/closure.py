"""Which modules of this repository a stage script imports, directly or not: they are its code deps in dvc.yaml.

`make graph` (`python -m pipeline.project.closure`) writes them there, and a test holds dvc.yaml against them. All else
in dvc.yaml is written by hand and stays as it is.
"""

import ast
import re
import sys
from functools import cache
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.params.optimize import METHODS

# No result depends on these modules: a better error message or progress bar must not retrain a model.
BOOKKEEPING = (
    "pipeline/stage/",
    "pipeline/memory/",
    "pipeline/project/",
    "pipeline/params/",
    "pipeline/progress.py",
    "pipeline/errors.py",
    "pipeline/resume.py",
    # how servers are asked; what they are asked is with those who ask
    "pipeline/endpoints/",
    # writes a file beside the page that is no output of a stage
    "pipeline/report/run_sheet.py",
    # how a reply of a chat judge is fetched and kept; what is asked and how it is read is in rules.py and chat.py
    "pipeline/judges/endpoint.py",
    "pipeline/judges/replies.py",
)

# Stages whose outputs say which code made the models: they depend on the code of all stages but those below.
TELL_OF_ALL_CODE = ("publish_models",)
# Stages that make no model: they check, measure, report or publish.
MAKE_NO_MODEL = ("check", "evaluate_sft", "evaluate_policy", "write_report", "publish_models")


def code_closure(script: Path, root: Path) -> list[str]:
    """Paths, relative to `root` and sorted, of `script` and every module it needs.

    Bookkeeping is left out, and so is what nothing but bookkeeping imports: code that decides a result is imported by
    the modules that compute it. Package `__init__.py` files hold only a docstring and are left out, too.
    """
    todo, seen = [script], set()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        if path.relative_to(root).as_posix().startswith(BOOKKEEPING):
            continue
        todo += [file for name in imported_modules(path) if (file := _module_file(name, root))]
    names = (path.relative_to(root).as_posix() for path in seen)
    return sorted(name for name in names if not name.startswith(BOOKKEEPING))


def imported_modules(path: Path) -> list[str]:
    """Dotted names that a module imports, those of what it imports from a module among them."""
    return list(_imports(path.read_text()))


@cache  # most scripts import the same modules
def _imports(source: str) -> tuple[str, ...]:
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(names)


def _module_file(name: str, root: Path) -> Path | None:
    path = root.joinpath(*name.split(".")).with_suffix(".py")
    return path if path.is_file() else None


def with_code_deps(graph: str, root: Path) -> str:
    """A dvc.yaml with the code deps of every stage as its script's imports say, sorted, after its other deps.

    A stage in TELL_OF_ALL_CODE also gets the code of all stages that make models.

    Args:
        graph: the text of dvc.yaml; comments and everything else that is no code dep stay as they are.
        root: of the repository, with `stages/`.

    Raises:
        PipelineError: a stage has no script of its name or no `deps:`.
    """
    head, *blocks = re.split(r"(?m)^(?=  \w+:$)", graph)
    named = {block.split(":", 1)[0].strip(): block for block in blocks}
    code: dict[str, set[str]] = {}
    for name, block in named.items():
        scripts = _of_each_method(_script(name, block))
        for script in scripts:
            if not (root / script).is_file():
                raise PipelineError(f"dvc.yaml: stage {name} has no script {script}. Add it, or remove the stage.")
        code[name] = {path for script in scripts for path in code_closure(root / script, root)}
    for name in TELL_OF_ALL_CODE:
        if name in code:
            code[name] |= set().union(*(code[other] for other in named if other not in MAKE_NO_MODEL))
    return head + "".join(_with_deps(name, block, code[name]) for name, block in named.items())


def _script(name: str, block: str) -> str:
    """The script that a stage's command runs, templates as they are; that of its own name where it says nothing.

    Args:
        block: the stage's part of dvc.yaml.
    """
    command = re.search(r"(?m)^    cmd: python -m pipeline\.launch (\S+)", block)
    return f"stages/{command[1] if command else name}.py"


def _of_each_method(script: str) -> list[str]:
    """The scripts of all methods, where there is one for each."""
    return list(dict.fromkeys(script.replace("${item.method}", method) for method in METHODS))


def _with_deps(name: str, block: str, code: set[str]) -> str:
    if "\n    deps:\n" not in block:
        raise PipelineError(f"dvc.yaml: stage {name} has no `deps:`, where its code belongs. Add the key.")
    kept = re.sub(r"(?m)^      - (pipeline|stages)/\S+\.py\n", "", block)
    before, after = kept.split("\n    deps:\n", 1)
    others = re.match(r"(?:      .*\n)*", after)
    data = others.group() if others else ""
    # of the scripts of all methods, a policy depends on that of its own
    script = _script(name, block)
    own = code.difference(_of_each_method(script)) | {script}
    lines = "".join(f"      - {path}\n" for path in sorted(own))
    return f"{before}\n    deps:\n{data}{lines}{after[len(data) :]}"


def main() -> None:
    """Write the code deps of every stage into ./dvc.yaml."""
    path = Path("dvc.yaml")
    try:
        before = path.read_text()
        after = with_code_deps(before, Path.cwd())
    except (PipelineError, OSError) as error:
        sys.exit(f"error: {error}")
    if after == before:
        print("dvc.yaml already names the code of every stage.")
        return
    path.write_text(after)
    print("dvc.yaml: code deps written anew. `dvc status` lists the stages that this makes run again.")


if __name__ == "__main__":
    main()
