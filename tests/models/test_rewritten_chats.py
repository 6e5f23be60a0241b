"""A bought reward model reads chats as its own template writes them, whatever the policy's template has written."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.data.passages import Passage
from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.reward_loading import load_reward_model, texts_of_finished
from pipeline.models.reward_texts import RewardTexts
from pipeline.models.rewritten_chats import RewrittenChats
from pipeline.models.text_format import TextFormat
from pipeline.reading.chats import Message
from pipeline.reading.templates import TemplateStyle
from tests.chat_templates import TEMPLATES, WITHOUT_SYSTEM, chat_tokenizer
from tests.tiny_models import save_bought_reward_model

SYSTEM = Message("system", "Speak of films.")
CHAT = [Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Why?")]
ANSWER = Message("assistant", "Because.")


def style(name: str) -> TemplateStyle:
    return TemplateStyle(chat_tokenizer(name))


@pytest.mark.parametrize("theirs", TEMPLATES)
@pytest.mark.parametrize("ours", TEMPLATES)
def test_it_is_what_their_template_writes_of_the_chat(ours: str, theirs: str) -> None:
    """An answer that ended as `apply_chat_template` writes it, and one that was cut without its end."""
    chat = CHAT if {ours, theirs} & {*WITHOUT_SYSTEM} else [SYSTEM, *CHAT]
    tokenizer, policy = chat_tokenizer(theirs), style(ours)
    texts = RewardTexts(tokenizer, max_length=500, marks=policy.marks)
    written = policy.prompt(chat) + policy.response(ANSWER)
    entries = [{"role": one.role, "content": one.content} for one in [*chat, ANSWER]]
    whole = str(tokenizer.apply_chat_template(entries, tokenize=False)).rstrip()
    ended, cut = (
        tokenizer.decode(ids).rstrip() for ids in texts.encode([Passage(written, True), Passage(written, False)])
    )
    assert ended == whole
    assert cut == whole.removesuffix(str(style(theirs).end_of_turn).strip()).rstrip()


def test_a_default_system_prompt_of_the_policy_is_not_the_users() -> None:
    ours, theirs = style("qwen2"), chat_tokenizer("chatml")
    assert ours.marks is not None
    written = RewrittenChats(theirs, ours.marks).rewrite(ours.prompt(CHAT[:1]) + "Yes")
    assert written == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYes"


def test_what_it_cannot_write_is_refused_with_the_reason() -> None:
    ours = style("chatml")
    assert ours.marks is not None
    gemma = RewrittenChats(chat_tokenizer("gemma"), ours.marks)
    with pytest.raises(PipelineError, match=r"refuses a chat .*System role not supported"):
        gemma.rewrite(ours.prompt([SYSTEM, *CHAT]) + "Because.")
    with pytest.raises(PipelineError, match="not a whole chat"):
        gemma.rewrite(ours.prompt(CHAT)[20:] + "Because.")
    assert gemma.rewrite("a text without any turn") == "a text without any turn"


def test_a_finished_model_scores_as_it_does_alone(decoder_folder: Path, tmp_path: Path, compute: Compute) -> None:
    save_bought_reward_model(tmp_path, "llama", decoder_folder)
    tokenizer = load_reward_model(tmp_path, compute).tokenizer
    tokenizer.chat_template = TEMPLATES["zephyr"]
    tokenizer.save_pretrained(tmp_path)
    policy = style("chatml")
    texts = TextFormat("template", policy.template_hash, end_of_turn=policy.end_of_turn, marks=policy.marks)
    finished = texts_of_finished(tmp_path, texts)
    assert finished == replace(texts, own_template=True)
    model = load_reward_model(tmp_path, compute, texts=finished)
    score = model.score([Passage(policy.prompt(CHAT) + "Because.", True)], batch_size=1)
    entries = [{"role": one.role, "content": one.content} for one in [*CHAT, ANSWER]]
    ids = tokenizer(tokenizer.apply_chat_template(entries, tokenize=False), return_tensors="pt")
    ids.pop("token_type_ids", None)
    assert torch.allclose(score, model.network(**ids).logits.flatten(), atol=1e-5)
