"""Texts to the token ids that a reward model reads, in which a response that ended looks different from a cut one."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from pipeline.data.passages import Passage
from pipeline.models.rewritten_chats import RewrittenChats
from pipeline.reading.endings import mark_id
from pipeline.reading.template_marks import TemplateMarks

END_UNSEEN = (
    "the reward model's tokenizer has no EOS, so a response that was cut looks to it like one that ended. Set "
    "eos_token in its tokenizer_config.json."
)
_PROBE = "a"


class RewardTexts:
    """Tokenises texts: behind a response that ended stands what ends a text for this model, behind a cut one nothing.

    That is, with what reward models read in their own training: the end of turn of the chat template that wrote the
    texts, where it is a token of this tokenizer; what the tokenizer itself puts behind a text, such as [SEP]; and
    EOS where there is neither.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int,
        end_of_turn: str | None = None,
        marks: TemplateMarks | None = None,
    ) -> None:
        """
        Args:
            max_length: tokens that the model reads, those of the end included.
            end_of_turn: of the chat template that wrote the texts; None where none did.
            marks: of that template, where chats are read as this tokenizer's own template writes them; None otherwise.
        """
        self._chats = None if marks is None else RewrittenChats(tokenizer, marks)
        if self._chats is not None:
            end_of_turn = self._chats.end_of_turn
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._end_of_turn = end_of_turn if mark_id(tokenizer, end_of_turn) is not None else None
        self._before, self._behind = _frame(tokenizer)
        if not self._behind and self._end_of_turn is None and tokenizer.eos_token_id is not None:
            self._behind = [tokenizer.eos_token_id]

    @property
    def shows_end(self) -> bool:
        """Whether a response that ended looks different from a cut one; not without EOS or anything in its place."""
        return bool(self._behind or self._end_of_turn)

    def encode(self, passages: Sequence[Passage]) -> list[list[int]]:
        """Token ids of each; those over `max_length` lose their start, not their end.

        The response is at the end, and it is what the score is about.
        """
        bodies = self._bodies(passages)
        return [self._framed(body, one.ended) for body, one in zip(bodies, passages, strict=True)]

    def truncated(self, passages: Sequence[Passage]) -> int:
        """How many are longer than `max_length` tokens."""
        bodies = self._bodies(passages)
        rooms = (self._room(self._ending(body, one.ended)) for body, one in zip(bodies, passages, strict=True))
        return sum(len(body) > room for body, room in zip(bodies, rooms, strict=True))

    def _bodies(self, passages: Sequence[Passage]) -> list[list[int]]:
        """Token ids without what the tokenizer puts around a text."""
        if not passages:
            return []
        texts = [self._written(one) for one in passages]
        encoded: list[list[int]] = self._tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        # chat templates write the BOS that many tokenizers add once more
        begun = self._before == [self._tokenizer.bos_token_id]
        return [ids[1:] if begun and ids[:1] == self._before else ids for ids in encoded]

    def _written(self, passage: Passage) -> str:
        end = self._end_of_turn
        text = passage.text if self._chats is None else self._chats.rewrite(passage.text)
        if end is None or not passage.ended or text.endswith(end):
            return text
        return text + end

    def _framed(self, body: list[int], ended: bool) -> list[int]:
        ending = self._ending(body, ended)
        return [*self._before, *body[max(0, len(body) - self._room(ending)) :], *ending]

    def _ending(self, body: list[int], ended: bool) -> list[int]:
        """The tokens that the tokenizer adds after a text, unless the template has written them already."""
        return self._behind if ended and body[-len(self._behind) :] != self._behind else []

    def _room(self, ending: list[int]) -> int:
        return self._max_length - len(self._before) - len(ending)


def _frame(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """What a tokenizer puts before and behind a text by itself."""
    whole, bare = (tokenizer(_PROBE, add_special_tokens=added)["input_ids"] for added in (True, False))
    start = next(at for at in range(len(whole)) if whole[at : at + len(bare)] == bare)
    return whole[:start], whole[start + len(bare) :]
