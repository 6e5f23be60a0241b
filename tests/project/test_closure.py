"""dvc.yaml declares exactly the code and the parameters that each stage uses."""

import ast
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.check.settings import settings_of
from pipeline.errors import PipelineError
from pipeline.params.loading import load_params
from pipeline.params.optimize import METHODS
from pipeline.project.closure import MAKE_NO_MODEL, TELL_OF_ALL_CODE, code_closure, with_code_deps
from tests.conftest import ROOT
from tests.recorded_params import keys_read

METHOD = "${item.method}"
STAGES: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
SCRIPTS = sorted(path.stem for path in ROOT.glob("stages/[!_]*.py"))
# the stage of each script; a stage may have one for each method
STAGE_OF = {
    script.replace(METHOD, method): stage
    for stage, script in ((name, entry["cmd"].split()[3]) for name, entry in STAGES.items())
    for method in METHODS
}
READERS = {"check": settings_of}
"""Functions to which scripts hand all parameters, and which keys they read of them is seen when they are called."""
# those that a model comes from, not those that measure it or tell of it
MODEL_SCRIPTS = [script for script in SCRIPTS if STAGE_OF[script] not in MAKE_NO_MODEL]


def methods_of(script: str) -> Sequence[str]:
    """Those that a script is run for: one, where its stage has a script for each."""
    command = STAGES[STAGE_OF[script]]["cmd"]
    own = [method for method in METHODS if command.split()[3].replace(METHOD, method) == script]
    return own if METHOD in command.split()[3] else METHODS


def declared_params(script: str) -> set[str]:
    """Keys of a script's stage, templates filled in with the methods that it is run for."""
    keys = STAGES[STAGE_OF[script]].get("params", [])
    return {key.replace(METHOD, method) for key in keys for method in methods_of(script)}


def declared_code(script: str) -> list[str]:
    """Modules that a script's stage depends on, when it runs that script."""
    deps = [dep for dep in STAGES[STAGE_OF[script]]["deps"] if dep.endswith(".py")]
    return sorted({dep.replace(METHOD, method) for dep in deps for method in methods_of(script)})


def attribute_path(node: ast.AST) -> list[str]:
    """`stage.params.optimize.dpo` as ["stage", "params", "optimize", "dpo"]; empty for anything else."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        head = attribute_path(node.value)
        return [*head, node.attr] if head else []
    return []


def read_script(name: str) -> ast.Module:
    """What a script does: its own lines, and those of the modules in pipeline/scripts that it imports."""
    tree = ast.parse((ROOT / f"stages/{name}.py").read_text())
    modules = [node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module]
    shared = [ROOT / f"{module.replace('.', '/')}.py" for module in modules if module.startswith("pipeline.scripts.")]
    return ast.Module([*tree.body, *(node for file in shared for node in ast.parse(file.read_text()).body)], [])


def read_params(name: str) -> set[str]:
    """Dotted keys that a script reads from `stage.params`, and `runtime` where it starts computing."""
    tree = read_script(name)
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    keys = set()
    for node in ast.walk(tree):
        path = attribute_path(node)
        if path[:2] == ["stage", "params"] and id(node) not in inner:
            keys.add(".".join(path[2:]))
        if path == ["stage", "start_compute"]:
            keys.add("runtime")
    if "" in keys and (reader := READERS.get(name)) is not None:
        # where servers are decides no result, so no stage declares it
        keys = keys - {""} | keys_read(reader, load_params(ROOT / "params.yaml")) - {"judge.endpoint", "engine"}
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
    assert sorted(STAGE_OF) == SCRIPTS
    assert all(stage["cmd"].startswith("python -m pipeline.launch ") for stage in STAGES.values())
    assert {script: stage for script, stage in STAGE_OF.items() if script != stage} == {
        f"train_{method}": "optimize_policy" for method in METHODS
    }


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_a_script_runs_as_its_stage(script: str) -> None:
    """Of its name and arguments the frame makes the name that DVC gives the stage."""
    (call,) = [
        node
        for node in ast.walk(ast.parse((ROOT / f"stages/{script}.py").read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "run_stage"
    ]
    told = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg != "description"}
    place = told.get("place", {})
    stage = STAGES[told.get("stage", script)]
    assert STAGE_OF[script] == told.get("stage", script)
    assert list(stage.get("matrix", {})) == [*place, *told.get("matrix", ())]
    command = stage["cmd"].replace(METHOD, place.get("method", METHOD))
    given = [f"${{item.{axis}}}" for axis in told.get("matrix", ())]
    assert command.split() == ["python", "-m", "pipeline.launch", script, *given]


@pytest.mark.parametrize("name", SCRIPTS)
def test_code_deps_are_the_import_closure(name: str) -> None:
    declared = declared_code(name)
    # of the scripts of a stage: what all of them import, but each policy depends on that of its own method alone
    together = [other for other in SCRIPTS if STAGE_OF[other] == STAGE_OF[name]]
    needed = {dep for other in together for dep in code_closure(ROOT / f"stages/{other}.py", ROOT)}
    needed -= {f"stages/{other}.py" for other in together if other != name}
    assert (name in TELL_OF_ALL_CODE) == tells_of_all_code(name)
    if name in TELL_OF_ALL_CODE:
        needed |= {dep for other in MODEL_SCRIPTS for dep in declared_code(other)}
    assert declared == sorted(needed)


def test_code_deps_are_written_by_the_command_that_make_graph_runs() -> None:
    graph = (ROOT / "dvc.yaml").read_text()
    assert with_code_deps(graph, ROOT) == graph, "run `make graph`"


def test_of_the_scripts_of_all_methods_a_policy_depends_on_its_own(tmp_path: Path) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "pipeline").mkdir()
    for method in METHODS:
        (tmp_path / f"pipeline/{method}.py").write_text("")
        (tmp_path / f"stages/train_{method}.py").write_text(f"import pipeline.{method}")
    graph = "stages:\n  optimize:\n    cmd: python -m pipeline.launch train_${item.method}\n    deps:\n      - data\n"
    library = "".join(f"      - pipeline/{method}.py\n" for method in sorted(METHODS))
    assert with_code_deps(graph, tmp_path) == f"{graph}{library}      - stages/train_${{item.method}}.py\n"
    (tmp_path / f"stages/train_{METHODS[-1]}.py").unlink()
    with pytest.raises(PipelineError, match=f"stage optimize has no script stages/train_{METHODS[-1]}.py"):
        with_code_deps(graph, tmp_path)


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
    read, declared = read_params(name), declared_params(name)
    assert "" not in read, "the whole of stage.params is passed on: which keys are read cannot be told"
    assert {key for key in read if not any(covers(one, key) for one in declared)} == set()


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_parameter_that_is_declared_is_read(name: str) -> None:
    if tells_of_everything(name):
        used = {key for other in MODEL_SCRIPTS for key in declared_params(other)}
        assert {key for key in used if not any(covers(one, key) for one in declared_params(name))} == set()
        return
    read, declared = read_params(name), declared_params(name)
    assert {key for key in declared if not any(covers(key, one) or covers(one, key) for one in read)} == set()


@pytest.mark.parametrize("method", METHODS)
def test_a_method_declares_no_parameter_of_the_others(method: str) -> None:
    """`optimize_policy@dpo` must not train again when only PPO's sampling or reward model changes."""
    assert declared_params(f"train_{method}") == {f"optimize.{method}", "runtime"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_path_that_a_script_names_is_declared(name: str) -> None:
    stage = STAGES[STAGE_OF[name]]
    deps = [dep for dep in stage["deps"] if not dep.endswith(".py")]
    outs = [next(iter(out)) if isinstance(out, dict) else out for out in stage["outs"] + stage.get("metrics", [])]
    named: dict[str, set[str]] = {"input": set(), "output": set(), "write_json": set(), "write_history": set()}
    for node in ast.walk(read_script(name)):
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
