"""Time goes on: through wraps, restarts and other publishers; and is left alone otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.live.timeline import AHEAD, BACK, Timeline, unwrapped

WRAP = 1 << 32
HALF = 1 << 31


def timeline(*timestamps: int) -> Timeline:
    """One that has taken these; pictures are 40 ms apart."""
    line = Timeline(lambda: 40)
    for timestamp in timestamps:
        line.media(timestamp)
    return line


@pytest.mark.parametrize("first", [0, 16_773_933, HALF - 1, HALF, WRAP - 1])
def test_the_first_inlets_timestamps_pass_unchanged(first: int) -> None:
    """A relay is packet-exact."""
    assert timeline().media(first) == first


@given(st.lists(st.integers(-BACK, AHEAD), max_size=20))
def test_small_steps_are_kept_forth_and_back(steps: list[int]) -> None:
    line, time = timeline(1_000_000), 1_000_000
    for step in steps:
        time += step
        assert line.media(time) == time


@pytest.mark.parametrize("wrap", [WRAP, HALF])
@given(st.lists(st.integers(-300, 400), max_size=30))
def test_a_wrap_goes_on_upwards(wrap: int, steps: list[int]) -> None:
    """32 bits of RTMP, 31 of FFmpeg and OBS; sound and pictures cross it in their own time."""
    time = wrap - 50
    line = timeline(time)
    for step in steps:
        time += step
        assert line.media(time % wrap) == time


def test_many_wraps_add_up() -> None:
    line, time = timeline(0), 0
    while time < 5 * WRAP:
        time += AHEAD
        last = line.media(time % WRAP)
    assert last == time


@pytest.mark.parametrize("jump", [-BACK - 1, AHEAD + 1, 50_000_000, -50_000_000])
def test_a_jump_is_one_picture_for_all_tracks(jump: int) -> None:
    """An encoder that starts over keeps its sound and pictures together."""
    line = timeline(60_000_000)
    assert line.media(60_000_000 + jump) == 60_000_040
    assert line.media(60_000_000 + jump + 25) == 60_000_065


def test_a_straggler_from_before_a_jump_keeps_its_place() -> None:
    line = timeline(60_000_000, 0)
    assert line.media(60_000_010) == 60_000_010
    assert line.media(25) == 60_000_065


def test_tracks_that_never_agree_both_go_on() -> None:
    """Sound that starts at 0, pictures stamped with the time of day."""
    line = timeline(40_000_000, 0)
    times = [line.media(base + n * 40) for n in range(1, 4) for base in (40_000_000, 0)]
    assert times == [40_000_040, 40_000_080, 40_000_080, 40_000_120, 40_000_120, 40_000_160]


def test_a_third_base_takes_the_place_of_the_older() -> None:
    line = timeline(40_000_000, 0)
    assert line.media(90_000_000) == 40_000_080
    assert line.media(40) == 40_000_080


@pytest.mark.parametrize("first", [0, 77_777_777])
def test_another_inlet_goes_on_one_picture_later(first: int) -> None:
    line = timeline(1000, 960)
    line.restart()
    assert line.media(first) == 1040
    assert line.media(first + 23) == 1063


def test_another_inlet_never_steps_back_behind_its_beginning() -> None:
    """Its sound may begin a little before its first picture."""
    line = timeline(1000)
    line.restart()
    assert line.media(500) == 1040
    assert line.media(480) == 1040
    assert line.other(490) == 1040
    assert line.media(510) == 1050


def test_another_inlet_before_any_media_is_the_first() -> None:
    line = timeline()
    line.restart()
    assert line.media(7) == 7


def test_headers_before_media_pass_unchanged() -> None:
    line = timeline()
    assert line.other(123) == 123
    assert line.media(16_773_933) == 16_773_933


def test_headers_before_the_media_of_another_inlet_stand_at_its_beginning() -> None:
    line = timeline(1000)
    line.restart()
    assert line.other(0) == 1040


@pytest.mark.parametrize(
    ("timestamp", "time"),
    [(5_000_010, 5_000_010), (4_999_000, 4_999_000), (0, 5_000_000), (WRAP - 1, 5_000_000)],
    ids=["near", "a little late", "zero", "nonsense"],
)
def test_headers_between_media_count_when_they_are_near(timestamp: int, time: int) -> None:
    """And move nothing: FFmpeg stamps headers with 0, whatever the hour."""
    line = timeline(5_000_000)
    assert line.other(timestamp) == time
    assert line.media(5_000_040) == 5_000_040


def test_headers_beyond_a_wrap_are_near_too() -> None:
    line = timeline(WRAP - 20)
    assert line.other(20) == WRAP + 20


def test_the_greatest_time_counts() -> None:
    line = timeline(100, 60)
    assert line.begun
    assert line.latest == 100
    assert not timeline().begun


DAY = 24 * 3600 * 1000


@pytest.mark.parametrize(
    ("timestamp", "now", "time"),
    [
        (1000, 5000, 1000),
        (9000, 5000, 9000),
        (-5, 5000, -5),
        (WRAP - 1, 5000, WRAP - 1),  # far ahead: what is live
        (WRAP - 1000, WRAP + 5000, WRAP - 1000),
        (1000, WRAP + 5000, WRAP + 1000),
        (9000, WRAP + 5000, WRAP + 9000),
        (WRAP + 1000, WRAP + 5000, WRAP + 1000),  # a client that counts further
        (60 * DAY % WRAP, 61 * DAY, 60 * DAY),
        (37 * DAY, 61 * DAY, 37 * DAY),  # as far back as one gets
        (36 * DAY, 61 * DAY, 36 * DAY + WRAP),
        (150 * DAY % WRAP, 151 * DAY, 150 * DAY),
    ],
)
def test_clocks_of_clients_wrap(timestamp: int, now: int, time: int) -> None:
    assert unwrapped(timestamp, now) == time
