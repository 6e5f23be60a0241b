"""In bf16 a policy begins as its reference, to the last bit, however it is fine-tuned."""

import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import TokenizedExample
from pipeline.models.compute import Compute
from pipeline.models.policy import load_policy, load_reference
from pipeline.models.scoring import score_responses
from pipeline.models.text_format import TextFormat, store_text_format
from pipeline.params.base import Finetuning
from pipeline.params.optimize import Ppo
from pipeline.params.schema import Params
from pipeline.preferences.scored import ScoredPair
from pipeline.training.dpo import train_dpo
from stages import score_reference
from tests.preference_pairs import preference_pair
from tests.tiny_models import FULL, LORA, changed
from tests.training.recording import Recorder
from tests.training.toy_ppo import roles_of, rollout_of

PAIRS = [
    ScoredPair(
        str(i), TokenizedExample([11, 12 + i], [40, 41 + i, 2]), TokenizedExample([11, 12 + i], [50 + i, 2]), 0.0, 0.0
    )
    for i in range(8)
]


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_dpo_starts_at_ln_2(policy_folder: Path, bf16: Compute, params: Params, finetuning: Finetuning) -> None:
    settings = changed(
        params.optimize.dpo,
        reference="frozen_copy",
        finetuning=finetuning.model_dump(),
        num_train_epochs=1,
        per_device_train_batch_size=8,
    )
    policy = load_policy(policy_folder, bf16, finetuning=finetuning)
    copy = load_reference(policy_folder, bf16, method=finetuning.method)
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    recorder = Recorder()
    train_dpo(policy, PAIRS, settings, recorder.run(bf16), reference=copy, pad_token_id=0)
    first = recorder.rows[0]
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert first["chosen_logps_change"] == first["rejected_logps_change"] == 0.0


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_ppo_starts_as_its_reference(
    policy_folder: Path, bf16: Compute, settings: Ppo, tokenizer: PreTrainedTokenizerBase, finetuning: Finetuning
) -> None:
    policy = load_policy(policy_folder, bf16, finetuning=finetuning, with_values=True)
    copy = load_reference(policy_folder, bf16, method=finetuning.method)
    rollout = rollout_of(roles_of(policy, tokenizer, reference=copy), settings, bf16)
    assert rollout.old_logprobs.abs().sum().item() > 0
    assert torch.equal(rollout.old_logprobs, rollout.ref_logprobs)


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_cached_log_probs_are_those_of_the_policy_at_its_start(
    policy_folder: Path, bf16: Compute, params: Params, tmp_path: Path, finetuning: Finetuning
) -> None:
    rows = [
        preference_pair("This film", f" is {words}", " is a waste", id=f"{i}").as_record()
        for i, words in enumerate(("clever", "funny and clever"))
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    dpo = changed(params.optimize.dpo, finetuning=finetuning.model_dump())
    sft = shutil.copytree(policy_folder, tmp_path / "sft")
    store_text_format(sft, TextFormat("transcript"))
    stage = SimpleNamespace(
        only_first_goes_on=lambda: None,
        params=params.model_copy(update={"optimize": params.optimize.model_copy(update={"dpo": dpo})}),
        start_compute=lambda: bf16,
        input=lambda name: sft if "sft" in name else tmp_path / "train.jsonl",
        output=lambda name: tmp_path / f"scored-{Path(name).name}",
        costs=SimpleNamespace(add_work=lambda *_: None),
        log_final=lambda _: None,
    )
    score_reference.main(stage)
    scored = [json.loads(line) for line in (tmp_path / "scored-pairs.jsonl").read_text().splitlines()]
    examples = [
        TokenizedExample(row[f"{side}_prompt_ids"], row[f"{side}_response_ids"])
        for row in scored
        for side in ("chosen", "rejected")
    ]
    policy = load_policy(policy_folder, bf16, finetuning=finetuning)
    expected = score_responses(policy, examples, bf16, pad_token_id=0, batch_size=32, title="policy")
    found = [row[f"ref_{side}_logps"] for row in scored for side in ("chosen", "rejected")]
    assert len(found) == 4 and found == expected
