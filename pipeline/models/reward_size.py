"""Which reward models are large, and so kept in the number format of the matrix products, as policies are.

Small ones and encoders take little memory either way, and fp32 tells more of their scores apart.
"""

LARGE = 400_000_000
"""Weights of a decoder from which on it is large; those that are called "0.5B" have fewer than their name says."""


def is_large(weights: int, *, decoder: bool) -> bool:
    """Whether a reward model of so many weights is; encoders never are."""
    return decoder and weights >= LARGE
