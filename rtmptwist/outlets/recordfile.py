"""
What a recording writes into, whatever the format: a file that plays at any moment.

FLV is one (`flvfile`); the extension in the path of the configuration says which (`plan`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rtmptwist.amf.values import Value
from rtmptwist.outlets.tape import Tape
from rtmptwist.wire.message import Message


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that can be written to."""

    path: Path
    "Its name when it is complete, unless somebody takes that meanwhile."

    last: int | None = None
    "The greatest timestamp that it has already, in milliseconds; None: it is new."

    size: int = 0
    "Bytes that it has already; 0: it is new."

    headers: Sequence[int] = ()
    "Where sequence headers stand in it: positions, to which more are added as it grows."


@dataclass(frozen=True, slots=True)
class Finished:
    """A file that is complete."""

    path: Path
    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Repaired:
    """A file that was not complete, and is now."""

    path: Path
    size: int
    "0: there was nothing in it, and it is removed."

    seconds: float
    lost: int
    "Bytes at its end that are no whole tag."


class RecordFile(Protocol):
    """One file. All of it blocks, and belongs into a lane of `disk.threads`."""

    def create(self, metadata: Mapping[str, Value], *, audio: bool, video: bool) -> Opened:
        """Make a file that nobody has; the name gets a number where it is taken."""

    def append(self, metadata: Mapping[str, Value], *, audio: bool, video: bool) -> Opened:
        """Go on with the file of that name, or make one if one cannot go on with it."""

    def record(self, tape: Tape, messages: Sequence[Message]) -> None:
        """
        Add messages, headers before what needs them: those of them that `tape` takes, at its time.

        After a failure, `salvage` is all that can be done.
        """

    def finish(self) -> Finished | None:
        """
        Complete it, and give it its name; None: there was nothing in it, and it is removed.

        After a failure, `salvage` is all that can be done.
        """

    def salvage(self) -> Finished | None:
        """Complete what there is after a failure; None: that is nothing. Never raises."""

    def repair(self, *, alone: bool) -> Repaired | None:
        """
        Complete a file that a process which was killed has left.

        None: somebody is at it, or it is no recording. `alone`: nobody is, if that cannot be found
        out.
        """
