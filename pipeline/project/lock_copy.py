"""Keeps a copy of dvc.lock, because a DVC that is killed while it writes that file leaves half of it.

DVC reads dvc.lock before it starts a stage, so at the start of a stage the file is complete, and is copied.
`make repro` puts the copy back if dvc.lock cannot be read: `python -m pipeline.project.lock_copy`.
"""

import os
import re
import shutil
from pathlib import Path
from typing import Any

_LOCK = Path("dvc.lock")
_COPY = Path(".state/dvc.lock")


def keep_lock(root: Path) -> None:
    """Copy dvc.lock, if DVC has started this process.

    Raises:
        OSError: the disk is full or not writable.
    """
    if "DVC_STAGE" not in os.environ or not (root / _LOCK).is_file():
        return
    copy = root / _COPY
    copy.parent.mkdir(exist_ok=True)
    draft = copy.with_suffix(f".{os.getpid()}.tmp")
    shutil.copyfile(root / _LOCK, draft)
    draft.replace(copy)


def mend_lock(root: Path) -> str | None:
    """Replace a dvc.lock that cannot be read by the copy; returns what was done, None if dvc.lock can be read."""
    lock, copy = root / _LOCK, root / _COPY
    if not lock.is_file() or _is_whole(lock):
        return None
    if not _is_whole(copy):
        return f"{_LOCK} cannot be read, and there is no copy: `git checkout {_LOCK}` brings back the committed one."
    lock.replace(lock.with_suffix(".lock.broken"))
    shutil.copyfile(copy, lock)
    return (
        f"{_LOCK} cannot be read: DVC was killed while it wrote it. The copy from before is back; stages that ended "
        f"since then run again. The broken file is {_LOCK}.broken."
    )


def _is_whole(path: Path) -> bool:
    """Whether DVC can read the file. One that was cut off between two entries counts: the missing stages run again."""
    from ruamel.yaml import YAML  # every start of a stage imports this module
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe").load(path.read_text())
    except (OSError, YAMLError, UnicodeDecodeError):
        return False
    entries = content.get("stages") if isinstance(content, dict) and content.get("schema") else None
    return isinstance(entries, dict) and all(_is_entry(entry) for entry in entries.values())


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not entry.get("cmd"):
        return False
    lists = [entry.get(kind, []) for kind in ("deps", "outs")]
    params = entry.get("params", {})
    return (
        all(isinstance(items, list) and all(_is_item(item) for item in items) for items in lists)
        and isinstance(params, dict)
        and all(isinstance(values, dict) for values in params.values())
    )


def _is_item(item: Any) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("path"), str) or not isinstance(item.get("hash"), str):
        return False
    whole = re.fullmatch(r"[0-9a-f]{32}(\.dir)?", str(item.get("md5")))
    return whole is not None and isinstance(item.get("size", 0), int) and isinstance(item.get("nfiles", 0), int)


def main() -> None:
    """Mend the dvc.lock of the working folder."""
    if (done := mend_lock(Path.cwd())) is not None:
        print(done)


if __name__ == "__main__":
    main()
