"""DVC that writes dvc.lock in a quarter of the time: `python quick_dvc.py ARGUMENT ...`.

After each stage DVC reads and writes that file with comments and layout kept, in Python alone: 1.5 s of a core, and
tests run a hundred stages. There are no comments in it, and the bytes are the same
(`test_the_lock_file_is_as_dvc_itself_writes_it`).
"""

import re
import shlex
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

import dvc.dvcfile
from dvc.cli import main
from dvc.utils.serialize import modify_yaml
from dvc.utils.serialize._common import _modify_data
from dvc.utils.serialize._yaml import parse_yaml
from ruamel.yaml import YAML, SafeRepresenter


class _Representer(SafeRepresenter):
    """Nothing is written as nothing, and keys are in their order."""

    def represent_nothing(self, _: None) -> Any:
        return self.represent_scalar("tag:yaml.org,2002:null", "")


_Representer.add_representer(type(None), _Representer.represent_nothing)
_Representer.add_representer(OrderedDict, _Representer.represent_dict)


def dump(values: Any, stream: TextIO) -> None:
    """Write the content of a dvc.lock."""
    yaml = YAML(typ="safe")
    yaml.Representer = _Representer
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    text = StringIO()
    yaml.dump(values, text)
    stream.write(re.sub(r" +$", "", text.getvalue(), flags=re.MULTILINE))  # behind a colon with nothing


@contextmanager
def _modify(path: str, fs: Any = None) -> Iterator[Any]:
    modify: Callable[..., AbstractContextManager[Any]] = _modify_data
    with modify(path, parse_yaml, dump, fs=fs) if str(path).endswith(".lock") else modify_yaml(path, fs=fs) as values:
        yield values


def write_command(folder: Path) -> None:
    """Write a program `dvc` that is this one, for the PATH."""
    program = folder / "dvc"
    program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(Path(__file__).resolve())])} "$@"\n')
    program.chmod(0o755)


if __name__ == "__main__":
    sys.path.pop(0)  # tests/ has a folder `data` and the like
    dvc.dvcfile.modify_yaml = _modify
    sys.exit(main())
