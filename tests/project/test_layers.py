"""The contracts in pyproject.toml of who may import whom can fail, and package files hold nothing but a docstring."""

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
PACKAGES = ("pipeline", "stages", "benchmarks")
# what breaks each contract: an import more in a module
BREACHES = {
    "layers": ("pipeline/data/shares.py", "pipeline.models.policy"),
    "programs": ("pipeline/scratch.py", "stages.train_sft"),
    "stages": ("stages/train_sft.py", "stages.train_reward"),
    "objectives": ("pipeline/objectives/kl.py", "pipeline.errors"),
    "mlflow": ("pipeline/stage/costs.py", "mlflow"),
    "dvc": ("pipeline/lineage/diff.py", "dvc"),
    "torch": ("pipeline/reading/endings.py", "torch"),
    "rooms": ("pipeline/labelling/items.py", "pipeline.project.home"),
}


def copy_of_the_code(folder: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint(root: Path) -> tuple[int, str]:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-logo", "--no-cache"], cwd=root, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def breached(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the linter says of each broken contract, by its id, where all are broken at once."""
    root = copy_of_the_code(tmp_path_factory.mktemp("breached"))
    for path, imported in BREACHES.values():
        with (root / path).open("a") as file:
            file.write(f"\nimport {imported}\n")
    (root / "pipeline/attic").mkdir()
    (root / "pipeline/attic/__init__.py").write_text('"""A room that no contract names."""\n')
    code, said = lint(root)
    assert code == 1
    _, _, said = said.partition("Broken contracts\n")
    headings = {contract["id"]: f"\n{contract['name']}\n---" for contract in CONTRACTS}
    starts = sorted((said.index(heading), key) for key, heading in headings.items() if heading in said)
    ends = [start for start, _ in starts[1:]] + [len(said)]
    return {key: said[start:end] for (start, key), end in zip(starts, ends, strict=True)}


def test_each_contract_has_a_breach() -> None:
    assert set(BREACHES) == {contract["id"] for contract in CONTRACTS}


@pytest.mark.parametrize("contract", BREACHES)
def test_a_contract_names_the_import_that_breaks_it(contract: str, breached: dict[str, str]) -> None:
    path, imported = BREACHES[contract]
    importer = path.removesuffix(".py").replace("/", ".")
    assert f"{importer} -> {imported} (l." in breached[contract]


def test_a_room_that_is_not_listed_is_an_error_that_says_what_to_do(breached: dict[str, str]) -> None:
    assert "- pipeline.attic" in breached["layers"]
    assert 'A new room of pipeline/ gets its place in the layers, and in "rooms"' in breached["layers"]


def test_a_permission_that_nobody_uses_is_an_error(tmp_path: Path) -> None:
    """It would let a room grow unseen."""
    config = copy_of_the_code(tmp_path) / "pyproject.toml"
    used, stale = '"pipeline.launch -> pipeline.environment",', '"pipeline.launch -> pipeline.seeding",'
    assert used in config.read_text()
    config.write_text(config.read_text().replace(used, f"{used} {stale}"))
    code, said = lint(tmp_path)
    assert code == 1 and "pipeline.launch -> pipeline.seeding" in said


def test_package_files_hold_a_docstring_only() -> None:
    for path in [*ROOT.glob("pipeline/**/__init__.py"), ROOT / "stages/__init__.py"]:
        body = ast.parse(path.read_text()).body
        assert len(body) == 1 and isinstance(body[0], ast.Expr), path
