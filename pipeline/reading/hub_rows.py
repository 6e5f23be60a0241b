"""Rows of a data set on the Hugging Face hub."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datasets import Dataset, config, disable_progress_bars, load_dataset
from datasets.exceptions import DatasetsError
from huggingface_hub import try_to_load_from_cache

from pipeline.hub import advise, tell_local, why_not_asked

_ADVICE = "or download its files into data/raw"


def load_hub_rows(name: str, *, split: str, revision: str | None) -> Dataset:
    """The rows of one split; where the hub does not answer, those that were loaded before.

    Args:
        name: OWNER/NAME.
        split: of the data set.
        revision: branch, tag or commit; None is the default branch.

    Raises:
        ValueError: it cannot be loaded; the message says in one line which data set, why, and what to do.
    """
    disable_progress_bars()
    why = why_not_asked("datasets", name)
    try:
        if why is None:
            return load_dataset(name, revision=revision, split=split)
        rows = _loaded_before(name, split, revision)
    except (DatasetsError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        if why is None:
            ending = f"{reason} Check the id, the split and the network."
        elif isinstance(error, ConnectionError):
            ending = f"{why}, and it is not in {config.HF_DATASETS_CACHE} from before. {advise(_ADVICE)}"
        else:
            ending = f"{why}, and of what is in {config.HF_DATASETS_CACHE} from before: {reason} {advise(_ADVICE)}"
        raise ValueError(f"cannot load split {split!r} of hub data set {name!r}: {ending}") from error
    tell_local(name, why)
    return rows


def _loaded_before(name: str, split: str, revision: str | None) -> Dataset:
    """Raises ConnectionError where there is nothing, ValueError where it is of another revision."""
    with _asking_no_hub():
        rows = load_dataset(name, split=split)
    # whatever the revision, `datasets` takes what was loaded last; the folder is named for its commit
    commit = Path(rows.cache_files[0]["filename"]).parent.name
    if revision not in (None, commit):
        card = try_to_load_from_cache(name, config.REPOCARD_FILENAME, repo_type="dataset", revision=revision)
        if not isinstance(card, str) or Path(card).parent.name != commit:
            raise ValueError(f"the newest is commit {commit}, and not known to be revision {revision!r}.")
    return rows


@contextmanager
def _asking_no_hub() -> Iterator[None]:
    """As with HF_HUB_OFFLINE, which `datasets` reads when it is imported, and has no argument for."""
    before, config.HF_HUB_OFFLINE = config.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before
