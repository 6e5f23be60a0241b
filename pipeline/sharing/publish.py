"""Put a released model on a hub: `python -m pipeline.sharing.publish OWNER/NAME dpo [--push]`.

Without --push nothing is sent: it says which files would be, what the card tells, and what speaks against it. A release
that is not the one of dvc.lock, code and parameters, or that the report flags, goes only with --force; a folder whose
files are not those that were built goes not at all. A repository that is made is private, unless --public is given.
"""

import argparse
import sys
from pathlib import Path

from huggingface_hub import HfApi

from pipeline.environment import set_environment
from pipeline.errors import PipelineError
from pipeline.project.hashing import sha256
from pipeline.sharing.hub import check_repository, send
from pipeline.sharing.objections import broken, card_notes, flags, stale
from pipeline.sharing.variants import MERGED, VARIANTS, read_export

_SHOWN = 10
"""Reasons that are printed of many."""


def main() -> None:
    """Parse the command line; exit 1 when it is not, or would not be, sent."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.sharing.publish",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("repo", metavar="OWNER/NAME")
    parser.add_argument("policy", help="a folder of artifacts/release: sft, dpo, ppo, reward_model")
    parser.add_argument("--form", dest="variant", choices=VARIANTS, default=MERGED, help="what `make export` wrote")
    parser.add_argument("--push", action="store_true", help="send it")
    parser.add_argument("--public", action="store_true", help="a repository that is made is public")
    parser.add_argument("--force", action="store_true", help="although it is stale or flagged")
    arguments = parser.parse_args()
    set_environment()
    try:
        publish(Path.cwd(), arguments, HfApi())
    except PipelineError as error:
        sys.exit(f"error: {error}")


def publish(root: Path, arguments: argparse.Namespace, api: HfApi) -> None:
    """Show what would be sent, and send it where that is asked for.

    Raises:
        PipelineError: something speaks against it, or the hub refuses.
    """
    check_repository(arguments.repo)
    folder = read_export(root, arguments.policy, arguments.variant)
    files = sorted(path for path in folder.iterdir() if path.is_file())
    print(f"{folder.relative_to(root)} to {arguments.repo}:")
    for file in files:
        print(f"  {file.name:<24} {file.stat().st_size:>14,} bytes  sha256 {sha256(file)}")
    print("card:")
    print("\n".join(f"  {line}" for line in card_notes(folder)))
    if damaged := broken(folder):
        raise PipelineError(f"{folder.relative_to(root)} is not as it was built:{_listed(damaged)}")
    _weigh(root, arguments)
    if not arguments.push:
        print("nothing was sent: PUSH=1 sends it")
        return
    address, others = send(
        api, arguments.repo, files, message=f"{arguments.policy} ({arguments.variant})", private=not arguments.public
    )
    print(f"sent, and the hub has the same bytes: {address}")
    if others:
        print(f"not of this release, and still there: {', '.join(others)}")


def _weigh(root: Path, arguments: argparse.Namespace) -> None:
    reasons = {
        "it is stale, `make repro` mends that": stale(root, arguments.policy),
        "the report flags it": flags(root, arguments.policy),
    }
    against = "".join(f"\n{title}:{_listed(found)}" for title, found in reasons.items() if found)
    if against and not arguments.force:
        raise PipelineError(f"this speaks against publishing {arguments.policy}; FORCE=1 does it all the same{against}")
    print(f"forced, although{against}" if against else "as dvc.lock says, and nothing is flagged")


def _listed(lines: list[str]) -> str:
    more = f"\n  and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return "".join(f"\n  {line}" for line in lines[:_SHOWN]) + more


if __name__ == "__main__":
    main()
