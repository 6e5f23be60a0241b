"""Tests mirror the tree: those of pipeline/ROOM/MODULE.py are in tests/ROOM/test_MODULE.py or test_MODULE_ASPECT.py."""

from pathlib import Path, PurePosixPath

import pytest

from tests.conftest import ROOT

# Tests of what several modules do together, by folder; the first line of each says what. A folder that is no room of
# pipeline/ needs its line, too.
OF_A_WHOLE = {
    ".": "bad_input dealt docs versioning",
    "chat": "chat",
    "data": "mixed_chats",
    "external": "command",
    "gc": "gc",
    "judges": "fit_judge served_model",
    "labelling": "as_data page to_pairs",
    "lineage": "calls forged_locks store_attacks",
    "memory": "training_stages",
    "objectives": "oracle",
    "params": "dvc_writer yaml",
    "parity": "dpo reward",
    "project": "kernels layers limits mirror sets",
    "reading": "files_fuzzed prompts_beside_chats public_sets tables winner_words",
    "reading/layouts": "layouts refusals round_trip unused",
    "reading/opinions": "columns_beside_two",
    "recipes": "recipes",
    "report": "browser one_rule policies",
    "tiny_pipeline": "audit disk experiments hybrid kills mlflow_screens page_state policy_runs rebuild release "
    "remotes reward_choice run together warm workflow",
    "tracking": "home lost_answers postgres",
    "training": "first_log_ratios fresh_head gpu_operations known_optimum number_formats together",
    "validation": "batches severities",
    "warm": "ending",
}
CODE = ("pipeline", ".")
"""Folders whose packages have their tests in a folder of the same name: rooms, and beside pipeline/ the benchmarks."""
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))


def folder_and_name(test: Path) -> tuple[str, str]:
    path = PurePosixPath(test.relative_to(ROOT / "tests"))
    return str(path.parent), path.stem.removeprefix("test_")


def has_module(folder: str, name: str) -> bool:
    rooms = [ROOT / code / folder for code in CODE if code == "pipeline" or folder != "."]
    inside = [path for room in rooms if room.is_dir() for path in room.iterdir()]
    modules = {path.stem for path in inside if path.is_dir() or path.suffix == ".py"}
    return any(name == module or name.startswith(f"{module}_") for module in modules)


@pytest.mark.parametrize("test", TESTS, ids=lambda test: "/".join(folder_and_name(test)))
def test_it_names_a_module_or_is_known_to_be_of_a_whole(test: Path) -> None:
    folder, name = folder_and_name(test)
    of_a_whole = name in OF_A_WHOLE.get(folder, "").split()
    assert has_module(folder, name) != of_a_whole, (
        f"{test.relative_to(ROOT)}: pipeline/{folder} has no such module. Name the test for its module, or add it to "
        "OF_A_WHOLE; what stands there and has a module is taken off"
    )


def test_what_is_of_a_whole_is_there() -> None:
    there = {folder_and_name(test) for test in TESTS}
    listed = {(folder, name) for folder, names in OF_A_WHOLE.items() for name in names.split()}
    assert listed <= there


def test_a_name_without_a_module_is_seen() -> None:
    assert has_module("reading", "pairs") and has_module("reading", "pairs_of_votes") and has_module(".", "resume")
    assert has_module("benchmarks", "kill_plan") and has_module("reading/layouts", "helpsteer")
    assert not has_module("reading", "pair") and not has_module("nowhere", "pairs") and not has_module(".", "docs")
