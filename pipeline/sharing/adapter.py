"""A policy as its adapters alone: megabytes beside the gigabytes of the model that they lie on."""

import json
import re
import shutil
from pathlib import Path

from huggingface_hub import ModelCard

from pipeline.errors import PipelineError
from pipeline.models.checkpoints import ADAPTERS, BASE, read_base, weights_hash
from pipeline.sharing.variants import RELEASE, STATEMENT, released, with_files

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
        base_repo: where the model that they lie on was published; None leaves the path of its release.

    Raises:
        PipelineError: it has no adapters, or what they lie on is not among the released models.
    """
    release = released(root, name)
    adapters = _find(root, name)
    base = _base(root, name, adapters)
    shutil.copytree(adapters, folder, ignore=shutil.ignore_patterns(BASE))
    for file in release.iterdir():
        if file.name not in _WHOLE and file.suffix not in (".safetensors", ".py"):
            shutil.copy(file, folder)
    config_file = folder / "adapter_config.json"
    config = json.loads(config_file.read_text())
    config["base_model_name_or_path"] = base_repo or f"{RELEASE}/{base}"
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    (folder / "README.md").write_text(_card(release / "README.md", folder, config["base_model_name_or_path"], adapters))


def _find(root: Path, name: str) -> Path:
    """Where the adapters of the policy lie whose seed was released."""
    report = json.loads((root / "reports/comparison.json").read_text())
    seed = report["policies"].get(name, {}).get("seed")
    folder = root / f"artifacts/selected/{name}/seed-{seed}" / ADAPTERS
    if not (folder / "adapter_config.json").is_file():
        raise PipelineError(
            f"{name} has no adapters of its own: {folder.relative_to(root)} is missing. Those of SFT are merged into "
            "its weights, a reward model's, too, and a policy that was trained in full has none. Share it merged."
        )
    return folder


def _base(root: Path, name: str, adapters: Path) -> str:
    """The released model that adapters lie on, found by its weights."""
    found = (path for path in sorted((root / RELEASE).iterdir()) if path.name != name and path.is_dir())
    wanted = read_base(adapters)
    base = next((path.name for path in found if weights_hash(path) == wanted), None)
    if base is None:
        raise PipelineError(
            f"{adapters.relative_to(root)} lies on weights with sha256 {wanted}, which no model of {RELEASE} has. "
            "`make repro` builds them again."
        )
    return base


def _card(source: Path, folder: Path, base: str, adapters: Path) -> str:
    """The card of the whole model, with other metadata, code and files."""
    card = ModelCard(source.read_text())
    data = card.data
    is_hub = not base.startswith(f"{RELEASE}/")
    data.base_model = base if is_hub else None
    data.base_model_relation = "adapter" if is_hub else None
    data.library_name = "peft"
    data.tags = [*(data.tags or []), "lora"]
    snippet = _SNIPPET.format(base=base, digest=read_base(adapters))
    text = re.sub(r"```python\n.*?```", lambda _: snippet, card.text, count=1, flags=re.DOTALL)
    files = sorted(file for file in folder.iterdir() if file.name != "README.md")
    return f"---\n{data}\n---\n{with_files(text, files)}"
