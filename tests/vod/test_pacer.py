"""One timer for all who wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.task import Clock

from rtmptwist.vod.pacer import EARLY, SLICE, Pacer
from tests.support.logs import Logs


class Sleeper:
    """Waits, and notes when it was called."""

    def __init__(self, clock: Clock, then: Callable[[], object] | None = None) -> None:
        self.tick = -1
        self.called: list[float] = []
        self._clock = clock
        self._then = then

    def due(self) -> None:
        self.called.append(self._clock.seconds())
        if self._then is not None:
            self._then()


@pytest.fixture
def clock() -> Clock:
    """Some time after its beginning."""
    clock = Clock()
    clock.advance(1000)
    return clock


def test_all_are_called_at_their_moments_or_a_little_sooner(clock: Clock) -> None:
    pacer = Pacer(clock)
    moments = [1003.0, 1000.5, 1000.52, 1700.0, 999.0, 1000.0]
    sleepers = [Sleeper(clock) for _ in moments]
    for sleeper, moment in zip(sleepers, moments, strict=True):
        pacer.wait(sleeper, moment)
    assert len(clock.getDelayedCalls()) == 1
    clock.pump([0.01] * 71_000)
    for sleeper, moment in zip(sleepers, moments, strict=True):
        (called,) = sleeper.called
        assert max(moment, 1000) - EARLY <= called <= max(moment, 1000) + 0.011
        assert sleeper.tick == -1
    assert clock.getDelayedCalls() == []


def test_who_is_forgotten_is_not_called(clock: Clock) -> None:
    pacer = Pacer(clock)
    one, other = Sleeper(clock), Sleeper(clock)
    pacer.wait(one, 1005)
    pacer.wait(other, 1005)
    pacer.forget(one)
    pacer.forget(one)
    pacer.wait(other, 1002)
    assert clock.getDelayedCalls()[0].getTime() == 1002
    pacer.wait(other, 1008)
    clock.advance(6)
    assert other.called == []
    clock.advance(2)
    assert (len(other.called), one.called) == (1, [])
    pacer.wait(one, 1020)
    pacer.forget(one)
    assert clock.getDelayedCalls() == []


def test_who_is_called_may_wait_again_and_forget_others(clock: Clock) -> None:
    pacer = Pacer(clock)
    one, other = Sleeper(clock), Sleeper(clock)

    def forget_both() -> None:
        pacer.forget(one)
        pacer.forget(other)

    again = Sleeper(clock, lambda: pacer.wait(again, clock.seconds() + 1))
    for sleeper in (one, other):
        sleeper._then = forget_both
        pacer.wait(sleeper, 1001)
    pacer.wait(again, 1001)
    clock.pump([0.1] * 35)
    assert len(one.called) + len(other.called) == 1
    assert len(again.called) == 3


def test_many_are_called_in_slices_between_which_others_are_heard(clock: Clock) -> None:
    pacer = Pacer(clock)
    heard: list[str] = []
    for _ in range(SLICE + 1):
        pacer.wait(Sleeper(clock, lambda: heard.append("")), 1001)
    clock.callLater(1, heard.append, "other")
    clock.advance(1)
    assert heard.index("other") == SLICE
    assert len(heard) == SLICE + 2


def test_one_that_fails_keeps_nobody_else_from_being_called(clock: Clock, logs: Logs) -> None:
    pacer = Pacer(clock)
    broken, other = Sleeper(clock, lambda: 1 / 0), Sleeper(clock)
    pacer.wait(broken, 1001)
    pacer.wait(other, 1001)
    clock.advance(1)
    assert len(other.called) == 1
    assert len(logs.forgive()) == 1
