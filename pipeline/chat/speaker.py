"""A released policy that answers, word by word."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, TextStreamer

from pipeline.data.tokens import tokenize_prompt
from pipeline.models.compute import Compute
from pipeline.models.decoding import Continuation, continuation
from pipeline.models.policy import load_network, load_tokenizer
from pipeline.models.stopping import config_stop_ids
from pipeline.models.text_format import FILE, read_text_format, template_hash
from pipeline.reading.chats import Message
from pipeline.release.serving import own_template

Write = Callable[[str], object]


class Speaker:
    """A policy of artifacts/release, with the chat template and the sampling that its folder names."""

    def __init__(self, folder: Path, compute: Compute) -> None:
        self._tokenizer = load_tokenizer(folder)
        # `generate` knows the attention of transformers
        self._network: Any = load_network(folder, replace(compute, attention="sdpa"), finetuning=None)
        self._network.to(compute.device)
        self._settings = GenerationConfig.from_pretrained(folder)
        # a release may add BOS to the template; in the training texts it is a token and no text
        added = template_hash(own_template(folder)) != read_text_format(folder / FILE).template
        self._bos = str(self._tokenizer.bos_token or "") if added else ""

    def prompt(self, turns: list[Message]) -> str:
        """The conversation as a prompt, written as in training."""
        chat = [{"role": turn.role, "content": turn.content} for turn in turns]
        text = self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        return str(text).removeprefix(self._bos)

    @property
    def has_turns(self) -> bool:
        """Whether the policy was trained on conversations, and not on texts to continue."""
        return self.prompt([Message("user", "?")]) != "?"

    def answer(self, prompt: str, *, seed: int, write: Write) -> Continuation:
        """Sample a response, and write each word as soon as it is complete."""
        ids = torch.tensor([tokenize_prompt(self._tokenizer, prompt)], device=self._network.device)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            whole = self._network.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                generation_config=self._settings,
                streamer=_Words(self._tokenizer, write),
            )
        tokens = whole[0, ids.shape[1] :].tolist()
        return continuation(ids[0].tolist(), tokens, self._tokenizer, config_stop_ids(self._settings))


class _Words(TextStreamer):
    """Hands each word of `generate` to a function."""

    def __init__(self, tokenizer: Any, write: Write) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._write = write

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self._write(text)
