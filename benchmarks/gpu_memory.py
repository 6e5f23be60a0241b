"""Which trainings of chat models of 1B to 8B fit on GPUs of 24, 48 and 80 GB, as the planner computes it.

`python -m benchmarks.gpu_memory` prints the table of docs/operations.md. Nothing of it is measured.
"""

from pathlib import Path
from typing import Any

from transformers import LlamaConfig

from pipeline.memory.conditions import Conditions, Machine
from pipeline.memory.need import needed_bytes
from pipeline.memory.trainings import dpo_work, ppo_work, reward_work, sft_work
from pipeline.memory.work import Example, Work
from pipeline.params.loading import load_params
from pipeline.params.schema import Params

_ROOT = Path(__file__).resolve().parent.parent
_GIB = 2**30
CARDS = (24, 48, 80)
"""GB, as their makers count."""
_FREE = 0.95
"""Share of a card that its driver and the screen leave."""
HALF = 512
"""Tokens of a prompt and of a response."""


def llama(width: int, inner: int, layers: int, heads: int, key_heads: int, *, tied: bool) -> LlamaConfig:
    """A config of Llama 3's kind."""
    return LlamaConfig(
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        vocab_size=128256,
        tie_word_embeddings=tied,
    )


MODELS = {
    "1B": llama(2048, 8192, 16, 32, 8, tied=True),
    "3B": llama(3072, 8192, 28, 24, 8, tied=True),
    "8B": llama(4096, 14336, 32, 32, 8, tied=False),
}
"""Sizes of Llama 3.2 1B and 3B and of Llama 3.1 8B."""


def works(params: Params, config: LlamaConfig, **changes: str) -> dict[str, Work]:
    """Trainings of 1,024-token conversations; PPO's reward model is of the policy's size.

    Args:
        changes: other values of the fine-tuning (`method`, `quantization`) and of `optimizer`; the default is LoRA in
            bf16.
    """
    optimizer = {"optimizer": changes.pop("optimizer", "adamw")}
    finetuning = params.train_sft.finetuning.model_copy(update={"method": "lora", **changes})
    tuned = optimizer | {"finetuning": finetuning}
    sections: list[Any] = [
        section.model_copy(update=tuned)
        for section in (params.train_sft, params.train_reward, params.optimize.dpo, params.optimize.ppo)
    ]
    sft, reward, dpo, ppo = sections
    text, pair = Example.of_text(HALF, HALF), Example.of_pair(HALF, HALF, HALF)
    scored = Example.of_pair(HALF, HALF, HALF, writes=False)
    few = ppo.model_copy(update={"rollout_batch_size": 32})
    prompts = [HALF] * 64
    return {
        "SFT": sft_work(config, sft, [text] * 64),
        "reward model": reward_work(config, reward, [scored] * 64),
        "DPO": dpo_work(config, dpo, [pair] * 64),
        "PPO": ppo_work(config, config, ppo, prompts=prompts, new_tokens=HALF),
        "PPO, 32 episodes": ppo_work(config, config, few, prompts=prompts, new_tokens=HALF),
    }


SERIES: tuple[tuple[tuple[str, dict[str, str]], ...], ...] = (
    (("adapters", {}), ("adapters on nf4", {"quantization": "nf4"})),
    (("full", {"method": "full"}), ("full, 8-bit moments", {"method": "full", "optimizer": "adamw_8bit"})),
)
"""What is trained, each with what needs less; PPO is computed with adapters alone."""


def cells(params: Params, work: Work) -> list[str]:
    """GiB on each card; what does not fit stands in brackets."""
    found = []
    for card in CARDS:
        memory = round(_FREE * card * 1e9)
        need = needed_bytes(work, Conditions.of(params.runtime, Machine("cuda", memory)))
        found.append(f"{need / _GIB:.1f}" if need <= memory else f"({need / _GIB:.1f})")
    return found


def main() -> None:
    """Print the table; what needs less is left out where no card's answer changes by it."""
    params = load_params(_ROOT / "params.yaml")
    print("| model | training | " + " | ".join(f"{card} GB" for card in CARDS) + " |")
    print("|---|---|" + "---|" * len(CARDS))
    for name, config in MODELS.items():
        for first, *less in SERIES:
            for training in works(params, config):
                if training.startswith("PPO") and first[0] == "full":
                    continue
                before: list[bool] | None = None
                for how, changes in (first, *less):
                    row = cells(params, works(params, config, **changes)[training])
                    fits = [not cell.startswith("(") for cell in row]
                    if fits != before:
                        print(f"| {name} | {training}, {how} | " + " | ".join(row) + " |")
                    before = fits


if __name__ == "__main__":
    main()
