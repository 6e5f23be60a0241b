"""A folder to a model repository of a hub, and a look whether it arrived."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi, RepoFile
from huggingface_hub.errors import HFValidationError, HTTPError
from huggingface_hub.utils import validate_repo_id

from pipeline.errors import PipelineError
from pipeline.project.hashing import sha256


def check_repository(repo: str) -> None:
    """Refuse what is no OWNER/NAME."""
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise PipelineError(f"REPO={repo}: {error}") from error
    if "/" not in repo:
        raise PipelineError(f"REPO={repo}: OWNER/NAME is needed, such as REPO=someone/{repo}.")


def send(api: HfApi, repo: str, files: Sequence[Path], *, message: str, private: bool) -> tuple[str, list[str]]:
    """Upload files of one folder as one commit, and compare what the hub has with what was sent.

    Args:
        private: of a repository that is made; one that exists stays as it is.

    Returns:
        The address of the commit, and files of the repository that are not among these and stay there.

    Raises:
        PipelineError: nobody is logged in, the hub refuses, or it has other bytes than those that were sent.
    """
    folder = files[0].parent
    with _said_plainly(repo):
        api.whoami()
        api.create_repo(repo, repo_type="model", private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            repo_type="model",
            allow_patterns=[file.name for file in files],
            commit_message=message,
        )
        tree = api.list_repo_tree(repo, repo_type="model", revision=commit.oid, recursive=True)
        there = {one.path: one for one in tree if isinstance(one, RepoFile)}
    wrong = [file.name for file in files if file.name not in there or not _same(file, there[file.name])]
    if wrong:
        raise PipelineError(f"{repo}: what the hub has of {', '.join(wrong)} is not what was sent. Push again.")
    others = sorted(there.keys() - {file.name for file in files} - {".gitattributes"})
    return str(commit.commit_url), others


def _same(file: Path, there: RepoFile) -> bool:
    """By the hash that the hub keeps: sha256 of a large file, git's of a small one."""
    if there.lfs is not None:
        return bool(there.lfs.sha256 == sha256(file))
    content = file.read_bytes()
    blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False)
    return bool(there.blob_id == blob.hexdigest())


@contextmanager
def _said_plainly(repo: str) -> Iterator[None]:
    try:
        yield
    except (OSError, HTTPError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise PipelineError(
            f"{repo}: the hub was not reached, or refused ({type(error).__name__}: {reason}). `hf auth login`, or "
            "HF_TOKEN, says who you are; the token needs the right to write to this repository."
        ) from error
