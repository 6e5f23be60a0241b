"""The sources of a run, opened and read, for prepare_data and for the check before it."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.preparation import PreparedData, prepare
from pipeline.data.raw_rows import FieldRows, RawRows
from pipeline.data.shares import fill_shares
from pipeline.params.data import Data, Limits, Splits
from pipeline.progress import progress_bar
from pipeline.reading.categories import default_category
from pipeline.reading.control_tokens import control_tokens
from pipeline.reading.formats import HOLD_CHATS, as_read, describe_format, detect_format, prompts_by_file
from pipeline.reading.shared_codings import refuse_misfits
from pipeline.reading.sources import Source, load_sources, print_warning
from pipeline.reading.styles import Style

_BLOCKS = 20


@dataclass(frozen=True)
class Intake:
    """The sources of a run, opened, and what each of them is."""

    settings: Data
    sources: list[Source]
    resolved: list[Data]
    """The settings of each source, with its format and columns, and a number in each of its splits and limits."""

    @property
    def rows(self) -> int:
        """Number of rows of all sources together."""
        return sum(len(source.rows) for source in self.sources)


def open_sources(settings: Data, *, warn: Callable[[str], None] = print_warning) -> Intake:
    """Find the files and data sets of `data.source`, and the format of each.

    Args:
        settings: `data` of the parameters.
        warn: called with a sentence for each defect that does not stop a run.

    Raises:
        PipelineError: a source is missing or cannot be read, fits no format, or breaks the declared coding of labels.
    """
    sources = load_sources(settings, warn=warn)
    resolved = prompts_by_file(sources, [detect_format(source, settings) for source in sources])
    refuse_misfits(sources, resolved, settings)
    rows = sum(len(source.rows) for source in sources)
    return Intake(settings, sources, fill_shares(resolved, rows=rows))


def tell_formats(intake: Intake) -> None:
    """Say on the terminal which formats the sources have."""
    for found, files in Counter(map(describe_format, intake.resolved)).items():
        print(f"  format  {found}{f' ({files} files)' if files > 1 else ''}", flush=True)


def warn_of_missing_categories(settings: Data, resolved: Sequence[Data]) -> None:
    """Warn where no source has the column data.columns.category: rows then have the category of rows without one."""
    if settings.columns.category is not None and not any(data.columns.category for data in resolved):
        print(
            f"warning: no source has a column {settings.columns.category!r} (data.columns.category) that says the "
            "kind of prompt; nothing is broken down by it.",
            flush=True,
        )


def other_shares(intake: Intake, splits: Mapping[str, float | None], limits: Mapping[str, int | None]) -> Data:
    """The shares and limits of all splits, with other values of `data.splits` and `data.limits`.

    Raises:
        PipelineError: the shares add up to less than 1, and no open split takes the rest.
        ValueError: the shares add up to more than 1, or to less with no share left open.
    """
    changed = {"splits": Splits(**splits), "limits": Limits(**limits)}
    return fill_shares([data.model_copy(update=changed) for data in intake.resolved], rows=intake.rows)[0]


class _Mixed(Exception):
    """Some rows are chats and some are texts."""


def read_sources(
    intake: Intake,
    policy: Path,
    *,
    seed: int,
    at_most: int | None = None,
    wraps: bool = False,
    scratch: Path | None = None,
    processes: int = 1,
) -> tuple[PreparedData, Style]:
    """Read all rows; where some turn out to be chats and others texts, once more, with the texts written as chats.

    Args:
        intake: what `open_sources` found.
        policy: a folder with the policy's tokenizer, which control tokens and chat templates come from.
        seed: the seed of the hashes by which prompts are split.
        at_most: the most rows that are read, in blocks from all over the sources; None reads all.
        wraps: texts are written as turns of a chat.
        scratch: a folder for a temporary file as large as all texts together; None is the system's.
        processes: the most processes that read; the result does not depend on their number.

    Raises:
        PipelineError: a chat template is asked for, and the policy has none.
    """
    style = _style(intake, policy, wraps=wraps)
    indices = _sampled(intake.sources, at_most)
    sources = list(_raw_rows(intake, indices, style))
    try:
        with progress_bar(total=sum(map(len, indices)), title="rows", unit="row") as bar:

            def advance(rows: int) -> None:
                bar.update(rows)
                _refuse_mixed(style)

            prepared = prepare(sources, seed=seed, scratch=scratch, processes=processes, advance=advance)
            _refuse_mixed(style)
    except _Mixed:
        print("  texts are written as turns of a chat, because other rows are chats", flush=True)
        return read_sources(
            intake, policy, seed=seed, at_most=at_most, wraps=True, scratch=scratch, processes=processes
        )
    return prepared, style


def _sampled(sources: Sequence[Source], at_most: int | None) -> list[range | list[int]]:
    """For each source the indices of the rows that are read."""
    total = sum(len(source.rows) for source in sources)
    if at_most is None or total <= at_most:
        return [range(len(source.rows)) for source in sources]
    return [_blocks(len(source.rows), max(1, at_most * len(source.rows) // total)) for source in sources]


def _blocks(rows: int, wanted: int) -> list[int]:
    """About as many indices as are wanted, in blocks, because rows of one prompt often follow each other."""
    size = -(-wanted // _BLOCKS)
    starts = [block * (rows - size) // max(1, _BLOCKS - 1) for block in range(_BLOCKS)]
    return sorted({at for start in starts for at in range(start, min(rows, start + size))})


def _style(intake: Intake, policy: Path, *, wraps: bool) -> Style:
    """How rows are written out; a template needs the policy's tokenizer, which takes seconds to load."""
    settings = intake.settings
    has_chats = any(data.format in HOLD_CHATS for data in intake.resolved)
    if settings.chat_format == "transcript" or not (has_chats or settings.chat_format == "template"):
        return Style(settings.separator, control_tokens=control_tokens(policy), wraps=wraps)
    from pipeline.reading.templates import load_style

    return load_style(settings.chat_format, policy, separator=settings.separator, wraps=wraps)


def _raw_rows(intake: Intake, read: Sequence[range | list[int]], style: Style) -> Iterator[RawRows]:
    names = [source.name for source in intake.sources]
    for source, data, indices in zip(intake.sources, intake.resolved, read, strict=True):
        joined = [(source.name, at + 1) for at in indices] if len(indices) < len(source.rows) else []
        rows = FieldRows(source, data, indices, default_category(source.name, names))
        whence = (source.name,) if joined else ()
        yield RawRows(source.name, rows, as_read(data), source.share, style, whence, joined)


def _refuse_mixed(style: Style) -> None:
    if style.is_mixed:
        raise _Mixed
