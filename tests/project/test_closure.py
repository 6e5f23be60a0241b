"""dvc.yaml declares exactly the code and the parameters that each stage uses."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.errors import PipelineError
from pipeline.project.closure import MAKE_NO_MODEL, TELL_OF_ALL_CODE, code_closure, with_code_deps
from tests.conftest import ROOT

STAGES: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
SCRIPTS = sorted(path.stem for path in ROOT.glob("stages/[!_]*.py"))
METHODS = ("dpo", "ppo", "hybrid")
# those that a model comes from, not those that measure it or tell of it
MODEL_STAGES = [name for name in STAGES if name not in MAKE_NO_MODEL]


def declared_params(name: str) -> set[str]:
    """Keys of a stage, a matrix stage's templates filled in with every method."""
    keys = STAGES[name].get("params", [])
    return {key.replace("${item.method}", method) for key in keys for method in METHODS}


def attribute_path(node: ast.AST) -> list[str]:
    """`stage.params.optimize.dpo` as ["stage", "params", "optimize", "dpo"]; empty for anything else."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        head = attribute_path(node.value)
        return [*head, node.attr] if head else []
    return []


def read_params(script: Path) -> set[str]:
    """Dotted keys that a script reads from `stage.params`, and `runtime` where it starts computing."""
    tree = ast.parse(script.read_text())
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    keys = set()
    for node in ast.walk(tree):
        path = attribute_path(node)
        if path[:2] == ["stage", "params"] and id(node) not in inner:
            keys.add(".".join(path[2:]))
        if path == ["stage", "start_compute"]:
            keys.add("runtime")
    return keys


def covers(key: str, other: str) -> bool:
    return other == key or other.startswith(f"{key}.")


def tells_of_everything(name: str) -> bool:
    """A stage whose output says with which parameters all others ran: it declares theirs, too."""
    return "stage.declared_params" in (ROOT / f"stages/{name}.py").read_text()


def tells_of_all_code(name: str) -> bool:
    """A stage whose output says which code made the models."""
    return "provenance_statement(" in (ROOT / f"stages/{name}.py").read_text()


def test_every_stage_has_its_script_and_every_script_its_stage() -> None:
    assert sorted(STAGES) == SCRIPTS
    for name, stage in STAGES.items():
        assert stage["cmd"].split()[:4] == ["python", "-m", "pipeline.launch", name]


@pytest.mark.parametrize("name", SCRIPTS)
def test_code_deps_are_the_import_closure(name: str) -> None:
    declared = sorted(dep for dep in STAGES[name]["deps"] if dep.endswith(".py"))
    needed = set(code_closure(ROOT / f"stages/{name}.py", ROOT))
    assert (name in TELL_OF_ALL_CODE) == tells_of_all_code(name)
    if name in TELL_OF_ALL_CODE:
        needed |= {dep for other in MODEL_STAGES for dep in STAGES[other]["deps"] if dep.endswith(".py")}
    assert declared == sorted(needed)


def test_code_deps_are_written_by_the_command_that_make_graph_runs() -> None:
    graph = (ROOT / "dvc.yaml").read_text()
    assert with_code_deps(graph, ROOT) == graph, "run `make graph`"


def test_a_new_import_comes_into_the_graph_an_old_one_goes_and_the_rest_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/new.py").write_text("")
    (tmp_path / "stages/train.py").write_text("import pipeline.new")
    (tmp_path / "stages/measure.py").write_text("")
    graph = """stages:
  train:
    cmd: python -m pipeline.launch train
    deps:
      - data/raw # of the user
      - pipeline/old.py
    outs:
      - artifacts/model
  measure:
    deps:
      - artifacts/model
    outs:
      - reports/measure.json
"""
    assert with_code_deps(graph, tmp_path) == graph.replace(
        "      - pipeline/old.py\n", "      - pipeline/new.py\n      - stages/train.py\n"
    ).replace("      - artifacts/model\n    outs", "      - artifacts/model\n      - stages/measure.py\n    outs")


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ("stages:\n  trian:\n    deps:\n      - data\n", "stage trian has no script stages/trian.py"),
        ("stages:\n  train:\n    cmd: x\n", "stage train has no `deps:`"),
    ],
)
def test_a_stage_that_the_graph_cannot_be_written_for_is_named(tmp_path: Path, graph: str, message: str) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/train.py").write_text("")
    with pytest.raises(PipelineError, match=message):
        with_code_deps(graph, tmp_path)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_parameter_that_is_read_is_declared(name: str) -> None:
    read, declared = read_params(ROOT / f"stages/{name}.py"), declared_params(name)
    assert "" not in read, "the whole of stage.params is passed on: which keys are read cannot be told"
    assert {key for key in read if not any(covers(one, key) for one in declared)} == set()


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_parameter_that_is_declared_is_read(name: str) -> None:
    if tells_of_everything(name):
        used = {key for other in MODEL_STAGES for key in declared_params(other)}
        assert {key for key in used if not any(covers(one, key) for one in declared_params(name))} == set()
        return
    read, declared = read_params(ROOT / f"stages/{name}.py"), declared_params(name)
    assert {key for key in declared if not any(covers(key, one) or covers(one, key) for one in read)} == set()


@pytest.mark.parametrize("method", METHODS)
def test_a_method_declares_no_parameter_of_the_others(method: str) -> None:
    """`optimize_policy@dpo` must not train again when only PPO's sampling or reward model changes."""
    tree = ast.parse((ROOT / "stages/optimize_policy.py").read_text())
    (function,) = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == f"optimize_{method}"
    ]
    read = {
        ".".join(attribute_path(node)[2:])
        for node in ast.walk(function)
        if attribute_path(node)[:2] == ["stage", "params"] and len(attribute_path(node)) > 2
    }
    keys = {key.replace("${item.method}", method) for key in STAGES["optimize_policy"]["params"]} - {"runtime"}
    assert {key for key in keys if not any(covers(key, one) for one in read)} == set()


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_path_that_a_script_names_is_declared(name: str) -> None:
    stage = STAGES[name]
    deps = [dep for dep in stage["deps"] if not dep.endswith(".py")]
    outs = [next(iter(out)) if isinstance(out, dict) else out for out in stage["outs"] + stage.get("metrics", [])]
    named: dict[str, set[str]] = {"input": set(), "output": set(), "write_json": set(), "write_history": set()}
    for node in ast.walk(ast.parse((ROOT / f"stages/{name}.py").read_text())):
        if isinstance(node, ast.Call) and attribute_path(node.func)[:1] == ["stage"] and node.args:
            found = literal(node.args[0])
            if node.func.attr in named and found is not None:  # type: ignore[attr-defined]
                named[node.func.attr].add(found)  # type: ignore[attr-defined]
    for path in named["input"]:
        assert any(matches(path, dep) for dep in deps), path
    for path in named["output"] | named["write_json"] | named["write_history"]:
        assert any(matches(path, out) for out in outs), path
    if not any("*" in path for path in named["input"]) and not tells_of_everything(name) and name != "write_report":
        unread = [
            dep for dep in deps if dep.startswith("artifacts/") and not any(matches(p, dep) for p in named["input"])
        ]
        assert unread == []


def literal(node: ast.expr) -> str | None:
    """A string, with `*` for what a template fills in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "*" for part in node.values)
    return None


def matches(path: str, declared: str) -> bool:
    """Whether `path` is `declared` or inside it, or the other way round, templates matching anything in a name."""
    pairs = zip(Path(path).parts, Path(re.sub(r"\$\{.*?\}", "*", declared)).parts, strict=False)
    return all(one == other or "*" in one + other for one, other in pairs)


def test_the_closure_follows_imports_and_leaves_bookkeeping_out_with_what_only_it_imports(tmp_path: Path) -> None:
    files = {
        "stages/train.py": "from pipeline.a import x\nimport pipeline.stage.run\n",
        "pipeline/__init__.py": "",
        "pipeline/a.py": "import torch\ndef f():\n    from pipeline import b\n",
        "pipeline/b.py": "import pipeline.c\nfrom pipeline.errors import E\n",
        "pipeline/c.py": "from pipeline.a import x\n",
        "pipeline/errors.py": "",
        "pipeline/unused.py": "",
        "pipeline/stage/run.py": "import pipeline.d\n",
        "pipeline/d.py": "",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert code_closure(tmp_path / "stages/train.py", tmp_path) == [
        "pipeline/a.py",
        "pipeline/b.py",
        "pipeline/c.py",
        "stages/train.py",
    ]
