"""
What a recorder tells: that a file begins, that it is complete, and what of a stream it has while
that goes on. Ports; `outlets` tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rtmptwist.live.stream import LiveStream


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


class CannotRecord(Exception):
    """A recording cannot be started or stopped; says why."""


class StreamRecorder(Protocol):
    """Records streams of its application, by itself and by hand."""

    @property
    def meter(self) -> RecorderMeter:
        """What it did so far."""

    def recording(self, name: str) -> RecordingMeter | None:
        """How the recording of a stream goes; None: there is none."""

    def chapters(self, stream: LiveStream) -> Sequence[Chapter]:
        """
        The files of its present publication that can be played, the oldest first.

        More are added to the same sequence, and the oldest may go.
        """

    def records(self, name: str) -> bool:
        """Whether it records a stream; not if that has failed."""

    def start(self, name: str) -> None:
        """
        Record a stream from its newest key frame on.

        Raises:
            CannotRecord: nobody publishes it, or it is recorded already.
        """

    def stop(self, name: str) -> None:
        """
        Stop recording a stream, until it is published again.

        Raises:
            CannotRecord: it is not recorded.
        """


@dataclass(frozen=True, slots=True)
class RecordingMeter:
    """One stream that is recorded."""

    name: str
    outlet: str
    "Which recorder it is, as the configuration has it."

    state: str
    "`waiting` (for a first frame), `opening`, `recording`, `failed`."

    path: str
    "Of the file that is being written, fit for a log."

    part: int
    seconds: float
    size: int
    "Bytes of that file so far,"

    waiting: int
    "and those that wait for the disk."

    error: str
    "Why it failed."


@dataclass(slots=True)
class RecordCounts:
    """What the recorders of one description did since the start, one after the other."""

    files: int = 0
    "That are complete."

    size: int = 0
    "Bytes of those."

    failures: int = 0
    removed: int = 0
    "Old files."


@dataclass(frozen=True, slots=True)
class RecorderMeter:
    """What a recorder does, and did."""

    description: str
    "As the configuration has it."

    recordings: tuple[RecordingMeter, ...]
    counts: RecordCounts


@dataclass(slots=True)
class Chapter:
    """A file in which some of a stream is, for those who look back while it goes on."""

    begin: int
    "Stream time of its first frame, in milliseconds."

    folder: Path
    names: tuple[str, ...]
    "Where it is in there, or will be when it is complete."

    unfinished: tuple[str, ...]
    "Where it is until then."

    skip: int = 0
    "Bytes that it had before, of earlier publications; 0: it was new."

    origin: int = 0
    "Its timestamp at `begin`, in milliseconds."

    headers: Sequence[int] = ()
    "Where sequence headers stand in it: positions, to which more are added as it grows."
