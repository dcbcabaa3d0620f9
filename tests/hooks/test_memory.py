from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from rtmptwist.hooks import memory
from rtmptwist.hooks.answer import Answer
from rtmptwist.hooks.memory import Memory

NO = Answer(allowed=False)
HERE = "192.0.2.1"


def test_an_answer_is_good_for_a_time() -> None:
    clock = Clock()
    answers = Memory(clock, 60)
    answers.keep(b"a", NO, HERE)
    clock.advance(59)
    assert answers.find(b"a") == NO
    assert answers.find(b"b") is None
    clock.advance(1)
    assert answers.find(b"a") is None


def test_the_last_one_counts() -> None:
    clock = Clock()
    answers = Memory(clock, 60)
    answers.keep(b"a", NO, HERE)
    clock.advance(30)
    answers.keep(b"a", Answer(), HERE)
    clock.advance(59)
    assert answers.find(b"a") == Answer()
    assert len(answers) == 1


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LARGEST", 3)
    answers = Memory(Clock(), 60)
    for question in (b"a", b"b", b"c", b"a", b"d"):
        answers.keep(question, NO, HERE)
    assert len(answers) == 3
    assert answers.find(b"b") is None
    assert answers.find(b"a") == NO


def test_who_asks_for_much_pushes_out_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """One client whose query is another one each time, or a network of them."""
    monkeypatch.setattr(memory, "LARGEST", 16)
    answers = Memory(Clock(), 60)
    answers.keep(b"good", Answer(), HERE)
    for number in range(100):
        answers.keep(b"%d" % number, NO, "198.51.100.66")
        answers.keep(b"six %d" % number, NO, f"2001:db8:7:{number:x}::1")
    assert answers.find(b"good") == Answer()
    assert answers.find(b"99") == answers.find(b"six 99") == NO
