"""A file that several processes write to."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.processes import map_in_processes
from pipeline.scratch import ScratchFile


@dataclass(frozen=True)
class Appending:
    file: ScratchFile

    def __call__(self, number: int) -> tuple[int, int]:
        content = str(number).encode() * (number + 1)
        return self.file.append(content), len(content)


def test_what_processes_write_at_the_same_time_stays_apart(tmp_path: Path) -> None:
    file = ScratchFile(tmp_path)
    assert file.append(b"first") == 0 and file.append(b"") == 5
    places = list(map_in_processes(Appending(file), range(200), processes=2))
    for number, (start, size) in enumerate(places):
        assert file.read(start, size) == str(number).encode() * (number + 1)
    assert file.read(0, 5) == b"first" and not list(tmp_path.iterdir())
