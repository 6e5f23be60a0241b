"""Tools, calls and what tools answer are what the template writes of them, or the row is refused."""

import json
from typing import Any

import pytest

from pipeline.params.schema import Params
from pipeline.reading.chats import Unreadable, read_messages
from pipeline.reading.entries import read_entries
from pipeline.reading.fields import columns_of
from pipeline.reading.styles import Style
from pipeline.reading.templates import TemplateStyle
from pipeline.reading.written_prompts import WrittenPrompt
from tests.chat_templates import TEMPLATES, chat_tokenizer
from tests.tiny_models import changed

QWEN25 = (
    "{%- if tools %}{{- '<|im_start|>system\\n# Tools\\n' }}{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}"
    "{{- '<|im_end|>\\n' }}{%- endif %}{%- for message in messages %}"
    "{%- if message.role == 'assistant' %}{{- '<|im_start|>assistant' }}"
    "{%- if message.content %}{{- '\\n' + message.content }}{%- endif %}"
    "{%- for call in message.tool_calls %}{%- if call.function is defined %}{%- set call = call.function %}{%- endif %}"
    '{{- \'\\n<tool_call>\\n{"name": "\' + call.name + \'", "arguments": \' }}{{- call.arguments | tojson }}'
    "{{- '}\\n</tool_call>' }}{%- endfor %}{{- '<|im_end|>\\n' }}"
    "{%- elif message.role == 'tool' %}"
    "{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endif %}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
"""What Qwen 2.5 writes of tools, in short."""
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
CALL = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
CHAT: list[dict[str, Any]] = [
    {"role": "user", "content": "Is it warm in Rome?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "1", "name": "weather", "content": "31 degrees"},
]
ANSWER = [{"role": "assistant", "content": "Yes."}]


def style(template: str) -> TemplateStyle:
    return TemplateStyle(chat_tokenizer(template))


def test_a_prompt_is_what_the_template_writes_of_tools() -> None:
    own = style(QWEN25)
    messages = read_messages(CHAT)
    with own.given(TOOLS):
        prompt = own.prompt(messages)
    parsed = {**CALL, "function": {"name": "weather", "arguments": {"city": "Rome"}}}
    entries = [CHAT[0], {**CHAT[1], "content": "", "tool_calls": [parsed]}, CHAT[2]]
    assert prompt == chat_tokenizer(QWEN25).apply_chat_template(
        entries, tools=TOOLS, tokenize=False, add_generation_prompt=True
    )
    assert "# Tools" not in own.prompt(messages)  # those of one row are not the next one's
    other = style(QWEN25)
    assert own.has_tools and not other.has_tools
    other.note_written(own.has_written)
    assert other.has_tools


def test_a_call_is_learned_and_what_the_tool_answers_is_not() -> None:
    own = style(QWEN25)
    with own.given(json.dumps(TOOLS)):
        prompt = own.prompt(read_messages(CHAT))
    assert isinstance(prompt, WrittenPrompt)
    assert prompt.lost == ""
    (turn,) = prompt.turns
    said = prompt[turn.start : turn.stop]
    assert said.startswith("<tool_call>") and '{"city": "Rome"}' in said and said.endswith("</tool_call><|im_end|>")
    assert "31 degrees" not in said


def test_a_response_may_be_a_call() -> None:
    own = style(QWEN25)
    assert own.response(read_messages(CHAT[:2])[-1]).endswith("\n</tool_call>")


@pytest.mark.parametrize("name", ["chatml", "phi3", "llama3"])
def test_a_template_that_leaves_tools_out_refuses_the_row(name: str) -> None:
    own = style(TEMPLATES[name])
    with own.given(TOOLS), pytest.raises(Unreadable, match="template_writes_no_tools"):
        own.prompt(read_messages(CHAT[:1]))
    with pytest.raises(Unreadable, match="template_writes_no_tools"):
        own.prompt(read_messages(CHAT))


def test_transcripts_have_no_words_for_tools() -> None:
    with pytest.raises(Unreadable, match="tools_are_not_read"):
        Style().prompt([*read_messages(CHAT), *read_messages([{"role": "user", "content": "Really?"}])])
    with pytest.raises(Unreadable, match="tools_malformed"), Style().given("weather"):
        pass


def test_the_column_of_tools_is_read_and_a_text_cannot_have_them(params: Params) -> None:
    columns = dict.fromkeys(type(params.data.columns).model_fields)
    pairs = changed(params.data, format="preference_pairs", columns=columns)
    row = {"prompt": CHAT, "chosen": ANSWER, "rejected": [{"role": "assistant", "content": "No."}], "tools": TOOLS}
    (entry,) = read_entries([row], pairs, style(QWEN25))
    assert entry.record is not None and "# Tools" in entry.record["prompt"] and entry.record["chosen"] == "Yes."
    text = {"prompt": "Q", "chosen": "x", "rejected": "y", "tools": TOOLS}
    assert [one.reason for one in read_entries([text], pairs, style(QWEN25))] == ["tools_are_not_read"]
    found = columns_of(pairs, "preference_pairs", ["prompt", "chosen", "rejected", "tools"], strict=True)
    assert found["tools"] == ["tools"]


def test_a_tool_answers_a_call_and_nothing_else() -> None:
    with pytest.raises(Unreadable, match="roles_out_of_order"):
        read_messages([CHAT[0], CHAT[2]])
    two = [CHAT[0], CHAT[1], CHAT[2], CHAT[2], *ANSWER]
    assert [one.role for one in read_messages(two)] == ["user", "assistant", "tool", "tool", "assistant"]
