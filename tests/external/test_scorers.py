"""How texts are written for a scorer, and reward models of every origin."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from pipeline.errors import PipelineError
from pipeline.external.scorers import TextWriter, judge_scorer, reward_scorer
from pipeline.judges.lexicon import save_lexicon_judge
from pipeline.models.compute import Compute
from pipeline.models.reward_loading import create_reward_model, load_reward_model
from pipeline.params.base import ModelSource
from pipeline.reading.chats import Message, Unreadable
from tests.passages import ended
from tests.tiny_models import SENTENCES, byte_level_tokenizer, save_bought_reward_model

TEMPLATE = "{{ bos_token }}{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
USER, BOT = Message("user", "Hi"), Message("assistant", "Yes?")


def source(folder: Path) -> ModelSource:
    return ModelSource(source=str(folder), revision=None, trust_remote_code=False, dtype="float32")


def test_plain_texts_are_joined_and_conversations_become_transcripts() -> None:
    writer = TextWriter(separator="\n")
    assert writer.write([USER], "Ho") == "Hi\nHo" and writer.style == "plain"
    assert writer.write([USER, BOT, USER], "Ho") == "\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: Hi\n\nAssistant: Ho"
    with pytest.raises(Unreadable):
        writer.write([USER, BOT], "Ho")


def test_a_chat_template_is_used() -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.chat_template = TEMPLATE
    assert TextWriter(tokenizer=tokenizer).write([USER], "Ho") == "<s><user>Hi<assistant>Ho"


@pytest.mark.parametrize("kind", ["deberta", "llama"])
def test_bought_models_score_and_their_template_is_used_where_there_is_one(
    kind: str, tmp_path: Path, decoder_folder: Path, compute: Compute
) -> None:
    save_bought_reward_model(tmp_path, kind, decoder_folder)
    arguments = {"separator": "", "batch_size": 4, "max_length": None}
    plain = reward_scorer(source(tmp_path), compute, style="auto", **arguments)
    assert plain.writer.style == "plain" and plain.gives_log_odds
    scores = plain.score(SENTENCES)
    assert len(scores) == len(SENTENCES) and scores.std() > 1e-3
    with pytest.raises(PipelineError, match="has no chat template"):
        reward_scorer(source(tmp_path), compute, style="chat", **arguments)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(tmp_path)
    assert reward_scorer(source(tmp_path), compute, style="auto", **arguments).writer.style == "chat"
    assert reward_scorer(source(tmp_path), compute, style="plain", **arguments).writer.style == "plain"


def test_our_own_decoder_scores_as_it_does_in_the_pipeline_up_to_its_shift(
    tmp_path: Path, decoder_folder: Path, compute: Compute
) -> None:
    model = create_reward_model(decoder_folder, compute, max_length=64, seed=0).eval()
    model.shift(2.5)
    model.save(tmp_path)
    scorer = reward_scorer(source(tmp_path), compute, style="plain", separator="", batch_size=4, max_length=None)
    ours, theirs = model.score(ended(SENTENCES), batch_size=4).numpy(), scorer.score(SENTENCES)
    assert (ours - ours[0]) == pytest.approx(theirs - theirs[0], abs=1e-5)


def test_a_folder_without_a_judge_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="holds no judge"):
        judge_scorer(tmp_path, separator="")


def test_a_judge_that_is_no_classifier_is_named(tmp_path: Path) -> None:
    save_lexicon_judge(tmp_path)
    with pytest.raises(PipelineError, match="holds a judge of the kind lexicon"):
        judge_scorer(tmp_path, separator="")


def test_a_chat_ends_once_as_its_template_writes_it_and_a_plain_text_with_eos(
    tmp_path: Path, decoder_folder: Path, compute: Compute
) -> None:
    save_bought_reward_model(tmp_path, "llama", decoder_folder)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.chat_template = TEMPLATE.replace("{% endfor %}", "</s>{{ '\\n' }}{% endfor %}")
    tokenizer.save_pretrained(tmp_path)
    arguments = {"separator": "", "batch_size": 4, "max_length": None}
    model = load_reward_model(tmp_path, compute)
    for style, end in (("chat", "</s>\n"), ("plain", "</s>")):
        scorer = reward_scorer(source(tmp_path), compute, style=style, **arguments)
        text = scorer.writer.write([USER], "Ho")
        ids = torch.tensor([tokenizer(text.removesuffix(end) + end, add_special_tokens=False)["input_ids"]])
        with torch.no_grad():
            expected = model(ids, torch.ones_like(ids)).numpy()
        assert scorer.score([text]) == pytest.approx(expected, abs=1e-5)
