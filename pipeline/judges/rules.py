"""What a chat judge is asked and how its replies are read: everything that decides a verdict besides the model."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.params.judge import ChatJudge as Settings

_PROMPTS = Path(__file__).parent / "prompts"
_RUBRIC = "rubric-v1"
_PLACE = re.compile(r"\{(rubric|prompt|first|second)\}")
_VERDICT = re.compile(r"\[\[([ABC])\]\]")
_AT_END = re.compile(r"\]\][\s.*_`]*$")

Message = dict[str, str]
ChatRequest = Mapping[str, Any]
"""`model`, `messages`, and other fields that the user's server takes."""


@dataclass(frozen=True)
class ChatRules:
    """Model, prompt, rubric and limits of a chat judge; no address, no key."""

    model: str
    prompt: str
    """Name and version of the prompt."""
    question: str
    reminder: str
    rubric: str
    request: ChatRequest
    """Fields of a request besides model and messages."""
    max_asks: int
    opponents: int | None
    max_malformed_share: float

    @classmethod
    def of(cls, settings: Settings) -> "ChatRules":
        """The rules of `judge.chat`, with the texts of the prompt and, if none is set, of the rubric.

        Raises:
            PipelineError: the package has no prompt of this name.
        """
        path = _PROMPTS / f"{settings.prompt}.md"
        if not path.is_file():
            names = sorted(file.stem for file in _PROMPTS.glob("pairwise-*.md"))
            raise PipelineError(f"judge.chat.prompt: no prompt {settings.prompt!r}. There are: {', '.join(names)}.")
        question, _, reminder = path.read_text().removeprefix("# question\n").partition("# reminder\n")
        rubric = settings.rubric or (_PROMPTS / f"{_RUBRIC}.md").read_text()
        limits = settings.model_dump(exclude={"rubric"})
        return cls(**limits, question=question.strip(), reminder=reminder.strip(), rubric=rubric.strip())

    def save(self, folder: Path) -> None:
        """Write `judge.json`, with the whole text of prompt and rubric."""
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"kind": "chat", **asdict(self)}
        (folder / "judge.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "ChatRules":
        """Rules that `save` wrote."""
        facts = json.loads((folder / "judge.json").read_text())
        del facts["kind"]
        return cls(**facts)

    def messages(self, prompt: str, first: str, second: str, replies: Sequence[str] = ()) -> list[Message]:
        """The conversation so far: the question, and a reminder after each reply that held no verdict."""
        values = {"rubric": self.rubric, "prompt": prompt, "first": first, "second": second}
        # all placeholders are filled in one pass, because a response may itself contain `{second}`
        question = _PLACE.sub(lambda match: values[match[1]], self.question)
        conversation = [{"role": "user", "content": question}]
        for reply in replies:
            conversation.append({"role": "assistant", "content": reply})
            conversation.append({"role": "user", "content": self.reminder})
        return conversation


def read_verdict(reply: str) -> str | None:
    """The verdict in a reply: `A`, `B` or `C` (a tie) in double brackets; None without a clear one.

    If a reply has different verdicts, because it quotes some, the one counts that ends it, alone on the last line.
    """
    verdicts = _VERDICT.findall(reply)
    if len(set(verdicts)) == 1:
        return verdicts[0]
    last = reply.strip().rpartition("\n")[2]
    return verdicts[-1] if verdicts and len(_VERDICT.findall(last)) == 1 and _AT_END.search(last) else None
