"""Which state a page is of: a name made from its content, and files beside it that say what else is known.

The page is an output that DVC hashes and brings back, so it holds nothing that differs from run to run. Two small files
beside it complete it in a browser: `state.js`, which git keeps, names the state that is checked out, and
`runs/STATE.js`, which nothing keeps but the machine, says when, from which commit and at what cost that state was made.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path("reports/index.html")
CHECKED_OUT = Path("reports/state.js")
RUNS = Path("reports/runs")
UNSEALED = "state-of-this-page"
"""What stands in the page in place of its state's name until that is known."""
_LENGTH = 16


@dataclass(frozen=True)
class PageState:
    """The name of a page's state, and the digest of the comparison.json that it was made with."""

    name: str
    comparison: str


def digest(content: bytes) -> str:
    """A short name for content: the beginning of its sha256."""
    return hashlib.sha256(content).hexdigest()[:_LENGTH]


def seal(page: str) -> tuple[str, str]:
    """Name the state of a page after its content, and put the name in.

    Returns:
        The page, and the name.
    """
    name = digest(page.encode())
    return page.replace(UNSEALED, name), name


def page_state(path: Path) -> PageState | None:
    """The state that a page says it is of; None where there is no page, or the file is something else."""
    if not path.is_file():
        return None
    beginning = path.read_text(encoding="utf-8", errors="replace")[:2000]
    found = re.search(r'data-state="(\w+)" data-comparison="(\w+)"', beginning)
    return PageState(*found.groups()) if found else None


def checked_out_script(name: str) -> str:
    """The content of state.js: it tells a page that lies beside it which state it should be of.

    DVC keeps a stage in its cache of runs only if what git keeps of it is a metric, and reads metrics as YAML. The
    brackets make this a list there, which has no numbers to show.
    """
    return f"[window.checkedOut = {json.dumps(name)}]\n"


def stale_reason(root: Path) -> str | None:
    """Why reports/index.html is not the page of the state that is checked out, and what to run; None where it is."""
    state = page_state(root / PAGE)
    if state is None:
        return f"{PAGE} is not here. `dvc checkout {PAGE}` brings it back from the cache, `make repro` makes it."
    expected = {
        "reports/comparison.json": state.comparison,
        CHECKED_OUT.as_posix(): digest(checked_out_script(state.name).encode()),
    }
    found = {name: digest((root / name).read_bytes()) for name in expected if (root / name).is_file()}
    if others := [name for name in expected if found.get(name) != expected[name]]:
        return (
            f"{PAGE} is of another state than {' and '.join(others)}. `dvc checkout {PAGE}` brings the page of that "
            "state from the cache, `make repro` makes it."
        )
    return None
