"""The content of a raw row, by the field names that are used from here on."""

from typing import TypedDict

from pipeline.reading.votes import VoteRecord


class Record(TypedDict, total=False):
    """A prompt with what is known of its responses, or a text; which fields there are depends on the format."""

    prompt: str
    response: str
    chosen: str
    rejected: str
    chosen_score: float
    """In the units of the data; either both scores are there or neither."""
    rejected_score: float
    votes: list[VoteRecord]
    """Votes of annotators on the pair; a is the chosen response."""
    text: str
    """A whole text, in which prompt and response are not told apart."""
    label: int
    """1 for a text that people liked, 0 for one that they did not."""
