"""YAML whose aliases repeat aliases: a few lines that unfold to more values than any memory holds."""

from ruamel.yaml import YAML
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent

from pipeline.errors import PipelineError

_MOST_VALUES = 20_000
"""Keys and values with all aliases unfolded; the params of the repository have less than a twentieth of them."""
_DEEPEST = 30
"""Lists and mappings inside one another."""


def refuse_bombs(text: str, *, source: str) -> None:
    """Count what a document unfolds to, from its events: nothing is unfolded.

    Raises:
        PipelineError: naming `source` and the line: too many values, too deep, or an alias inside its own anchor.
        YAMLError: the text is no YAML.
    """
    sizes: dict[str, int] = {}
    open_parts: list[tuple[str | None, int]] = []  # anchor, and values before it
    count = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        line = event.start_mark.line + 1
        if isinstance(event, CollectionStartEvent):
            open_parts.append((event.anchor, count))
        if isinstance(event, CollectionEndEvent):
            anchor, before = open_parts.pop()
            sizes |= {anchor: count - before} if anchor else {}
        if isinstance(event, AliasEvent) and event.anchor in {anchor for anchor, _ in open_parts}:
            raise PipelineError(
                f"{source}, line {line}: *{event.anchor} is inside its own anchor. Write the value out."
            )
        if isinstance(event, ScalarEvent) and event.anchor:
            sizes[event.anchor] = 1
        if isinstance(event, AliasEvent | CollectionStartEvent | ScalarEvent):
            count += sizes.get(event.anchor, 1) if isinstance(event, AliasEvent) else 1
        if count > _MOST_VALUES or len(open_parts) > _DEEPEST:
            raise PipelineError(
                f"{source}, line {line}: its aliases (*name) unfold to more than {_MOST_VALUES:,} values, or it "
                f"is nested more than {_DEEPEST} deep. Write values out instead of nesting aliases."
            )
