"""Pandera is held against known-bad pairs once."""

from tests.canaries import canaries, known_bad_pairs  # noqa: F401
