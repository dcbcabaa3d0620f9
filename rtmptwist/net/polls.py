"""
The requests of one tunnel: put in order by their numbers, and each answered once.

A client numbers its requests. They may come twice, because an answer was lost; too early, because
they took different connections; or never. One is served at a time, so that the answers carry the
bytes in the order of the numbers too. Knows the numbers and the clock, not how HTTP is spelled.

When is a request answered?

| request | answered |
|---|---|
| brings bytes | once the connection has taken them, with what it says to that |
| asks only | once there is something to say, at the latest after the `Use`'s hold |
| is followed by another, on its connection or by number | at once: librtmp does not wait |
| beyond the rate of `TunnelLimits` | 20 ms later, unless followed by more than an idle one |

An answer that is held needs no adaptive interval: the next request is there when something happens.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from rtmptwist.net.tunnel import ClosedByClient, Tunnel, TunnelLimits, Use

Reply = Callable[[int, bytes], None]
"Takes the HTTP status and the body of an answer. Called once at most; never after `leave`."


class Kind(Enum):
    """What a client wants."""

    SEND = "send"
    IDLE = "idle"
    CLOSE = "close"


NOTHING: Final = b"\x01"
"The polling byte of an answer without data: ask again soon."

CLOSED: Final = b"\x00"
"What `close` is answered."

_PATIENT: Final = 10
"Idle requests in a row with nothing to say before the polling byte grows."


class Poll:
    """One request. Who comes with the same number while it is due waits for the same answer."""

    __slots__ = ("body", "kind", "not_before", "number", "replies", "since")

    def __init__(
        self, kind: Kind, number: int, body: bytes, reply: Reply, not_before: float
    ) -> None:
        self.kind = kind
        self.number = number
        self.body: bytes | None = body if kind is Kind.SEND else None
        "None when there is none, or when the connection has it."

        self.replies = [reply]
        "Empty when their HTTP connections are lost; then a repetition is likely to come."

        self.not_before = not_before
        self.since = 0.0
        "When its turn came, or it was repeated."


class Polls:
    """The requests of one tunnel. The current one is due; when there is none, a new one is."""

    __slots__ = (
        "_allowance",
        "_answer",
        "_clock",
        "_current",
        "_early",
        "_early_size",
        "_empty",
        "_last",
        "_limits",
        "_soon",
        "_stuck",
        "_timer",
        "heard",
        "repeated",
        "told",
        "tunnel",
    )

    def __init__(
        self,
        tunnel: Tunnel,
        clock: IReactorTime,
        limits: TunnelLimits,
        soon: Callable[[Polls], None],
    ) -> None:
        """`soon(self)` has `settle` called at the end of this turn of the reactor."""
        self.tunnel = tunnel
        tunnel.stirred = self._stirred
        self.heard = clock.seconds()
        "When the last request came."

        self.repeated = 0
        "Requests that came again."

        self.told = False
        "The client knows that the session is over."

        self._clock = clock
        self._limits = limits
        self._soon = soon
        self._last = -1  # number of the current request, or else of the one before
        self._answer = b""  # to the one before; kept for a repetition
        self._current: Poll | None = None
        self._early: dict[int, Poll] = {}
        self._early_size = 0
        self._stuck = 0.0  # since then the early ones wait for a number that did not come
        self._empty = 0  # requests in a row that brought nothing and got nothing
        self._allowance = float(limits.requests_per_second)
        self._timer: IDelayedCall | None = None

    @property
    def busy(self) -> bool:
        """Somebody waits for the current request's answer."""
        return self._current is not None and bool(self._current.replies)

    # --------------------------------------------------------------- requests

    def enter(self, kind: Kind, number: int | None, body: bytes, reply: Reply) -> None:
        """Take a request. One without a number (CLOSE) has its turn now."""
        now = self._clock.seconds()
        not_before = self._spend(now)
        last = self._last
        if self.tunnel.lost:
            self.settle()
            self._enter_late(number, reply)
        elif number is None:
            self._start(Poll(kind, last + 1, body, reply, 0))
        elif number == last:
            self._repeat(reply)
        elif number < last:
            reply(200, NOTHING)  # it was answered, or the client would not have come this far
        elif number in self._early:
            self._join(self._early[number], reply)
        else:
            if last < 0 and number == 1:  # some begin at 0, some at 1
                self._last = 0
            self._keep(Poll(kind, number, body, reply, not_before), now)

    def hurry(self, urgent: bool) -> None:
        """
        Another request waits behind the current one: hold that no longer for want of bytes.

        `urgent`: it is more than an idle one; then it waits for no reason at all. librtmp publishes
        in this way, as fast as it can, and when it is done it leaves, whatever is on its way.
        """
        poll = self._current
        if poll is None or poll.body:
            return
        if urgent or self._clock.seconds() >= poll.not_before:
            self._finish(poll)

    def leave(self, reply: Reply) -> None:
        """
        Forget a reply whose HTTP connection is lost.

        The bytes that it would have carried stay for the next.
        """
        for poll in (self._current, *self._early.values()):
            if poll is not None and reply in poll.replies:
                poll.replies.remove(reply)
                self._stuck = self._clock.seconds()
                self.settle()
                return

    def settle(self) -> None:
        """Do what can be done now: start, answer, or give up."""
        while not self.tunnel.lost:
            poll = self._current
            if poll is None or not (poll.replies or poll.body):
                following = self._early.pop(self._last + 1, None)
                if following is None:
                    break
                self._early_size -= len(following.body or b"")
                self._start(following)
            elif not self._settle(poll):
                break
        if self.tunnel.lost:
            self._refuse_all(404)
        elif self._early and not self.busy:
            self._mind_the_gap()

    # --------------------------------------------------------- one at a time

    def _start(self, poll: Poll) -> None:
        """Its turn has come."""
        if self._current is not None:
            self._finish(self._current)
        self._last = poll.number
        if poll.kind is Kind.CLOSE:
            self._answer = CLOSED
            self.told = True
            self.tunnel.hang_up(Failure(ClosedByClient()))
            for reply in poll.replies:
                reply(200, CLOSED)
        else:
            poll.since = self._clock.seconds()
            self._current = poll

    def _settle(self, poll: Poll) -> bool:
        """Feed it and answer it if that can be; return whether something was done."""
        tunnel = self.tunnel
        if poll.body:
            if not tunnel.reading and not tunnel.disconnecting:
                return False
            body, poll.body = poll.body, None
            if tunnel.reading:
                tunnel.feed(body)
            return True
        due = self._due(poll)
        if self._clock.seconds() < due:
            self._wake_at(due)
            return False
        self._finish(poll)
        return True

    def _due(self, poll: Poll) -> float:
        """When to answer the current one."""
        tunnel = self.tunnel
        following = self._early.get(poll.number + 1)
        if following is not None:
            return poll.not_before if following.kind is Kind.IDLE else 0.0
        if poll.kind is Kind.SEND or tunnel.waiting:
            return poll.not_before
        # while a decision is taken, nothing else that the client could send would be heard
        hold = tunnel.use.hold if tunnel.reading else Use.PLAYING.hold
        return max(poll.not_before, poll.since + hold)

    def _finish(self, poll: Poll) -> None:
        """Answer the current one. To reply may bring in the next request, and answer that too."""
        self._current = None
        self._stuck = self._clock.seconds()
        self._answer = answer = self._next_answer(poll.kind) if poll.replies else NOTHING
        for reply in poll.replies:
            reply(200, answer)

    def _next_answer(self, kind: Kind) -> bytes:
        data = self.tunnel.take()
        if data or kind is not Kind.IDLE or self.tunnel.use.hold:
            self._empty = 0
            return NOTHING + data
        # no holding, so the client shall slow down, as Red5 has it: from 1 to 33 times 16 ms
        self._empty += 1
        return bytes([1 << min(max(self._empty - _PATIENT, 0), 5) | 1])

    # -------------------------------------------------- too early or too late

    def _keep(self, poll: Poll, now: float) -> None:
        """Let it in if its turn has come; else keep it, if it is not too far off."""
        if not self._early:
            self._stuck = max(self._stuck, now)
        self._early[poll.number] = poll
        self._early_size += len(poll.body or b"")
        ahead = poll.number - self._last
        self.settle()
        if ahead > self._limits.early_requests:
            self._give_up(f"request {poll.number} came when {self._last + 1} was due")
        elif self._early_size > self._limits.early_size:
            self._give_up(f"{self._early_size} bytes wait for request {self._last + 1}")

    def _mind_the_gap(self) -> None:
        """The early ones wait for one that did not come."""
        end = self._stuck + self._limits.gap
        if self._clock.seconds() < end:
            self._wake_at(end)
        else:
            self._give_up(f"request {self._last + 1} did not come in {self._limits.gap:g} s")

    def _give_up(self, why: str) -> None:
        self._answer = b""
        self._refuse_all(400)
        self.tunnel.hang_up(Failure(ConnectionLost(why)))

    def _refuse_all(self, status: int) -> None:
        polls = [self._current, *self._early.values()]
        if self._current is not None:
            self._current = None
            self._answer = b""  # is older
        self._early = {}
        self._early_size = 0
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        for poll in polls:
            for reply in poll.replies if poll is not None else ():
                self.told = True
                reply(status, b"")

    def _repeat(self, reply: Reply) -> None:
        self.repeated += 1
        poll = self._current
        if poll is None:
            reply(200, self._answer)
        else:
            poll.since = self._clock.seconds()
            self._join(poll, reply)
            self.settle()

    def _join(self, poll: Poll, reply: Reply) -> None:
        if len(poll.replies) < self._limits.early_requests:
            poll.replies.append(reply)
        else:
            reply(400, b"")

    def _enter_late(self, number: int | None, reply: Reply) -> None:
        """The session is over; perhaps the answer that said so was lost."""
        if number == self._last and self._answer:
            self.repeated += 1
            reply(200, self._answer)
        else:
            self.told = True
            reply(404, b"")

    # ------------------------------------------------------------------- time

    def _stirred(self) -> None:
        if self._current is not None or self.tunnel.lost:
            self._soon(self)

    def _spend(self, now: float) -> float:
        """Count a request; return when it may be answered."""
        rate = self._limits.requests_per_second
        allowance = min(self._allowance + (now - self.heard) * rate, rate) - 1
        self._allowance = max(allowance, 0.0)
        self.heard = now
        return now + self._limits.delay if allowance < 0 else 0.0

    def _wake_at(self, due: float) -> None:
        """
        Have `settle` called by then. An earlier call that is on its way is left to find nothing.

        So a tunnel makes two timers in a second, not one for each answer that it holds.
        """
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() <= due:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(max(due - self._clock.seconds(), 0), self.settle)
