"""
Where passwords are hashed: in a thread, and in turn.

A hash is a tenth of a second of work by design. It is done beside the reactor, on another processor
if there is one, and after everything else if there is none. Whoever sends many passwords waits
behind themselves: the addresses that wait take turns, each with its oldest. Those of one network of
IPv6 (`live.networks.holder`) have one turn together, for they may be a single customer's.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from rtmptwist.auth.errors import Busy
from rtmptwist.live.networks import holder, place

T = TypeVar("T")

WAITING: Final = 512
"Passwords of all addresses that wait for their turn. Who has most makes room for others."

WAITING_PER_PLACE: Final = 64
"Of one address: six seconds of its own, or a school whose encoders all start at once."

NICENESS: Final = 10
"Of the threads: where there is one processor only, nearly all of it remains for the reactor."


class Turns:
    """Lets so many at a time do something, the places that wait in turn."""

    def __init__(
        self, at_a_time: int, waiting: int = WAITING, waiting_per_place: int = WAITING_PER_PLACE
    ) -> None:
        """`waiting`: so many at most, of all places and of each."""
        self._free = at_a_time
        self._most = waiting
        self._most_per_place = waiting_per_place
        self._waiting: dict[str, dict[str, deque[Deferred[None]]]] = {}
        """
        By holder and place; of both, whose turn is next is first. Nobody waits while there is
        something free.
        """
        self._count = 0

    @asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[None]:
        """
        For as long as the block lasts, it is the turn of an address.

        Raises:
            Busy: too many wait already, of this address or of all.
        """
        await self.take(address)
        try:
            yield
        finally:
            self.give()

    async def take(self, address: str) -> None:
        """
        Wait until it is the turn of an address, which ends with `give`.

        Raises:
            Busy: too many wait already, of this address or of all.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(holder(address), place(address))

    async def _wait(self, who: str, where: str) -> None:
        if len(self._waiting.get(who, {}).get(where, ())) >= self._most_per_place:
            raise Busy(f"{self._most_per_place} logins from {where} wait already")
        if self._count >= self._most:
            self._make_room(who)
        queue = self._waiting.setdefault(who, {}).setdefault(where, deque())

        def leave(turn: Deferred[None]) -> None:
            queue.remove(turn)
            self._left(who, where)

        turn: Deferred[None] = Deferred(leave)
        queue.append(turn)
        self._count += 1
        await turn

    def _left(self, who: str, where: str) -> None:
        """One waits no more."""
        self._count -= 1
        places = self._waiting[who]
        if not places[where]:
            del places[where]
        if not places:
            del self._waiting[who]

    def _make_room(self, who: str) -> None:
        """
        For one more: whoever waits behind most of its own leaves.

        Raises:
            Busy: nobody has more waiting than this holder then had.
        """
        counts = {each: sum(map(len, places.values())) for each, places in self._waiting.items()}
        most = max(counts, key=lambda each: counts[each], default="")
        if counts.get(most, 0) <= counts.get(who, 0) + 1:
            raise Busy(f"{self._count} logins wait already")
        where, queue = max(reversed(self._waiting[most].items()), key=lambda each: len(each[1]))
        turn = queue.pop()
        self._left(most, where)
        turn.errback(Busy(f"{self._count} logins wait already, most of them from its address"))

    def give(self) -> None:
        """A turn has ended: the next one begins."""
        if not self._waiting:
            self._free += 1
            return
        who, places = next(iter(self._waiting.items()))
        where, queue = next(iter(places.items()))
        del self._waiting[who], places[where]
        turn = queue.popleft()
        self._count -= 1
        if queue:
            places[where] = queue  # behind the others
        if places:
            self._waiting[who] = places
        turn.callback(None)


class Hashing(Service):
    """Some threads for passwords, while it runs."""

    def __init__(self, reactor: Any, threads: int | None = None) -> None:
        count = threads or (2 if (os.cpu_count() or 1) > 2 else 1)
        self.turns = Turns(count)
        self._reactor = reactor
        self._pool = ThreadPool(0, count, name="passwords")

    def startService(self) -> None:
        """Begin."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's
        self._pool.start()

    def stopService(self) -> None:
        """End, after what is being hashed just now."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's
        self._pool.stop()

    async def do(self, work: Callable[[], T]) -> T:
        """
        Do it in a thread; for whoever has the turn.

        Cancelled, it ends when the work ends, for its turn ends with it.
        """
        ended: Deferred[None] = Deferred()

        def work_and_tell() -> T:
            try:
                return _modestly(work)
            finally:
                self._reactor.callFromThread(ended.callback, None)

        done: Deferred[T] = deferToThreadPool(self._reactor, self._pool, work_and_tell)
        try:
            return await done
        except CancelledError:
            await ended
            raise


_modest = threading.local()


def _modestly(work: Callable[[], T]) -> T:
    """In a thread that leaves the processor to the reactor."""
    # a priority belongs to a thread on Linux, elsewhere to the process
    if sys.platform == "linux" and not hasattr(_modest, "done"):
        os.nice(NICENESS)  # of this thread alone
        _modest.done = True
    return work()
