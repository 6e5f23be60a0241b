"""What a shared model tells the programs that load it: how prompts were written, how it was sampled, what its score is.

A trained model's folder has these files as its starting model had them. They are written anew beside the links to the
others; the linked files stay as they are.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import tokenize_prompt
from pipeline.models.folders import stored_generation_config
from pipeline.models.policy import load_tokenizer
from pipeline.models.stopping import stop_token_ids
from pipeline.params.schema import Sampling
from pipeline.reading.chats import Message, read_transcript, render_prompt, render_response

_TEMPLATE = "chat_template.jinja"
_KEPT = ("bos_token_id", "decoder_start_token_id", "pad_token_id", "transformers_version")
"""What stays of the starting model's generation_config.json; its penalties and temperature were in no measurement."""


def tell_of_policy(folder: Path, sampling: Sampling, template: str | None) -> None:
    """Write the chat template and the sampling of training, in place of those of the starting model.

    Args:
        folder: the folder of a whole model.
        sampling: the section `sampling` of params.yaml.
        template: the chat template of the training texts; None where it is unknown.
    """
    tokenizer = load_tokenizer(folder)
    stops = stop_token_ids(tokenizer, sampling, stored_generation_config(folder))
    write_sampling(folder, sampling, stops.tolist())
    _use_template(folder, None if template is None else template_with_bos(template, tokenizer))


def tell_of_reward_model(folder: Path, template: str | None) -> None:
    """Write the name of the score, and the chat template of the training texts; None leaves the folder its own."""
    name_score(folder)
    _use_template(folder, template)


def _use_template(folder: Path, template: str | None) -> None:
    if template is not None and template != own_template(folder):
        write_template(folder, template)


def sampling_settings(sampling: Sampling, stop_ids: Sequence[int]) -> dict[str, Any]:
    """The settings of generation_config.json that the model was trained and measured with.

    Args:
        stop_ids: the ids of the tokens that end a response, as `stop_token_ids` gives them.
    """
    return {
        "do_sample": True,
        "eos_token_id": stop_ids[0] if len(stop_ids) == 1 else list(stop_ids),
        "max_new_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        # the whole softmax, in words: without them transformers and others keep 40 or 50 tokens
        "top_k": 0,
        "top_p": 1.0,
    }


def write_sampling(folder: Path, sampling: Sampling, stop_ids: Sequence[int]) -> None:
    """Write `sampling_settings` to generation_config.json; of its old content only `_KEPT` stays."""

    def as_trained(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: values.get(name) for name in _KEPT} | sampling_settings(sampling, stop_ids)

    _rewrite(folder / "generation_config.json", as_trained)


def name_score(folder: Path) -> None:
    """Call the one output of a reward model `reward`, which is LABEL_0 otherwise."""
    named = {"id2label": {"0": "reward"}, "label2id": {"reward": 0}}
    _rewrite(folder / "config.json", lambda values: {**values, **named})


def own_template(folder: Path) -> str | None:
    """The chat template of a model's folder; None where it has none, or several by name."""
    if (folder / _TEMPLATE).is_file():
        return (folder / _TEMPLATE).read_text(encoding="utf-8")
    template = _read(folder / "tokenizer_config.json").get("chat_template")
    return template if isinstance(template, str) else None


def trained_template(prompts: Iterable[str]) -> str:
    """A chat template that writes a conversation as the training texts are, where no template wrote these.

    Args:
        prompts: some prompts of the training texts.
    """
    if any(read_transcript(prompt) is not None for prompt in prompts):
        return _transcript_template()
    # plain texts: a prompt as it is, and what follows it
    return "{% for message in messages %}{{ ' ' if not loop.first }}{{ message['content'] }}{% endfor %}"


def template_with_bos(template: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """The template, with BOS in front where training put it before every prompt and the template does not.

    No program adds BOS to a text that a template wrote: `apply_chat_template` tokenises without special tokens.
    """
    bos = tokenizer.bos_token_id
    if bos is None or tokenize_prompt(tokenizer, "?")[0] != bos:
        return template
    chat = [{"role": "user", "content": "?"}]
    text = tokenizer.apply_chat_template(chat, chat_template=template, tokenize=False, add_generation_prompt=True)
    return template if str(text).startswith(str(tokenizer.bos_token)) else f"{{{{ bos_token }}}}{template}"


def write_template(folder: Path, template: str) -> None:
    """Make this the only chat template of the tokenizer."""
    _rewrite(folder / "tokenizer_config.json", lambda values: {**values, "chat_template": None})
    (folder / _TEMPLATE).unlink(missing_ok=True)
    (folder / _TEMPLATE).write_text(template, encoding="utf-8")


def _transcript_template() -> str:
    """A template for the transcripts of pipeline.reading.chats, made from what that module writes of marked turns."""
    begin = render_prompt([Message("user", "@")])
    user, assistant = begin.split("@")
    system = render_prompt([Message("system", "@"), Message("user", "@")]).split("@")[0]
    answer = render_response(Message("assistant", "@")).split("@")[0]
    turns = {"system": system, "user": user, "assistant": assistant + answer}
    cases = "".join(
        f"{{% {'if' if role == 'system' else 'elif'} message['role'] == '{role}' %}}{{{{ {json.dumps(head)} }}}}"
        for role, head in turns.items()
    )
    turn = f"{cases}{{% endif %}}{{{{ message['content'] }}}}"
    start = f"{{% if add_generation_prompt %}}{{{{ {json.dumps(assistant)} }}}}{{% endif %}}"
    return f"{{% for message in messages %}}{turn}{{% endfor %}}{start}"


def _rewrite(file: Path, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """Replace a link by a changed copy of its file, which stays as it is; the value None removes a key."""
    values = {key: value for key, value in change(_read(file)).items() if value is not None}
    file.unlink(missing_ok=True)
    file.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


def _read(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text())) if file.is_file() else {}
