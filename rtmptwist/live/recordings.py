"""What a recorder tells: that a file begins, that it is complete. Ports; `outlets` tells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RecordTurn(StrEnum):
    """What happened to a recording."""

    START = "start"
    "Its first file has been opened,"

    SEGMENT = "segment"
    "a file of it is complete,"

    END = "end"
    """
    and it is over: there is no more of its publication, somebody stopped it, or it failed. What
    could be saved of a file that failed is told as a segment after that.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordEvent:
    """Something happened to a recording."""

    turn: RecordTurn

    name: str
    "Of the stream, below its application."

    path: str
    "Of the file; while it is being written, the name it will have. Empty: there is none."

    part: int
    "Number of the file in this recording, from 1."

    seconds: float = 0.0
    "What the file holds,"

    size: int = 0
    "in bytes."

    error: str = ""
    "Why it ends before its time."


@dataclass(frozen=True, slots=True)
class RecordingMeter:
    """One stream that is recorded."""

    name: str
    state: str
    "`waiting` (for a first frame), `opening`, `recording`, `failed`."

    path: str
    "Of the file that is being written."

    part: int
    seconds: float
    size: int
    "Bytes of that file so far,"

    waiting: int
    "and those that wait for the disk."

    error: str
    "Why it failed."


@dataclass(frozen=True, slots=True)
class RecorderMeter:
    """What a recorder did since the start."""

    description: str
    "As the configuration has it."

    recordings: tuple[RecordingMeter, ...]
    files: int
    "That are complete."

    size: int
    "Bytes of those."

    failures: int
    removed: int
    "Old files."
