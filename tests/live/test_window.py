"""What is kept of the past, and what of it can be used."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.live.window import DEFAULT_INTERVAL, MAX_COUNT, Window
from rtmptwist.wire.message import Message, MessageType
from tests.support.live import audio, avc_header, data, metadata, video


def window(duration: int = 10_000, size: int = 1 << 20, max_lag: int = 3000) -> Window:
    return Window(duration, size, max_lag)


def filled(count: int, step: int = 100, **bounds: int) -> Window:
    """With so many pictures, the first of them a key frame."""
    result = window(**bounds)
    result.append_start(video(0, key=True))
    for number in range(1, count):
        result.append(video(number * step))
        result.edge = result.head
    return result


def can_start(w: Window) -> bool:
    return w.start is not None


def test_messages_are_numbered_for_ever() -> None:
    w = filled(5)
    assert (w.first, w.head, w.size) == (0, 5, sum(len(m.payload) for m in w.since(0, 5)))
    assert w.since(3, 5) == [video(300), video(400)]
    assert w.since(5, 5) == []
    w.clear()
    w.append(video(500))
    assert (w.first, w.head) == (5, 6)
    assert w.since(5, 6) == [video(500)]


def test_a_publisher_whose_timestamps_leap_has_no_full_window_looked_through() -> None:
    """Each leap asks how far apart pictures are: 14 bytes must not buy a millisecond of ours."""
    w = window()
    w.append_start(video(0, key=True))
    w.append(video(33))
    for number in range(MAX_COUNT - 10):
        w.append(audio(33 + number % 2 * 20))
    assert w.interval() == 20


def test_a_part_is_a_little_more_than_its_size() -> None:
    w = window()
    for number in range(4):
        w.append(video(number, size=100))
    assert len(w.part(0, 4, 100)) == 1
    assert len(w.part(0, 4, 101)) == 2
    assert len(w.part(1, 4, 1000)) == 3
    assert len(w.part(0, 2, 1000)) == 2


def test_what_is_too_old_is_dropped() -> None:
    w = window(duration=1000)
    for time in range(0, 5000, 50):
        w.append(audio(time))
        w.edge = w.head
    kept = w.since(w.first, w.head)
    assert 1000 <= kept[-1].timestamp - kept[0].timestamp <= 1600
    assert w.size == sum(len(m.payload) for m in kept)


def test_the_newest_gop_is_kept_whole_however_long() -> None:
    w = filled(100, duration=1000)
    assert w.first == 0
    w.append_start(video(10_000, key=True))
    w.edge = w.head
    for time in range(10_100, 12_000, 100):
        w.append(video(time))
    assert w.first == 100
    assert w.start == 100


def test_what_has_not_been_sent_is_kept_however_long() -> None:
    w = window(duration=1000)
    for time in range(0, 5000, 50):
        w.append(audio(time))
    assert w.first == 0
    w.edge = 10
    w.append(audio(5000))
    assert w.first == 10


def test_size_is_a_bound_even_for_the_newest_gop() -> None:
    """Then nobody can start until the next key frame."""
    w = window(size=1000)
    w.append_start(video(0, key=True, size=300))
    for number in range(1, 4):
        w.append(video(number, size=200))
        assert w.size <= 1000
    assert can_start(w)
    w.append(video(4, size=200))
    assert w.size <= 1000
    assert not can_start(w)
    w.append_start(video(5, key=True))
    assert can_start(w)


def test_what_has_just_come_is_kept_whatever_its_size() -> None:
    w = window(size=1000)
    w.append(video(0))
    w.append_start(video(1, key=True, size=5000))
    assert w.since(w.first, w.head) == [video(1, key=True, size=5000)]
    assert w.start is not None


def test_the_count_is_a_bound_too() -> None:
    """A flood of empty messages has no size and no time."""
    w = window()
    for _ in range(MAX_COUNT + 1):
        w.append(Message(MessageType.AUDIO, 0, 1, b""))
    assert w.head - w.first <= MAX_COUNT
    assert w.horizon == w.first


def test_the_horizon_is_max_lag_behind() -> None:
    w = filled(100, max_lag=3000)
    assert 9900 - 3500 <= w.time(w.horizon) <= 9900 - 3000
    assert filled(10).horizon == 0


def test_odd_timestamps_of_headers_and_data_do_not_matter() -> None:
    """A metadata frame in mid-stream has 0, a header whatever its encoder likes."""
    w = window(duration=1000)
    w.append_aside(avc_header())
    w.append_aside(avc_header("x", 1 << 31))
    w.append_start(video(16_773_933, key=True))
    w.append_aside(metadata())
    for time in range(16_774_000, 16_776_500, 100):
        w.edge = w.head
        w.append_aside(metadata())
        w.append(video(time))
        w.append_aside(avc_header("x", 1 << 31))
    assert w.first == 2  # the GOP
    assert w.time(w.horizon) >= 16_776_400 - 3500


def test_a_stream_without_time_is_bounded_by_size() -> None:
    w = window(size=10_000)
    for _ in range(1000):
        w.append(video(0, size=100))
    assert w.size <= 10_000


def test_the_time_at_a_message_is_that_of_the_next_media() -> None:
    w = window()
    assert w.time(0) == 0
    for message in (data("x"), video(40), data("x"), audio(60), data("x")):
        w.append(message)
    assert [w.time(number) for number in range(6)] == [40, 40, 60, 60, 60, 60]


def test_headers_are_known_for_every_place_of_the_window() -> None:
    w = filled(2)
    for name in ("a", "b"):
        w.headers.put("v", w.head, avc_header(name))
        w.append(avc_header(name, 200))
    kept = [[h.message for h in w.headers.as_of(number)] for number in range(2, 5)]
    assert kept == [[], [avc_header("a")], [avc_header("b")]]


def test_the_interval_between_pictures() -> None:
    w = window()
    assert w.interval() == DEFAULT_INTERVAL
    for message in (audio(0), audio(23)):
        w.append(message)
    assert w.interval() == 23
    for message in (video(0), audio(46), video(33), audio(50)):
        w.append(message)
    assert w.interval() == 33
    w.append(video(20_000))
    assert w.interval() == 4  # pictures are no help, sound is


def test_an_ended_publication_is_nothing_to_begin_with() -> None:
    w = filled(3)
    w.picture = 2
    w.begun = 0
    w.headers.put("v", 0, avc_header())
    w.end()
    assert not can_start(w)
    assert not w.pictures
    assert w.headers.as_of(w.head) == ()
    assert w.origin == w.head
    assert len(w.since(0, 3)) == 3  # slow viewers still want it


@given(
    st.lists(st.tuples(st.integers(-300, 3000), st.integers(0, 400), st.booleans()), max_size=60)
)
def test_whatever_comes_the_window_holds_what_it_says(
    messages: list[tuple[int, int, bool]],
) -> None:
    """Numbers, sizes and the start agree; nothing exceeds the bounds."""
    w = window(duration=2000, size=2000)
    everything: list[Message] = []
    time = 0
    for step, size, key in messages:
        time += step
        message = video(time, str(len(everything)), key=key, size=size)
        everything.append(message)
        (w.append_start if key else w.append)(message)
        assert w.since(w.first, w.head) == everything[w.first :]
        assert w.size == sum(len(m.payload) for m in everything[w.first :])
        assert w.size <= 2000
        assert w.first <= w.horizon <= w.head
        if w.start is not None:
            assert w.start >= w.first
            assert everything[w.start].payload[0] == 0x17
