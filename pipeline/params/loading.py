"""params.yaml to `Params`, with errors that name the dotted key."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML, YAMLError

from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.params.aliases import refuse_bombs
from pipeline.params.dotted import DottedParams
from pipeline.params.schema import Params

PARAMS_FILE = Path("params.yaml")
_LARGEST_FILE = 2**20
"""Bytes; the file of the repository has less than a twentieth of them."""


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check params.yaml.

    YAML 1.2 through ruamel, as DVC reads it: PyYAML would read `1e-4` as a string and `on` as true.

    Raises:
        PipelineError: the file is missing, is no YAML, or has an unknown, missing or wrong key.
    """
    if not path.is_file():
        raise PipelineError(f"{path}: no such file. Run the command in the root of the repository.")
    if path.stat().st_size > _LARGEST_FILE:
        raise PipelineError(f"{path}: {path.stat().st_size:,} bytes, more than {_LARGEST_FILE:,}: these are no params.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        refuse_bombs(text, source=str(path))
        values = YAML(typ="safe").load(text)
    except (YAMLError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(values, Mapping):
        raise PipelineError(f"{path}: expected sections, found {type(values).__name__}")
    return parse_params(values, source=str(path))


def parse_params(values: Mapping[str, Any], *, source: str = "params") -> Params:
    """Check a mapping against the schema; `source` is named in errors."""
    problems = [f"  {key}: {_REFERENCE}, got {_shown(text)}" for key, text in _references(values)]
    try:
        params = Params.model_validate(dict(values))
    except ValidationError as error:
        problems += [f"  {_dotted(item['loc'])}: {_explain(item)}" for item in error.errors()]
    if problems:
        raise PipelineError(f"{source} has {len(problems)} problem(s):\n" + "\n".join(problems))
    return params


def flatten(values: Mapping[str, Any], prefix: str = "") -> DottedParams:
    """Nested mappings to dotted keys."""
    parts = (
        flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
        for key, value in values.items()
    )
    return {key: value for part in parts for key, value in part.items()}


_REFERENCE = "`${` and a lone ??? are no texts to DVC, which puts something else there when it writes the file"


def _references(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Texts that `dvc exp run -S` would replace, even where it sets another key, with their dotted keys."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _references(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _references(item, f"{key}.{number}")
    elif isinstance(value, str) and ("${" in value or value == "???"):
        yield key, value


def _dotted(location: tuple[Any, ...]) -> str:
    # pydantic appends the names of union members, which are not keys of the file
    keys = [str(part) for part in location if not (isinstance(part, str) and ("[" in part or part in _UNION_MEMBERS))]
    return ".".join(keys) or "(top level)"


_SHOWN = 200
"""Characters of a wrong value in an error."""
_UNION_MEMBERS = {"int", "constrained-int", "str", "constrained-str", "list"}


_MOVED = {
    f"sampling.{name}": f"moved to collect_preferences.{name}: PPO's log-probs and every KL are those of the whole "
    "softmax, so PPO and evaluation sample from all of it. Move the key there, or remove it"
    for name in ("top_k", "top_p")
}


def _explain(item: Any) -> str:
    if item["type"] == "extra_forbidden" and (moved := _MOVED.get(_dotted(item["loc"]))):
        return moved
    if item["type"] == "extra_forbidden":
        return "unknown key; remove it or correct its spelling"
    if item["type"] == "missing":
        return "missing key; add it (`git diff params.yaml` shows what was removed)"
    message = item["msg"].removeprefix("Value error, ")
    return message if item["type"] == "value_error" else f"{message}, got {_shown(item['input'])}"


def _shown(value: Any) -> str:
    return shorten(repr(value), _SHOWN)


def main() -> None:
    """Check params.yaml before anything else reads it, such as DVC, which unfolds every alias."""
    try:
        load_params()
    except PipelineError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
