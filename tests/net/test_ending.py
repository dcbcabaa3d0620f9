"""The end of a connection: how long it may take, and who hears of it."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from rtmptwist.net.ending import Ending
from tests.support.memory import result_of


class Line:
    """Whose end it is: cut, or not."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ending = Ending("enough", self.clock)
        self.cuts = 0

    def linger(self, seconds: float) -> None:
        self.ending.linger(seconds, self.abort)

    def abort(self) -> None:
        self.cuts += 1


@pytest.fixture
def line() -> Line:
    return Line()


def test_who_lingers_too_long_is_cut(line: Line) -> None:
    line.linger(5)
    line.clock.advance(4.9)
    assert line.cuts == 0
    line.clock.advance(0.1)
    assert line.cuts == 1
    line.ending.over()


def test_who_goes_in_time_is_not(line: Line) -> None:
    line.linger(5)
    line.ending.over()
    assert line.clock.calls == []


@pytest.mark.parametrize("seconds", [1, 10])
def test_whoever_is_in_a_hurry_makes_it_sooner_and_never_later(line: Line, seconds: float) -> None:
    line.linger(5)
    line.ending.hurry(seconds)
    line.clock.advance(min(seconds, 5))
    assert line.cuts == 1


def test_all_who_wait_hear_of_it_once(line: Line) -> None:
    gone = line.ending.hurry(5)
    assert line.ending.hurry(3) is gone
    assert not gone.called
    line.ending.lost = True
    assert not gone.called  # there is something left to do
    line.ending.over()
    assert result_of(gone) is None


def test_who_asks_too_late_waits_for_nothing(line: Line) -> None:
    line.ending.lost = True
    assert line.ending.hurry(5).called
    line.ending.over()
