"""One viewing: what is sent when, wherever the viewer goes meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtmptwist.media.container import Point
from rtmptwist.media.errors import MediaError
from rtmptwist.media.flvcontainer import FlvContainer
from rtmptwist.vod.pacer import SLICE
from rtmptwist.wire.message import MessageType
from tests.media.test_flvcontainer import AAC, AVC, HEAD, META, gops, inter, key, sound
from tests.support.logs import Logs
from tests.vod.cinema import Cinema

FILE = HEAD + META + AAC + AVC + gops(20)


@pytest.fixture
def cinema(tmp_path: Path) -> Cinema:
    """With a film of twenty seconds."""
    (tmp_path / "show.flv").write_bytes(FILE)
    return Cinema(tmp_path)


def test_it_is_sent_as_far_ahead_as_the_viewer_keeps(cinema: Cinema) -> None:
    guest = cinema.guest(ahead=3000)
    cinema.run()
    seen = guest.times
    assert 3000 <= max(seen) < 4000
    for _ in range(10):
        cinema.run(1)
        seen += guest.times
        passed = (cinema.clock.seconds() - 1000) * 1000
        assert passed + 2900 < max(seen) < passed + 4100
    assert sorted(seen) == seen
    cinema.run(12)
    seen += guest.times
    assert seen[2:] == [t for n in range(200) for t in (n * 100, n * 100, n * 100 + 50)]
    assert guest.ends == [""]
    guest.playback.close()
    assert cinema.library._closing


def test_who_keeps_more_gets_more_at_once_and_no_more_than_there_is_to_be(tmp_path: Path) -> None:
    (tmp_path / "show.flv").write_bytes(FILE)
    cinema = Cinema(tmp_path, ahead=5.0)
    guest = cinema.guest(ahead=1000)
    cinema.run()
    assert max(guest.times) < 2000
    guest.playback.buffer(3_600_000)
    cinema.run()
    assert 4900 <= max(guest.times) < 6000


def test_a_slow_viewer_loses_nothing_and_is_not_flooded(cinema: Cinema) -> None:
    guest = cinema.guest(ahead=2000)
    guest.writer.blocked = True
    cinema.run()
    seen = guest.times
    cinema.run(8)
    assert guest.times == []
    # it can have played no more than it got: it is not 8 seconds late
    guest.writer.blocked = False
    guest.writer.drain()
    cinema.run()
    seen += guest.times
    assert max(seen) < 5000
    cinema.run(30)
    seen += guest.times
    assert seen[2:] == [t for n in range(200) for t in (n * 100, n * 100, n * 100 + 50)]


def test_what_was_left_is_not_sent_any_more(cinema: Cinema) -> None:
    guest = cinema.guest()
    guest.playback.close()
    guest.playback.close()
    guest.playback.resume()
    guest.playback.seek(1000)
    guest.playback.pause()
    guest.playback.unpause(0)
    guest.playback.buffer(1000)
    cinema.run()
    assert guest.times == []
    assert guest.ends == []
    assert cinema.playbacks.viewers == 0


def test_seeking_again_before_the_first_is_found(cinema: Cinema) -> None:
    guest = cinema.guest()
    guest.playback.seek(9500)
    guest.playback.seek(15_500)
    cinema.run()
    assert guest.times[:3] == [15_000] * 3


def test_who_seeks_wildly_leaves_threads_to_others(
    cinema: Cinema, monkeypatch: pytest.MonkeyPatch
) -> None:
    sought: list[int] = []
    seek = FlvContainer.seek

    def noted(container: FlvContainer, time: int) -> Point:
        sought.append(time)
        return seek(container, time)

    monkeypatch.setattr(FlvContainer, "seek", noted)
    guest = cinema.guest()
    for time in range(1000, 16_000, 10):
        guest.playback.seek(time)
    cinema.run()
    assert sought == [0, 15_990]
    assert guest.times[:3] == [15_000] * 3
    guest.playback.seek(3000)
    guest.playback.seek(4000)
    guest.playback.close()
    cinema.run()
    assert sought[2:] == [3000]


def test_nothing_that_is_being_read_brings_what_was_left_out_meanwhile(cinema: Cinema) -> None:
    guest = cinema.guest(ahead=1000)
    cinema.run(1)
    guest.media.clear()
    guest.playback.buffer(60_000)
    guest.playback.receive(audio=False)
    cinema.run()
    assert {message.type for message in guest.media} == {MessageType.VIDEO}


def test_a_pause(cinema: Cinema) -> None:
    guest = cinema.guest(ahead=1000)
    cinema.run(3)
    seen = guest.times
    guest.playback.pause()
    cinema.run(100)
    assert guest.times == []
    guest.playback.unpause(seen[-1])
    guest.playback.unpause(0)  # it plays
    cinema.run(0.1)
    assert guest.times[0] - seen[-1] in (0, 50)
    # it may have thrown all away
    guest.playback.pause()
    guest.playback.unpause(0)
    cinema.run()
    assert [message.timestamp for message in guest.media][:4] == [0, 0, 0, 0]


def test_many_are_served_in_slices(cinema: Cinema) -> None:
    film = cinema.film()
    guests = [cinema.guest() for _ in range(SLICE + 5)]
    cinema.run()
    assert {len(guest.media) for guest in guests} == {602}
    assert film.holders == SLICE + 6


def test_pausing_before_it_is_found(cinema: Cinema) -> None:
    """It is where the viewer wanted to be, all the same."""
    guest = cinema.guest()
    cinema.run()
    assert guest.times
    guest.playback.seek(15_500)
    guest.playback.pause()
    cinema.run()
    assert guest.times == []
    guest.playback.unpause(15_500)
    cinema.run()
    assert guest.times[:3] == [15_000] * 3


def test_going_on_far_behind_the_last_key_frame(tmp_path: Path) -> None:
    """Blocks and blocks are read before there is anything to send."""
    frames = b"".join(inter(time) for time in range(200, 260_000, 200))
    (tmp_path / "show.flv").write_bytes(HEAD + AVC + key(0) + frames)
    cinema = Cinema(tmp_path, ahead=250.0)
    guest = cinema.guest(ahead=3_600_000)
    cinema.run()
    assert max(guest.times) >= 250_000
    guest.playback.pause()
    guest.playback.unpause(240_100)
    cinema.run()
    assert guest.times[:2] == [240_200, 240_400]


def test_an_empty_rest(cinema: Cinema) -> None:
    guest = cinema.guest(start=19_000, duration=1)
    cinema.run()
    assert [message.payload for message in guest.media[2:]] == [key(0, 30)[11:-4], sound(0)[11:-4]]
    assert guest.ends == [""]
    # what ends with a block
    guest = cinema.guest(start=17_000, duration=1000)
    cinema.run()
    assert max(guest.times) == 950
    assert guest.ends == [""]
    # the same, when all was read for others
    everything = cinema.guest()
    cinema.run()
    assert len(everything.media) == 602
    guest = cinema.guest(duration=1500)
    cinema.run()
    assert max(guest.times) == 1450
    assert guest.ends == [""]
    # a longer one ends with the file
    guest = cinema.guest(start=19_000, duration=10**9)
    cinema.run()
    assert max(guest.times) == 950
    assert guest.ends == [""]


def test_a_picture_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "show.flv").write_bytes(HEAD + AAC + sound(0) + sound(20) + sound(3000))
    cinema = Cinema(tmp_path)
    guest = cinema.guest(duration=0)
    cinema.run()
    assert guest.times == [0, 0, 20]
    assert guest.ends == [""]


def test_starts_beyond_all_time(cinema: Cinema) -> None:
    guest = cinema.guest(start=10**300)
    cinema.run()
    assert set(guest.times) == {0}
    assert guest.ends == [""]
    guest.playback.seek(10**300)
    cinema.run()
    assert max(guest.times) == 19_950


def test_a_clock_that_was_set_amid_a_file(tmp_path: Path) -> None:
    """A publisher's: nobody waits for two hours."""
    late = gops(3, 7_200_000)
    (tmp_path / "show.flv").write_bytes(HEAD + AVC + gops(3) + late + gops(3))
    cinema = Cinema(tmp_path)
    guest = cinema.guest(ahead=1000)
    cinema.run(12)
    assert guest.ends == [""]
    assert len(guest.times) == 1 + 270


def test_an_error_of_the_disk_ends_it(
    cinema: Cinema, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(error: Exception) -> None:
        def read(*_: object) -> None:
            raise error

        (film,) = cinema.library._films.values()
        monkeypatch.setattr(film._container, "seek", read)

    one, other = cinema.guest(), cinema.guest()
    cinema.run()
    one.ends.clear()
    other.ends.clear()
    broken(MediaError("no film"))
    one.playback.seek(5)
    cinema.run()
    assert one.ends == ["The file cannot be read any more: no film."]
    broken(ZeroDivisionError())
    other.playback.seek(5)
    cinema.run()
    assert other.ends == ["The server failed; its log says why."]
    assert len(logs.forgive()) == 1


def test_without_metadata(cinema: Cinema) -> None:
    """It may be such that it cannot be written."""
    film = cinema.film()
    film.metadata = None
    guest = cinema.guest()
    cinema.run()
    assert guest.media[0].payload == AAC[11:-4]


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("seek"), st.integers(-10, 25_000)),
        st.tuples(st.just("pause"), st.just(0)),
        st.tuples(st.just("unpause"), st.integers(0, 25_000)),
        st.tuples(st.just("buffer"), st.integers(0, 90_000)),
        st.tuples(st.just("run"), st.integers(0, 40)),
        st.tuples(st.just("advance"), st.integers(0, 40)),
        st.tuples(st.just("block"), st.integers(0, 1)),
        st.tuples(st.just("sound"), st.integers(0, 1)),
        st.tuples(st.just("picture"), st.integers(0, 1)),
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(moves=MOVES)
def test_whatever_a_viewer_does_it_gets_to_the_end(
    cinema: Cinema, moves: list[tuple[str, int]]
) -> None:
    guest = cinema.guest(ahead=1000)
    for move, number in moves:
        match move:
            case "seek":
                guest.playback.seek(number)
            case "pause":
                guest.playback.pause()
            case "unpause":
                guest.playback.unpause(number)
            case "buffer":
                guest.playback.buffer(number)
            case "run":
                cinema.run(number / 20)
            case "advance":
                cinema.clock.advance(number / 20)
            case "block":
                guest.writer.blocked = bool(number)
                guest.writer.drain()
            case "sound":
                guest.playback.receive(audio=bool(number))
            case "picture":
                guest.playback.receive(video=bool(number))
    guest.writer.blocked = False
    guest.writer.drain()
    guest.playback.unpause(0)
    cinema.run(1)
    guest.playback.receive(audio=True, video=True)
    guest.playback.seek(18_500)
    guest.media.clear()
    guest.ends.clear()
    cinema.run(3)
    assert guest.ends == [""]
    assert guest.times[-1] == 19_950
    assert cinema.playbacks.viewers == 1
    guest.playback.close()
    assert cinema.playbacks.viewers == 0
