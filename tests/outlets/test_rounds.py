"""Once a second for each of many."""

from __future__ import annotations

from twisted.internet.task import Clock

from rtmptwist.outlets.rounds import STEPS, Rounds
from tests.support.logs import Logs


class Runner:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.times: list[float] = []

    def round(self) -> None:
        self.times.append(self._clock.seconds())


def run(clock: Clock, seconds: float) -> None:
    for _ in range(round(seconds * STEPS)):
        clock.advance(1 / STEPS)


def test_each_has_its_turn_a_second_after_it_came() -> None:
    clock = Clock()
    rounds = Rounds(clock)
    first, second = Runner(clock), Runner(clock)
    rounds.join(first)
    run(clock, 0.5)
    rounds.join(second)
    run(clock, 2)
    assert first.times == [1.0, 2.0]
    assert second.times == [1.5, 2.5]


def test_there_is_no_timer_for_nobody() -> None:
    clock = Clock()
    rounds = Rounds(clock)
    runner = Runner(clock)
    assert clock.getDelayedCalls() == []
    rounds.join(runner)
    assert len(clock.getDelayedCalls()) == 1
    rounds.leave(runner)
    rounds.leave(runner)
    assert clock.getDelayedCalls() == []
    run(clock, 2)
    assert runner.times == []


def test_one_may_leave_in_the_turn_of_another() -> None:
    clock = Clock()
    rounds = Rounds(clock)
    second = Runner(clock)

    class Bouncer(Runner):
        def round(self) -> None:
            super().round()
            rounds.leave(second)

    first = Bouncer(clock)
    rounds.join(first)
    rounds.join(second)
    run(clock, 2)
    assert (first.times, second.times) == ([1.0, 2.0], [])


def test_one_that_fails_does_not_keep_others_from_their_turn(logs: Logs) -> None:
    clock = Clock()
    rounds = Rounds(clock)

    class Broken(Runner):
        def round(self) -> None:
            raise ValueError("broken")

    rounds.join(Broken(clock))
    runner = Runner(clock)
    rounds.join(runner)
    run(clock, 2)
    assert runner.times == [1.0, 2.0]
    assert len(logs.forgive()) == 2
