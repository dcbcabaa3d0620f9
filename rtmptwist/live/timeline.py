"""
The continuous time of a live stream, made of its publishers' timestamps.

What a publisher sends passes unchanged for as long as that makes sense: relays are packet-exact.
It is mended where time would break: after 32 bits (49.7 days), after 31 bits (FFmpeg and OBS, 24.8
days), when an encoder starts over, and when another publisher goes on with the stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

BACK: Final = 10_000
"""
Milliseconds that a timestamp may lie before the last one. Sound and pictures are interleaved as
the encoder likes: FFmpeg holds a stream back for another one by up to 10 s.
"""

AHEAD: Final = 60_000
"Milliseconds that it may lie after it: a paused capture, or one picture a minute and no sound."

_PERIODS: Final = (1 << 32, 1 << 31)
"After which timestamps begin anew."

_NEVER: Final = -(1 << 62)
"Out of reach of any timestamp."


class Timeline:
    """Maps one inlet's timestamps after another onto the stream's time: ms that do not wrap."""

    __slots__ = ("_floor", "_interval", "_last", "_offset", "_other", "jumps", "latest", "leap")

    def __init__(self, interval: Callable[[], int]) -> None:
        """`interval` tells how far apart pictures are (ms); asked only when time is mended."""
        self._interval = interval
        self._last = _NEVER
        "The inlet's last timestamp of media,"
        self._offset = 0
        "and what to add to it."
        self._other: tuple[int, int] | None = None
        "The same from before a jump: tracks do not jump in one instant, and some never agree."
        self._floor = _NEVER
        "Nothing from a further inlet goes back behind its beginning."
        self.jumps = 0
        "How often an inlet's timestamps began anew,"
        self.leap = 0
        "and by how many ms they were off, the last time."
        self.latest = _NEVER
        "The greatest time so far."

    @property
    def begun(self) -> bool:
        """Whether any media came, from any inlet."""
        return self.latest != _NEVER

    def restart(self) -> None:
        """Another inlet goes on from here: one picture after the end of what there is."""
        self._last = _NEVER
        self._other = None
        if self.begun:
            self._floor = self.latest + self._interval()

    def media(self, timestamp: int) -> int:
        """The time of coded media. Steps of less than `BACK` and `AHEAD` are kept as they are."""
        if -BACK <= timestamp - self._last <= AHEAD:
            self._last = timestamp
            time = timestamp + self._offset
        else:
            time = self._jump(timestamp)
        if time > self.latest:
            self.latest = time
        elif time < self._floor:
            return self._floor
        return time

    def other(self, timestamp: int) -> int:
        """
        The time of anything else: headers, ends, data.

        Encoders give these whatever timestamp they like (FFmpeg 0 to headers of a stream that
        begins at 16,773,933), so it counts when it is near the last media, and moves nothing.
        """
        if self._last == _NEVER:
            return self._floor if self.begun else timestamp
        for period in _PERIODS:
            step = _step(self._last, timestamp, period)
            if -BACK <= step <= AHEAD:
                return max(self._last + step + self._offset, self._floor)
        return self._last + self._offset

    def _jump(self, timestamp: int) -> int:
        """The time of media that is far from the last."""
        if self._last == _NEVER:
            self._offset = self._floor - timestamp if self.begun else 0
        elif not self._fit(timestamp):
            here = (self._last, self._offset)
            if self._other is not None:
                self._last, self._offset = self._other
            if self._other is None or not self._fit(timestamp):
                # a new beginning, for all tracks that follow here
                self._offset = self.latest + self._interval() - timestamp
                self.jumps += 1
                self.leap = timestamp - here[0]
            self._other = here
        self._last = timestamp
        return timestamp + self._offset

    def _fit(self, timestamp: int) -> bool:
        """Whether this goes on from the last timestamp; if so, mend the offset across a wrap."""
        for period in _PERIODS:
            step = _step(self._last, timestamp, period)
            if -BACK <= step <= AHEAD:
                self._offset += self._last + step - timestamp
                return True
        return False


def unwrapped(timestamp: int, near: int) -> int:
    """
    The stream time that a client means by what its clock of 32 bits says, which is `near` a time.

    After 49.7 days the same is said again: then nobody means what was more than 24.8 days ago.
    """
    if not 0 <= timestamp < 1 << 32:
        return timestamp
    time = near + _step(near, timestamp, 1 << 32)
    return time if time >= 0 else timestamp


def _step(last: int, timestamp: int, period: int) -> int:
    """From one timestamp to the other by the shorter way, where they wrap after `period`."""
    half = period >> 1
    return (timestamp - last + half) % period - half
