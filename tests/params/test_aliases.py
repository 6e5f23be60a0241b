"""A params file that unfolds to more than memory holds is refused before it is unfolded."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.params.aliases import refuse_bombs
from pipeline.params.loading import load_params
from tests.conftest import ROOT

LAUGHS = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
MERGED = "a0: &a0 {k: v}\n" + "".join(
    f"a{n}: &a{n} {{{', '.join(f'k{m}: *a{n - 1}' for m in range(10))}}}\n" for n in range(1, 12)
)
DEEP = f"seed: {'[' * 100_000}{']' * 100_000}\n"


@pytest.mark.parametrize("bomb", [LAUGHS, MERGED, DEEP, "a: " + "{b: " * 5000 + "1" + "}" * 5000])
def test_a_bomb_is_refused(bomb: str, tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text((ROOT / "params.yaml").read_text() + bomb)
    with pytest.raises(PipelineError, match=r"params\.yaml, line \d+: .*aliases"):
        load_params(file)


def test_a_bomb_needs_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(LAUGHS)
    # bytes beyond what the interpreter has taken with everything imported
    program = f"""
from pathlib import Path
from pipeline.errors import PipelineError
from pipeline.params.loading import load_params
from tests.peak_memory import peak_kib
before = peak_kib()
try:
    load_params(Path({str(file)!r}))
except PipelineError:
    print(peak_kib() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and int(done.stdout) < 64 * 1024, done.stderr


def test_an_alias_inside_its_anchor_is_refused() -> None:
    with pytest.raises(PipelineError, match="inside its own anchor"):
        refuse_bombs("a: &a [1, *a]", source="params.yaml")


def test_plain_aliases_and_the_repositorys_files_pass() -> None:
    refuse_bombs("a: &a {b: 1}\nc: *a\nd:\n  <<: *a\n  e: 2\n", source="params.yaml")
    refuse_bombs((ROOT / "params.yaml").read_text(), source="params.yaml")


def test_a_byte_order_mark_is_no_key(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + (ROOT / "params.yaml").read_bytes())
    assert load_params(file) == load_params(ROOT / "params.yaml")
    file.write_bytes((ROOT / "params.yaml").read_text().encode("utf-16"))
    with pytest.raises(PipelineError, match="not valid YAML"):
        load_params(file)
