"""Where an answer ends: the token behind it, which is EOS, or the end of turn of the chat template."""

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from pipeline.errors import PipelineError

TEMPLATE_ERRORS = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError)
"""What a chat template, which is a program, may end with."""
_ANSWER = "An answer of its own."
"""Whose place in a written conversation is looked for."""


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """What the chat template writes behind an answer, from the token that ends it on: `<end_of_turn>` and a line break.

    None without a template, and where plain characters alone follow an answer.
    """
    if not tokenizer.chat_template:
        return None
    chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _ANSWER}]
    try:
        text = str(tokenizer.apply_chat_template(chat, tokenize=False))
    except TEMPLATE_ERRORS:
        return None
    if _ANSWER not in text:
        return None
    tail = text.rpartition(_ANSWER)[2]
    found = [at for token in _control_tokens(tokenizer) if (at := tail.find(token)) >= 0]
    return tail[min(found) :] if found else None


def mark_id(tokenizer: PreTrainedTokenizerBase, end: str | None) -> int | None:
    """The token that an end of turn begins with; None where this tokenizer has no such token.

    Args:
        end: as `end_of_turn` gives it, of this tokenizer or of another one.
    """
    known = {token: index for token, index in _control_tokens(tokenizer).items() if end and end.startswith(token)}
    return known[max(known, key=len)] if known else None


def is_control_token(tokenizer: PreTrainedTokenizerBase, token_id: int) -> bool:
    """Whether a token never occurs in a text, such as EOS and the marks of turns."""
    return token_id in _control_tokens(tokenizer).values()


def end_token_id(tokenizer: PreTrainedTokenizerBase, end: str | None) -> int:
    """The token that a policy learns to end a response with.

    Args:
        end: of the chat template that wrote the texts; None where none did, and then it is EOS.

    Raises:
        PipelineError: there is neither, so no response could ever end.
    """
    found = mark_id(tokenizer, end)
    if found is None:
        found = tokenizer.eos_token_id
    if found is None:
        raise PipelineError(
            "the policy's tokenizer has no EOS and its chat template no end of turn, so no response could ever end. "
            "Set eos_token in the tokenizer_config.json of models.policy.source."
        )
    return int(found)


def _control_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Special and other added tokens; not those of white space, which some tokenizers add."""
    added = {token.content: index for index, token in tokenizer.added_tokens_decoder.items()}
    special = dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))
    return {token: index for token, index in {**added, **special}.items() if token.strip()}
