"""What scores the texts of a benchmark: a reward model or a fitted judge, and how the texts are written for it."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.passages import Passage
from pipeline.errors import PipelineError
from pipeline.judges.text_classifier import KIND as CLASSIFIER
from pipeline.judges.text_classifier import TextClassifierJudge
from pipeline.models.checkpoints import save_model
from pipeline.models.compute import Compute
from pipeline.models.reward_loading import load_reward_model
from pipeline.models.sources import load_source_reward_model
from pipeline.models.text_format import TextFormat
from pipeline.params.base import ModelSource
from pipeline.reading.chats import Message, render_prompt, render_response
from pipeline.reading.endings import end_of_turn


@dataclass(frozen=True)
class TextWriter:
    """Writes prompt and response as one text."""

    separator: str = ""
    """Stands between prompt and response of a plain text."""
    tokenizer: Any = None
    """Its chat template is used; None writes plain texts."""

    @property
    def style(self) -> str:
        return "plain" if self.tokenizer is None else "chat"

    def write(self, prompt: Sequence[Message], response: str) -> str:
        """The text by the tokenizer's template; without one `prompt + separator + response`, or a transcript of turns.

        Raises:
            Unreadable: the prompt does not end with the user's turn.
        """
        if self.tokenizer is None:
            if len(prompt) == 1:
                return prompt[0].content + self.separator + response
            return render_prompt(prompt) + render_response(Message("assistant", response))
        turns = [*prompt, Message("assistant", response)]
        # a BOS that the template writes and the tokenizer adds once more is dropped when it becomes tokens
        return str(
            self.tokenizer.apply_chat_template(
                [{"role": turn.role, "content": turn.content} for turn in turns], tokenize=False
            )
        )


@dataclass(frozen=True)
class BenchmarkScorer:
    """A reward model or judge: RewardBench measures it, AlpacaEval measures outputs with it."""

    name: str
    score: Callable[[Sequence[str]], np.ndarray]
    """Scores (N,) of N complete texts."""
    writer: TextWriter
    gives_log_odds: bool
    """A difference of scores is the log-odds that the first is better, as of a Bradley-Terry model."""


def reward_scorer(
    source: ModelSource, compute: Compute, *, style: str, separator: str, batch_size: int, max_length: int | None
) -> BenchmarkScorer:
    """A reward model from a folder, a package or the hub, loaded as fetch_models would store it.

    Args:
        style: plain, chat, or auto: chat where the tokenizer has a template, as RewardBench does.
        max_length: the most tokens that are read of a text; None is the number that the model is stored with.

    Raises:
        PipelineError: the source is no finished reward model, or `style` is chat and it has no chat template.
    """
    with tempfile.TemporaryDirectory() as folder:
        network, tokenizer = load_source_reward_model(source, key="--reward-model", advice="train one from it")
        save_model(network, tokenizer, Path(folder), with_code=source.trust_remote_code)
        del network
        has_template = bool(getattr(tokenizer, "chat_template", None))
        if style == "chat" and not has_template:
            raise PipelineError(f"--text chat: {source.source!r} has no chat template. Use --text plain.")
        chat = style == "chat" or (style == "auto" and has_template)
        written = TextFormat("template", end_of_turn=end_of_turn(tokenizer)) if chat else TextFormat("transcript")
        model = load_reward_model(Path(folder), compute, max_length=max_length, texts=written)
    writer = TextWriter(separator, model.tokenizer if chat else None)

    def score(texts: Sequence[str]) -> np.ndarray:
        # a benchmark's responses are complete; an end that the template has written is not written again
        return model.score([Passage(text, True) for text in texts], batch_size=batch_size, title="scoring").numpy()

    return BenchmarkScorer(source.source, score, writer, gives_log_odds=True)


def judge_scorer(folder: Path, *, separator: str) -> BenchmarkScorer:
    """A classifier that fit_judge stored.

    Raises:
        PipelineError: the folder holds no classifier.
    """
    if not (folder / "judge.json").is_file():
        raise PipelineError(f"--judge: {folder} holds no judge. Name the folder that fit_judge writes.")
    kind = json.loads((folder / "judge.json").read_text())["kind"]
    if kind != CLASSIFIER:
        raise PipelineError(
            f"--judge: {folder} holds a judge of the kind {kind}, and only a classifier scores benchmarks. Name the "
            "folder of a classifier, or a reward model with --reward-model."
        )
    judge = TextClassifierJudge.load(folder)
    return BenchmarkScorer(folder.as_posix(), judge.score, TextWriter(separator), gives_log_odds=False)
