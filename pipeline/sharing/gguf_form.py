"""A policy as a GGUF file for llama.cpp and ollama, by llama.cpp's converter, and a check that it says the same."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from pipeline.data.records import read_records
from pipeline.errors import PipelineError
from pipeline.models.text_format import FILE, read_text_format
from pipeline.reading.chats import Message, render_prompt
from pipeline.release.serving import own_template, trained_template
from pipeline.sharing.variants import released, with_files

CONVERTER = "convert_hf_to_gguf.py"
PROMPTS = Path("artifacts/data/prompts/evaluation.jsonl")
TEXTS = 10
TOLERANCE = 2**-8
"""Of a text's log-prob: what bf16 keeps of a number. Float formats of more bits lie far below."""
_TYPES = {"bfloat16": "bf16", "float16": "f16", "float32": "f32"}


def write_gguf(root: Path, name: str, folder: Path, *, llama_cpp: Path) -> None:
    """The file in the number format of the release, a Modelfile and a card, in a new folder.

    Args:
        llama_cpp: a checkout of llama.cpp, whose converter no package registry has under its own name.

    Raises:
        PipelineError: there is no converter, it fails, or what it wrote gives texts other log-probs.
    """
    release = released(root, name)
    converter = llama_cpp / CONVERTER
    if not converter.is_file():
        raise PipelineError(
            f"{converter}: there is no such file. `git clone https://github.com/ggml-org/llama.cpp` brings it, "
            "`pip install sentencepiece mistral-common` what it imports besides; LLAMA_CPP=PATH names the clone."
        )
    folder.mkdir(parents=True)
    file = folder / f"{name}.gguf"
    kind = _TYPES[json.loads((release / "config.json").read_text()).get("dtype") or "float32"]
    command = [sys.executable, str(converter), str(release), "--outfile", str(file), "--outtype", kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not file.is_file():
        last = "\n  ".join(done.stderr.strip().splitlines()[-5:])
        missing = re.search(r"No module named '(\w+)", last)
        advice = f"\n`pip install {missing[1].replace('_', '-')}` brings what it lacks." if missing else ""
        raise PipelineError(f"{converter} could not convert {release.relative_to(root)}:\n  {last}{advice}")
    texts = [str(row["prompt"]) for row in read_records(root / PROMPTS, fields=("prompt",))[:TEXTS]]
    largest = check_parity(release, file, texts)
    print(f"log-probs of {len(texts)} texts: at most {largest:.2g} of their value apart")
    (folder / "Modelfile").write_text(modelfile(release, file.name))
    (folder / "README.md").write_text(_card(release / "README.md", file))


def check_parity(release: Path, file: Path, texts: Sequence[str]) -> float:
    """The largest relative difference of the log-probs that the two give a text, both computed by transformers in fp32.

    Raises:
        PipelineError: it is more than `TOLERANCE`, or the file's tokenizer makes other tokens of a text.
    """
    tokenizers = [
        AutoTokenizer.from_pretrained(release),
        AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name),
    ]
    rows = [[one(text, add_special_tokens=False)["input_ids"] for text in texts] for one in tokenizers]
    for text, ours, theirs in zip(texts, *rows, strict=True):
        if ours != theirs:
            raise PipelineError(f"{file.name} makes other tokens of {text!r} than the released tokenizer.")
    whole = AutoModelForCausalLM.from_pretrained(release, dtype=torch.float32)
    converted = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )
    pairs = [(_log_prob(whole, ids), _log_prob(converted, ids)) for ids in rows[0] if len(ids) > 1]
    largest = max((abs(one - other) / abs(one) for one, other in pairs), default=0.0)
    if not pairs or not largest <= TOLERANCE:
        raise PipelineError(
            f"{file.name}: log-probs of {len(pairs)} texts differ by up to {largest:.2g} of their value from those of "
            f"the released weights, more than {TOLERANCE:.2g}. The converter does not know this architecture well, or "
            "is older than the config.json of transformers 5 (`rope_parameters`): take a newer llama.cpp."
        )
    return largest


def modelfile(release: Path, file: str) -> str:
    """For `ollama create`: the sampling of training, and how prompts were written.

    ollama has templates of its own language. Those of texts and transcripts are written here; of a chat template that
    came with the starting model it takes the one in the file where it knows it.
    """
    settings = json.loads((release / "generation_config.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(release)
    stops = settings["eos_token_id"]
    named = {
        "temperature": settings["temperature"],
        "top_k": settings["top_k"],
        "top_p": settings["top_p"],
        "min_p": 0.0,
        "repeat_penalty": 1.0,
        "num_predict": settings["max_new_tokens"],
    }
    lines = [f"FROM ./{file}", *(f"PARAMETER {name} {value}" for name, value in named.items())]
    ids = stops if isinstance(stops, list) else [stops]
    if (template := _ollama_template(release)) is not None:
        lines.append(f'TEMPLATE """{template}"""')
    lines += [f"PARAMETER stop {json.dumps(tokenizer.convert_ids_to_tokens(one))}" for one in ids]
    return "\n".join(lines) + "\n"


def _ollama_template(release: Path) -> str | None:
    if read_text_format(release / FILE).template is not None:
        return None
    if str(own_template(release)).endswith(trained_template([])):  # which it is of texts
        return "{{ .Prompt }}"
    system, user = (render_prompt([Message("system", "@"), Message("user", "@")])).split("@")[:2]
    answer = render_prompt([Message("user", "@")]).split("@")[1]
    first = "{{ if .System }}" + system + "{{ .System }}{{ end }}"
    return first + "{{ if .Prompt }}" + user + "{{ .Prompt }}{{ end }}" + answer + "{{ .Response }}"


@torch.no_grad()
def _log_prob(network: Any, ids: Sequence[int]) -> float:
    tokens = torch.tensor([list(ids)])
    logits = network(input_ids=tokens).logits[0, :-1]
    return float(logits.log_softmax(-1).gather(-1, tokens[0, 1:, None]).sum())


def _card(source: Path, file: Path) -> str:
    card = ModelCard(source.read_text())
    data = card.data
    # another file format of the same weights is what the hub calls quantized
    data.base_model_relation = "quantized" if data.base_model else None
    data.library_name = "gguf"
    data.tags = [*(data.tags or []), "gguf"]
    before, _, _ = card.text.partition("```python")
    after = card.text.partition("## Intended use")[2]
    use = f"```\nllama-cli --model {file.name}\nollama create NAME -f Modelfile\n```"
    text = with_files(f"{before}{use}\n\n## Intended use{after}", [file])
    return f"---\n{data}\n---\n{text}"
