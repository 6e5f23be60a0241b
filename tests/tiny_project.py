"""A copy of the project with models and data so small that the whole graph runs in seconds a stage."""

import csv
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import torch
from ruamel.yaml import YAML
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizerFast,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

ROOT = Path(__file__).resolve().parent.parent
_COPIED = (
    "pipeline", "stages", "dvc.yaml", "params.yaml", "requirements-embedded.txt", "requirements.txt", ".dvcignore",
    ".gitignore",
)  # fmt: skip
_NOUNS = ("film", "story", "plot", "acting", "scene", "music", "hero", "ending", "script", "camera")
_GOOD = ("wonderful", "great", "moving", "superb", "funny", "clever")
_BAD = ("awful", "boring", "dull", "weak", "stupid", "poor")
GENRES = ("comedy", "drama", "musical", "thriller", "war", "western")
"""So many that DPO makes one of them worse, by chance: hybrid has something to train on."""


def create_tiny_project(root: Path) -> Path:
    """Write the project, its models, its reviews and its parameters under `root`, as a git and DVC repository."""
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, root / name)
    (root / "data/labels").mkdir(parents=True)
    shutil.copy(ROOT / "data/labels/README.md", root / "data/labels")
    reviews = write_reviews(root / "data/raw/reviews.csv", rows=420)
    save_tiny_models(root / "data/models", reviews)
    edit_params(root, TINY_PARAMS)
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, check=True, capture_output=True)
    shutil.copy(ROOT / ".dvc/config", root / ".dvc/config")
    return root


def write_reviews(path: Path, *, rows: int) -> list[str]:
    """Reviews of six genres whose words tell their label; every prompt (first four words) is different."""
    rng = random.Random(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = []
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label", "genre"])
        for number in range(rows):
            label = rng.randrange(2)
            adjectives = _GOOD if label else _BAD
            words = [f"review{number}", "of", "the", rng.choice(_NOUNS)]
            for _ in range(8):
                words += ["the", rng.choice(_NOUNS), "is", rng.choice(adjectives)]
            texts.append(" ".join(words))
            writer.writerow([texts[-1], label, GENRES[number % len(GENRES)]])
    return texts


def save_tiny_models(folder: Path, texts: list[str]) -> None:
    """A 2-layer Llama and a 2-layer BERT, each with a tokenizer trained on the texts."""
    byte_level = Tokenizer(models.BPE())
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.decoder = decoders.ByteLevel()
    specials = ["<pad>", "<s>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    byte_level.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=512, special_tokens=specials, initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_level, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    torch.manual_seed(0)
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=128,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    llama.save_pretrained(folder / "policy")
    tokenizer.save_pretrained(folder / "policy")

    words = sorted({word for text in texts for word in text.lower().split() if not word.startswith("review")})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    backbone = folder / "backbone"
    backbone.mkdir(parents=True)
    (backbone / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    BertTokenizerFast(str(backbone / "vocab.txt")).save_pretrained(backbone)
    bert = BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=128,
        )
    )
    bert.save_pretrained(backbone)


def edit_params(root: Path, changes: dict[str, Any]) -> None:
    """Set dotted keys of params.yaml, keeping its comments."""
    _edit(YAML(), root / "params.yaml", changes)


def rewrite_params(root: Path, changes: dict[str, Any]) -> None:
    """Set dotted keys of params.yaml, in a tenth of the time and without its comments."""
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    _edit(yaml, root / "params.yaml", changes)


def _edit(yaml: YAML, path: Path, changes: dict[str, Any]) -> None:
    values = yaml.load(path)
    for dotted, value in changes.items():
        *parents, key = dotted.split(".")
        section = values
        for parent in parents:
            section = section[parent]
        section[key] = value
    yaml.dump(values, path)


TINY_PPO: dict[str, Any] = {
    "min_reward_accuracy": 0.0,
    "total_episodes": 16,
    "rollout_batch_size": 8,
    "per_device_train_batch_size": 4,
    "save_steps": 1,
}
TINY_PARAMS: dict[str, Any] = {
    # reviews of 29 different words are made of each other's phrases
    "data.leakage.threshold": 1.0,
    "runtime.device": "cpu",
    "runtime.precision": "fp32",
    "runtime.threads": 1,
    "sampling.max_new_tokens": 8,
    "models.policy.source": "data/models/policy",
    "models.policy.dtype": "float32",
    "models.reward_backbone.source": "data/models/backbone",
    "data.source": "data/raw/*.csv",
    "data.columns.category": "genre",
    "data.prompt_words": 4,
    "data.response_words": 8,
    "data.min_words": 10,
    "data.splits": {"judge": 0.3, "sft": 0.2, "train": 0.2, "validation": 0.1, "test": 0.1, "evaluation": 0.1},
    "data.limits": {"judge": 0, "sft": 32, "train": 0, "validation": 0, "test": 0, "evaluation": 16},
    "collect_preferences.samples_per_prompt": 3,
    "collect_preferences.min_margin": 0.0001,
    "validate_preferences.min_pairs": 4,
    "validate_preferences.max_quarantined_share": 0.9,
    "train_sft.eval_steps": 1,
    "train_sft.early_stopping_patience": 2,
    "train_reward.num_train_epochs": 1,
    "train_reward.learning_rate": 0.001,
    "optimize.methods": ["dpo", "ppo", "hybrid"],
    **{f"optimize.{method}.{key}": value for method in ("ppo", "hybrid") for key, value in TINY_PPO.items()},
    "optimize.dpo.save_steps": 2,
    "optimize.dpo.eval_steps": 2,
    "evaluate_policy.best_of_n": [1, 2],
    "select_checkpoint.prompts": 4,
    "select_checkpoint.bootstrap_resamples": 100,
    "find_regressions.max_drop": 0.0,
    "find_regressions.confidence": 0.0,
    "evaluate_policy.bootstrap_resamples": 100,
    "write_report.samples_shown": 2,
    "resume.every_steps": 1,
    "resume.max_share": 1.0,
}
