"""Reads params.yaml of any age without checking its keys: an old file need not have those of the present version."""

from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import PipelineError
from pipeline.params.dotted import DottedParams
from pipeline.params.loading import flatten
from pipeline.project.lockfile import revision_file

_FILE = "params.yaml"


def read_parameters(root: Path, revision: str | None) -> DottedParams:
    """Values by dotted key, of a git revision or of the working folder; empty if there is no such file.

    Raises:
        PipelineError: it cannot be read.
    """
    path = root / _FILE
    if revision is not None:
        content = revision_file(root, revision, _FILE)
    else:
        content = path.read_bytes() if path.is_file() else None
    where = f"{_FILE} at {revision}" if revision is not None else _FILE
    try:
        values = YAML(typ="safe").load((content or b"{}").decode("utf-8-sig"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise PipelineError(f"{where} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise PipelineError(f"{where} cannot be read: it holds no sections. `git checkout {_FILE}` brings it back.")
    return flatten(values)
