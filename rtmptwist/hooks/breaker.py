"""A circuit breaker: what fails again and again is left alone for a while, and then tried once."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

FAILURES: Final = 5
"In a row: one or two are a restart of the hook, or of something on the way."

PAUSE: Final = 10.0
"Seconds: nobody waits much longer than that for a hook that is well again."


class Breaker:
    """Whether it is worth while to ask a hook, or something like one."""

    log = Logger()

    def __init__(self, name: str, clock: IReactorTime) -> None:
        """`name`: what the log calls it, such as `hook main`."""
        self._name = name
        self._clock = clock
        self._failures = 0
        self._next_try = 0.0
        "When the next one may try."
        self._trying = False

    @property
    def tripped(self) -> bool:
        """It has failed too often."""
        return self._failures >= FAILURES

    def admit(self) -> bool:
        """
        May one ask now? Whoever may, tells what came of it: `succeeded`, `failed` or `given_up`.
        """
        if not self.tripped:
            return True
        if self._trying or self._clock.seconds() < self._next_try:
            return False
        self._trying = True
        return True

    def succeeded(self) -> None:
        """There was an answer."""
        if self.tripped:
            self.log.info("{name} answers again", name=self._name)
        self._failures = 0
        self._trying = False

    def failed(self, why: str) -> None:
        """There was none."""
        self._failures += 1
        self._trying = False
        if self.tripped:
            self._next_try = self._clock.seconds() + PAUSE
        if self._failures == FAILURES:
            self.log.warn(
                "{name} failed {failures} times in a row: it is asked only every"
                " {pause:g} s until it answers ({why})",
                name=self._name,
                failures=FAILURES,
                pause=PAUSE,
                why=why,
            )

    def given_up(self) -> None:
        """Nobody waits for the answer any more."""
        self._trying = False
