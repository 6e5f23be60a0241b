"""Loads the judges that stage fit_judge wrote, of whatever kind."""

import json
from pathlib import Path

from pipeline.judges.chat import ChatJudge
from pipeline.judges.endpoint import ChatEndpoint
from pipeline.judges.lexicon import KIND as LEXICON
from pipeline.judges.lexicon import load_lexicon_judge
from pipeline.judges.protocol import Judge
from pipeline.judges.replies import ReplyStore
from pipeline.judges.reward_model import load_reward_judge
from pipeline.judges.rules import ChatRules
from pipeline.judges.text_classifier import TextClassifierJudge
from pipeline.models.compute import Compute
from pipeline.params.judge import JudgeEndpoint

_NONE = "none"


def load_judge(folder: Path, compute: Compute, *, endpoint: JudgeEndpoint, store: Path) -> Judge:
    """The judge in a folder that stage fit_judge wrote.

    Args:
        compute: the device and the number format of a reward model.
        endpoint: where a chat model is, and how it is called.
        store: the folder of the replies of chat models.
    """
    kind = json.loads((folder / "judge.json").read_text())["kind"]
    if kind == "chat":
        return open_chat_judge(ChatRules.load(folder), endpoint=endpoint, store=store)
    if kind == "reward_model":
        return load_reward_judge(folder, compute)
    if kind == LEXICON:
        return load_lexicon_judge(folder)
    return TextClassifierJudge.load(folder).as_judge()


def load_second_judge(folder: Path, compute: Compute, *, endpoint: JudgeEndpoint, store: Path) -> Judge | None:
    """The second judge, loaded as by `load_judge`; None if `judge.second` is none."""
    if json.loads((folder / "judge.json").read_text())["kind"] == _NONE:
        return None
    return load_judge(folder, compute, endpoint=endpoint, store=store)


def save_no_judge(folder: Path) -> None:
    """Write the folder from which `load_second_judge` reads that there is no second judge."""
    folder.mkdir(parents=True)
    (folder / "judge.json").write_text(json.dumps({"kind": _NONE}) + "\n")


def open_chat_judge(rules: ChatRules, *, endpoint: JudgeEndpoint, store: Path) -> ChatJudge:
    """A chat judge that sends only the requests whose replies are not in `store`."""
    return ChatJudge(rules, ChatEndpoint(endpoint), ReplyStore(store), concurrency=endpoint.concurrency)
