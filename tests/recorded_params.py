"""Parameters that note which of them are read."""

from collections.abc import Callable
from typing import Any

from pipeline.params.base import Section
from pipeline.params.schema import Params


class Recorded:
    """A section of the parameters; those inside are recorded, too."""

    def __init__(self, section: Section, read: set[str], key: str = "") -> None:
        self._section, self._read, self._key = section, read, key

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._section, name)
        key = f"{self._key}.{name}".removeprefix(".")
        self._read.add(key)
        return Recorded(value, self._read, key) if isinstance(value, Section) else value


def keys_read(function: Callable[[Params], Any], params: Params) -> set[str]:
    """Dotted keys of what a function takes from the parameters: values, and sections as far as it goes into them."""
    read: set[str] = set()
    recorded: Any = Recorded(params, read)
    function(recorded)
    return {key for key in read if not any(other.startswith(f"{key}.") for other in read)}
