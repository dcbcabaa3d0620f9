from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rtmptwist.hooks.answer import Answer
from rtmptwist.hooks.events import Event
from rtmptwist.hooks.question import Question
from rtmptwist.hooks.telling import FIRST_PAUSE, LONGEST_PAUSE, Telling
from tests.support.logs import Logs
from tests.support.memory import result_of
from tests.support.questions import FakeCarrier, question, settings

pytestmark = pytest.mark.usefixtures("logs")


class Desk:
    """One hook that is told, and a clock."""

    def __init__(self, **keys: Any) -> None:
        self.clock = Clock()
        self.carrier = FakeCarrier()
        self.telling = Telling(settings(**keys), self.carrier, self.clock)

    def tell(self, *names: str) -> None:
        for name in names:
            self.telling.tell(question(Event.PUBLISH_DONE, name))

    def close(self, drain: float = 5.0) -> Deferred[None]:
        return Deferred.fromCoroutine(self.telling.close(drain))

    @property
    def told(self) -> list[str]:
        return [told.name for told in self.carrier.asked]


def test_in_order_and_so_many_at_once() -> None:
    desk = Desk(at_once=2)
    desk.tell("a", "b", "c", "d")
    assert desk.told == ["a", "b"]
    desk.carrier.answer()
    assert desk.told == ["a", "b", "c"]
    desk.carrier.answer()
    desk.carrier.answer()
    desk.carrier.answer()
    assert desk.told == ["a", "b", "c", "d"]
    assert desk.telling.dropped == 0


def test_it_is_told_again_with_growing_pauses() -> None:
    desk = Desk(retries=8)
    desk.tell("a")
    pauses = []
    pause = FIRST_PAUSE
    while len(desk.told) < 9:
        desk.carrier.fail()
        pauses.append(pause)
        desk.clock.advance(pause - 0.01)
        told = len(desk.told)
        desk.clock.advance(0.01)
        assert len(desk.told) == told + 1
        pause = min(2 * pause, LONGEST_PAUSE)
    desk.carrier.answer()
    assert pauses[-1] == LONGEST_PAUSE
    assert desk.clock.calls == []


def test_each_attempt_has_its_time() -> None:
    desk = Desk(timeout=5.0, retries=1)
    desk.tell("a")
    desk.clock.advance(5)
    assert desk.carrier.given_up == 1
    desk.clock.advance(FIRST_PAUSE)
    assert desk.told == ["a", "a"]
    desk.clock.advance(4.9)
    desk.carrier.answer()
    assert desk.clock.calls == []


def test_what_cannot_be_told_is_counted_and_said_once(logs: Logs) -> None:
    desk = Desk(retries=0, at_once=1)
    desk.tell("a", "b", "c", "d")
    for _ in range(3):
        desk.carrier.fail("nobody listens there")
    assert desk.telling.dropped == 3
    (line,) = logs.lines("warn")
    assert "was not told of publish_done by 192.0.2.1: nobody listens there;" in line
    desk.carrier.answer()
    assert logs.lines("warn")[1:] == ["hook backend can be told again; 3 things were not"]
    desk.tell("e")
    desk.carrier.answer()
    assert len(logs.lines("warn")) == 2


@pytest.mark.parametrize(("reason", "words"), [("", "said no;"), ("Who?", "said no (Who?);")])
def test_a_no_is_not_told_again_but_said(reason: str, words: str, logs: Logs) -> None:
    """A wrong address, a script that fails: somebody should know."""
    desk = Desk(retries=5)
    desk.tell("a")
    desk.carrier.answer(Answer(allowed=False, reason=reason))
    assert desk.told == ["a"]
    assert desk.telling.dropped == 1
    assert words in logs.lines("warn")[0]


def test_too_slow(logs: Logs) -> None:
    desk = Desk(retries=0, timeout=5.0)
    desk.tell("a")
    desk.clock.advance(5)
    assert "no answer within 5 s" in logs.lines("warn")[0]


def test_only_so_much_waits(logs: Logs) -> None:
    desk = Desk(at_once=1, queue=2)
    desk.tell("a", "b", "c", "d", "e")
    assert desk.telling.dropped == 2
    assert "2 things wait to be told already" in logs.lines("warn")[0]
    for _ in range(3):
        desk.carrier.answer()
    assert desk.told == ["a", "b", "c"]


def test_a_bug_loses_one_thing(logs: Logs) -> None:
    desk = Desk(at_once=1)

    def bug(_: Question) -> Answer:
        raise ZeroDivisionError

    desk.carrier.at_once = bug
    desk.tell("a")
    assert [type(error) for error in logs.forgive()] == [ZeroDivisionError]
    desk.carrier.at_once = None
    desk.tell("b")
    desk.carrier.answer()
    assert result_of(desk.close()) is None


def test_at_the_end_what_there_is_is_told() -> None:
    desk = Desk(at_once=1)
    desk.tell("a", "b")
    closing = desk.close()
    desk.carrier.answer()
    assert not closing.called
    desk.carrier.answer()
    assert result_of(closing) is None
    assert desk.told == ["a", "b"]
    assert desk.clock.calls == []


def test_at_the_end_nothing_to_tell() -> None:
    desk = Desk()
    assert result_of(desk.close()) is None
    assert desk.clock.calls == []


def test_at_the_end_not_for_ever(logs: Logs) -> None:
    desk = Desk(at_once=1, timeout=60.0)
    desk.tell("a", "b", "c")
    closing = desk.close(5.0)
    desk.clock.advance(5)
    assert result_of(closing) is None
    assert desk.carrier.given_up == 1
    assert desk.telling.dropped == 3
    assert logs.lines("warn") == ["hook backend: 3 things were not told"]
    assert desk.clock.calls == []


def test_after_the_end(logs: Logs) -> None:
    desk = Desk()
    result_of(desk.close())
    desk.tell("a")
    assert desk.told == []
    assert "the server stops" in logs.lines("warn")[0]
