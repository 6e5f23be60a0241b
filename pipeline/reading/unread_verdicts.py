"""Columns beside prompts, texts or demonstrations whose values look like verdicts, whatever the columns are called."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pipeline.errors import PipelineError
from pipeline.params.codings import code_number
from pipeline.params.data import Data
from pipeline.reading.code_columns import are_numbers, code_columns, is_of_the_prompt, is_of_the_row
from pipeline.reading.coding_advice import name_in_yaml, names_in_yaml
from pipeline.reading.opinions.names import is_rank
from pipeline.reading.opinions.words import BAD, GOOD
from pipeline.reading.rows import Row
from pipeline.reading.sides import named_sides, number_pairs, own_tags
from pipeline.reading.sources import Source

_TEXTS = ("texts", "labelled_texts")


def refuse_two_texts(source: Source, data: Data, rows: Sequence[Row], sentences: Sequence[str]) -> None:
    """Stop where two texts a row would be left out that are called as a first and a second, or have codes beside them.

    Args:
        data: resolved, found by `auto`, to a format without preferences.
        rows: a sample.
        sentences: unused columns with sentences.

    Raises:
        PipelineError: with the columns, their values, and the lines for each meaning.
    """
    if data.columns.prompt is None:  # a text beside two others is what these answer
        sentences = [name for name in sentences if name != "text"]
    ignored = {*sentences, data.columns.prompt, data.columns.text, *(data.ignore_columns or [])}
    others = [name for name in source.rows.column_names if name not in ignored]
    codes = code_columns(rows, [name for name in others if not is_of_the_row(name)])
    pair = named_sides(sentences)
    if pair is None and len(sentences) == 2:
        two = (sentences[0], sentences[1])
        named = [name for name, found in codes.items() if set(own_tags(two)) <= found.keys()]
        pair = two if named or (codes and data.format in ("prompts", "texts")) else None
    if pair:
        raise PipelineError(
            f"{source.name} has the columns {', '.join(source.rows.column_names)}. By {pair[0]}, {pair[1]} it looks "
            f"like preferences (comparisons), but other columns alone fit a format ({data.format}), and these would be "
            f"lost.{comparison_lines(data, rows, pair, others)}"
        )
    if len(sentences) > 1 and data.format == "demonstrations" and data.columns.response in codes:
        shown, kept = ", ".join(sentences), [*(data.ignore_columns or []), *sentences]
        raise PipelineError(
            f"{source.name}: the responses would be the codes of {data.columns.response} "
            f"({_counted(codes[data.columns.response])}), and the texts in {shown} would not be read. Write rows with "
            "prompt and response, or chosen and rejected, of the texts that the codes name; where the codes are to be "
            f"learned, add to params.yaml under data: ignore_columns: [{names_in_yaml(kept)}]."
        )


def comparison_lines(data: Data, rows: Sequence[Row], pair: tuple[str, str], names: Iterable[str]) -> str:
    """The lines of params.yaml that read two columns as responses to compare, by each column that may say who won.

    Args:
        names: of columns that may say it.
    """
    prompt = data.columns.prompt or next((name for name in ("text",) if rows and name in rows[0]), None)
    others = [name for name in names if name not in (*pair, prompt)]
    codes = code_columns(rows, [name for name in others if not is_of_the_row(name)])
    sides = {"prompt": prompt, "response_a": pair[0], "response_b": pair[1]}
    options: list[tuple[str, str]] = []
    for two in number_pairs([name for name in others if _holds_numbers(rows, name)], pair):
        columns, key = {**sides, "scores": two}, _direction(two)
        options += [
            (f"the {end} of {' and '.join(two)} is the better one's", _lines("comparisons", columns, f"{key}: {best}"))
            for end, best in (("larger", "highest"), ("smaller", "lowest"))
        ]
    options += [
        (f"{name} says which of them is better", _lines("comparisons", {**sides, "winner": name}))
        for name in codes
        if not any(name in words for words, _ in options)
    ]
    if not options:
        options = [("a column says which of them is better", _lines("comparisons", {**sides, "winner": "COLUMN"}))]
    return _advice(data, options, pair)


def refuse_unread_codes(source: Source, data: Data, rows: Sequence[Row], names: Sequence[str]) -> None:
    """Stop where a column beside responses or texts has a few codes, which may say which of them are wanted.

    Not where the column is called as one that says where a row is from, or where prompts come several times, each with
    one code.

    Args:
        data, rows: as above.
        names: of unused columns.

    Raises:
        PipelineError: as above.
    """
    if data.format not in ("demonstrations", "texts"):
        return
    for name, codes in code_columns(rows, [name for name in names if not is_of_the_row(name)]).items():
        opposite = bool(codes.keys() & GOOD and codes.keys() & BAD)
        if (opposite or are_numbers(codes)) and not is_of_the_prompt(rows, name, data.columns.prompt):
            raise PipelineError(
                f"{source.name}: {name} would not be read, though by its values ({_counted(codes)}) it may say which "
                f"responses people want: other columns alone fit a format ({data.format})."
                f"{verdict_lines(data, rows, [name])}"
            )


def _counted(codes: Counter[str]) -> str:
    return ", ".join(f"'{code}' ({count:,} times)" for code, count in codes.most_common())


def verdict_lines(data: Data, rows: Sequence[Row], names: Sequence[str]) -> str:
    """The lines of params.yaml that read the first of the columns as a label, a rating or a rank, for each meaning."""
    name = names[0]
    codes = sorted(code_columns(rows, [name]).get(name) or {}, key=lambda code: (code_number(code) or 0, code))
    texts = data.format in _TEXTS
    what = {"text": data.columns.text} if texts else {"prompt": data.columns.prompt, "response": data.columns.response}
    options: list[tuple[str, str]] = []
    if len(codes) == 2:
        form = "labelled_texts" if texts else "thumbs"
        for wanted, unwanted in (codes[::-1], codes):
            coding = f"label_coding:\n    wanted: ['{wanted}']\n    unwanted: ['{unwanted}']"
            words = f"it labels them, and {wanted} is what people want"
            options.append((words, _lines(form, {**what, "label": name}, coding)))
    elif not texts and _holds_numbers(rows, name):
        form, field = ("rankings", "rank") if is_rank(name) else ("ratings", "score")
        options = [
            (
                f"it rates them, and the {end} number is the best",
                _lines(form, {**what, field: name}, f"{_direction([name])}: {best}"),
            )
            for end, best in (("largest", "highest"), ("smallest", "lowest"))
        ]
    elif codes:
        coding = f"label_coding:\n    wanted: []\n    unwanted: [{names_in_yaml(codes)}]"
        form = "labelled_texts" if texts else "thumbs"
        words = "it labels them; move what people want from unwanted to wanted"
        options = [(words, _lines(form, {**what, "label": name}, coding))]
    return _advice(data, options, names) if options else ""


def _direction(names: Sequence[str]) -> str:
    return "best_rank" if all(map(is_rank, names)) else "best_score"


def _holds_numbers(rows: Sequence[Row], name: str) -> bool:
    filled = [row[name] for row in rows if row.get(name) not in (None, "")]
    return bool(filled) and all(code_number(value) is not None for value in filled)


def _value(named: str | Sequence[str]) -> str:
    return name_in_yaml(named) if isinstance(named, str) else f"[{names_in_yaml(named)}]"


def _lines(form: str, columns: Mapping[str, str | Sequence[str] | None], *more: str) -> str:
    named = [f"    {field}: {_value(name)}" for field, name in columns.items() if name]
    return "\n".join([f"  format: {form}", "  columns:", *named, *(f"  {line}" for line in more)])


def _advice(data: Data, options: Sequence[tuple[str, str]], names: Iterable[str]) -> str:
    ignored = names_in_yaml([*(data.ignore_columns or []), *names])
    every = [*options, (f"{data.format} are meant", f"  ignore_columns: [{ignored}]")]
    return "\nAdd to params.yaml, under data:\n" + "\n".join(f"  # if {words}:\n{lines}" for words, lines in every)
