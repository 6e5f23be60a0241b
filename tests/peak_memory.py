"""The most memory that a process has held."""

from pathlib import Path


def peak_kib() -> int:
    """KiB that this program has had in memory at once.

    Not `ru_maxrss`: that of a new process begins with what the process that started it has had.
    """
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1])
