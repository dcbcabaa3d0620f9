"""Passwords are hashed beside the reactor, one address after the other."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

import pytest
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from rtmptwist.auth.errors import Busy
from rtmptwist.auth.hashing import NICENESS, WAITING_PER_PLACE, Hashing, Turns
from tests.support.memory import failure_of, result_of
from tests.support.reactor import reactor_test


class Queue:
    """Work that ends when the test says so; all of it with the test."""

    def __init__(self) -> None:
        self.turns = Turns(1)
        self.begun: list[str] = []
        self._ends: list[Deferred[None]] = []

    def work(self, address: str, name: str = "") -> Deferred[None]:
        return Deferred.fromCoroutine(self._work(address, name or address))

    async def _work(self, address: str, name: str) -> None:
        async with self.turns.turn(address):
            self.begun.append(name)
            end: Deferred[None] = Deferred()
            self._ends.append(end)
            await end

    def end(self, error: Exception | None = None) -> None:
        """The oldest work ends."""
        end = self._ends.pop(0)
        if error is None:
            end.callback(None)
        else:
            end.errback(error)

    def end_all(self) -> None:
        while self._ends:
            self.end()


@pytest.fixture
def queue() -> Iterator[Queue]:
    queue = Queue()
    yield queue
    queue.end_all()


def test_so_many_at_a_time(queue: Queue) -> None:
    queue.turns = Turns(2)
    for name in "abcd":
        queue.work("192.0.2.1", name)
    assert queue.begun == ["a", "b"]
    queue.end()
    assert queue.begun == ["a", "b", "c"]
    queue.end()
    queue.end()
    queue.end()
    assert queue.begun == ["a", "b", "c", "d"]
    queue.work("192.0.2.1", "e")
    queue.work("192.0.2.1", "f")
    queue.work("192.0.2.1", "g")
    assert queue.begun == ["a", "b", "c", "d", "e", "f"]


def test_addresses_take_turns(queue: Queue) -> None:
    """Who sends a hundred waits for them; who sends one waits for one."""
    for number in range(4):
        queue.work("192.0.2.1", f"a{number}")
    queue.work("192.0.2.2", "b0")
    queue.work("192.0.2.2", "b1")
    queue.work("2001:db8::1", "c0")
    queue.work("2001:db8::2", "c1")
    for _ in range(8):
        queue.end()
    assert queue.begun == ["a0", "a1", "b0", "c0", "a2", "b1", "c1", "a3"]


def test_an_error_ends_a_turn_too(queue: Queue) -> None:
    first, _ = queue.work("192.0.2.1"), queue.work("192.0.2.2")
    queue.end(ValueError("broken"))
    assert isinstance(failure_of(first), ValueError)
    assert queue.begun == ["192.0.2.1", "192.0.2.2"]


def test_who_leaves_waits_no_more(queue: Queue) -> None:
    queue.work("192.0.2.1", "a")
    leaving = [queue.work("192.0.2.2", "b"), queue.work("192.0.2.1", "c")]
    queue.work("192.0.2.1", "d")
    for each in leaving:
        each.cancel()
        assert isinstance(failure_of(each), CancelledError)
    queue.end()
    assert queue.begun == ["a", "d"]
    queue.end()
    assert queue.turns._waiting == {}
    assert queue.turns._count == 0


def test_few_of_an_address_wait(queue: Queue) -> None:
    for _ in range(1 + WAITING_PER_PLACE):
        queue.work("192.0.2.1")
    assert isinstance(failure_of(queue.work("192.0.2.1")), Busy)
    assert not queue.work("192.0.2.2").called


def test_who_has_most_waiting_makes_room(queue: Queue) -> None:
    """However many a few addresses send, others are not refused for it."""
    queue.turns = Turns(1, waiting=4)
    queue.work("192.0.2.1")
    many = [queue.work("192.0.2.1", f"a{number}") for number in range(4)]
    first = queue.work("192.0.2.2", "b")
    assert isinstance(failure_of(many[3]), Busy)
    second = queue.work("2001:db8::1", "c")
    assert isinstance(failure_of(many[2]), Busy)
    assert isinstance(failure_of(queue.work("192.0.2.1")), Busy)
    assert isinstance(failure_of(queue.work("192.0.2.2")), Busy)
    third = queue.work("192.0.2.3", "d")
    assert isinstance(failure_of(many[1]), Busy)
    assert isinstance(failure_of(queue.work("192.0.2.4")), Busy)
    assert queue.turns._count == 4
    for _ in range(5):
        queue.end()
    assert queue.begun == ["192.0.2.1", "a0", "b", "c", "d"]
    assert [result_of(each) for each in (many[0], first, second, third)] == [None] * 4


def test_the_addresses_of_one_network_have_one_turn(queue: Queue) -> None:
    """There may be 65,536 of them, in the hands of one who guesses."""
    for number in range(4):
        queue.work(f"2001:db8:7:{number}::1", f"a{number}")
    queue.work("2001:db8:7:2::2", "a2 again")
    queue.work("192.0.2.1", "b")
    queue.work("2001:db8:8::1", "c")
    for _ in range(7):
        queue.end()
    assert queue.begun == ["a0", "a1", "b", "c", "a2", "a3", "a2 again"]


def test_a_network_that_has_most_waiting_makes_room(queue: Queue) -> None:
    queue.turns = Turns(1, waiting=4)
    queue.work("192.0.2.1")
    many = [queue.work(f"2001:db8:7:{number}::1", f"a{number}") for number in range(4)]
    queue.work("192.0.2.2", "b")
    assert isinstance(failure_of(many[3]), Busy)
    queue.work("192.0.2.3", "c")
    assert isinstance(failure_of(many[2]), Busy)
    assert isinstance(failure_of(queue.work("2001:db8:7:9::1")), Busy)
    for _ in range(5):
        queue.end()
    assert queue.begun == ["192.0.2.1", "a0", "b", "c", "a1"]
    assert queue.turns._waiting == {}
    assert queue.turns._count == 0


def _thread() -> tuple[int, int]:
    """Which one this is, and its priority."""
    return threading.get_ident(), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@reactor_test
async def test_it_is_done_in_a_modest_thread() -> None:
    own = Hashing(reactor, threads=1)
    own.startService()
    try:
        here = threading.get_ident(), os.getpriority(os.PRIO_PROCESS, 0)
        first, second = await own.do(_thread), await own.do(_thread)
        assert first == second
        assert first[0] != here[0]
        assert first[1] == min(19, here[1] + NICENESS) or sys.platform != "linux"
        assert os.getpriority(os.PRIO_PROCESS, 0) == here[1]
    finally:
        own.stopService()


@reactor_test
async def test_what_fails_in_a_thread_fails_here() -> None:
    own = Hashing(reactor, threads=1)
    own.startService()
    try:
        with pytest.raises(ZeroDivisionError):
            await own.do(lambda: 1 // 0)
    finally:
        own.stopService()


def _forgive(failure: Failure) -> None:
    failure.trap(CancelledError)


@reactor_test
async def test_a_turn_ends_with_the_work_even_when_nobody_waits_for_it() -> None:
    """Or whoever connects and leaves again would fill the queue of the threads."""
    own = Hashing(reactor, threads=1)
    own.startService()
    go = threading.Event()
    done: list[str] = []

    async def work(name: str) -> None:
        async with own.turns.turn("192.0.2.1"):
            await own.do(go.wait if name == "first" else lambda: True)
            done.append(name)

    try:
        first = Deferred.fromCoroutine(work("first"))
        second = Deferred.fromCoroutine(work("second"))
        first.addErrback(_forgive)
        first.cancel()
        assert own.turns._count == 1
        assert first.result is not None  # it waits for what is being done
        go.set()
        await second
        assert first.result is None
        assert done == ["second"]
    finally:
        go.set()
        own.stopService()


def test_nothing_is_left_of_the_queue(queue: Queue) -> None:
    working = queue.work("192.0.2.1")
    queue.end()
    assert result_of(working) is None
