"""Where a viewer is in a file, as far as one can know, and how far ahead of that we may send."""

from __future__ import annotations

from typing import Final

USUAL: Final = 3000
"Milliseconds that a viewer is thought to keep who has not said so; FFmpeg's."

LEAST: Final = 500
"Milliseconds that we send ahead at least: Flash asks for 100, which no network keeps up."

JUMP: Final = 10_000
"Milliseconds without anything: more is no pause in a film but a clock that was set."


class Playhead:
    """A clock that runs with the viewer's. Moments are seconds, times milliseconds of the file."""

    __slots__ = ("_ahead", "_moment", "_most", "_time")

    def __init__(self, most: int, ahead: int = USUAL) -> None:
        """`most`: milliseconds to be sent ahead, however much the viewer keeps."""
        self._most = most
        self._time = 0
        self._moment = 0.0
        self.keep(ahead)

    def keep(self, ahead: int) -> None:
        """The viewer keeps so much."""
        self._ahead = min(max(ahead, LEAST), self._most)

    def start(self, time: int, now: float) -> None:
        """It is there at this moment."""
        self._time, self._moment = time, now

    def time(self, now: float) -> int:
        """Where it is by now."""
        return self._time + int((now - self._moment) * 1000)

    def due(self, time: int, now: float) -> float:
        """
        The moment from which what comes at `time` may be sent, when all before has been.

        Whoever has got nothing beyond that has come no further, whatever the clock says.
        """
        if self.time(now) > time:
            self.start(time, now)
        return self._moment + (time - self._ahead - self._time) / 1000

    def follow(self, last: int, time: int) -> None:
        """What comes after `last` is at `time`: if that is no continuation, move along."""
        if abs(time - last) > JUMP:
            self._time += time - last
