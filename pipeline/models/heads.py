"""Heads that turn a state into one number, in fp32 whatever format the network below computes in."""

from typing import Self

import torch
from torch import Tensor, nn


class Fp32Linear(nn.Linear):
    """A linear head that autocast leaves alone: bf16 has 8 bits, too few to tell scores of similar responses apart."""

    def forward(self, input: Tensor) -> Tensor:
        """Values (..., out) in fp32 of states (..., H) in any format; weights that are stored in bf16 are widened."""
        with torch.autocast(input.device.type, enabled=False):
            bias = None if self.bias is None else self.bias.float()
            return nn.functional.linear(input.float(), self.weight.float(), bias)

    @classmethod
    def of(cls, head: nn.Linear) -> Self:
        """The same head, with the same parameters."""
        new = cls(head.in_features, head.out_features, bias=head.bias is not None, device="meta")
        new.weight, new.bias = head.weight, head.bias
        return new


def value_head(hidden_size: int) -> nn.Linear:
    """V(state), zero at the start (lm-human-preferences): the first advantages are the rewards themselves."""
    head = Fp32Linear(hidden_size, 1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head
