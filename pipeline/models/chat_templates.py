"""Chat templates by name, for a base model that brings none.

They write what the models of these names do: system prompt, turns, and the mark that asks for an answer. Of ChatML see
github.com/openai/openai-python, chatml.md; the others are those of the models' own tokenizer_config.json.
"""

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from pipeline.errors import PipelineError

KEY = "models.policy.chat_template"
_TURNS = (
    "{%% for message in messages %%}{{ '%s' + message['role'] + '%s' + message['content'] + '%s' }}{%% endfor %%}"
    "{%% if add_generation_prompt %%}{{ '%s' }}{%% endif %%}"
)
_ALTERNATING = (
    "{% set system = messages[0]['content'] if messages[0]['role'] == 'system' else '' %}"
    "{% set turns = messages[1:] if system else messages %}"
    "{% for message in turns %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('turns of user and assistant have to alternate') }}{% endif %}"
    "{% set before = system + '\\n\\n' if system and loop.first else '' %}"
)
TEMPLATES = {
    "chatml": _TURNS % ("<|im_start|>", "\\n", "<|im_end|>\\n", "<|im_start|>assistant\\n"),
    "zephyr": "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
    "phi3": _TURNS % ("<|", "|>\\n", "<|end|>\\n", "<|assistant|>\\n"),
    "llama3": "{{ bos_token }}"
    + _TURNS
    % (
        "<|start_header_id|>",
        "<|end_header_id|>\\n\\n",
        "<|eot_id|>",
        "<|start_header_id|>assistant<|end_header_id|>\\n\\n",
    ),
    "mistral": "{{ bos_token }}"
    + _ALTERNATING
    + "{% if message['role'] == 'user' %}{{ '[INST] ' + before + message['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}",
    "gemma": "{{ bos_token }}"
    + _ALTERNATING
    + "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\\n' + before + "
    "message['content'] + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}",
}
_MARKS = {
    "chatml": ("<|im_start|>", "<|im_end|>"),
    "phi3": ("<|end|>",),
    "llama3": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "gemma": ("<start_of_turn>", "<end_of_turn>"),
}
"""Marks that have to be one token each: a model cannot reliably end its turn with a mark of several tokens."""


def give_template(tokenizer: PreTrainedTokenizerBase, name: str | None) -> None:
    """Give a tokenizer a chat template in place of the one that it brings, if any.

    Tokens are not added: adapters leave the embeddings as they are, so that no model would learn to write a new one.

    Args:
        name: of TEMPLATES, or a file; None changes nothing.

    Raises:
        PipelineError: there is no such template, or the tokenizer lacks tokens that it needs.
    """
    if name is None:
        return
    missing = [mark for mark in _MARKS.get(name, ()) if len(tokenizer(mark, add_special_tokens=False)["input_ids"]) > 1]
    if missing:
        raise PipelineError(
            f"{KEY} is {name}, and the tokenizer of models.policy.source has no token {', '.join(missing)}: a turn "
            "would have no end that the model could learn to write. Use zephyr, whose turns end with EOS, or a model "
            "with these tokens."
        )
    template = TEMPLATES.get(name) or _read(name)
    if name in TEMPLATES and "eos_token" in template and tokenizer.eos_token is None:
        raise PipelineError(f"{KEY} is {name}, whose turns end with EOS, and the tokenizer has none.")
    tokenizer.chat_template = template


def _read(name: str) -> str:
    path = Path(name)
    if not path.is_file():
        raise PipelineError(f"{KEY}: {name!r} is neither one of {', '.join(sorted(TEMPLATES))} nor a file.")
    return path.read_text(encoding="utf-8")
