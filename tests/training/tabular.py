"""A task so small that everything can be enumerated: eight tokens, two steps, and a score that counts one word."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from pipeline.data.passages import Passage
from pipeline.data.tokens import TokenizedExample, collate
from pipeline.models.policy import Policy
from pipeline.params.schema import Sampling
from tests.tiny_models import llama_config

WORDS = ("a", "b", "c", "d", "e")
PROMPT = "a"
WANTED = "d"
SAMPLING = Sampling(max_new_tokens=2, temperature=1.0, stop_tokens=[], batch_size=512, max_prompt_tokens=None)


def save_tabular_policy(folder: Path, *, seed: int) -> None:
    """A 1-layer Llama over pad, EOS, unknown and five words, with random weights."""
    vocabulary = {word: index for index, word in enumerate(("<pad>", "</s>", "<unk>", *WORDS))}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", bos_token="</s>"
    )
    torch.manual_seed(seed)
    LlamaForCausalLM(llama_config(tokenizer, num_hidden_layers=1)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def count_wanted(passages: Sequence[Passage]) -> Tensor:
    """The reward model: how often the wanted word is in a text."""
    return torch.tensor([float(one.text.count(WANTED)) for one in passages])


def all_responses(tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Every response there is: up to two tokens, ended by EOS or by the length limit."""
    others = [token for token in range(len(tokenizer)) if token != tokenizer.eos_token_id]
    ended = [
        [*start, tokenizer.eos_token_id]
        for length in range(SAMPLING.max_new_tokens)
        for start in itertools.product(others, repeat=length)
    ]
    return ended + [list(full) for full in itertools.product(others, repeat=SAMPLING.max_new_tokens)]


class Enumeration:
    """The exact objective of KL-regularised RL, J(pi) = E[score] - beta KL(pi || reference), and its optimum.

    The optimum is pi*(y) = ref(y) exp(score(y) / beta) / Z, with J(pi*) = beta log Z (arXiv:2305.18290, eq. 4).
    """

    def __init__(self, reference: Policy, tokenizer: PreTrainedTokenizerBase, *, beta: float) -> None:
        self.beta = beta
        self.responses = all_responses(tokenizer)
        (self.prompt_token,) = tokenizer(PROMPT, add_special_tokens=False)["input_ids"]
        examples = [TokenizedExample([self.prompt_token], response) for response in self.responses]
        self._batch = collate(examples, pad_token_id=tokenizer.pad_token_id)
        wanted = tokenizer.convert_tokens_to_ids(WANTED)
        self.scores = torch.tensor([float(response.count(wanted)) for response in self.responses]).double()
        self.reference = self.logprobs(reference)
        self.best = beta * torch.logsumexp(self.reference + self.scores / beta, 0).item()
        self.start = self.objective(reference)

    @torch.no_grad()
    def logprobs(self, policy: Policy) -> Tensor:
        """(responses,) in float64; their probabilities add up to 1."""
        return policy(self._batch).logprobs.double().sum(1)

    def objective(self, policy: Policy) -> float:
        """J of a policy."""
        logprobs = self.logprobs(policy)
        return (logprobs.exp() * (self.scores - self.beta * (logprobs - self.reference))).sum().item()

    def divergence(self, policy: Policy) -> float:
        """KL(pi || pi*) in nats: what the objective misses of its optimum, over beta."""
        return (self.best - self.objective(policy)) / self.beta
