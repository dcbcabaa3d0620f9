"""
What a hook is told without being asked: best effort, begun in the order in which it happened.

Nobody waits for it, so it may wait itself; what is too much is dropped, counted, and said.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtmptwist.hooks.answer import NoAnswer
from rtmptwist.hooks.carrier import Carrier, Effort
from rtmptwist.hooks.question import Question

FIRST_PAUSE: Final = 1.0
"Seconds before something is told again; each pause is twice as long as the one before."

LONGEST_PAUSE: Final = 30.0


class Telling:
    """What is to be told to one hook."""

    log = Logger()

    def __init__(self, effort: Effort, carrier: Carrier, clock: IReactorTime) -> None:
        self._effort = effort
        self._carrier = carrier
        self._clock = clock
        self._waiting: deque[Question] = deque()
        self._running: set[Deferred[None]] = set()
        self._silent: Deferred[None] | None = None
        "While the server stops: fires when there is nothing left to tell."

        self._closed = False

        self.dropped = 0
        "What was not told, in all."

        self._unsaid = 0
        "Of these, since the hook last could be told something."

    def tell(self, question: Question) -> None:
        """Tell it as soon as may be."""
        if self._closed:
            self._drop(question, "the server stops")
        elif len(self._running) < self._effort.at_once:
            working = Deferred.fromCoroutine(self._work(question))
            self._running.add(working)
            working.addBoth(self._worked, working)
        elif len(self._waiting) < self._effort.queue:
            self._waiting.append(question)
        else:
            self._drop(question, f"{len(self._waiting)} things wait to be told already")

    async def close(self, drain: float) -> None:
        """Tell what there is to tell within `drain` seconds, and nothing after that."""
        if self._running:
            self._silent = Deferred()
            try:
                await self._silent.addTimeout(drain, self._clock)
            except TookTooLong:
                late = len(self._waiting) + len(self._running)
                self._waiting.clear()
                for working in tuple(self._running):
                    working.cancel()
                self.dropped += late
                self._unsaid += late
        self._closed = True
        if self._unsaid:
            self.log.warn(
                "hook {name}: {count} things were not told",
                name=self._effort.name,
                count=self._unsaid,
            )

    async def _work(self, question: Question) -> None:
        await self._persevere(question)
        while self._waiting:
            await self._persevere(self._waiting.popleft())

    def _worked(self, result: object, working: Deferred[None]) -> None:
        self._running.discard(working)
        if isinstance(result, Failure) and not result.check(CancelledError):
            self.log.failure("hook {name}", failure=result, name=self._effort.name)
        if self._silent is not None and not self._running and not self._silent.called:
            self._silent.callback(None)

    async def _persevere(self, question: Question) -> None:
        """Tell one thing, or give it up."""
        pause = FIRST_PAUSE
        for left in range(self._effort.retries, -1, -1):  # pragma: no branch - the last returns
            try:
                await self._tell(question)
            except NoAnswer as error:
                if not left:
                    self._drop(question, str(error))
                    return
            else:
                return
            await deferLater(self._clock, pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _tell(self, question: Question) -> None:
        """Tell it once; an answer that says no has nothing to say, but was one."""
        timeout = self._effort.timeout
        telling = Deferred.fromCoroutine(self._carrier.ask(question))
        try:
            answer = await telling.addTimeout(timeout, self._clock)
        except TookTooLong:
            raise NoAnswer(f"no answer within {timeout:g} s") from None
        if answer.allowed:
            self._delivered()
        else:
            self._drop(question, f"it said no ({answer.reason})" if answer.reason else "it said no")

    def _delivered(self) -> None:
        if self._unsaid:
            self.log.warn(
                "hook {name} can be told again; {count} things were not",
                name=self._effort.name,
                count=self._unsaid,
            )
            self._unsaid = 0

    def _drop(self, question: Question, why: str) -> None:
        self.dropped += 1
        self._unsaid += 1
        if self._unsaid == 1:
            self.log.warn(
                "hook {name} was not told of {event} by {address}: {why}; no more of these until"
                " it can be told again",
                name=self._effort.name,
                event=str(question.event),
                address=question.client.address,
                why=why,
            )
