"""When playbacks may send more: one timer for all of them."""

from __future__ import annotations

import heapq
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

TICK: Final = 0.05
"Seconds. Who waits for moments so close to each other is called together, at the first of them."

EARLY: Final = TICK * 1.1
"Seconds that somebody may be called before the moment: a tick, and what timers are inexact."

SLICE: Final = 100
"Of them that are called in one turn of the reactor: 3 ms, in which nobody is heard."


class Waiting(Protocol):
    """Who waits for a moment."""

    tick: int
    "The pacer's own: the moment, or -1. Nobody waits for two."

    def due(self) -> None:
        """The moment is there. It raises nothing that anybody could do something about."""


class Pacer:
    """Calls those who wait."""

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[int, dict[Waiting, None]] = {}
        "By tick."
        self._ticks: list[int] = []
        "A heap of those."
        self._timer: IDelayedCall | None = None
        self._next = 0
        "The tick that the timer is set to."

    def seconds(self) -> float:
        """Now."""
        return self._clock.seconds()

    def wait(self, who: Waiting, when: float) -> None:
        """Call it at a moment, or `EARLY` before; what it waited for until now is forgotten."""
        self.forget(who)
        who.tick = tick = max(0, int(when / TICK))
        group = self._waiting.get(tick)
        if group is not None:
            group[who] = None
        else:
            self._waiting[tick] = {who: None}
            heapq.heappush(self._ticks, tick)
            self._set()

    def forget(self, who: Waiting) -> None:
        """It waits no more."""
        if who.tick >= 0:
            group = self._waiting[who.tick]
            del group[who]
            who.tick = -1
            if not group:
                self._set()

    def _set(self) -> None:
        """Set the timer to the next moment for which anybody waits."""
        ticks = self._ticks
        while ticks and not self._waiting[ticks[0]]:
            del self._waiting[heapq.heappop(ticks)]
        timer = self._timer
        if timer is not None and (not ticks or ticks[0] < self._next):
            timer.cancel()
            self._timer = timer = None
        if ticks and timer is None:
            self._next = ticks[0]
            delay = max(0.0, self._next * TICK - self._clock.seconds())
            self._timer = self._clock.callLater(delay, self._call)

    def _call(self) -> None:
        self._timer = None
        now = self._clock.seconds() + EARLY - TICK
        left = SLICE
        while left and self._ticks and self._ticks[0] * TICK <= now:
            group = self._waiting[self._ticks[0]]
            while group and left:
                left -= 1
                who = group.popitem()[0]
                who.tick = -1
                try:
                    who.due()
                except Exception:  # one broken playback must not end all others
                    self.log.failure("a playback failed")
            if not group and self._ticks:
                self._set()
        self._set()
