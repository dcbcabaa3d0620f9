"""When a sweep may start."""

from __future__ import annotations

import pytest

from rtmptwist.live.pace import EASE, MAX_EASE, MAX_PATIENCE, PATIENCE, TRIFLE, Pace


def swept(cost: float, merge: float = 0.0, at: float = 100.0) -> Pace:
    """After a sweep that began at 100 s and cost so much."""
    pace = Pace(merge)
    pace.start(at)
    pace.spend(cost / 2)
    pace.spend(cost / 2)
    return pace


def test_the_first_messages_go_at_once() -> None:
    assert Pace(0.1).wait(5.0, picture=True) <= 0
    assert Pace(0.0).wait(5.0, picture=False) <= 0


def test_without_load_messages_go_at_once() -> None:
    assert swept(TRIFLE / 2).wait(100.0, picture=False) <= 0


def test_messages_gather_for_the_merge_time() -> None:
    pace = swept(0.0, merge=0.1)
    assert pace.wait(100.03, picture=True) == pytest.approx(0.07)
    assert pace.wait(100.1, picture=True) == pytest.approx(0)


def test_sweeps_begin_a_multiple_of_their_cost_apart() -> None:
    assert swept(0.004).wait(100.004, picture=True) == pytest.approx(0.004 * (EASE - 1))
    assert swept(1.0).wait(100.0, picture=True) == pytest.approx(MAX_EASE)


def test_the_longer_of_merge_and_ease_counts() -> None:
    assert swept(0.01, merge=0.1).wait(100.0, picture=True) == pytest.approx(0.1)


def test_sound_waits_for_its_picture_but_not_long() -> None:
    """From when it came, not from when it is asked about again."""
    pace = swept(0.0002)
    assert pace.wait(101.0, picture=False) == pytest.approx(PATIENCE * 0.0002)
    assert pace.wait(101.003, picture=False) == pytest.approx(PATIENCE * 0.0002 - 0.003)
    assert pace.wait(101.003, picture=True) <= 0
    assert swept(1.0).wait(101.0, picture=False) == pytest.approx(MAX_PATIENCE)


def test_a_sweep_takes_along_what_waited() -> None:
    pace = swept(0.0002)
    pace.wait(101.0, picture=False)
    pace.start(101.001)
    pace.spend(0.0002)
    assert pace.wait(102.0, picture=False) == pytest.approx(PATIENCE * 0.0002)


@pytest.mark.parametrize("picture", [True, False])
def test_a_clock_set_back_holds_nothing_up(picture: bool) -> None:
    pace = swept(0.0002, merge=0.1)
    pace.wait(100.2, picture=picture)
    assert pace.wait(50.0, picture=picture) == pytest.approx(0.1)
    assert pace.wait(50.1, picture=picture) == pytest.approx(0)
    pace.spend(-7.0)
    assert pace.cost == pytest.approx(0.0002)
