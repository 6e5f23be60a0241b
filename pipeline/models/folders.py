"""Model folders of this pipeline: a whole model, or adapters that name the model that they lie on."""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, GenerationConfig, PretrainedConfig

from pipeline.errors import PipelineError

BASE = "base.json"
"""In a folder of adapters: the model that they were trained on."""
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
"""As PEFT names them."""
_GENERATION_CONFIG = "generation_config.json"


@dataclass(frozen=True)
class Base:
    """The model that adapters lie on."""

    folder: str
    """From the project's root, such as artifacts/sft."""
    sha256: str
    """`weights_hash` of that folder."""

    @classmethod
    def of(cls, folder: Path, root: Path) -> "Base":
        """A model folder inside the project at `root`, as it is now."""
        return cls(folder.relative_to(root).as_posix(), weights_hash(folder))

    @classmethod
    def read(cls, adapters: Path) -> "Base":
        """That of a folder of adapters."""
        return cls(**json.loads((adapters / BASE).read_text()))

    def write(self, adapters: Path) -> None:
        """As JSON, into a folder of adapters."""
        (adapters / BASE).write_text(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")


def has_adapters_alone(folder: Path | str) -> bool:
    """Whether a model folder holds adapters, and the weights that they lie on are elsewhere."""
    return (Path(folder) / ADAPTER_CONFIG).is_file()


def base_folder(adapters: Path) -> Path:
    """Where the model lies that adapters were trained on: below one of the folders that they are in.

    Raises:
        PipelineError: it is not there, or has other weights.
    """
    base = Base.read(adapters)
    # as the folder is named: `artifacts` itself may be a link to a larger disk
    found = next((above / base.folder for above in adapters.absolute().parents if (above / base.folder).is_dir()), None)
    if found is None:
        raise PipelineError(f"{adapters}: they lie on {base.folder}, which is missing. `dvc repro` builds it.")
    if weights_hash(found) != base.sha256:
        raise PipelineError(
            f"{adapters}: these adapters were trained on other weights than those that {base.folder} has now "
            f"({BASE} has their hash). `dvc repro` trains them again, `dvc checkout` restores what belonged to them."
        )
    return found


def whole_model(folder: Path) -> Path:
    """The folder with config and whole weights: `folder` itself, or what its adapters lie on in the end."""
    while has_adapters_alone(folder):
        folder = base_folder(folder)
    return folder


def weights_hash(folder: Path) -> str:
    """sha256 of a model's weights; of several files, that of their hashes in the order of their names.

    Adapters are hashed together with the hash of what they lie on.
    """
    digests = [_digest(file) for file in sorted(folder.glob("*.safetensors"))]
    if has_adapters_alone(folder):
        digests.append(Base.read(folder).sha256)
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def config_of(folder: Path) -> PretrainedConfig:
    """The configuration of a model, without its weights."""
    whole = whole_model(folder)
    return AutoConfig.from_pretrained(whole, trust_remote_code=brings_code(whole))


def stored_generation_config(folder: Path) -> GenerationConfig | None:
    """generation_config.json of a model, of adapters that of the weights that they lie on; None without the file."""
    whole = whole_model(folder)
    return GenerationConfig.from_pretrained(whole) if (whole / _GENERATION_CONFIG).is_file() else None


def stored_dtype(folder: Path) -> torch.dtype:
    """Number format in which the weights are stored, of adapters that of the weights that they lie on."""
    name = json.loads((whole_model(folder) / "config.json").read_text()).get("dtype") or "float32"
    return getattr(torch, name)


_RESTORE = "Restore it with `dvc checkout`, or build it again."


@contextmanager
def open_weights(file: Path, *, advice: str = _RESTORE) -> Iterator[safe_open]:
    """An open safetensors file, whose table of contents says how long it is.

    Args:
        advice: what to do with a damaged file.

    Raises:
        PipelineError: naming the file that is damaged or cut short.
    """
    try:
        opened = safe_open(file, framework="pt")
    except (SafetensorError, OSError) as error:
        raise PipelineError(f"{file} is damaged or cut short ({' '.join(str(error).split())}). {advice}") from error
    with opened as weights:
        yield weights


def check_weights(folder: Path | str, *, advice: str = _RESTORE) -> None:
    """Open every safetensors file of a model, see `open_weights`.

    Args:
        folder: a model's; of a hub id there is nothing to look at.
    """
    for file in sorted(Path(folder).glob("*.safetensors")):
        with open_weights(file, advice=advice):
            pass


def stored_sizes(folder: Path) -> dict[str, int]:
    """How many numbers each tensor of a folder's safetensors files has, by name, as their headers say.

    Raises:
        PipelineError: naming the file that is damaged or cut short.
    """
    sizes: dict[str, int] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with open_weights(file) as weights:
            sizes |= {name: math.prod(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
    return sizes


def brings_code(folder: Path | str) -> bool:
    """Whether the model is loaded with Python code of its own.

    fetch_models stores such code only where params.yaml says that it may be run.
    """
    return "auto_map" in json.loads((whole_model(Path(folder)) / "config.json").read_text())


def link_files(source: Path, target: Path) -> None:
    """The files of `source` under a second name in `target`; folders inside it are left out.

    To change one of them, remove it first: it is the same file.
    """
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.iterdir()):
        if file.is_file():
            link_or_copy(file, target / file.name)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """A second name for a file, or a copy where the disk has no hard links: for `shutil.copytree` of weights."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def _digest(file: Path) -> str:
    stat = file.stat()
    return _digest_as_of(file, stat.st_size, stat.st_mtime_ns)


@cache
def _digest_as_of(file: Path, _size: int, _changed: int) -> str:
    """Read once in a process, as long as the file stays as it is: a stage loads a large model several times."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
