"""One chat template a model, which writes the same chat in the same words on every day."""

from typing import Any

from pipeline.errors import PipelineError

_CLOCK = "strftime_now"
"""The function by which transformers lets a template write the date."""
_DATE = {
    "a": "Fri", "A": "Friday", "b": "Jul", "B": "July", "d": "26", "-d": "26", "e": "26", "m": "07", "-m": "7",
    "y": "24", "Y": "2024", "j": "208", "D": "07/26/24", "F": "2024-07-26", "x": "07/26/24", "H": "00", "I": "12",
    "Z": "", "z": "", "M": "00", "S": "00", "p": "AM", "T": "00:00:00", "X": "00:00:00",
    "c": "Fri Jul 26 00:00:00 2024",
}  # fmt: skip
"""The date that Llama 3.1 itself uses where there is no clock, by the directives of strftime."""
_FIXED = (
    f"{{% macro {_CLOCK}(format) %}}{{{{ format"
    + "".join(f"|replace('%{directive}', '{text}')" for directive, text in _DATE.items())
    + " }}{% endmacro %}\n"
)
"""Put before a template. Its line break adds nothing to a chat: transformers drops one behind a tag."""


def settle_template(tokenizer: Any, *, key: str, needed: bool = True) -> None:
    """Leave a tokenizer one chat template: of several the one named default, and none that asks what day it is.

    A template that writes the date would write other texts tomorrow: other bytes for the same data, and a policy that
    reads other prompts than it was trained on. It gets 26 July 2024, which is Llama 3.1's own default.

    Args:
        key: of the model's source, for messages.
        needed: chats are written by it; otherwise several of which none is the default are dropped.

    Raises:
        PipelineError: there are several, none is the default, and one is needed.
    """
    template = tokenizer.chat_template
    if isinstance(template, dict):
        if needed and "default" not in template:
            raise PipelineError(
                f"{key}: the tokenizer brings several chat templates ({', '.join(sorted(template))}), and none is the "
                "default. Write the one that is meant into a file and name it in models.policy.chat_template, or "
                "rename it default in a copy of the model's folder."
            )
        template = template.get("default")
    if template and _CLOCK in template and not template.startswith(_FIXED):
        template = _FIXED + template
    tokenizer.chat_template = template
