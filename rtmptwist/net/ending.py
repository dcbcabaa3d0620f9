"""The end of a connection, from the moment that it is certain until the client has gone."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Ending:
    """Why, how long it may take, and who waits for it."""

    __slots__ = ("_clock", "_cut", "_gone", "lost", "reason")

    def __init__(self, reason: str, clock: IReactorTime) -> None:
        self.reason = reason
        self.lost = False
        "The transport is gone."
        self._clock = clock
        self._cut: IDelayedCall | None = None
        self._gone: Deferred[None] | None = None

    def linger(self, seconds: float, abort: Callable[[], object]) -> None:
        """The client may take so long to read what is left."""
        self._cut = self._clock.callLater(seconds, abort)

    def hurry(self, seconds: float) -> Deferred[None]:
        """It may take so long at most, from now on. Fires when it is `over`."""
        if self._cut is not None and self._cut.active():
            left = self._cut.getTime() - self._clock.seconds()
            self._cut.reset(min(left, seconds))
        if self._gone is None:
            self._gone = succeed(None) if self.lost else Deferred()
        return self._gone

    def over(self) -> None:
        """All is done that had to be when the transport was lost."""
        if self._cut is not None and self._cut.active():
            self._cut.cancel()
        if self._gone is not None and not self._gone.called:
            self._gone.callback(None)
