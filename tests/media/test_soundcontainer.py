"""MP3 and ADTS files as containers."""

from __future__ import annotations

from itertools import pairwise

import pytest

from rtmptwist.media.container import Block
from rtmptwist.media.errors import MediaError
from rtmptwist.media.flv import AUDIO
from rtmptwist.media.mp4container import Mp4Container
from rtmptwist.media.pyav import Input
from rtmptwist.media.soundcontainer import SoundContainer
from tests.media.films import Film, frames, headers, played, remuxed
from tests.media.samples import FOLDER

FILES = [("tone.mp3", "mp3"), ("tone-adts.aac", "aac")]


@pytest.mark.parametrize(("name", "kind"), FILES)
def test_the_tags_are_those_that_ffmpeg_writes(name: str, kind: str) -> None:
    film = SoundContainer(Film(name), kind)
    point = film.seek(0)
    tags, expected = [*point.headers, *played(film, point)], remuxed(FOLDER / name)
    assert frames(tags) == frames(expected)
    assert headers(tags) == headers(expected)
    film.close()


@pytest.mark.parametrize(("name", "kind"), FILES)
def test_any_place_leads_to_the_same_tags(name: str, kind: str) -> None:
    film, other = SoundContainer(Film(name), kind), SoundContainer(Film(name), kind)
    place, read = film.seek(0).place, list[tuple[object, Block]]()
    while True:
        block = film.read(place, 1 << 12)
        read.append((place, block))
        if not block.tags:
            break
        place = block.next
    assert len(read) > 5
    for place, block in reversed(read):
        assert other.read(place, 1 << 12) == block


@pytest.mark.parametrize(("name", "kind"), FILES)
def test_seeking_leads_to_what_is_heard(name: str, kind: str) -> None:
    film = SoundContainer(Film(name), kind)
    whole = played(film, film.seek(-5))
    times = [tag.timestamp for tag in whole]
    assert [point.time for point in map(film.seek, times[1:-1])] == times[1:-1]
    for time, after in pairwise(times[50:60]):
        assert film.seek(after - 1).time == time
    point = film.seek(2500)
    assert [tag.timestamp for tag in point.headers] == [point.time] * (kind == "aac")
    tags = played(film, point)
    assert tags == whole[-len(tags) :]
    assert film.seek(99_999).time == times[-1]


def test_it_tells_what_it_is() -> None:
    film = SoundContainer(Film("tone.mp3"), "mp3")
    assert film.duration == 5000
    assert film.metadata == {
        "title": "Tone",
        "artist": "rtmptwist",
        "duration": 5.0,
        "audiosamplerate": 44_100.0,
        "audiochannels": 2.0,
    }


def test_a_file_that_is_cut_is_played_up_to_there() -> None:
    data = (FOLDER / "tone.mp3").read_bytes()
    film = SoundContainer(Film(data[:20_000]), "mp3")
    tags = played(film, film.seek(0))
    assert len(tags) == 95  # the last one in part: its size is not told before it
    assert {tag.type for tag in tags} == {AUDIO}


def test_what_follows_garbage_is_played() -> None:
    data = (FOLDER / "tone-adts.aac").read_bytes()
    film = SoundContainer(Film(data[:10_000] + bytes(3000) + data[10_000:]), "aac")
    assert len(played(film, film.seek(0))) > 170


@pytest.mark.parametrize("kind", ["mp3", "aac"])
@pytest.mark.parametrize(
    "data",
    [b"", bytes(100_000), b"\xff" * 100_000, (FOLDER / "video-only.flv").read_bytes()],
    ids=["empty", "zeros", "ones", "flv"],
)
def test_what_cannot_be_played_is_told(kind: str, data: bytes) -> None:
    with pytest.raises(MediaError):
        SoundContainer(Film(data), kind)


def test_one_frame_is_no_file() -> None:
    with pytest.raises(MediaError, match="no frames of AAC"):
        SoundContainer(Film((FOLDER / "tone-adts.aac").read_bytes()[:116]), "aac")


def test_where_nothing_is_found_one_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    film = SoundContainer(Film("tone.mp3"), "mp3")
    monkeypatch.setattr(film, "_demux", lambda: iter(()))
    assert film.seek(2000) == film.seek(0)


def test_libav_may_stop_before_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    film = SoundContainer(Film("tone.mp3"), "mp3")
    point, seek = film.seek(2500), film._input.seek
    monkeypatch.setattr(film._input, "seek", lambda _, stream: seek(0, stream))
    assert film.seek(2500) == point


def test_a_duration_may_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Input, "duration", 0)
    film = SoundContainer(Film("tone.mp3"), "mp3")
    assert film.duration == 0
    assert "duration" not in film.metadata
    assert Mp4Container(Film("tone.m4a")).duration == 0
