"""One run of TRL's trainer on one workload: `python -m benchmarks.peer WORKLOAD [ATTENTION] [recomputed]`.

`recomputed` is TRL's gradient checkpointing.

For PPO, TRL 1.12 has to come first on PYTHONPATH: the last release that has it.
"""

import sys
import time
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)

from benchmarks.measuring import Meter
from benchmarks.workloads import LORA_ALPHA, LORA_R, PPO_EPOCHS, PPO_FORWARD_BATCH, WORK, Workload, find

COMMON: dict[str, Any] = {
    "output_dir": str(WORK / "trl"),
    "report_to": "none",
    "save_strategy": "no",
    "logging_steps": 1,
    "disable_tqdm": True,
    "seed": 0,
    "use_cpu": not torch.cuda.is_available(),
}


class StepTimer(TrainerCallback):
    """Times whole optimiser steps and counts what goes through them."""

    def __init__(self, samples: int) -> None:
        self.meter = Meter()
        self.tokens, self.loss = 0, 0.0
        self._samples = samples
        self._start = 0.0

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self.tokens = 0
        self._start = time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        seconds = time.perf_counter() - self._start
        self.meter.step(tokens=self.tokens, samples=self._samples, seconds=seconds, loss=self.loss)

    def observe(self, trainer: Any) -> None:
        """Look at each batch and its loss as the trainer computes it."""
        compute_loss = trainer.compute_loss

        def observed(model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            self.tokens += int(inputs["attention_mask"].sum())
            result = compute_loss(model, inputs, *args, **kwargs)
            self.loss = float((result[0] if isinstance(result, tuple) else result).detach())
            return result

        trainer.compute_loss = observed
        trainer.add_callback(self)


def main() -> None:
    """Train one epoch and report."""
    workload = find(sys.argv[1])
    attention = sys.argv[2] if len(sys.argv) > 2 else "sdpa"
    COMMON["gradient_checkpointing"] = "recomputed" in sys.argv[3:]
    {"sft": sft, "reward": reward, "dpo": dpo, "ppo": ppo}[workload.task](workload, attention)


def options(workload: Workload) -> dict[str, Any]:
    return {
        **COMMON,
        "bf16": True,
        "num_train_epochs": 1,
        "per_device_train_batch_size": workload.batch_size,
        "learning_rate": workload.learning_rate,
        "max_length": None,
    }


def causal_lm(workload: Workload, attention: str) -> Any:
    dtype = torch.float32 if workload.method == "full" else torch.bfloat16
    return AutoModelForCausalLM.from_pretrained(workload.folder, dtype=dtype, attn_implementation=attention)


def adapters(workload: Workload) -> LoraConfig | None:
    if workload.method == "full":
        return None
    return LoraConfig(
        r=LORA_R,
        lora_alpha=LORA_ALPHA,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="SEQ_CLS" if workload.task == "reward" else "CAUSAL_LM",
        modules_to_save=["score"] if workload.task == "reward" else None,
    )


def run(trainer: Any, workload: Workload) -> None:
    timer = StepTimer(workload.batch_size)
    timer.observe(trainer)
    trainer.train()
    timer.meter.report()


def sft(workload: Workload, attention: str) -> None:
    from trl import SFTConfig, SFTTrainer

    rows = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in workload.rows()]
    run(
        SFTTrainer(
            model=causal_lm(workload, attention),
            args=SFTConfig(**options(workload)),
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(workload.folder),
            peft_config=adapters(workload),
        ),
        workload,
    )


def dpo(workload: Workload, attention: str) -> None:
    from trl import DPOConfig, DPOTrainer

    run(
        DPOTrainer(
            model=causal_lm(workload, attention),
            args=DPOConfig(**options(workload), precompute_ref_log_probs=True, disable_dropout=True),
            train_dataset=Dataset.from_list(workload.rows()),
            processing_class=AutoTokenizer.from_pretrained(workload.folder),
            peft_config=adapters(workload),
        ),
        workload,
    )


def reward(workload: Workload, attention: str) -> None:
    from trl import RewardConfig, RewardTrainer

    folder = WORK / f"models/{workload.model}-reward"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # as ids, as this project's reward model reads them: one text, then EOS
    rows = [
        {
            f"{side}_ids": [*tokenizer(row["prompt"] + row[side])["input_ids"], tokenizer.eos_token_id]
            for side in ("chosen", "rejected")
        }
        for row in workload.rows()
    ]
    run(
        RewardTrainer(
            model=AutoModelForSequenceClassification.from_pretrained(
                folder,
                dtype=torch.float32 if workload.method == "full" else torch.bfloat16,
                num_labels=1,
                attn_implementation=attention,
            ),
            args=RewardConfig(**options(workload), disable_dropout=True),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=adapters(workload),
        ),
        workload,
    )


def ppo(workload: Workload, attention: str) -> None:
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    tokenizer = AutoTokenizer.from_pretrained(workload.folder, padding_side="left")
    encoded = [tokenizer(row["prompt"])["input_ids"] for row in workload.rows()]
    reward_folder = WORK / f"models/{workload.model}-reward"

    def scorer() -> Any:
        return AutoModelForSequenceClassification.from_pretrained(
            reward_folder, dtype=torch.bfloat16, num_labels=1, attn_implementation=attention
        )

    forward_batch = min(PPO_FORWARD_BATCH, workload.batch_size)
    value_model = scorer()
    # as on this project's side: the critic learns a head, on a backbone that it leaves alone
    value_model.requires_grad_(False)
    value_model.score.requires_grad_(True)
    trainer = PPOTrainer(
        args=PPOConfig(
            **COMMON,
            # in bf16 weights: its `bf16=True` is ignored, and fp32 is three times slower
            bf16=False,
            learning_rate=workload.learning_rate,
            per_device_train_batch_size=forward_batch,
            gradient_accumulation_steps=workload.batch_size // forward_batch,
            num_mini_batches=1,
            num_ppo_epochs=PPO_EPOCHS,
            total_episodes=workload.examples,
            response_length=workload.new_tokens,
            temperature=0.7,
            num_sample_generations=0,
            stop_token="eos",
        ),
        processing_class=tokenizer,
        model=causal_lm(workload, attention),
        ref_model=None,
        reward_model=scorer(),
        value_model=value_model,
        train_dataset=Dataset.from_list([{"input_ids": ids} for ids in encoded]),
        peft_config=adapters(workload),
    )
    meter = Meter(warm_up=1)  # an iteration has many steps
    last = time.perf_counter()
    mean_tokens = sum(map(len, encoded)) / len(encoded) + workload.new_tokens
    log = trainer.log

    def observed(metrics: dict[str, float], *args: Any, **kwargs: Any) -> None:
        nonlocal last
        log(metrics, *args, **kwargs)
        if "loss/policy_avg" in metrics:
            now = time.perf_counter()
            loss = metrics["loss/policy_avg"] + 0.1 * metrics["loss/value_avg"]
            size = workload.batch_size
            meter.step(tokens=round(mean_tokens * size), samples=size, seconds=now - last, loss=loss)
            last = now

    trainer.log = observed
    trainer.train()
    meter.report()


if __name__ == "__main__":
    main()
