"""The data of a run: the format of each source, and what becomes of its rows."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pipeline.check.findings import Findings, Table
from pipeline.check.settings import Settings
from pipeline.data.fates import dropped_reason, raw_rows_of
from pipeline.data.intake import Intake, open_sources, read_sources
from pipeline.data.leakage import LEAKED
from pipeline.data.preparation import PreparedData
from pipeline.data.splits import SPLITS
from pipeline.excerpts import shorten
from pipeline.reading.formats import describe_format
from pipeline.reading.leftovers import unused_columns, unused_fields
from pipeline.reading.reasons import advise_reason
from pipeline.reading.styles import Style

MOST_ROWS = 50_000
"""The most rows that are read; of more, blocks from all over the sources."""
MOST_CHARACTERS = 50_000_000
"""The most characters of the rows that are read, estimated by the mean of a few rows."""
_WEIGHED = 50
_SHOWN_SOURCES = 12
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class ReadData:
    """The rows that were read, and what became of them."""

    intake: Intake
    prepared: PreparedData
    style: Style
    whole: float
    """How many rows of the sources each row that was read stands for; 1 where all were read."""
    lossy: bool
    """More rows are dropped than `data.max_dropped_share` allows; until that is mended, other counts mean little."""

    def estimate(self, count: int) -> int:
        """How many of all rows there are, where `count` are among those that were read."""
        return round(count * self.whole)

    def count(self, number: int) -> str:
        """The estimate as text, with "about" where not all rows were read."""
        return f"{number:,}" if self.whole == 1 else f"about {self.estimate(number):,}"


def check_sources(settings: Settings, findings: Findings) -> Intake | None:
    """Find and open every source; needs no model."""
    with findings.collecting():
        return open_sources(settings.data, warn=findings.warning)
    return None


def read_data(intake: Intake, policy: Path, settings: Settings, findings: Findings) -> ReadData | None:
    """Read the rows as prepare_data will; None where no row is used, from which all other problems would follow."""
    with findings.collecting():
        prepared, style = read_sources(intake, policy, seed=settings.seed, at_most=_most_rows(intake))
        read = prepared.noted_rows
        lossy = prepared.dropped_share > settings.data.max_dropped_share
        data = ReadData(intake, prepared, style, intake.rows / read if read < intake.rows else 1.0, lossy)
        if data.whole > 1:
            findings.warning(
                f"{read:,} of {intake.rows:,} rows were read, in blocks from all over; counts are estimates."
            )
        findings.tables += [_read_table(intake, prepared), _use_table(data)]
        _check_dropped(intake, prepared, settings, findings)
        if any(count for fate, count in prepared.counts.items() if fate.startswith("used.")):
            return data
        if not lossy:
            _say_that_none_is_used(prepared, findings)
    return None


def _most_rows(intake: Intake) -> int:
    """How many rows a check can read in under a minute."""
    step = -(-intake.rows // _WEIGHED)
    few = [len(str(source.rows[at])) for source in intake.sources for at in range(0, len(source.rows), step)]
    return max(1, min(MOST_ROWS, MOST_CHARACTERS * len(few) // max(1, sum(few))))


def _read_table(intake: Intake, prepared: PreparedData) -> Table:
    rows = []
    for source, data in list(zip(intake.sources, intake.resolved, strict=True))[:_SHOWN_SOURCES]:
        fates = prepared.rows_of.get(source.name, Counter())
        kinds = [sum(count for fate, count in fates.items() if fate.startswith(f"{kind}.")) for kind in _KINDS]
        form, _, fields = describe_format(data).partition(": ")
        left = [*unused_columns(source, data), *unused_fields(source, data)]
        unused = ", ".join(shorten(name, 30) for name in left) or "-"
        rows.append([source.name, f"{len(source.rows):,}", *(f"{kind:,}" for kind in kinds), form, fields, unused])
    if (more := len(intake.sources) - len(rows)) > 0:
        rows.append([f"... and {more} more", *[""] * (len(_READ) - 1)])
    return Table("What was read", _READ, rows)


_KINDS = ("used", "unused", "dropped")
_READ = ("source", "rows", *_KINDS, "format", "columns", "columns without a use")


_DROPPED = ("reason", "rows", "first", "seen", "what to do", "the row")


def _use_table(data: ReadData) -> Table:
    prepared = data.prepared
    pairs = Counter(split for split, _ in prepared.paired)
    rows = [
        [split, data.count(len(prepared.prompts[split])), data.count(pairs[split]) if pairs[split] else "-"]
        for split in SPLITS
        if split in prepared.prompts
    ]
    leaked = prepared.counts.get(LEAKED, 0)
    rows.append(["held out, dropped as near duplicates", data.count(leaked), "-"])
    rows.append(["SFT texts", data.count(len(prepared.texts["train"])), "-"])
    rows.append(
        ["judge: fitted, measured", " and ".join(data.count(len(part)) for part in prepared.labels.values()), "-"]
    )
    return Table("What would be used", ("split", "prompts or texts", "given pairs"), rows)


def _say_that_none_is_used(prepared: PreparedData, findings: Findings) -> None:
    fates = ", ".join(f"{count:,} {fate}" for fate, count in prepared.counts.most_common() if count)
    findings.error(f"no row of the sources is used: they are {fates}. Bring other rows.", "data.source")


def _check_dropped(intake: Intake, prepared: PreparedData, settings: Settings, findings: Findings) -> None:
    dropped = [(reason, fate) for fate in prepared.fates if (reason := dropped_reason(fate)) is not None]
    if not dropped:
        return
    raw_row, table = raw_rows_of(intake.sources), []
    for reason, count in Counter(reason for reason, _ in dropped).most_common():
        first = next(fate for other, fate in dropped if other == reason)
        seen = first.get("seen") or "-"
        shown = shorten(str(raw_row(first)), _SHOWN_CHARACTERS)
        place = f"row {first['row']} of {first['source']}"
        table.append([reason, f"{count:,}", place, seen, advise_reason(reason), shown])
    findings.tables.append(Table("Dropped rows", _DROPPED, table))
    share, limit = prepared.dropped_share, settings.data.max_dropped_share
    for name, count in Counter(fate["source"] for _, fate in dropped).items():
        if share <= limit and (of_source := count / prepared.rows_of[name].total()) > limit:
            findings.warning(f"{of_source:.0%} of the rows of {name} are dropped (see the table).", "data.source")
    if share > limit:
        reason, number, first_place, seen, advice, shown = table[0]
        findings.error(
            f"{share:.1%} of the rows are dropped, and at most {limit:.0%} may be. {number} of them are {reason}; the "
            f"first is {first_place}{'' if seen == '-' else f', which has {seen}'}: {shown}. What to do: {advice}. Or "
            "mend data.columns where fields were taken for others.",
            "data.max_dropped_share",
        )
