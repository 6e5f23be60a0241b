"""Judges that are taken as they are: a lexicon, a reward model, a chat model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.passages import Passage
from pipeline.judges.lexicon import save_lexicon_judge
from pipeline.judges.loading import open_chat_judge
from pipeline.judges.protocol import Judge
from pipeline.judges.reward_model import MODEL, save_reward_judge
from pipeline.judges.rules import ChatRules
from pipeline.models.checkpoints import save_model
from pipeline.models.compute import Compute
from pipeline.models.sources import load_source_reward_model
from pipeline.models.text_format import TextFormat, read_by_its_own, store_text_format
from pipeline.params.judge import ChatJudge, JudgeEndpoint, RewardModelJudge


@dataclass(frozen=True)
class FinishedJudges:
    """Loads and stores the judges that params.yaml names."""

    chat: ChatJudge
    reward_model: RewardModelJudge
    endpoint: JudgeEndpoint
    """Where the chat model is, and how it is called."""
    store: Path
    """The folder of the replies of chat models."""
    start_compute: Callable[[], Compute]
    """Called only for a judge whose model is loaded on this machine."""
    text_format: TextFormat
    """How the texts that a reward model reads are written."""

    def save(self, kind: str, folder: Path, scale: Sequence[Passage]) -> Judge:
        """Write the judge of a kind into a new folder, and open it.

        Args:
            kind: lexicon, chat or reward_model.
            scale: texts by whose scores those of a reward model are scaled, see `save_reward_judge`.

        Raises:
            PipelineError: the prompt of the chat model, or the reward model, does not exist.
        """
        if kind == "lexicon":
            return save_lexicon_judge(folder)
        if kind == "chat":
            rules = ChatRules.of(self.chat)
            rules.save(folder)
            return open_chat_judge(rules, endpoint=self.endpoint, store=self.store)
        compute = self.start_compute()
        network, tokenizer = load_source_reward_model(self.reward_model, key="judge.reward_model.source")
        save_model(network, tokenizer, folder / MODEL, with_code=self.reward_model.trust_remote_code)
        store_text_format(folder / MODEL, read_by_its_own(self.text_format, tokenizer.chat_template))
        return save_reward_judge(folder, compute, scale, batch_size=self.reward_model.batch_size)
