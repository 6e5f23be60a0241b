"""What differs between two versions: parameters, code, records by id, environment."""

from pipeline.lineage.diff import differences
from pipeline.lineage.runs import Run
from pipeline.lineage.tree import Node, lineage
from pipeline.project.lockfile import Lock
from tests.lineage.by_hand import stage
from tests.lineage.conftest import Project


def version(project: Project, ids: list[str], *, path: str = "rows.jsonl") -> Lock:
    project.write(path, [{"id": one} for one in ids] + [{"text": "without an id"}])
    project.stage("prepare", [], [path])
    return project.lock()


def node(params: dict[str, object], *, code: str = "c1", run: Run | None = None) -> Node:
    record = stage("sft", (), {"out": "same"}, code={"sft.py": code}, params=params)
    return Node("out", "same", stage=record, runs=[run] if run else None)


def run(device: str, **versions: str) -> Run:
    return Run("id", "FINISHED", None, None, device, versions)


def compared(project: Project, old: Node, new: Node) -> list[str]:
    return differences(old, new, project.contents())


def test_one_version_differs_in_nothing_from_itself(project: Project) -> None:
    one = node({"a": 1}, run=run("cpu", torch="2"))
    assert compared(project, one, one) == []


def test_records_that_came_and_went_are_named_and_many_are_counted(project: Project) -> None:
    before, after = ["gone", "kept"], ["kept", *"abcdefg"]
    old = lineage("rows.jsonl", version(project, before), project.contents(), None)
    new = lineage("rows.jsonl", version(project, after), project.contents(), None)
    head, came, went = compared(project, old, new)
    assert head == f"rows.jsonl: {old.md5[:12]} -> {new.md5[:12]}"
    assert came == "  rows.jsonl: +7 records (a, b, c, d, e, ...)" and went == "  rows.jsonl: -1 records (gone)"


def test_rows_of_a_version_that_is_nowhere_are_not_compared(project: Project) -> None:
    old = lineage("rows.jsonl", version(project, ["a"]), project.contents(), None)
    project.cached(old.md5).unlink()
    new = lineage("rows.jsonl", version(project, ["b"]), project.contents(), None)
    assert compared(project, old, new)[1:] == ["  its rows are not compared: the old version is not in the DVC cache"]


def test_parameters_and_code_are_named_with_both_values(project: Project) -> None:
    old, new = node({"a": 1, "gone": 2}), node({"a": 3, "new": 4}, code="c2")
    assert compared(project, old, new) == [
        "sft: parameter a: 1 -> 3",
        "sft: parameter gone: 2 -> None",
        "sft: parameter new: None -> 4",
        "sft: code sft.py: c1 -> c2",
    ]


def test_the_environment_is_compared_where_both_have_a_run(project: Project) -> None:
    old, new = node({}, run=run("cpu", torch="1", peft="3")), node({}, run=run("cuda", torch="2", peft="3"))
    assert compared(project, old, new) == ["sft: version of torch: 1 -> 2", "sft: environment: device: cpu -> cuda"]
    assert compared(project, old, node({})) == []


def test_inputs_that_came_and_went_are_named_and_causes_come_first(project: Project) -> None:
    raw, result = stage("prepare", (), ["data"]), stage("sft", ["data"], ["out"])
    old = Node("out", "1", stage=result, inputs=[Node("data", "1", stage=raw), Node("former", "1")])
    new = Node("out", "2", stage=result, inputs=[Node("data", "2", stage=raw), Node("added", "1")])
    assert compared(project, old, new) == ["added: new", "data: 1 -> 2", "out: 1 -> 2", "former: gone"]
