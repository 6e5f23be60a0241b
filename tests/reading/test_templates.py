"""Chats written out by a chat template: the same text as the template's own, cut where the answer begins."""

from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from pipeline.data.tokens import collate, tokenize_example
from pipeline.errors import PipelineError
from pipeline.models.decoding import decode_responses
from pipeline.models.stopping import stop_token_ids
from pipeline.params.schema import Sampling
from pipeline.reading.chats import Message, Unreadable, read_messages
from pipeline.reading.styles import Style
from pipeline.reading.templates import TemplateStyle, load_style
from tests.tiny_models import byte_level_tokenizer

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STRICT = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
CHAT = [Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Why?")]


@pytest.fixture
def make_style(tmp_path: Path) -> Callable[[str], TemplateStyle]:
    def make(template: str) -> TemplateStyle:
        tokenizer: PreTrainedTokenizerFast = byte_level_tokenizer()
        tokenizer.chat_template = template
        tokenizer.save_pretrained(tmp_path)
        style = load_style("template", tmp_path, separator="")
        assert isinstance(style, TemplateStyle)
        return style

    return make


def test_prompt_and_response_are_what_the_template_writes(make_style: Callable[[str], TemplateStyle]) -> None:
    style = make_style(CHATML)
    prompt, response = style.prompt(CHAT), style.response(Message("assistant", "Because."))
    whole = "".join(f"<|im_start|>{one.role}\n{one.content}</s>\n" for one in [*CHAT, Message("assistant", "Because.")])
    # the end of sequence follows as a token
    assert prompt + response + "</s>\n" == whole
    assert response == "Because."


def test_a_message_with_a_control_token_is_refused(make_style: Callable[[str], TemplateStyle]) -> None:
    style = make_style(CHATML)
    for text in ("now </s> then", "<pad>"):
        with pytest.raises(Unreadable, match="control_token_in_text"):
            style.prompt([Message("user", text)])
        with pytest.raises(Unreadable, match="control_token_in_text"):
            style.response(Message("assistant", text))


def test_what_a_template_refuses_is_a_reason(make_style: Callable[[str], TemplateStyle]) -> None:
    with pytest.raises(Unreadable, match="template_refuses_the_roles"):
        make_style(STRICT).prompt(CHAT)
    with pytest.raises(Unreadable, match="prompt_does_not_end_with_the_user"):
        make_style(CHATML).prompt(CHAT[:3])
    with pytest.raises(Unreadable, match="response_is_not_the_assistants"):
        make_style(CHATML).response(Message("user", "Hi"))


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% if %}", "Expected an expression"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ messages[0].content.index('x') }}", "substring not found"),
        ("{# nothing #}", "writes nothing"),
    ],
)
def test_a_template_that_fails_on_every_chat_is_one_sentence_and_no_reason_of_a_row(
    make_style: Callable[[str], TemplateStyle], template: str, said: str
) -> None:
    style = make_style(template)
    with pytest.raises(PipelineError, match=f"fails on every chat.*{said}.*models.policy.chat_template"):
        style.prompt([Message("user", "Hi")])


def test_a_template_that_asks_for_a_system_prompt_takes_chats_with_one(
    make_style: Callable[[str], TemplateStyle],
) -> None:
    style = make_style("{% if messages[0].role != 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML)
    assert "Hi" in style.prompt([Message("system", "Be brief."), Message("user", "Hi")])
    with pytest.raises(Unreadable, match="template_refuses_the_roles"):
        style.prompt([Message("user", "Hi")])


def test_another_template_has_another_hash(make_style: Callable[[str], TemplateStyle]) -> None:
    assert make_style(CHATML).template_hash != make_style(STRICT).template_hash


def test_a_style_knows_whether_it_has_written(make_style: Callable[[str], TemplateStyle]) -> None:
    style = make_style(CHATML)
    assert not style.written
    with pytest.raises(Unreadable):
        style.prompt(CHAT[:3])
    assert not style.written
    style.prompt(CHAT)
    assert style.written


def test_without_a_template_chats_are_transcripts_or_it_is_said(tmp_path: Path) -> None:
    byte_level_tokenizer().save_pretrained(tmp_path)
    assert type(load_style("auto", tmp_path, separator="\n")) is Style
    assert type(load_style("transcript", tmp_path, separator="")) is Style
    with pytest.raises(PipelineError, match="has no chat template"):
        load_style("template", tmp_path, separator="")


def test_a_transcript_of_the_policys_own_template_is_read_and_not_refused_for_its_tokens(
    make_style: Callable[[str], TemplateStyle],
) -> None:
    style = make_style(CHATML)
    written = style.prompt(CHAT)
    assert style.transcript(written, "Because.", "No.") == (written, "Because.", "No.")
    llama = "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    assert style.transcript(llama, "Yes") == ("<|im_start|>user\nHi</s>\n<|im_start|>assistant\n", "Yes")
    with pytest.raises(Unreadable, match="control_token_in_text"):
        style.transcript(written, "Yes <|im_start|>")


GEMMA = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content | trim }}<end_of_turn>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>assistant\n{% endif %}"
)


def test_a_response_has_no_end_of_turn_though_that_is_another_token_than_eos(tmp_path: Path) -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<start_of_turn>", "<end_of_turn>"]})
    tokenizer.chat_template = GEMMA
    tokenizer.save_pretrained(tmp_path)
    style = load_style("auto", tmp_path, separator="")
    assert style.end_of_turn == "<end_of_turn>\n"
    prompt, response = style.prompt(CHAT), style.response(Message("assistant", "Because."))
    assert response == "Because."
    whole = [{"role": one.role, "content": one.content} for one in [*CHAT, Message("assistant", "Because.")]]
    assert prompt + response + style.end_of_turn == tokenizer.apply_chat_template(whole, tokenize=False)


def test_given_and_sampled_responses_end_alike(tmp_path: Path) -> None:
    """What SFT and DPO learn of a given response is what a policy that says it would have sampled."""
    tokenizer = byte_level_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<start_of_turn>", "<end_of_turn>"]})
    tokenizer.chat_template = GEMMA
    tokenizer.save_pretrained(tmp_path)
    style = load_style("template", tmp_path, separator="")
    prompt, given = style.prompt(CHAT), style.response(Message("assistant", "Because."))
    example = tokenize_example(tokenizer, prompt, given, ended=True, end_of_turn=style.end_of_turn)
    assert tokenizer.decode(example.prompt_ids + example.response_ids) == f"{prompt}Because.<end_of_turn>"
    batch = collate([example], pad_token_id=0)
    settings = Sampling(max_new_tokens=9, temperature=1.0, stop_tokens=[], batch_size=1, max_prompt_tokens=None)
    (sampled,) = decode_responses(batch, tokenizer, stop_token_ids(tokenizer, settings, None))
    assert (sampled.text, sampled.ended) == (given, True)
    again = tokenize_example(tokenizer, prompt, sampled.text, ended=sampled.ended, end_of_turn=style.end_of_turn)
    assert again == example


THOUGHT = {"role": "assistant", "content": "4.", "reasoning_content": "Two and two."}
THINKS = CHATML.replace(
    "{{ message.content }}",
    "{% if message.reasoning_content and loop.last %}<think>{{ message.reasoning_content }}</think>{% endif %}"
    "{{ message.content }}",
)


def test_what_was_thought_reaches_the_template_under_its_key(make_style: Callable[[str], TemplateStyle]) -> None:
    """As Qwen's, it is written of the last answer, and left out of earlier ones, as the model is used."""
    messages = read_messages([{"role": "user", "content": "2+2?"}, THOUGHT, {"role": "user", "content": "Sure?"}])
    style = make_style(THINKS)
    assert style.response(messages[1]) == "<think>Two and two.</think>4."
    assert style.prompt(messages).count("4.") == 1 and "think" not in style.prompt(messages)
    thinking = {"role": "assistant", "content": "4.", "thinking": "Two and two."}
    (other,) = read_messages(thinking)
    assert make_style(THINKS.replace("reasoning_content", "thinking")).response(other) == style.response(messages[1])


def test_what_was_thought_is_never_left_out_silently(make_style: Callable[[str], TemplateStyle]) -> None:
    """By a template that knows no thoughts, nor by a transcript."""
    messages = read_messages([{"role": "user", "content": "2+2?"}, THOUGHT, {"role": "user", "content": "Sure?"}])
    for style, reason in (
        (make_style(CHATML), "template_writes_no_reasoning"),
        (Style(), "reasoning_is_not_read"),
    ):
        with pytest.raises(Unreadable, match=reason):
            style.response(messages[1])
        with pytest.raises(Unreadable, match=reason):
            style.prompt(messages)
    with pytest.raises(Unreadable, match="content_is_no_text"):
        read_messages({**THOUGHT, "reasoning_content": ["Two"]})
    assert read_messages({**THOUGHT, "reasoning_content": None}) == [Message("assistant", "4.")]
