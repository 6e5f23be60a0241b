"""Which modules of this repository a stage script imports, directly or not: they belong in its deps in dvc.yaml.

`python -m pipeline.project.closure` prints the code deps of every script; a test holds dvc.yaml against them.
"""

import ast
from pathlib import Path

# No result depends on these: a better error message or progress bar must not retrain a model.
BOOKKEEPING = (
    "pipeline/stage/",
    "pipeline/memory/",
    "pipeline/project/",
    "pipeline/params/",
    "pipeline/progress.py",
    "pipeline/errors.py",
    "pipeline/resume.py",
    # what stands beside the page and in no output
    "pipeline/report/run_sheet.py",
    # how a reply of a chat judge is fetched and kept; what is asked and how it is read is in rules.py and chat.py
    "pipeline/judges/endpoint.py",
    "pipeline/judges/pace.py",
    "pipeline/judges/replies.py",
)


def code_closure(script: Path, root: Path) -> list[str]:
    """Paths, relative to `root` and sorted, of `script` and every module it needs.

    Bookkeeping is left out, with what only it imports: whoever computes imports what decides the result itself.
    Package `__init__.py` files hold a docstring only, so they are left out, too.
    """
    todo, seen = [script], set()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        if path.relative_to(root).as_posix().startswith(BOOKKEEPING):
            continue
        todo += [found for name in _imported_modules(path) if (found := _module_file(name, root))]
    names = (path.relative_to(root).as_posix() for path in seen)
    return sorted(name for name in names if not name.startswith(BOOKKEEPING))


def _imported_modules(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _module_file(name: str, root: Path) -> Path | None:
    path = root.joinpath(*name.split(".")).with_suffix(".py")
    return path if path.is_file() else None


def main() -> None:
    """Print the code deps of every stage script."""
    root = Path.cwd()
    for script in sorted(root.glob("stages/[!_]*.py")):
        print(script.stem)
        for name in code_closure(script, root):
            print(f"      - {name}")


if __name__ == "__main__":
    main()
