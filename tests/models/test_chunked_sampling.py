"""Many prompts: in their order, the same in chunks of any size, and no chunk sampled or written twice."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from pipeline import group
from pipeline.data.tokens import TokenizedExample, tokenize_prompt
from pipeline.models import chunked_sampling as module
from pipeline.models.chunked_sampling import chunks_of, encode_prompt, sample_batch, sample_prompts, sample_texts
from pipeline.models.drawing import Truncation
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampler, sample
from pipeline.params.schema import Sampling
from pipeline.resume import Resume
from tests.conftest import PolicyMaker
from tests.ranks import as_ranks
from tests.tiny_models import changed

TEXTS = ["The film", "The", "My friends hated it", "I loved the music", "A boring waste"] * 3
SETTINGS = Sampling(max_new_tokens=12, temperature=1.0, stop_tokens=[], batch_size=4, max_prompt_tokens=None)


class Killed(Exception):
    """In place of a process that ends."""


def sampler_of(policy: Policy, tokenizer: PreTrainedTokenizerBase, **changes: Any) -> Sampler:
    """Some responses end early."""
    stops = torch.tensor([tokenizer.eos_token_id, *range(300, 330)])
    return Sampler(policy, tokenizer, changed(SETTINGS, **changes), stops)


def texts_of(sampler: Sampler, resume: Resume | None = None) -> list[TokenizedExample]:
    generator = torch.Generator().manual_seed(0)
    return sample_texts(sampler, TEXTS, generator=generator, title="some samples", resume=resume)


def test_a_response_does_not_depend_on_its_chunk(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = make_policy()
    whole = texts_of(sampler_of(policy, tokenizer, batch_size=100))
    assert [one.prompt_ids for one in whole] == [tokenize_prompt(tokenizer, text) for text in TEXTS]
    assert len({len(one.response_ids) for one in whole}) > 2, "all are of one length: the test shows nothing"
    for batch_size in (1, 2, 7):
        assert texts_of(sampler_of(policy, tokenizer, batch_size=batch_size)) == whole
    monkeypatch.setattr(module, "cache_places", lambda *arguments, **more: 70)
    sampler = sampler_of(policy, tokenizer, batch_size=100)
    chunks = chunks_of(sampler, [len(one.prompt_ids) for one in whole])
    assert len(chunks) > 3 and all(chunk.places <= 70 for chunk in chunks)
    assert texts_of(sampler) == whole
    monkeypatch.setattr(module, "chunks_of", lambda *arguments: chunks[::-1])
    assert texts_of(sampler) == whole


def test_a_longer_limit_does_not_change_how_a_response_begins(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase
) -> None:
    policy = make_policy()
    short, long = (texts_of(sampler_of(policy, tokenizer, max_new_tokens=new)) for new in (6, 12))
    assert [one.response_ids for one in short] == [one.response_ids[:6] for one in long]


def test_samples_of_one_prompt_differ_and_greedy_ones_do_not(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase
) -> None:
    sampler = Sampler.of(make_policy(), tokenizer, SETTINGS)
    greedy = Sampler.of(make_policy(), tokenizer, SETTINGS, truncation=Truncation(top_k=1, top_p=1.0))
    for one, different in ((sampler, 4), (greedy, 1)):
        found = sample_prompts(one, [[5, 6]] * 4, key=1)
        assert len({tuple(sampled.example.response_ids) for sampled in found}) == different


def test_a_batch_has_the_responses_and_their_log_probs(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase
) -> None:
    sampler = sampler_of(make_policy(), tokenizer, batch_size=4)
    batch, logprobs = sample_batch(sampler, TEXTS, torch.Generator().manual_seed(0))
    expected = texts_of(sampler)
    rows = zip(batch.response_ids, batch.response_mask, strict=True)
    assert [ids[mask].tolist() for ids, mask in rows] == [one.response_ids for one in expected]
    assert logprobs.shape == batch.response_mask.shape
    assert bool((logprobs[~batch.response_mask] == 0).all()) and bool((logprobs[batch.response_mask] < 0).all())


def test_no_chunk_is_sampled_or_written_twice(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler, sampled = sampler_of(make_policy(), tokenizer, batch_size=5), []
    whole = texts_of(sampler)

    def limited(stop_after: int) -> Any:
        sampled.clear()

        def counted(sampler: Sampler, prompts: list[list[int]], uniform: torch.Tensor, **more: Any) -> Any:
            if len(sampled) == stop_after:
                raise Killed
            sampled.append(len(prompts))
            return sample(sampler, prompts, uniform, **more)

        return counted

    monkeypatch.setattr(module, "sample", limited(2))
    with pytest.raises(Killed):
        texts_of(sampler, Resume(tmp_path, "stage", "key", every_steps=1))
    resume = Resume(tmp_path, "stage", "key", every_steps=1)
    files = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in resume.folder.glob("*.pt")}
    assert len(files) == 2
    monkeypatch.setattr(module, "sample", limited(100))
    assert texts_of(sampler, resume) == whole
    assert sampled == [5] and len(list(resume.folder.glob("*.pt"))) == 3
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files} == files


def test_one_process_goes_on_where_one_of_three_was_killed(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three went on from what one had kept, and one of them was killed: the first alone has a state."""
    sampler, asked = sampler_of(make_policy(), tokenizer, batch_size=2), Counter[tuple[int, ...]]()
    whole = texts_of(sampler)
    resume = Resume(tmp_path, "stage", "key", every_steps=1)

    def sample_until(rank: int, chunk: int) -> Any:
        """Counts the prompts of each chunk; a rank dies at its chunk of that number."""
        begun: Counter[int] = Counter()

        def counted(sampler: Sampler, prompts: list[list[int]], uniform: torch.Tensor, **more: Any) -> Any:
            begun[group.rank()] += 1
            if (group.rank(), begun[group.rank()]) == (rank, chunk):
                raise Killed
            asked[tuple(map(len, prompts))] += len(prompts)
            return sample(sampler, prompts, uniform, **more)

        return counted

    monkeypatch.setattr(module, "sample", sample_until(0, 2))
    with pytest.raises(Killed):
        texts_of(sampler, resume)
    monkeypatch.setattr(module, "sample", sample_until(1, 2))
    with pytest.raises(Killed):
        as_ranks(monkeypatch, 3, lambda rank: texts_of(sampler, None if rank else resume))
    kept = {path: path.stat().st_mtime_ns for path in resume.folder.glob("*.pt")}
    assert len(kept) == 1 + 3
    asked.clear()
    monkeypatch.setattr(module, "sample", sample_until(9, 9))
    assert texts_of(sampler, resume) == whole
    assert asked.total() == len(TEXTS) - 2 * len(kept)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    asked.clear()
    assert as_ranks(monkeypatch, 2, lambda rank: texts_of(sampler, None if rank else resume)) == [whole] * 2
    assert not asked


@pytest.mark.parametrize("batch_size", [2, 100])
def test_a_chunk_is_sampled_by_one_process(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    sampler = sampler_of(make_policy(), tokenizer, batch_size=batch_size)
    whole, by_rank = texts_of(sampler), Counter[int]()

    def counted(*arguments: Any, **more: Any) -> Any:
        by_rank[group.rank()] += 1
        return sample(*arguments, **more)

    monkeypatch.setattr(module, "sample", counted)
    assert as_ranks(monkeypatch, 3, lambda rank: texts_of(sampler)) == [whole] * 3
    assert by_rank == ({0: 3, 1: 3, 2: 2} if batch_size == 2 else {0: 1})
    assert as_ranks(monkeypatch, 3, lambda rank: sample_prompts(sampler, [], key=0)) == [[]] * 3


def test_a_chunk_of_other_prompts_or_numbers_is_sampled_again(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    policy, resume = make_policy(), Resume(tmp_path, "stage", "key", every_steps=1)
    before = texts_of(sampler_of(policy, tokenizer, batch_size=5), resume)
    assert texts_of(sampler_of(policy, tokenizer, batch_size=3), resume) == before
    other = sample_prompts(
        sampler_of(policy, tokenizer), [one.prompt_ids for one in before], key=3, title="some samples", resume=resume
    )
    assert [one.example for one in other] != before


def test_long_prompts_are_cut_on_their_left_and_counted(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = [tokenize_prompt(tokenizer, text) for text in TEXTS]
    longer = sum(len(ids) > 4 for ids in whole)
    assert 0 < longer < len(TEXTS)
    policy = make_policy()
    cut = texts_of(sampler_of(policy, tokenizer, max_prompt_tokens=4))
    assert [one.prompt_ids for one in cut] == [ids[-4:] for ids in whole]
    assert f"{longer} of {len(TEXTS)} prompts" in capsys.readouterr().out
    batch = sample_batch(
        sampler_of(policy, tokenizer, max_prompt_tokens=4), TEXTS, torch.Generator().manual_seed(0)
    ).batch
    assert batch.input_ids.shape[1] - batch.response_ids.shape[1] == 4
    longest = max(map(len, whole))
    assert [one.prompt_ids for one in texts_of(sampler_of(policy, tokenizer, max_prompt_tokens=longest))] == whole
    assert capsys.readouterr().out == ""


def test_a_cut_prompt_keeps_its_bos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "tokenize_prompt", lambda *arguments: [1, 5, 6, 7, 8])
    tokenizer: Any = SimpleNamespace(bos_token_id=1)
    cut = [encode_prompt(tokenizer, changed(SETTINGS, max_prompt_tokens=limit), "") for limit in (1, 2, 3, 5)]
    assert cut == [[8], [1, 8], [1, 7, 8], [1, 5, 6, 7, 8]]
