"""Talk to a policy beside SFT: `python -m pipeline.chat dpo [--blind --annotator NAME]`.

Both are read from artifacts/release, with the chat template and the sampling that they were trained and measured with.
With --blind the two answer without their names and in random order, and each vote is a line of data/labels/NAME.jsonl,
like those of `make label`.
"""

import argparse
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.chat.conversation import Answers, Conversation
from pipeline.chat.speaker import Speaker
from pipeline.data.records import read_records
from pipeline.environment import set_environment
from pipeline.errors import PipelineError
from pipeline.labelling.session import check_annotator
from pipeline.labelling.vote_log import VoteLog
from pipeline.models.compute import start_compute
from pipeline.params.loading import load_params
from pipeline.reading.vote_files import FOLDER
from pipeline.seeding import seed_for
from pipeline.sharing.variants import released

PROMPTS = Path("artifacts/data/prompts/train.jsonl")


def main() -> None:
    """Parse the command line and talk; exit 1 with a message for what a user can mend."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.chat", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("policy", help="a policy of artifacts/release: dpo, ppo")
    parser.add_argument("--beside", default="sft", metavar="POLICY", help="the other policy, default sft")
    parser.add_argument("--blind", action="store_true", help="hide the names, shuffle the answers, and ask for a vote")
    parser.add_argument("--annotator", metavar="NAME", help="who votes; it names the vote file")
    parser.add_argument("--seed", type=int, default=0, help="seed of samples, order and prompts, default 0")
    arguments = parser.parse_args()
    set_environment()
    try:
        talk(Path.cwd(), arguments)
    except PipelineError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print()


def talk(root: Path, arguments: argparse.Namespace) -> None:
    """Load both policies and hold the conversation; at the end print how many votes each got.

    Raises:
        PipelineError: a policy is not released, the annotator has no name, or the vote file is in use.
    """
    names = (arguments.policy, arguments.beside)
    if names[0] == names[1] or "reward_model" in names:
        raise PipelineError(f"POLICY={arguments.policy}: two different policies are needed, such as dpo beside sft.")
    folders = {name: released(root, name) for name in names}
    votes = None
    if arguments.blind:
        check_annotator(arguments.annotator or "")
        votes = VoteLog(root / FOLDER / f"{arguments.annotator}.jsonl")
        if votes.mended:
            print(f"warning: {votes.mended}")
    compute = start_compute(load_params(root / "params.yaml").runtime)
    speakers: dict[str, Answers] = {name: Speaker(folder, compute) for name, folder in folders.items()}
    conversation = Conversation(
        speakers,
        ask=input,
        write=lambda text: print(text, end="", flush=True),
        prompts=data_prompts(root, arguments.seed),
        seed=arguments.seed,
        votes=votes,
        annotator=arguments.annotator or "",
    )
    try:
        conversation.run()
    finally:
        if votes is not None:
            said = ", ".join(f"{name} {count}" for name, count in conversation.tally.items()) or "none"
            print(f"votes: {said}; they are in {votes.path.relative_to(root)}. {USE}")
            votes.close()


USE = (
    "Votes on prompts of the data count with collect_preferences.source: labelled; votes on prompts that you typed "
    "count only where data.source names the file."
)


def data_prompts(root: Path, seed: int) -> Iterator[str]:
    """The training prompts in random order; none where prepare_data has not run."""
    if (root / PROMPTS).is_file():
        prompts = [str(row["prompt"]) for row in read_records(root / PROMPTS, fields=("prompt",))]
        random.Random(seed_for(seed, "chat/prompts")).shuffle(prompts)
        yield from prompts


if __name__ == "__main__":
    main()
