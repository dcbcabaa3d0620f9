"""How fast a count grows, over the last second, ten seconds and minute."""

from __future__ import annotations

from array import array
from typing import Final

from rtmptwist.live.meters import Speed

SPANS: Final = (1, 10, 60)
"Seconds that rates are told for."

_SIZE: Final = SPANS[-1] + 1


class Rates:
    """
    The last minute of a count that only grows. `sample` it about once a second: 1 KB, 0.5 µs.

    Spans are as long as the samples say, so that a late sweep makes no peak.
    """

    __slots__ = ("_at", "_samples", "_times", "_totals")

    def __init__(self, now: float, total: int = 0) -> None:
        """Begins to count here. `now` is in seconds, of a clock that is not set."""
        self._times = array("d", bytes(8 * _SIZE))
        self._totals = array("q", bytes(8 * _SIZE))
        self._at = 0
        "Where the newest sample is."
        self._samples = 1
        self._times[0], self._totals[0] = now, total

    def sample(self, now: float, total: int) -> None:
        """It is `total` now."""
        at = self._at = (self._at + 1) % _SIZE
        self._times[at], self._totals[at] = now, total
        if self._samples < _SIZE:
            self._samples += 1

    @property
    def speed(self) -> Speed:
        """Over all of `SPANS`."""
        return Speed(*map(self.over, SPANS))

    def over(self, seconds: int) -> float:
        """Units a second over so many of the last samples, or as many as there are; 0 at first."""
        back = min(seconds, self._samples - 1)
        at, then = self._at, (self._at - back) % _SIZE
        passed = self._times[at] - self._times[then]
        return (self._totals[at] - self._totals[then]) / passed if passed > 0 else 0.0


class Throughput:
    """How fast bytes come and go."""

    __slots__ = ("_received", "_sent")

    def __init__(self, now: float) -> None:
        self._received, self._sent = Rates(now), Rates(now)

    def sample(self, now: float, received: int, sent: int) -> None:
        """So many in all, by now."""
        self._received.sample(now, received)
        self._sent.sample(now, sent)

    @property
    def bitrates(self) -> tuple[Speed, Speed]:
        """Bits per second, in and out."""
        return self._received.speed * 8, self._sent.speed * 8
