"""Sampling by a server: tokens, log-probs and ends are those of the policy, in any company, and it says why not."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import collate
from pipeline.engines.opening import open_engine
from pipeline.engines.vllm import VllmEngine
from pipeline.errors import PipelineError
from pipeline.models.chunked_sampling import sample_prompts, sample_texts
from pipeline.models.drawing import Truncation, row_seeds
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampled, Sampler
from pipeline.params.schema import Sampling
from pipeline.resume import Resume
from tests.conftest import PolicyMaker
from tests.engines.conftest import Serve
from tests.tiny_models import LORA, changed, save_llama_policy
from tests.trained_project import moved

SETTINGS = Sampling(max_new_tokens=6, temperature=0.7, stop_tokens=[], batch_size=4, max_prompt_tokens=None)
CUT = {"finish_reason": "length", "token_ids": [5, 6], "logprobs": {"token_logprobs": [-1.0, -1.0]}}
PROMPTS = [[5, 6], [7], [8, 9, 10], [11, 12], [13]]


def sampler_of(
    policy: Policy,
    tokenizer: PreTrainedTokenizerBase,
    engine: VllmEngine | None,
    truncation: Truncation | None = None,
    **changes: Any,
) -> Sampler:
    """Some responses end early."""
    stops = torch.tensor([tokenizer.eos_token_id, *range(290, 320)])
    return Sampler(policy, tokenizer, changed(SETTINGS, **changes), stops, truncation, engine)


def sampled(sampler: Sampler, *, key: int = 3) -> list[Sampled]:
    return sample_prompts(sampler, PROMPTS, key=key)


def ids(found: list[Sampled]) -> list[list[int]]:
    return [one.example.response_ids for one in found]


def test_log_probs_are_those_of_the_policy(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, serve: Serve
) -> None:
    """At the temperature, of adapters that are trained, for responses that ended and that were cut."""
    server, engine = serve()
    policy = moved(make_policy(LORA), seed=2)
    sampler = sampler_of(policy, tokenizer, engine)
    found = sampled(sampler)
    assert [one.example.prompt_ids for one in found] == PROMPTS
    stops = set(sampler.stop_ids.tolist())
    ended = [one[-1] in stops for one in ids(found)]
    assert any(ended) and not all(ended), "all end alike: the test shows nothing"
    assert all(done or len(one) == SETTINGS.max_new_tokens for done, one in zip(ended, ids(found), strict=True))
    batch = collate([one.example for one in found], pad_token_id=0)
    with torch.no_grad():
        expected = policy(batch, temperature=0.7).logprobs[batch.response_mask]
    assert torch.allclose(torch.cat([one.logprobs for one in found]), expected, atol=1e-4)
    assert {request["model"] for request in server.requests} == {"base", *server.adapters}


def test_greedy_responses_are_those_of_the_own_engine(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, serve: Serve
) -> None:
    _, engine = serve()
    policy = moved(make_policy(LORA), seed=2)
    greedy = Truncation(top_k=1, top_p=1.0)
    own, theirs = (sampled(sampler_of(policy, tokenizer, who, greedy)) for who in (None, engine))
    assert ids(own) == ids(theirs)
    assert all(torch.allclose(one.logprobs, torch.zeros(len(one.logprobs))) for one in [*own, *theirs])


def test_top_p_drops_what_the_own_engine_drops(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, serve: Serve
) -> None:
    """The tokens that are left, and their renormalised log-probs."""
    _, engine = serve()
    policy, nucleus = make_policy(), Truncation(top_k=6, top_p=0.6)
    seen: list[dict[int, float]] = []
    for who in (None, engine):
        sampler = sampler_of(policy, tokenizer, who, nucleus, max_new_tokens=1, batch_size=64)
        found = sample_prompts(sampler, [[5, 6]] * 60, key=1)
        seen.append({one.example.response_ids[0]: round(one.logprobs.item(), 3) for one in found})
    assert seen[0] == seen[1] and 1 < len(seen[0]) <= 6


def test_tokens_are_drawn_as_often_as_by_the_own_engine(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, serve: Serve
) -> None:
    _, engine = serve()
    policy = make_policy()
    counts = []
    for who in (None, engine):
        sampler = sampler_of(policy, tokenizer, who, max_new_tokens=1, temperature=0.4, batch_size=256)
        drawn = torch.tensor([one[0] for one in ids(sample_prompts(sampler, [[5, 6]] * 150, key=1))])
        counts.append(torch.bincount(drawn, minlength=len(tokenizer)))
    # half of the sum of the differences of shares: these two samples of one distribution are below 0.2
    assert (counts[0] - counts[1]).abs().sum().item() / 300 < 0.2
    assert (counts[0] > 0).sum() > 5


def test_a_row_is_answered_alike_in_any_company(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, serve: Serve
) -> None:
    server, engine = serve()
    policy = make_policy()
    whole = sampled(sampler_of(policy, tokenizer, engine))
    for batch_size in (1, 2, 100):
        assert ids(sampled(sampler_of(policy, tokenizer, engine, batch_size=batch_size))) == ids(whole)
    assert ids(sampled(sampler_of(policy, tokenizer, engine), key=4)) != ids(whole)
    of_row = {tuple(request["prompt"]): request["seed"] for request in server.requests[-len(PROMPTS) :]}
    assert of_row == dict(zip(map(tuple, PROMPTS), row_seeds(4, range(len(PROMPTS))), strict=True))


def test_a_request_leaves_nothing_to_the_servers_defaults(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, serve: Serve
) -> None:
    server, engine = serve()
    sampler = sampler_of(make_policy(), tokenizer, engine)
    sampled(sampler)
    request = server.requests[-1]
    assert request["prompt"] in PROMPTS and request["stop_token_ids"] == sampler.stop_ids.tolist()
    said = {key: request[key] for key in ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "ignore_eos")}
    assert said == {
        "temperature": 0.7, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0, "ignore_eos": True
    }  # fmt: skip


def test_adapters_go_by_version(make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, serve: Serve) -> None:
    """What is asked is always the policy as it is; the one before is forgotten, and its folder removed."""
    server, engine = serve()
    policy = moved(make_policy(LORA), seed=2)
    sampler = sampler_of(policy, tokenizer, engine)
    first = ids(sampled(sampler))
    assert ids(sampled(sampler)) == first and len(server.calls) == 1
    moved(policy, seed=3)
    assert ids(sampled(sampler)) != first
    old, new = server.calls[0][1], server.calls[1][1]
    assert server.calls == [("load", old), ("load", new), ("unload", old)] and old != new
    assert [folder.name for folder in next(iter(server.adapters.values())).parent.iterdir()] == [new]
    engine.close()
    assert server.adapters == {} and server.calls[-1] == ("unload", new)


def test_an_adapter_that_an_earlier_process_has_loaded_is_used(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, serve: Serve
) -> None:
    server, engine = serve()
    policy = moved(make_policy(LORA), seed=2)
    first = ids(sampled(sampler_of(policy, tokenizer, engine)))
    engine._loaded = None  # as of a process that was killed
    assert ids(sampled(sampler_of(policy, tokenizer, engine))) == first
    assert [call for call, _ in server.calls] == ["load"]


def test_a_server_that_has_forgotten_an_adapter_is_handed_it_again(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, serve: Serve
) -> None:
    """As one that was started again, or of which another stage had the same adapter, and has ended."""
    server, engine = serve()
    sampler = sampler_of(moved(make_policy(LORA), seed=2), tokenizer, engine)
    first = ids(sampled(sampler))
    (folder,) = server.adapters.values()
    shutil.rmtree(folder)
    server.adapters.clear()
    assert ids(sampled(sampler)) == first and server.adapters == {folder.name: folder}


def test_a_killed_stage_goes_on_at_its_chunk(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, serve: Serve, tmp_path: Path
) -> None:
    server, engine = serve()
    sampler = sampler_of(make_policy(), tokenizer, engine)
    resume = Resume(tmp_path, "stage", "key", every_steps=1, max_share=1.0)
    texts = ["The film", "My friends hated it", "The"]

    def responses() -> Any:
        generator = torch.Generator().manual_seed(0)
        return sample_texts(sampler, texts, generator=generator, title="some", resume=resume)

    first = responses()
    asked = len(server.requests)
    assert responses() == first and len(server.requests) == asked


def test_what_may_pass_is_tried_again(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, serve: Serve
) -> None:
    server, engine = serve()
    server.faults = [503, 429]
    assert len(sampled(sampler_of(make_policy(), tokenizer, engine))) == len(PROMPTS)


def test_raw_log_probs_are_enough_at_temperature_one(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, serve: Serve
) -> None:
    _, engine = serve(logprobs_mode="raw_logprobs")
    assert len(sampled(sampler_of(make_policy(), tokenizer, engine, temperature=1.0))) == len(PROMPTS)
    with pytest.raises(PipelineError, match="--logprobs-mode processed_logprobs"):
        sampled(sampler_of(make_policy(), tokenizer, engine, Truncation(5, 1.0), temperature=1.0))


@pytest.mark.parametrize(
    ("started", "message"),
    [
        ({"logprobs_mode": "raw_logprobs"}, r"--logprobs-mode processed_logprobs, or set sampling.temperature to 1"),
        ({"updating": False}, r"VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"),
        ({"enable_lora": False}, r"Start it with --enable-lora"),
        ({"max_lora_rank": 2}, r"--max-lora-rank 8: the adapters have rank 4"),
        ({"max_model_len": 8}, r"takes 8 tokens, and a prompt with its response may have 9.*--max-model-len 9"),
        ({"changes": {"model": "base"}}, r"answered with base where policy-.* was asked for"),
        ({"changes": {"token_ids": None}}, r"gives no token ids .*from version 0.10.2 on"),
        ({"changes": {"prompt_token_ids": [1]}}, r"has read 1 tokens where it was sent \d others"),
        ({"changes": {"logprobs": {"token_logprobs": [-1.0]}}}, r"gives 1 log-probs for [2-6] tokens"),
        ({"changes": {"logprobs": None}}, r"gives 0 log-probs for"),
        ({"changes": {"finish_reason": "stop"}}, r"ends a response by stop with token"),
        ({"changes": CUT}, r"cut a response after 2 of 6 tokens.*--max-model-len"),
        ({"faults": [400]}, r"refused the request with status 400.*0.10.2 or newer"),
        ({"faults": [503] * 9}, r"failed 3 times in a row .*Check that the server runs.*dvc repro"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_server_that_cannot_serve_is_refused_with_the_fix(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    serve: Serve,
    started: dict[str, Any],
    message: str,
) -> None:
    _, engine = serve(**started)
    # at 1 nothing is asked beforehand of the temperature, so that it is the responses that are at fault
    temperature = 1.0 if "changes" in started else 0.7
    sampler = sampler_of(moved(make_policy(LORA), seed=2), tokenizer, engine, temperature=temperature)
    with pytest.raises(PipelineError, match=message) as error:
        sampled(sampler)
    assert str(error.value).startswith("engine: http://127.0.0.1:")


def test_other_weights_are_refused(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, serve: Serve, policy_folder: Path, tmp_path: Path
) -> None:
    save_llama_policy(tmp_path / "other", tokenizer, seed=9)  # type: ignore[arg-type]
    server, engine = serve(tmp_path / "other")
    with pytest.raises(PipelineError, match=rf"samples from other weights than {policy_folder}.*{server.model}"):
        sampled(sampler_of(make_policy(), tokenizer, engine))


def test_no_server_is_said_at_once(make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, serve: Serve) -> None:
    server, _ = serve()
    nowhere = server.settings(Path("adapters"), base_url="http://127.0.0.1:1/v1", max_retries=0)
    with (
        open_engine(nowhere, Path()) as engine,
        pytest.raises(PipelineError, match=r"engine: http://127.0.0.1:1/v1 failed 1 times.*docs/operations.md"),
    ):
        sampled(sampler_of(make_policy(), tokenizer, engine))
