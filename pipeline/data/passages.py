"""A text together with whether it ended: what a reward model or a judge is given."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Passage:
    """A response, or a prompt with its response.

    Without the special tokens a complete text and one that a length limit cut may read alike; whoever scores them has
    to know which is which.
    """

    text: str
    ended: bool
    """The response is complete: EOS, a stop token or the end of a turn followed; False where it was cut."""

    def after(self, prompt: str) -> "Passage":
        """Prompt and response as one text, which ends where the response does."""
        return Passage(prompt + self.text, self.ended)
