from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from rtmptwist.hooks.answer import Answer, NoAnswer
from rtmptwist.hooks.asking import FIRST_PAUSE, NOT_NOW, Asking
from rtmptwist.hooks.breaker import FAILURES, PAUSE
from rtmptwist.hooks.events import Event
from rtmptwist.hooks.question import Client, Question
from rtmptwist.live.access import Terms
from tests.support.logs import Logs
from tests.support.memory import failure_of, result_of
from tests.support.questions import FakeCarrier, question, settings

pytestmark = pytest.mark.usefixtures("logs")

DENIED = Answer(allowed=False, reason=NOT_NOW)
NO = Answer(allowed=False, reason="Ask Anna.")


class Desk:
    """One hook, and a clock."""

    def __init__(self, **keys: Any) -> None:
        self.clock = Clock()
        self.carrier = FakeCarrier()
        self.asking = Asking(settings(**keys), self.carrier, self.clock)

    def ask(self, asked: Question | None = None) -> Deferred[Answer]:
        return Deferred.fromCoroutine(self.asking.ask(asked or question()))

    def break_down(self) -> None:
        """Fail until it is left alone."""

        def fail(_: Question) -> Answer:
            raise NoAnswer("it is broken")

        self.carrier.at_once = fail
        while not self.asking._breaker.tripped:
            self.ask()
            while self.clock.calls:
                self.clock.advance(FIRST_PAUSE)
        self.carrier.at_once = None
        self.carrier.asked.clear()


@pytest.mark.parametrize("answer", [Answer(), NO, Answer(name="public")])
def test_an_answer(answer: Answer) -> None:
    desk = Desk()
    asking = desk.ask()
    desk.carrier.answer(answer)
    assert result_of(asking) == answer


def test_none_is_asked_for_again_and_again_with_growing_pauses() -> None:
    desk = Desk(retries=2)
    asking = desk.ask()
    desk.carrier.fail()
    for attempt, pause in enumerate((FIRST_PAUSE, 2 * FIRST_PAUSE), 1):
        desk.clock.advance(pause - 0.01)
        assert len(desk.carrier.asked) == attempt
        desk.clock.advance(0.01)
        assert len(desk.carrier.asked) == attempt + 1
        if attempt == 1:
            desk.carrier.fail()
    desk.carrier.answer(NO)
    assert result_of(asking) == NO
    assert len({asked.id for asked in desk.carrier.asked}) == 1


def test_a_no_is_an_answer() -> None:
    desk = Desk()
    asking = desk.ask()
    desk.carrier.answer(NO)
    assert result_of(asking) == NO
    assert desk.clock.calls == []


def test_enough_is_enough(logs: Logs) -> None:
    desk = Desk(retries=1)
    asking = desk.ask()
    desk.carrier.fail()
    desk.clock.advance(FIRST_PAUSE)
    desk.carrier.fail("its answer is no JSON")
    assert result_of(asking) == DENIED
    assert logs.lines("warn") == [
        "hook backend did not answer about publish by 192.0.2.1: its answer is no JSON; refused"
    ]


def test_the_time_limit_holds_for_all_attempts(logs: Logs) -> None:
    desk = Desk(timeout=5.0, retries=100)
    asking = desk.ask()
    desk.clock.advance(4.0)
    desk.carrier.fail()
    desk.clock.advance(FIRST_PAUSE)
    assert len(desk.carrier.asked) == 2
    desk.clock.advance(0.75)
    assert desk.carrier.given_up == 1
    assert result_of(asking) == DENIED
    assert "no answer within 5 s" in logs.lines("warn")[0]
    assert desk.clock.calls == []


def test_no_pause_that_would_outlast_the_time_limit() -> None:
    desk = Desk(timeout=5.0)
    asking = desk.ask()
    desk.clock.advance(4.9)
    desk.carrier.fail()
    assert result_of(asking) == DENIED
    assert desk.clock.calls == []


def test_on_failure_allow(logs: Logs) -> None:
    desk = Desk(retries=0, on_failure="allow")
    asking = desk.ask()
    desk.carrier.fail()
    assert result_of(asking) == Answer()
    assert logs.lines("warn")[0].endswith("; allowed")


@pytest.mark.parametrize("last", [NO, Answer(), Answer(name="public")])
def test_on_failure_cached(last: Answer) -> None:
    desk = Desk(retries=0, on_failure="cached", remember=60.0)
    for answer in (DENIED, last):
        desk.ask()
        desk.carrier.answer(answer)
    for other in (question(), question(name="other")):
        asking = desk.ask(other)
        desk.carrier.fail()
        assert result_of(asking) == (last if other.name == "show" else DENIED)
    desk.clock.advance(60)
    asking = desk.ask()
    desk.carrier.fail()
    assert result_of(asking) == DENIED


def test_what_stands_for_an_answer_is_not_remembered() -> None:
    desk = Desk(retries=0, on_failure="cached")
    desk.ask()
    desk.carrier.answer()
    for _ in range(2):
        desk.ask()
        desk.carrier.fail()
        desk.clock.advance(2000)
    asking = desk.ask()
    desk.carrier.fail()
    assert result_of(asking) == DENIED


def test_who_leaves_is_asked_about_no_more() -> None:
    desk = Desk()
    asking = desk.ask()
    asking.cancel()
    assert isinstance(failure_of(asking), CancelledError)
    assert desk.carrier.given_up == 1
    assert desk.clock.calls == []


def test_who_leaves_while_a_hook_rests() -> None:
    desk = Desk()
    asking = desk.ask()
    desk.carrier.fail()
    asking.cancel()
    assert isinstance(failure_of(asking), CancelledError)
    assert desk.clock.calls == []


def test_those_who_leave_are_no_failures_of_the_hook(logs: Logs) -> None:
    """Else whoever connects and leaves could close the door to everybody."""
    desk = Desk()
    for _ in range(3 * FAILURES):
        asking = desk.ask()
        asking.cancel()
        failure_of(asking)
    asking = desk.ask()
    desk.carrier.answer()
    assert result_of(asking) == Answer()
    assert logs.about("backend") == []


def test_so_many_at_once_and_so_many_waiting(logs: Logs) -> None:
    desk = Desk(at_once=2, queue=1, retries=0)
    first, second, third, fourth = (desk.ask() for _ in range(4))
    assert len(desk.carrier.asked) == 2
    assert result_of(fourth) == DENIED
    assert "1 questions wait for it already" in logs.lines("warn")[0]
    desk.carrier.answer()
    assert len(desk.carrier.asked) == 3
    desk.carrier.answer()
    desk.carrier.answer(NO)
    assert [result_of(asking) for asking in (first, second, third)] == [Answer(), Answer(), NO]


def test_who_asks_for_much_keeps_nobody_else_waiting() -> None:
    desk = Desk(at_once=1, queue=3, retries=0)
    flood = [desk.ask() for _ in range(4)]
    other = desk.ask(question(client=Client(2, "198.51.100.7")))
    assert result_of(flood[-1]) == DENIED  # which made room
    for answer in (NO, NO, Answer()):
        desk.carrier.answer(answer)
    assert [result_of(asking) for asking in (*flood[:2], other)] == [NO, NO, Answer()]
    assert not flood[2].called


def test_none_may_wait() -> None:
    desk = Desk(at_once=1, queue=0, retries=0)
    first, second = desk.ask(), desk.ask()
    assert result_of(second) == DENIED
    desk.carrier.answer()
    assert result_of(first) == Answer()


def test_waiting_for_others_is_no_failure_of_the_hook() -> None:
    desk = Desk(at_once=1, timeout=5.0, retries=0)
    desk.ask()
    desk.clock.advance(4)
    waiting = [desk.ask() for _ in range(2 * FAILURES)]
    desk.clock.advance(0.5)
    desk.carrier.answer()
    desk.clock.advance(4.5)
    assert all(result_of(asking) == DENIED for asking in waiting)
    assert desk.carrier.given_up == 1
    asking = desk.ask()
    desk.carrier.answer()
    assert result_of(asking) == Answer()


def test_who_leaves_while_waiting_for_others() -> None:
    desk = Desk(at_once=1)
    first = desk.ask()
    second = desk.ask()
    second.cancel()
    assert isinstance(failure_of(second), CancelledError)
    desk.carrier.answer()
    assert result_of(first) == Answer()
    assert len(desk.carrier.asked) == 1


def test_what_is_broken_is_not_asked(logs: Logs) -> None:
    """It answers at once, as `on_failure` says, and the log is not flooded."""
    desk = Desk(on_failure="allow")
    desk.break_down()
    lines = len(logs.lines("warn"))
    for _ in range(10):
        assert result_of(desk.ask()) == Answer()
    assert desk.carrier.asked == []
    assert len(logs.lines("warn")) == lines
    desk.clock.advance(PAUSE)
    trying, other = desk.ask(), desk.ask()
    assert result_of(other) == Answer()
    assert len(desk.carrier.asked) == 1
    desk.carrier.answer(NO)
    assert result_of(trying) == NO
    asking = desk.ask()
    desk.carrier.answer(NO)
    assert result_of(asking) == NO
    assert logs.lines("info") == ["hook backend answers again"]


def test_the_log_has_one_line_in_a_second(logs: Logs) -> None:
    desk = Desk(at_once=1, queue=0, retries=0)
    waiting = desk.ask()
    for _ in range(3):
        for _ in range(100):
            assert result_of(desk.ask()) == DENIED
        desk.clock.advance(1)
    first, *others = logs.lines("warn")
    assert first.endswith("refused")
    assert [line.partition("refused ")[2] for line in others] == [
        "(100 such questions since the last line)"
    ] * 2
    desk.carrier.answer()
    result_of(waiting)


def test_who_tries_a_broken_hook_tries_once() -> None:
    desk = Desk(retries=5)
    desk.break_down()
    desk.clock.advance(PAUSE)
    asking = desk.ask()
    desk.carrier.fail()
    assert result_of(asking) == DENIED


def test_a_bug_opens_no_door(logs: Logs) -> None:
    desk = Desk(on_failure="allow")

    def bug(_: Question) -> Answer:
        raise ZeroDivisionError

    desk.carrier.at_once = bug
    assert isinstance(failure_of(desk.ask()), ZeroDivisionError)
    desk.carrier.at_once = lambda _: Answer()
    assert result_of(desk.ask()) == Answer()


URL = "rtmp://example.org/live"


@pytest.mark.parametrize(
    ("event", "answer", "fine"),
    [
        (Event.PUBLISH, Answer(name="public"), True),
        (Event.CONNECT, Answer(name="public"), False),
        (Event.PLAY, Answer(limits=Terms(bitrate=1)), True),
        (Event.CONNECT, Answer(limits=Terms(bitrate=1)), False),
        (Event.CONNECT, Answer(False, redirect="rtmp://b/live"), True),
        (Event.CONNECT, Answer(False, redirect=f"{URL}?again=1"), True),
        (Event.CONNECT, Answer(False, redirect=URL), False),
        (Event.CONNECT, Answer(False, redirect=f"{URL}/"), False),
        (Event.CONNECT, Answer(False, redirect="rtmp://example.org:1935/live"), False),
        (Event.PUBLISH, Answer(False, redirect=f"{URL}/other"), True),
        (Event.PUBLISH, Answer(False, redirect=f"{URL}/show"), False),
        (Event.PLAY, Answer(False, redirect=f"{URL}/show"), False),
    ],
)
def test_an_answer_belongs_to_its_question(event: Event, answer: Answer, fine: bool) -> None:
    desk = Desk(retries=0)
    asking = desk.ask(question(event))
    desk.carrier.answer(answer)
    assert result_of(asking) == (answer if fine else DENIED)
