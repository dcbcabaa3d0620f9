"""
How patiently a hook is asked, and what is said in its place when it says nothing.

A question has a time limit, in which an answer that was none is asked for again. Only so many
questions are on their way at once, and only so many wait for that: addresses take turns, so that
whoever asks for much waits behind itself.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from rtmptwist.auth.errors import Busy
from rtmptwist.auth.hashing import Turns
from rtmptwist.hooks.answer import Answer, NoAnswer
from rtmptwist.hooks.breaker import Breaker
from rtmptwist.hooks.carrier import Carrier, Effort
from rtmptwist.hooks.events import Event
from rtmptwist.hooks.memory import Memory
from rtmptwist.hooks.question import Question

T = TypeVar("T")

FIRST_PAUSE: Final = 0.25
"Seconds before something is asked again; each pause is twice as long as the one before."

SECONDS_PER_LINE: Final = 1.0
"Between two lines of the log about questions without an answer."

LEFT_ALONE: Final = "it has failed too often to be asked now"

NOT_NOW: Final = "It could not be checked whether this is allowed. Please try again later."


class Patience(Effort, Protocol):
    """How long a hook is waited for, and what if in vain."""

    @property
    def on_failure(self) -> str:
        """`deny`, `allow` or `cached`."""

    @property
    def remember(self) -> float:
        """Seconds that an answer is good for `cached`."""


class Asking:
    """The questions to one hook."""

    log = Logger()

    def __init__(self, patience: Patience, carrier: Carrier, clock: IReactorTime) -> None:
        self._patience = patience
        self._carrier = carrier
        self._clock = clock
        self._turns = Turns(patience.at_once, patience.queue, patience.queue)
        self._breaker = Breaker(f"hook {patience.name}", clock)
        self._memory = Memory(clock, patience.remember) if patience.on_failure == "cached" else None
        self._unsaid = 0
        "Questions without an answer that the log does not know of."

        self._silent_until = 0.0

    async def ask(self, question: Question) -> Answer:
        """The hook's answer, or what stands for it."""
        try:
            answer = await self._answer(question)
        except NoAnswer as error:
            return self._instead(question, str(error))
        except Busy:
            why = f"{self._patience.queue} questions wait for it already"
            return self._instead(question, why)
        if self._memory is not None:
            self._memory.keep(question.fingerprint(), answer, question.client.address)
        return answer

    async def _answer(self, question: Question) -> Answer:
        patience = self._patience
        deadline = self._clock.seconds() + patience.timeout
        pause = FIRST_PAUSE
        for left in range(patience.retries, -1, -1):
            try:
                return await self._once(question, deadline)
            except NoAnswer:
                if not left or self._breaker.tripped or self._left(deadline) <= pause:
                    raise
            await deferLater(self._clock, pause)
            pause *= 2
        raise AssertionError

    async def _once(self, question: Question, deadline: float) -> Answer:
        took_too_long = f"no answer within {self._patience.timeout:g} s"
        try:
            await self._within(self._left(deadline), self._turns.take(question.client.address))
        except TookTooLong:
            raise NoAnswer(f"{took_too_long}: too many others wait for one") from None
        try:
            if not self._breaker.admit():
                raise NoAnswer(LEFT_ALONE)
            try:
                answer = await self._within(self._left(deadline), self._carrier.ask(question))
                _check(question, answer)
            except TookTooLong:
                self._breaker.failed(took_too_long)
                raise NoAnswer(took_too_long) from None
            except NoAnswer as error:
                self._breaker.failed(str(error))
                raise
            except BaseException:  # the client has left: the hook is not to blame
                self._breaker.given_up()
                raise
            self._breaker.succeeded()
            return answer
        finally:
            self._turns.give()

    def _within(self, seconds: float, waiting: Coroutine[Any, Any, T]) -> Deferred[T]:
        return Deferred.fromCoroutine(waiting).addTimeout(seconds, self._clock)

    def _left(self, deadline: float) -> float:
        return max(0.0, deadline - self._clock.seconds())

    def _instead(self, question: Question, why: str) -> Answer:
        answer = Answer(allowed=False, reason=NOT_NOW)
        memory = self._memory
        remembered = None if memory is None else memory.find(question.fingerprint())
        if self._patience.on_failure == "allow":
            answer = Answer()
        elif remembered is not None:
            answer = remembered
        self._say(question, why, answer)
        return answer

    def _say(self, question: Question, why: str, answer: Answer) -> None:
        """Attackers are many: one line in a second, and none while it is known to be broken."""
        self._unsaid += 1
        now = self._clock.seconds()
        if why == LEFT_ALONE or now < self._silent_until:
            return
        more = f" ({self._unsaid} such questions since the last line)" if self._unsaid > 1 else ""
        self.log.warn(
            "hook {name} did not answer about {event} by {address}: {why}; {outcome}{more}",
            name=self._patience.name,
            event=str(question.event),
            address=question.client.address,
            why=why,
            outcome="allowed" if answer.allowed else "refused",
            more=more,
        )
        self._unsaid = 0
        self._silent_until = now + SECONDS_PER_LINE


def _check(question: Question, answer: Answer) -> None:
    """Does the answer belong to the question?"""
    if question.event is Event.CONNECT and (answer.name or answer.limits != _NO_LIMITS):
        raise NoAnswer("a connection has no name and no limits that it could change")
    own = question.client.tc_url
    if question.event is not Event.CONNECT:
        own = f"{own.rstrip('/')}/{question.name}"
    if answer.redirect and _usual(answer.redirect) == _usual(own):
        raise NoAnswer("it redirects to where the client is already")


def _usual(url: str) -> str:
    return url.rstrip("/").replace(":1935/", "/", 1)


_NO_LIMITS: Final = Answer().limits
