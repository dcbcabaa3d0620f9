"""
What is wrong with a publication, and since when: signs of trouble, and when they amount to one.

`Vitals` sees signs once a second. A trouble begins when its sign has shown for some seconds, and is
over when it has not for some, so that what comes and goes is told as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

QUIET: Final = 60.0
"Seconds in which the log has one line about the begin of one trouble of one stream."


class Sign(StrEnum):
    """What is wrong. The values are codes for programs, and labels of metrics."""

    LONG_GOP = "long_gop"
    SKEW = "skew"
    TIMESTAMP_JUMP = "timestamp_jump"
    BITRATE = "bitrate"
    "More than is allowed."

    LOW_FRAME_RATE = "low_frame_rate"
    NO_AUDIO = "no_audio"
    NO_VIDEO = "no_video"
    SLOW = "slow"
    "It comes slower than it plays, or not at all."


class _Rule(NamedTuple):
    begins: float
    "Seconds that a sign has to show, and"

    ends: float
    "that it must not."


_RULES: Final = {
    Sign.LONG_GOP: _Rule(0, 10),
    Sign.SKEW: _Rule(5, 5),
    Sign.TIMESTAMP_JUMP: _Rule(0, 60),
    Sign.BITRATE: _Rule(0, 30),
    Sign.LOW_FRAME_RATE: _Rule(3, 5),
    Sign.NO_AUDIO: _Rule(0, 3),
    Sign.NO_VIDEO: _Rule(0, 3),
    Sign.SLOW: _Rule(3, 5),
}


@dataclass(slots=True)
class Trouble:
    """Something that is wrong."""

    sign: Sign
    words: str
    "For people, as it showed last: what is seen, and perhaps what to do."

    since: float
    "Seconds since the epoch."

    again: bool
    "The same began less than `QUIET` ago: the log need not have it again."


class Health:
    """Of one publication."""

    __slots__ = ("_clear", "_seen", "_shown", "_told", "troubles")

    def __init__(self) -> None:
        self.troubles: dict[Sign, Trouble] = {}
        "Those there are."

        self._seen: dict[Sign, str] = {}
        "What was told to `see` since the last look."

        self._shown: dict[Sign, float] = {}
        "Since when a sign shows."

        self._clear: dict[Sign, float] = {}
        "Since when the sign of a trouble does not show."

        self._told: dict[Sign, float] = {}
        "When a trouble last began."

    def see(self, sign: Sign, words: str) -> None:
        """It shows, until the next look."""
        self._seen[sign] = words

    def look(self, now: float) -> list[tuple[Trouble, bool]]:
        """Once a second: the troubles that begin (true) and those that are over (false)."""
        if not self._seen and not self._shown:  # of most streams
            return []
        signs, self._seen = self._seen, {}
        return [*self._begin(signs, now), *self._end(signs, now)]

    def _begin(self, signs: dict[Sign, str], now: float) -> Iterator[tuple[Trouble, bool]]:
        for sign, words in signs.items():
            self._clear.pop(sign, None)
            since = self._shown.setdefault(sign, now)
            if sign in self.troubles:
                self.troubles[sign].words = words
            elif now - since >= _RULES[sign].begins:
                again = now - self._told.get(sign, now - QUIET) < QUIET
                if not again:
                    self._told[sign] = now
                self.troubles[sign] = trouble = Trouble(sign, words, now, again)
                yield trouble, True

    def _end(self, signs: dict[Sign, str], now: float) -> Iterator[tuple[Trouble, bool]]:
        for sign in self._shown.keys() - signs.keys():
            if sign not in self.troubles:
                del self._shown[sign]
            elif now - self._clear.setdefault(sign, now) >= _RULES[sign].ends:
                del self._shown[sign], self._clear[sign]
                yield self.troubles.pop(sign), False
