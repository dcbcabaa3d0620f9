"""Once a second for each of many, a few at a time."""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

STEPS: Final = 8
"""
In a second: with 100 recordings each takes half a millisecond, in which nobody else is heard, and
what each brings goes to the disk together.
"""


class Member(Protocol):
    """Somebody whose turn comes."""

    def round(self) -> None: ...


class Rounds:
    """Calls its members, each a second after it joined and so on. No members, no timer."""

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._slots: list[dict[Member, None]] = [{} for _ in range(STEPS)]
        self._now = 0
        self._places: dict[Member, dict[Member, None]] = {}
        self._timer: IDelayedCall | None = None

    def join(self, member: Member) -> None:
        """Call it from now on."""
        place = self._slots[self._now]
        place[member] = None
        self._places[member] = place
        if self._timer is None:
            self._timer = self._clock.callLater(1 / STEPS, self._step)

    def leave(self, member: Member) -> None:
        """Call it no more; may be said again."""
        place = self._places.pop(member, None)
        if place is not None:
            del place[member]
        if not self._places and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _step(self) -> None:
        self._timer = self._clock.callLater(1 / STEPS, self._step)
        self._now = (self._now + 1) % STEPS
        for member in tuple(self._slots[self._now]):
            if member in self._places:
                try:
                    member.round()
                except Exception:  # one broken member must not end the care for all others
                    self.log.failure("the round of {member} failed", member=member)
