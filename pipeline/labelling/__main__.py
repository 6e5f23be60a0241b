"""Collect preferences: a page on this machine that shows a prompt and two responses, and asks which is better.

Votes are lines of data/labels/NAME.jsonl, each on the disk before the page goes on. Stop it at any time, even with
kill -9: it goes on where the annotator stopped. Then set collect_preferences.source to labelled in params.yaml.
"""

import argparse
import sys
import webbrowser
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.labelling.items import DEFAULT, load_items
from pipeline.labelling.server import LabelServer
from pipeline.labelling.session import Session, check_annotator
from pipeline.labelling.vote_log import VoteLog
from pipeline.reading.vote_files import FOLDER


def main() -> None:
    """Parse the command line and serve until interrupted; exit 1 with a message for what a user can mend."""
    arguments = _parser().parse_args()
    try:
        _serve(arguments)
    except PipelineError as error:
        sys.exit(f"error: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.labelling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--annotator", required=True, metavar="NAME", help="who votes; it names the vote file")
    parser.add_argument("--items", type=Path, default=DEFAULT, metavar="PATH", help=f"JSON Lines, default {DEFAULT}")
    parser.add_argument("--out", type=Path, metavar="PATH", help=f"vote file, default {FOLDER}/NAME.jsonl")
    parser.add_argument("--limit", type=int, metavar="N", help="the most items to vote on")
    parser.add_argument("--question", default="Which continuation is better?", help="what the page asks")
    parser.add_argument("--seed", type=int, default=0, help="seed of the order of items and responses, default 0")
    parser.add_argument("--port", type=int, default=8765, help="port of 127.0.0.1, default 8765; 0 takes a free one")
    parser.add_argument(
        "--open",
        action=argparse.BooleanOptionalAction,
        default=sys.stdout.isatty(),
        help="open the page in the browser; the default is to do so when started in a terminal",
    )
    return parser


def _serve(arguments: argparse.Namespace) -> None:
    check_annotator(arguments.annotator)
    if arguments.limit is not None and arguments.limit < 1:
        raise PipelineError(f"--limit {arguments.limit}: at least one item is needed.")
    items = load_items(arguments.items, FOLDER, seed=arguments.seed)[: arguments.limit]
    log = VoteLog(arguments.out or FOLDER / f"{arguments.annotator}.jsonl")
    session = Session(items, log, arguments.annotator, seed=arguments.seed)
    server = LabelServer(session, port=arguments.port, question=arguments.question)
    if log.mended:
        print(f"warning: {log.mended}")
    print(f"{_progress(session)}; votes are kept in {log.path}")
    print(f"{server.url}  (Ctrl-C stops; it goes on where you stopped)", flush=True)
    if arguments.open:
        webbrowser.open(server.url)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print(f"\n{_progress(session)}; votes are in {log.path}")


def _progress(session: Session) -> str:
    state = session.state()
    return f"{state['annotator']}: {state['done']} of {state['total']} done"


if __name__ == "__main__":
    main()
