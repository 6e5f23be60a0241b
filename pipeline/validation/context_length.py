"""How many tokens a pair has for the policy, and what happens to one that is too long."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from pipeline.data.records import is_storable
from pipeline.errors import PipelineError
from pipeline.params.schema import ValidatePreferences
from pipeline.preferences.pair import RawPair
from pipeline.validation.facts import TEXTS
from pipeline.validation.place import place_of
from pipeline.validation.token_counts import TokenCounter


@dataclass(frozen=True)
class MeasuredPairs:
    """Pairs with their lengths in the policy's tokens."""

    rows: list[RawPair]
    """The pairs; one with a shortened prompt has `prompt_truncated`, the number of tokens that were cut."""
    tokens: list[int]
    """Tokens of prompt and longer response with its EOS; 0 where texts are missing, or max_tokens is null."""


class PairMeter:
    """Measures pairs with a tokenizer.json, without truncation or padding."""

    def __init__(self, file: Path, settings: ValidatePreferences) -> None:
        self._file, self._settings = file, settings

    def __reduce__(self) -> tuple[type["PairMeter"], tuple[Path, ValidatePreferences]]:
        return PairMeter, (self._file, self._settings)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.from_file(str(self._file))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def _counter(self) -> TokenCounter:
        return TokenCounter(self._tokenizer)

    def measure(self, rows: Sequence[RawPair]) -> MeasuredPairs:
        """Count tokens, and do what `over_context` says with pairs above `max_tokens`.

        truncate_prompt cuts the beginning of the prompt, at a token boundary, and keeps at least one token of it; the
        responses stay whole. A pair that is still too long is left to the rule over_context.

        Raises:
            PipelineError: over_context is error and a pair is too long; the message names the first one.
        """
        measured = MeasuredPairs(list(rows), [0] * len(rows))
        if self._settings.max_tokens is None:
            return measured
        # the tokenizer library takes no lone surrogates; the rule not_utf8 finds these
        readable = [number for number, row in enumerate(rows) if _is_readable(row)]
        counts = self._counter.count([rows[number][name] for number in readable for name in TEXTS])
        for number, (prompt, chosen, rejected) in zip(readable, counts.reshape(-1, len(TEXTS)).tolist(), strict=True):
            longest = 1 + max(chosen, rejected)
            if prompt + longest > self._settings.max_tokens:
                measured.rows[number], prompt = self._shorten(rows[number], prompt, longest)
            measured.tokens[number] = prompt + longest
        return measured

    def _shorten(self, row: RawPair, length: int, longest: int) -> tuple[RawPair, int]:
        """The pair, cut if over_context says so, and the number of tokens of its prompt."""
        limit = self._settings.max_tokens
        assert limit is not None, "without a limit nothing is measured"
        if self._settings.over_context == "error":
            raise PipelineError(
                f"{place_of(row)} has {length + longest} tokens, more than "
                f"validate_preferences.max_tokens {limit}. Raise it, or set validate_preferences.over_context to "
                "drop or truncate_prompt."
            )
        room = limit - longest
        if self._settings.over_context == "drop" or room < 1:
            return row, length
        cut = length - room
        offsets = self._tokenizer.encode(row["prompt"], add_special_tokens=False).offsets
        return {**row, "prompt": row["prompt"][offsets[cut][0] :], "prompt_truncated": cut}, room


def _is_readable(row: RawPair) -> bool:
    return all(isinstance(text := row.get(name), str) and is_storable(text) for name in TEXTS)
