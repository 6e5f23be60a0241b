"""A policy as its adapters alone: megabytes beside the gigabytes of the model that they lie on."""

import json
import re
import shutil
from pathlib import Path

from huggingface_hub import ModelCard

from pipeline.errors import PipelineError
from pipeline.models.folders import ADAPTER_CONFIG, ADAPTER_WEIGHTS, Base, has_adapters_alone, weights_hash
from pipeline.release.origins import made_by
from pipeline.results.comparison import Comparison
from pipeline.results.document import read_document
from pipeline.sharing.objections import broken
from pipeline.sharing.variants import RELEASE, STATEMENT, released, with_files

REPORT, START = "reports/comparison.json", "artifacts/models/policy"
_WHOLE = ("README.md", STATEMENT, "config.json")
_SNIPPET = """```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained("{base}")  # weights with sha256 {digest}
model = PeftModel.from_pretrained(base, "path/to/this/folder")
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
```"""


def write_adapter(root: Path, name: str, folder: Path, *, base_repo: str | None) -> None:
    """Adapters, tokenizer, chat template, sampling and card of a released policy, in a new folder.

    Args:
        base_repo: where the model that they lie on was published; None leaves its path in this project.

    Raises:
        PipelineError: it has no adapters, or what they lie on is not among the released models.
    """
    release = released(root, name)
    adapters = _find(root, name)
    base = _base(root, adapters)
    folder.mkdir()
    for file in release.iterdir():
        if file.name not in _WHOLE and file.suffix not in (".safetensors", ".py"):
            shutil.copy(file, folder)
    shutil.copy(adapters / ADAPTER_WEIGHTS, folder)
    config = json.loads((adapters / ADAPTER_CONFIG).read_text())
    named = base_repo or base.relative_to(root).as_posix()
    config["base_model_name_or_path"] = named
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    card = _card(release / "README.md", folder, named, weights_hash(base), hub=base_repo is not None)
    (folder / "README.md").write_text(card)


def _find(root: Path, name: str) -> Path:
    """Where the adapters of a policy lie, of several seeds those of the released one."""
    folder = root / made_by(name, read_document(root / REPORT, Comparison))[0]
    if not has_adapters_alone(folder):
        raise PipelineError(
            f"{name} has no adapters of its own: {folder.relative_to(root)} is a whole model. A policy that was "
            "trained in full has none, and a reward model's are merged into its weights. Share it merged."
        )
    return folder


def _base(root: Path, adapters: Path) -> Path:
    """The whole model that adapters were trained on: the starting one, or a released one.

    Raises:
        PipelineError: no model here has the weights that the adapters were trained on.
    """
    base = Base.read(adapters)
    comparison = read_document(root / REPORT, Comparison)
    names = [path.name for path in sorted((root / RELEASE).iterdir()) if path.is_dir() and path.name != "reward_model"]
    wholes = {START: START} | {made_by(name, comparison)[0]: f"{RELEASE}/{name}" for name in names}
    for trained, whole in wholes.items():
        if (root / trained).is_dir() and weights_hash(root / trained) == base.sha256 and _is_intact(root / whole):
            return root / whole
    raise PipelineError(
        f"{adapters.relative_to(root)} was trained on {base.folder} with the hash {base.sha256}, and no whole model "
        f"with that hash is here. If {base.folder} or its model in {RELEASE} was changed, `make repro` builds both "
        "again. If the release is of another seed than the adapters, leave one seed in optimize.seeds."
    )


def _is_intact(whole: Path) -> bool:
    return not (whole / STATEMENT).is_file() or not broken(whole)


def _card(source: Path, folder: Path, base: str, digest: str, *, hub: bool) -> str:
    """The card of the whole model, with other metadata, code and files.

    Args:
        base: what the adapters lie on, a repository of a hub or a folder.
        digest: `weights_hash` of it.
    """
    card = ModelCard(source.read_text())
    data = card.data
    data.base_model = base if hub else None
    data.base_model_relation = "adapter" if hub else None
    data.library_name = "peft"
    data.tags = [*(data.tags or []), "lora"]
    snippet = _SNIPPET.format(base=base, digest=digest)
    text = re.sub(r"```python\n.*?```", lambda _: snippet, card.text, count=1, flags=re.DOTALL)
    files = sorted(file for file in folder.iterdir() if file.name != "README.md")
    return f"---\n{data}\n---\n{with_files(text, files)}"
