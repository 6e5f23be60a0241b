"""Recipes: the parameters of usual runs. `make recipe` lists them, `make recipe NAME=given-dpo` takes one.

A recipe is a small file of recipes/ with what it changes in params.yaml; everything else, comments included, stays.
"""

import argparse
import io
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.errors import PipelineError
from pipeline.params.dotted import DottedParams
from pipeline.params.loading import PARAMS_FILE, flatten, load_params, parse_params

FOLDER = Path("recipes")
DEFAULT = "embedded"
"""The recipe that takes back what all others change."""


def recipe_names(folder: Path = FOLDER) -> list[str]:
    """The names of all recipes."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def read_recipe(name: str, folder: Path = FOLDER) -> DottedParams:
    """What a recipe sets, by dotted key.

    Raises:
        PipelineError: there is no recipe of this name.
    """
    path = folder / f"{name}.yaml"
    if name not in recipe_names(folder):
        raise PipelineError(f"there is no recipe {name!r}; there are {', '.join(recipe_names(folder))}.")
    return {key: list(value) if isinstance(value, list) else value for key, value in _flat(YAML().load(path))}


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    # as `flatten`, with numbers as they are written
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def apply_recipe(text: str, changes: DottedParams) -> str:
    """params.yaml with other values; its comments stay.

    Raises:
        PipelineError: it has no such key, or the values do not fit together.
    """
    yaml = YAML()
    values = yaml.load(text)
    for dotted, value in changes.items():
        *parents, key = dotted.split(".")
        section = values
        for parent in parents:
            section = section.get(parent, {})
        if key not in section:
            raise PipelineError(f"params.yaml has no key {dotted}; correct the recipe.")
        # the same number in another notation is no change
        if section[key] != value or type(section[key]) is bool:
            section[key] = value
    written = io.StringIO()
    yaml.dump(values, written)
    parse_params(YAML(typ="safe").load(written.getvalue()), source="params.yaml with this recipe")
    return written.getvalue()


def left_over(text: str, changes: DottedParams, default: DottedParams) -> DottedParams:
    """Keys that other recipes set to something else than the default, and this one leaves as they are."""
    now = flatten(YAML(typ="safe").load(text))
    return {key: now[key] for key, value in default.items() if key not in changes and now[key] != value}


def main() -> None:
    """List recipes, or take one."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.params.recipes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", help="the recipe to take; without one they are listed")
    parser.add_argument("--source", help="your file or folder, in place of the one that the recipe names (data.source)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where the recipe is (default: {FOLDER})")
    parser.add_argument("--force", action="store_true", help="also where params.yaml has edits that are not in git")
    arguments = parser.parse_args()
    try:
        if arguments.name:
            _take(arguments.name, arguments.source, arguments.folder, force=arguments.force)
        else:
            print("\n".join(_list()))
    except PipelineError as error:
        sys.exit(f"error: {error}")


def _list() -> Iterator[str]:
    width = max(map(len, recipe_names()))
    for name in recipe_names():
        first = (FOLDER / f"{name}.yaml").read_text().splitlines()[0]
        yield f"  {name.ljust(width)}  {first.removeprefix('# ')}"
    yield "\nmake recipe NAME=... takes one. Each file of recipes/ says what else it needs."


def _take(name: str, source: str | None, folder: Path, *, force: bool) -> None:
    changes = {**read_recipe(name, folder), **({"data.source": source} if source else {})}
    before = PARAMS_FILE.read_text()
    load_params()
    after = apply_recipe(before, changes)
    if after == before:
        print(f"params.yaml already is what recipe {name} says.")
        return
    if not force and _has_edits():
        raise PipelineError("params.yaml has edits that are not in git. Commit them, or take the recipe with FORCE=1.")
    PARAMS_FILE.write_text(after)
    print("params.yaml:\n" + "\n".join(_differences(before, after)))
    if rest := left_over(after, changes, read_recipe(DEFAULT)):
        kept = ", ".join(f"{key}: {value}" for key, value in rest.items())
        print(f"\nkept from before: {kept}. `make recipe NAME={DEFAULT}` takes back what recipes change.")
    print(f"\nrecipe {name} is taken; `make check` says what it would do with your data, `make repro` runs it.")


def _differences(before: str, after: str) -> Iterator[str]:
    old, new = (flatten(YAML(typ="safe").load(text)) for text in (before, after))
    shown = {key: "null" if value is None else value for key, value in new.items()}
    width = max(len(key) for key in new if old[key] != new[key])
    for key in new:
        if old[key] != new[key]:
            yield f"  {key.ljust(width)}  {'null' if old[key] is None else old[key]} -> {shown[key]}"


def _has_edits() -> bool:
    """Whether git knows another params.yaml; without git nothing could be lost that it would have kept."""
    command = ["git", "status", "--porcelain", "--", str(PARAMS_FILE)]
    found = subprocess.run(command, capture_output=True, check=False)
    return found.returncode == 0 and bool(found.stdout)


if __name__ == "__main__":
    main()
