"""Score reward models and policies on published benchmarks.

python -m pipeline.external rewardbench pairs.parquet --reward-model artifacts/reward_model
python -m pipeline.external rewardbench hub:allenai/reward-bench --split filtered --reward-model OWNER/NAME
python -m pipeline.external alpacaeval outputs.json baseline.json --reward-model artifacts/reward_model
python -m pipeline.external alpacaeval outputs.json baseline.json --judge artifacts/judge
python -m pipeline.external annotations annotations.json

RewardBench files have prompt, chosen, rejected and subset; AlpacaEval's have instruction, output and generator, and
its annotations preference, output_1 and output_2. Files are .json, .jsonl or .parquet, or data sets as hub:OWNER/NAME.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.environment import set_environment
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from pipeline.external.rows import Row


def main() -> None:
    """Parse the command line, measure, print; exit 1 with a message when something cannot be read."""
    arguments = _parser().parse_args()
    set_environment()
    try:
        found = _RUNNERS[arguments.benchmark](arguments)
    except PipelineError as error:
        sys.exit(f"error: {error}")
    # after the work, so that whoever reads standard output gets one document
    document = json.dumps(found.document, indent=2, sort_keys=True)
    if arguments.output:
        arguments.output.write_text(f"{document}\n")
    print(document if arguments.json else found.text)


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m pipeline.external", description=__doc__, formatter_class=raw)
    commands = parser.add_subparsers(dest="benchmark", required=True)
    pairs = commands.add_parser("rewardbench", help="accuracy of a reward model by subset and section")
    pairs.add_argument("file", help="pairs: a file, or hub:OWNER/NAME")
    pairs.add_argument("--subset", help="the subset of rows that name none")
    outputs = commands.add_parser("alpacaeval", help="win rate of a model's outputs against a baseline's")
    outputs.add_argument("file", help="the model's outputs")
    outputs.add_argument("baseline", help="the baseline's outputs")
    annotations = commands.add_parser("annotations", help="win rate of finished annotations of AlpacaEval")
    annotations.add_argument("file", help="annotations")
    for command in (pairs, outputs, annotations):
        command.add_argument("--split", default="train", help="split of a data set on the hub")
        command.add_argument("--data-revision", help="branch, tag or commit of a data set on the hub")
        command.add_argument("--json", action="store_true", help="print JSON")
        command.add_argument("--output", type=Path, metavar="FILE", help="write JSON to this file, too")
    for command in (pairs, outputs):
        _add_scorer(command)
    return parser


def _add_scorer(command: argparse.ArgumentParser) -> None:
    who = command.add_mutually_exclusive_group(required=True)
    who.add_argument("--reward-model", metavar="SOURCE", help="a folder, package:NAME, or an id on the hub")
    who.add_argument("--judge", type=Path, metavar="FOLDER", help="a classifier of fit_judge")
    command.add_argument("--revision", help="branch, tag or commit of a reward model on the hub")
    command.add_argument("--trust-remote-code", action="store_true", help="run its code; needs a commit as --revision")
    command.add_argument(
        "--dtype", choices=("bfloat16", "float32"), default="float32", help="number format of its weights"
    )
    command.add_argument("--batch-size", type=int, default=16, help="texts in one forward pass")
    command.add_argument("--max-length", type=int, help="tokens read of a text; default: as stored with the model")
    command.add_argument(
        "--text",
        choices=("auto", "plain", "chat"),
        default="auto",
        help="how prompt and response become one text: chat is the tokenizer's template, auto takes it where there is "
        "one. Models of this pipeline were trained on plain texts.",
    )
    command.add_argument("--separator", default="", help="text between prompt and response of plain texts")


class _Result(NamedTuple):
    document: Mapping[str, object]
    text: str
    """The document as aligned plain text."""


# imported in the functions: transformers reads its switches from the environment once, when it is imported


def _rewardbench(arguments: argparse.Namespace) -> _Result:
    from pipeline.external.rewardbench import evaluate_rewardbench
    from pipeline.external.tables import rewardbench_text

    rows = _rows(arguments, arguments.file)
    found = evaluate_rewardbench(rows, _scorer(arguments), source=arguments.file, subset=arguments.subset)
    return _Result(found, rewardbench_text(found))


def _alpacaeval(arguments: argparse.Namespace) -> _Result:
    from pipeline.external.alpacaeval import evaluate_outputs
    from pipeline.external.tables import alpacaeval_text

    sources = arguments.file, arguments.baseline
    outputs, baseline = (_rows(arguments, source) for source in sources)
    found = evaluate_outputs(outputs, baseline, _scorer(arguments), sources=sources)
    return _Result(found, alpacaeval_text(found))


def _annotations(arguments: argparse.Namespace) -> _Result:
    from pipeline.external.alpacaeval import evaluate_annotations
    from pipeline.external.tables import alpacaeval_text

    found = evaluate_annotations(_rows(arguments, arguments.file), source=arguments.file)
    return _Result(found, alpacaeval_text(found))


def _rows(arguments: argparse.Namespace, source: str) -> "list[Row]":
    from pipeline.external.rows import read_rows

    return read_rows(source, split=arguments.split, revision=arguments.data_revision)


def _scorer(arguments: argparse.Namespace) -> Any:
    from pipeline.external.scorers import judge_scorer, reward_scorer
    from pipeline.models.compute import start_compute
    from pipeline.params.base import ModelSource
    from pipeline.params.loading import load_params

    if arguments.judge:
        return judge_scorer(arguments.judge, separator=arguments.separator)
    source = ModelSource(
        source=arguments.reward_model,
        revision=arguments.revision,
        trust_remote_code=arguments.trust_remote_code,
        dtype=arguments.dtype,
    )
    return reward_scorer(
        source,
        start_compute(load_params().runtime),
        style=arguments.text,
        separator=arguments.separator,
        batch_size=arguments.batch_size,
        max_length=arguments.max_length,
    )


_RUNNERS = {"rewardbench": _rewardbench, "alpacaeval": _alpacaeval, "annotations": _annotations}

if __name__ == "__main__":
    main()
