"""What dvc.yaml says of a stage. The only module that imports DVC."""

import os
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from pipeline.errors import PipelineError


@dataclass(frozen=True)
class StageDeclaration:
    """Paths and parameter keys that a stage declares, relative to the root."""

    data_deps: list[Path]
    code_deps: list[Path]
    params: list[str]
    outs: list[Path]


def stage_declaration(name: str, root: Path) -> StageDeclaration:
    """The declaration of a stage such as `train_sft` or `optimize_policy@dpo`, templates resolved.

    Raises:
        PipelineError: dvc.yaml has no such stage.
    """
    from dvc.dependency.param import ParamsDependency
    from dvc.dvcfile import load_file
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        declared = load_file(Repo(str(root)), str(root / "dvc.yaml"))
        # not asked for here, and longer to read than all else: hashes from dvc.lock
        declared.__dict__["lockfile_contents"] = {}
        stage = declared.stages[name]
    except DvcException as error:
        raise PipelineError(f"dvc.yaml: cannot read stage {name!r}: {error}") from error
    params: list[str] = []
    paths: list[Path] = []
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            params.extend(dep.params)
        else:
            paths.append(_relative(dep.fs_path, root))
    return StageDeclaration(
        data_deps=[path for path in paths if path.suffix != ".py"],
        code_deps=[path for path in paths if path.suffix == ".py"],
        params=params,
        outs=[_relative(out.fs_path, root) for out in stage.outs],
    )


def stage_names(root: Path, *, revision: str | None = None) -> set[str]:
    """Names of all stages in the dvc.yaml of a git revision, or of the working folder; templates are resolved.

    Raises:
        PipelineError: dvc.yaml cannot be read.
    """
    from dvc.dvcfile import load_file
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        repo = Repo(str(root), rev=revision)
        path = repo.fs.join(repo.root_dir, "dvc.yaml")
        if not repo.fs.exists(path):
            return set()
        declared = load_file(repo, path)
        # the names alone, without what stages read and wrote, and what dvc.lock says of it
        declared.__dict__["lockfile_contents"] = {}
        return set(declared.stages)
    except DvcException as error:
        raise PipelineError(f"dvc.yaml: cannot read the stages: {error}") from error


def stages_before(root: Path) -> dict[str, set[str]]:
    """All stages in an order in which they can run, each with the stages whose outputs it reads.

    Raises:
        PipelineError: dvc.yaml cannot be read.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        graph = Repo(str(root)).index.graph  # from a stage to what it depends on
    except DvcException as error:
        raise PipelineError(f"dvc.yaml: cannot read the stages: {error}") from error
    before = {stage.name: {dep.name for dep in graph.successors(stage)} for stage in graph if stage.name}
    return {name: before[name] for name in TopologicalSorter(before).static_order()}


def cache_folder(root: Path) -> Path:
    """Where DVC keeps files by md5, as its configuration of all levels says (project, local, user, system).

    Raises:
        PipelineError: this is no DVC repository, or its configuration cannot be read.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        return Path(Repo(str(root)).cache.local.path)
    except DvcException as error:
        raise PipelineError(f"the DVC cache cannot be found: {error}") from error


def cached_outputs(root: Path, *, revision: str | None = None) -> set[str]:
    """Paths of the outputs that DVC keeps in its cache; the others (`cache: false`) are in git.

    Raises:
        PipelineError: dvc.yaml cannot be read.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        outs = Repo(str(root), rev=revision).index.outs
        return {Path(out.def_path).as_posix() for out in outs if out.use_cache}
    except DvcException as error:
        raise PipelineError(f"dvc.yaml: cannot read the outputs: {error}") from error


def _relative(path: str, root: Path) -> Path:
    # links in the path are kept: `artifacts` may be one
    return Path(os.path.relpath(path, os.path.realpath(root))) if Path(path).is_absolute() else Path(path)
