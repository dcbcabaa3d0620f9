"""Where a viewer is, and what it may be sent."""

from __future__ import annotations

from rtmptwist.vod.playhead import JUMP, LEAST, Playhead


def test_it_runs_with_the_clock() -> None:
    head = Playhead(60_000, 3000)
    head.start(5000, 100.0)
    assert (head.time(100.0), head.time(102.5)) == (5000, 7500)
    # what comes within three seconds is due at once
    assert head.due(8000, 100.0) == 100.0
    assert head.due(10_000, 100.0) == 102.0
    assert head.due(10_000, 101.0) == 102.0


def test_whoever_got_nothing_has_come_no_further() -> None:
    head = Playhead(60_000, 3000)
    head.start(0, 100.0)
    assert head.due(2000, 110.0) <= 110.0
    assert head.time(110.0) == 2000
    assert head.due(6000, 110.0) == 111.0


def test_what_is_sent_ahead_is_bounded_both_ways() -> None:
    head = Playhead(10_000)
    head.start(0, 0.0)
    for wanted, ahead in ((3_600_000, 10_000), (0, LEAST), (100, LEAST), (2000, 2000)):
        head.keep(wanted)
        assert head.due(20_000, 0.0) == (20_000 - ahead) / 1000


def test_a_clock_that_was_set_is_followed() -> None:
    head = Playhead(60_000, 3000)
    head.start(0, 0.0)
    head.follow(1000, 1000 + JUMP)
    assert head.time(0.0) == 0
    head.follow(1000, 3_600_000)
    assert head.time(0.0) == 3_599_000
    head.follow(3_600_000, 500)
    assert head.time(0.0) == -500
