"""Questions that wait for answers: each is answered once, in time, or told why it will not be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime

ANSWER_TIMEOUT: Final = 30.0
"Seconds: a server may ask somebody else first."


class Answers:
    """What one connection waits for, by any key. A key is waited for once at a time."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[object, Deferred[Any]] = {}
        self._over: BaseException | None = None

    def expect(
        self, key: object, what: str, patience: float | None = ANSWER_TIMEOUT
    ) -> Deferred[Any]:
        """
        A Deferred that fires with what is given to `key`; `patience` None: whenever that is.

        Raises:
            TimeoutError: by the Deferred, which says `what` did not come.
        """
        if self._over is not None:
            return fail(self._over)
        self.cancel(key)
        answer: Deferred[Any] = Deferred(lambda answer: self._forget(key, answer))
        self._waiting[key] = answer

        def too_late(_: object, seconds: float) -> None:
            raise TimeoutError(f"no answer to {what} within {seconds:g} s")

        if patience is not None:
            answer.addTimeout(patience, self._clock, too_late)
        return answer

    def give(self, key: object, result: object) -> None:
        """Answer, with a Failure if it is one; harmless when nobody waits (any more)."""
        self.take(key)(result)

    def take(self, key: object) -> Callable[[object], None]:
        """What answers the question that is open now, and no later one."""
        answer = self._waiting.pop(key, None)

        def give(result: object) -> None:
            if answer is not None and not answer.called:
                answer.callback(result)

        return give

    def cancel(self, key: object) -> None:
        """The question is void."""
        answer = self._waiting.get(key)
        if answer is not None:
            answer.cancel()

    def end(self, reason: BaseException) -> None:
        """No more answers: whoever waits hears why, and so does who asks from now on."""
        self._over = reason
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.errback(reason)

    def _forget(self, key: object, answer: Deferred[Any]) -> None:
        if self._waiting.get(key) is answer:
            del self._waiting[key]
