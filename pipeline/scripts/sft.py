"""SFT as train_sft runs it: the policy that it starts from, or hands on without training."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.data.tokens import TokenizedExample
from pipeline.memory.trainings import sft_work
from pipeline.memory.work import Example
from pipeline.models.checkpoints import keep_start
from pipeline.models.compute import Compute
from pipeline.models.folders import config_of
from pipeline.models.policy import Policy, load_policy, load_tokenizer
from pipeline.models.text_format import TextFormat, check_template
from pipeline.scripts.starting import check_training
from pipeline.stage.execution import Stage


def start_policy(stage: Stage, base: Path, examples: Sequence[TokenizedExample], compute: Compute) -> Policy:
    """The policy of `base`, loaded to be trained on `examples` once it is known that it can be.

    Raises:
        PipelineError: the optimiser is not installed, or the memory too small.
    """
    settings = stage.params.train_sft
    lengths = [Example.of_text(len(one.prompt_ids), len(one.response_ids)) for one in examples]
    check_training(sft_work(config_of(base), settings, lengths), stage.params.runtime)
    return load_policy(base, compute, finetuning=settings.finetuning, seed=stage.params.seed)


def keep_policy(stage: Stage, base: Path, texts: TextFormat, reason: str) -> None:
    """Hand on the policy of `base` as it is: artifacts/sft has its files under a second name.

    Args:
        texts: how the texts of the run are written.
        reason: why nothing is trained, for people.

    Raises:
        PipelineError: the policy has another chat template than the one that wrote the texts.
    """
    print(f"{reason}, so the policy of models.policy goes on as it is.", flush=True)
    check_template(load_tokenizer(base).chat_template, texts)
    stage.only_first_goes_on()
    keep_start(base, stage.output("artifacts/sft"), texts)
    stage.log_step(0, {"texts": 0.0})
    stage.write_history("reports/training/train_sft.jsonl")
    stage.log_final({"texts": 0, "cut_responses": 0})
