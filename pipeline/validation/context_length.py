"""How many tokens a pair has for the policy, and what happens to one that is too long."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer

from pipeline.data.records import is_storable
from pipeline.errors import PipelineError
from pipeline.params.schema import ValidatePreferences
from pipeline.validation.thresholds import place_of

_BATCH = 2_000
_TEXTS = ("prompt", "chosen", "rejected")


@dataclass(frozen=True)
class MeasuredPairs:
    """Pairs with their lengths in the policy's tokens."""

    rows: list[Mapping[str, Any]]
    """As given, but for shortened prompts, which have `prompt_truncated`: the tokens that were cut."""
    tokens: list[int]
    """Prompt and longer response with its EOS; 0 where a row has no texts to measure, or there is no limit."""


def load_pair_tokenizer(file: Path) -> Tokenizer:
    """A tokenizer.json, without truncation or padding."""
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def measure_pairs(
    rows: Sequence[Mapping[str, Any]], tokenizer: Tokenizer, settings: ValidatePreferences
) -> MeasuredPairs:
    """Count tokens, and do what `over_context` says with pairs above `max_tokens`.

    truncate_prompt takes the beginning off a prompt, at a token boundary, as long as something of it is left; the
    responses stay whole. A pair that is still too long is left to the rule over_context.

    Raises:
        PipelineError: over_context is error and a pair is too long, naming the first.
    """
    if settings.max_tokens is None:
        return MeasuredPairs(list(rows), [0] * len(rows))
    measured = MeasuredPairs([], [])
    for start in range(0, len(rows), _BATCH):
        for row, encodings in _encoded(rows[start : start + _BATCH], tokenizer):
            if encodings is None:
                measured.rows.append(row)
                measured.tokens.append(0)
                continue
            prompt, *responses = encodings
            longest = 1 + max(len(response) for response in responses)
            row, kept = _shorten(row, prompt, longest, settings)
            measured.rows.append(row)
            measured.tokens.append(kept + longest)
    return measured


def _encoded(
    rows: Sequence[Mapping[str, Any]], tokenizer: Tokenizer
) -> Iterator[tuple[Mapping[str, Any], list[Encoding] | None]]:
    # the tokenizer library takes no lone surrogates; the rule not_utf8 finds these
    readable = [all(isinstance(text := row.get(name), str) and is_storable(text) for name in _TEXTS) for row in rows]
    texts = [row[name] for row, fine in zip(rows, readable, strict=True) if fine for name in _TEXTS]
    encodings = iter(tokenizer.encode_batch(texts, add_special_tokens=False))
    for row, fine in zip(rows, readable, strict=True):
        yield row, [next(encodings) for _ in _TEXTS] if fine else None


def _shorten(
    row: Mapping[str, Any], prompt: Encoding, longest: int, settings: ValidatePreferences
) -> tuple[Mapping[str, Any], int]:
    """The row and the tokens of its prompt."""
    assert settings.max_tokens is not None, "without a limit nothing is measured"
    if len(prompt) + longest <= settings.max_tokens:
        return row, len(prompt)
    if settings.over_context == "error":
        raise PipelineError(
            f"{place_of(row)} has {len(prompt) + longest} tokens, more than "
            f"validate_preferences.max_tokens {settings.max_tokens}. Raise it, or set over_context to drop or "
            "truncate_prompt."
        )
    room = settings.max_tokens - longest
    if settings.over_context == "drop" or room < 1:
        return row, len(prompt)
    cut = len(prompt) - room
    rest = row["prompt"][prompt.offsets[cut][0] :]
    return {**row, "prompt": rest, "prompt_truncated": cut}, room
