"""Which trainings of chat models of 1B to 8B fit on GPUs of 24, 48 and 80 GB, as the planner computes it.

`python -m benchmarks.gpu_memory` prints the table of docs/operations.md. Nothing of it is measured.
"""

from pathlib import Path

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
"""Of a card, what its driver and the screen leave."""
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


def works(params: Params, config: LlamaConfig) -> dict[str, Work]:
    """Trainings with adapters, of 1,024-token conversations; PPO's reward model is of the policy's size."""
    lora = {"finetuning": params.train_sft.finetuning}
    reward, ppo = params.train_reward.model_copy(update=lora), params.optimize.ppo
    text, pair = Example.of_text(HALF, HALF), Example.of_pair(HALF, HALF, HALF)
    scored = Example.of_pair(HALF, HALF, HALF, writes=False)
    return {
        "SFT": sft_work(config, params.train_sft, [text] * 64),
        "reward model": reward_work(config, reward, [scored] * 64),
        "DPO": dpo_work(config, params.optimize.dpo, [pair] * 64),
        "PPO": ppo_work(config, config, ppo, section="optimize.ppo", prompts=[HALF] * 64, new_tokens=HALF),
        "PPO, 32 episodes": ppo_work(
            config,
            config,
            ppo.model_copy(update={"rollout_batch_size": 32}),
            section="optimize.ppo",
            prompts=[HALF] * 64,
            new_tokens=HALF,
        ),
    }


def main() -> None:
    """Print the table; what does not fit stands in brackets."""
    params = load_params(_ROOT / "params.yaml")
    print("| model | training | " + " | ".join(f"{card} GB" for card in CARDS) + " |")
    print("|---|---|" + "---|" * len(CARDS))
    for name, config in MODELS.items():
        for training, work in works(params, config).items():
            cells = []
            for card in CARDS:
                memory = round(_FREE * card * 1e9)
                need = needed_bytes(work, Conditions.of(params.runtime, Machine("cuda", memory)))
                cells.append(f"{need / _GIB:.1f}" if need <= memory else f"({need / _GIB:.1f})")
            print(f"| {name} | {training} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
