"""Answers that are kept are those that would be made anew."""

from __future__ import annotations

import pytest

from rtmptwist.wire import welcome
from rtmptwist.wire.welcome import connected, playing


def test_a_kept_answer_belongs_to_one_question() -> None:
    questions = [(1.0, 0.0, 4096), (2.0, 0.0, 4096), (1.0, 3.0, 4096), (1.0, 0.0, None)]
    answers = [connected(*question) for question in questions]
    assert len(set(answers)) == len(answers)
    assert answers == [connected.__wrapped__(*question) for question in questions]


@pytest.mark.parametrize("name", ["show", "show?token=secret"])
def test_answers_to_play_name_the_stream(name: str) -> None:
    answers = [playing(1, name, True, 64), playing(2, name, True, 64)]
    answers += [playing(1, name, False, 64), playing(1, name, True, 65_536)]
    assert len(set(answers)) == 4
    assert playing(1, name, True, 65_536) == answers[-1]
    assert all(name.encode() in answer for answer in (answers[0], answers[3]))


def test_what_stands_behind_a_name_is_not_kept() -> None:
    before = welcome._playing.cache_info().currsize
    playing(9, "show?token=secret", True, 4096)
    assert welcome._playing.cache_info().currsize == before
