from __future__ import annotations

from twisted.internet.task import Clock

from rtmptwist.hooks.breaker import FAILURES, PAUSE, Breaker
from tests.support.logs import Logs


def broken(clock: Clock) -> Breaker:
    breaker = Breaker("hook backend", clock)
    for _ in range(FAILURES):
        assert breaker.admit()
        breaker.failed("it is broken")
    return breaker


def test_some_failures_are_nothing(logs: Logs) -> None:
    breaker = Breaker("hook backend", Clock())
    for _ in range(3):
        for _ in range(FAILURES - 1):
            breaker.failed("it is broken")
        breaker.succeeded()
    assert breaker.admit()
    assert logs.about("backend") == []


def test_what_fails_in_a_row_is_left_alone_and_then_tried_once(logs: Logs) -> None:
    clock = Clock()
    breaker = broken(clock)
    assert not breaker.admit()
    clock.advance(PAUSE - 0.1)
    assert not breaker.admit()
    clock.advance(0.1)
    assert breaker.admit()
    assert not breaker.admit(), "only one tries"
    breaker.failed("it is broken")
    assert not breaker.admit()
    clock.advance(PAUSE)
    assert breaker.admit()
    breaker.succeeded()
    assert breaker.admit()
    assert breaker.admit()
    (line,) = logs.lines("warn")
    assert "failed 5 times in a row: it is asked only every 10 s" in line
    assert "(it is broken)" in line
    assert logs.lines("info") == ["hook backend answers again"]


def test_one_who_tried_and_left_lets_another_try() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.advance(PAUSE)
    assert breaker.admit()
    breaker.given_up()
    assert breaker.admit()


def test_late_failures_are_not_said_again(logs: Logs) -> None:
    breaker = broken(Clock())
    breaker.failed("it is still broken")
    assert len(logs.about("backend")) == 1
