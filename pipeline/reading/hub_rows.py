"""Rows of a data set on the Hugging Face hub."""

from datasets import Dataset, disable_progress_bars, load_dataset
from datasets.exceptions import DatasetsError


def load_hub_rows(name: str, *, split: str, revision: str | None) -> Dataset:
    """The rows of one split.

    Args:
        name: OWNER/NAME.
        split: of the data set.
        revision: branch, tag or commit; None is the default branch.

    Raises:
        ValueError: it cannot be loaded; the message says in one line which data set, and why.
    """
    disable_progress_bars()
    try:
        return load_dataset(name, revision=revision, split=split)
    except (DatasetsError, ValueError, OSError) as error:
        raise ValueError(
            f"cannot load split {split!r} of hub data set {name!r}: {' '.join(str(error).split())}"
        ) from error
