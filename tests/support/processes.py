"""Processes that a test did not start itself."""

from __future__ import annotations

from pathlib import Path

from tests.support.guests import eventually


def gone(pid: int) -> bool:
    """Whether a process has ended; nobody may have heard of it yet, where init is slow."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


def written(path: Path) -> int:
    """The number that a program has written into a file, when it has; else 0."""
    text = path.read_text() if path.exists() else ""
    return int(text) if text.endswith("\n") else 0


async def number_in(path: Path) -> int:
    """Wait for a program to write one."""
    await eventually(lambda: written(path))
    return written(path)
