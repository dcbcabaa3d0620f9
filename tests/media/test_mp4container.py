"""MP4 files as containers: the packets that FFmpeg finds, from any time on."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from rtmptwist.media import mp4container
from rtmptwist.media.container import Block, Point
from rtmptwist.media.errors import MediaError
from rtmptwist.media.flv import AUDIO, SCRIPT, VIDEO, FlvTag
from rtmptwist.media.mp4container import Mp4Container
from tests.media.films import Film, frames, headers, mp4, played, remuxed, what
from tests.media.samples import FOLDER, tags
from tests.media.test_mux import written

FILES = [
    "h264-b-aac-faststart.mp4",
    "h264-b-aac-frag.mp4",
    "h264-b-aac-moov-last.mp4",
    "tone.m4a",
]

MADE = [
    "av1-opus-ertmp",
    "h264-ac3-ertmp",
    "h264-eac3-ertmp",
    "h264-flac-ertmp",
    "hevc10-hdr-ertmp",
    "vvc-aac-ertmp",
    "aac51-ertmp",
    "audio-only-mp3",
]
"FLV samples that FFmpeg puts into MP4."


def everything(film: Mp4Container, size: int = 1 << 14) -> list[FlvTag]:
    point = film.seek(0)
    return [*point.headers, *played(film, point, size)]


def keys(tags: list[FlvTag]) -> list[int]:
    return [tag.timestamp for tag in tags if what(tag).keyframe]


def agree(path: Path) -> Mp4Container:
    """Play a file that FFmpeg plays, and the same comes of it."""
    film = Mp4Container(Film(path.read_bytes()))
    tags, expected = everything(film), remuxed(path)
    assert frames(tags) == frames(expected)
    assert headers(tags) == headers(expected)
    assert [tag.timestamp for tag in tags] == sorted(tag.timestamp for tag in tags)
    return film


@pytest.mark.parametrize("name", FILES)
def test_the_tags_are_those_that_ffmpeg_writes(name: str) -> None:
    film = agree(FOLDER / name)
    film.close()
    film.close()


@pytest.mark.parametrize("name", MADE)
def test_other_codecs_too(name: str, tmp_path: Path) -> None:
    agree(mp4(tmp_path / "film.mp4", FOLDER / f"{name}.flv"))


def test_two_files_in_one(tmp_path: Path) -> None:
    agree(mp4(tmp_path / "film.mp4", FOLDER / "video-only.flv", FOLDER / "audio-only-mp3.flv"))


def test_hevc_keeps_the_header_that_is_in_the_file() -> None:
    """FFmpeg says of it that there may be more parameter sets than it has (array_completeness)."""
    film = Mp4Container(Film("hevc-aac.mp4"))
    tags, expected = everything(film), remuxed(FOLDER / "hevc-aac.mp4")
    assert frames(tags) == frames(expected)
    ours, theirs = headers(tags)[0], headers(expected)[0]
    different = [(one, other) for one, other in zip(ours, theirs, strict=True) if one != other]
    assert different == [(0xA0, 0x20), (0xA1, 0x21), (0xA2, 0x22)]


def test_vp9_gets_a_header(tmp_path: Path) -> None:
    """Containers have it, but libav does not tell it. FFmpeg takes the matrix for that of RGB."""
    path = mp4(tmp_path / "film.mp4", FOLDER / "vp9-opus-ertmp.flv")
    film = Mp4Container(Film(path.read_bytes()))
    tags, expected = everything(film), remuxed(path)
    assert frames(tags) == frames(expected)
    assert headers(tags) == headers(expected)


def test_a_file_that_begins_in_the_midst_of_pictures(tmp_path: Path) -> None:
    """Its edit list says that they are not to be shown; decoders need them."""
    agree(mp4(tmp_path / "film.mp4", FOLDER / "h264-b-aac-faststart.mp4", skip="3"))


@pytest.mark.parametrize("name", ["h264-b-aac-faststart.mp4", "h264-b-aac-frag.mp4", "tone.m4a"])
def test_any_place_leads_to_the_same_tags(name: str) -> None:
    """One container serves many, each at a place of his own."""
    film, other = Mp4Container(Film(name)), Mp4Container(Film(name))
    place, read = film.seek(0).place, list[tuple[object, Block]]()
    while True:
        block = film.read(place, 1 << 13)
        read.append((place, block))
        if not block.tags:
            break
        place = block.next
    assert len(read) > 5
    for place, block in reversed(read):
        assert other.read(place, 1 << 13) == block
        assert other.read(place, 1 << 13) == block


@pytest.mark.parametrize("name", FILES[:3])
@pytest.mark.parametrize(
    ("time", "expected"),
    [(-1, 0), (0, 0), (1999, 0), (2000, 2000), (2001, 2000), (7999, 6000), (99_999, 8000)],
)
def test_seeking_leads_to_the_key_frame(name: str, time: int, expected: int) -> None:
    film = Mp4Container(Film(name))
    all_of_it = played(film, film.seek(0))
    point = film.seek(time)
    assert point.time == expected
    tags = played(film, point)
    assert tags == all_of_it[-len(tags) :]
    first = [*point.headers, *tags][:3]
    assert [(tag.type, tag.timestamp) for tag in first] == [
        (VIDEO, expected),
        (AUDIO, expected),
        (VIDEO, expected),
    ]
    assert [what(tag).header for tag in first] == [True, True, False]
    assert what(first[2]).keyframe
    assert tags[0].timestamp == expected
    assert played(film, point) == tags


def test_sound_alone_goes_on_with_what_is_heard() -> None:
    film = Mp4Container(Film("tone.m4a"))
    times = [tag.timestamp for tag in played(film, film.seek(0))]
    assert film.seek(2500).time == max(time for time in times if time <= 2500)
    assert film.seek(99_999).time == times[-1]


def test_what_begins_before_the_pictures_is_at_the_beginning(tmp_path: Path) -> None:
    path = mp4(tmp_path / "film.mp4", FOLDER / "av1-opus-ertmp.flv")
    film = Mp4Container(Film(path.read_bytes()))
    tags = [tag for tag in played(film, film.seek(1000)) if not what(tag).header]
    assert (tags[0].type, tags[0].timestamp) == (AUDIO, 0)
    assert keys(tags) == [7, 2007, 4007]


def test_sound_of_before_the_key_frame_is_left_out(tmp_path: Path) -> None:
    path = mp4(tmp_path / "film.mp4", FOLDER / "h264-ac3-ertmp.flv")
    film = Mp4Container(Film(path.read_bytes()))
    assert min(tag.timestamp for tag in played(film, film.seek(2500))) == 2000


def test_it_tells_what_it_is() -> None:
    film = Mp4Container(Film("h264-b-aac-faststart.mp4"))
    assert film.duration == 10_030
    assert film.metadata == {
        "duration": 10.03,
        "width": 320.0,
        "height": 180.0,
        "framerate": 30.0,
        "audiosamplerate": 44_100.0,
        "audiochannels": 2.0,
    }


def test_the_fragments_are_counted() -> None:
    assert Mp4Container(Film("h264-b-aac-frag.mp4")).duration == 10_052


def test_fragments_without_an_index(tmp_path: Path) -> None:
    """As a crash leaves them."""
    flags = "+frag_keyframe+empty_moov+default_base_moof+skip_trailer"
    path = mp4(tmp_path / "f.mp4", FOLDER / "h264-b-aac.flv", options=("-movflags", flags))
    film = agree(path)
    assert film.seek(5000).time == 4000


def test_a_file_that_is_cut_is_played_up_to_there() -> None:
    data = (FOLDER / "h264-b-aac-faststart.mp4").read_bytes()
    film = Mp4Container(Film(data))
    whole = played(film, film.seek(0))
    cut = Mp4Container(Film(data[: len(data) * 2 // 3]))
    tags = played(cut, cut.seek(0))
    assert 300 < len(tags) < len(whole)
    assert tags == whole[: len(tags)]


def test_fragments_that_are_cut_are_played_up_to_there() -> None:
    data = (FOLDER / "h264-b-aac-frag.mp4").read_bytes()
    film = Mp4Container(Film(data))
    whole = frames(played(film, film.seek(0)))
    cut = Mp4Container(Film(data[: len(data) * 2 // 3]))
    tags = frames(played(cut, cut.seek(0)))
    assert len(tags[VIDEO]) > 150
    for kind, some in tags.items():
        assert some == whole[kind][: len(some)]


def test_a_file_without_key_frames(tmp_path: Path) -> None:
    """Its table of them is empty: libav has a look at the pictures themselves."""
    data = (FOLDER / "h264-b-aac-faststart.mp4").read_bytes()
    at = data.index(b"stss")
    broken = data[: at + 8] + bytes(4) + data[at + 12 :]
    film = Mp4Container(Film(broken))
    assert len(played(film, film.seek(0))) == 2 + 732
    assert 0 <= film.seek(5000).time <= 5000


def test_times_that_run_backwards_are_held_up(tmp_path: Path) -> None:
    data = (FOLDER / "h264-b-aac-faststart.mp4").read_bytes()
    at = data.index(b"stts") + 12
    broken = data[:at] + (1).to_bytes(4) + (0xFFFFFF00).to_bytes(4) + data[at + 8 :]
    film = Mp4Container(Film(broken))
    times = [tag.timestamp for tag in played(film, film.seek(0))]
    assert times == sorted(times)
    assert min(times) >= 0


def test_one_track_far_ahead_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is held back for long: order is given up before memory is."""
    monkeypatch.setattr(mp4container, "MOST_WAITING", 1000)
    film = Mp4Container(Film("h264-b-aac-frag.mp4"))
    assert len(played(film, film.seek(0))) > 600
    assert film.seek(3000).time <= 3000


def test_sound_that_ends_early(tmp_path: Path) -> None:
    flags = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof")
    path = mp4(
        tmp_path / "f.mp4",
        FOLDER / "h264-longgop-aac.flv",
        FOLDER / "audio-only-mp3.flv",
        options=("-map", "0:v", "-map", "1:a", *flags),
    )
    film = agree(path)
    assert film.seek(9000).time == 0


def test_pictures_that_end_early(tmp_path: Path) -> None:
    path = mp4(
        tmp_path / "f.mp4",
        FOLDER / "video-only.flv",
        FOLDER / "h264-longgop-aac.flv",
        options=("-map", "0:v", "-map", "1:a"),
    )
    film = agree(path)
    assert film.seek(9000).time == 4000
    assert max(tag.timestamp for tag in played(film, film.seek(9000))) > 9000


def _others(data: bytes) -> bytes:
    """Codecs that RTMP does not know."""
    for old, new in (
        (b"avc1", b"xvid"),
        (b"avcC", b"free"),
        (b"mp4a", b"samr"),
        (b"esds", b"free"),
    ):
        data = data.replace(old, new)
    return data


HOPELESS: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("empty", lambda _: b"", "no MP4 that can be read"),
    ("garbage", lambda _: b"\x55" * 5000, "no MP4 that can be read"),
    ("only its head", lambda data: data[:5000], "no MP4 that can be read|nothing in it"),
    ("an FLV", lambda _: (FOLDER / "h264-b-aac.flv").read_bytes(), "no MP4 that can be read"),
    ("a playlist", lambda _: b"#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n", "no MP4"),
    ("a list of files", lambda _: b"ffconcat version 1.0\nfile /etc/passwd\n", "no MP4"),
    ("codecs of others", _others, "only "),
    ("no media", lambda data: data[: data.index(b"mdat") + 4], "nothing in it"),
    ("no configuration", lambda data: data.replace(b"avcC", b"free"), "Invalid|avc1"),
]


@pytest.mark.parametrize(
    ("change", "words"), [case[1:] for case in HOPELESS], ids=[case[0] for case in HOPELESS]
)
def test_what_cannot_be_played_is_told(change: Callable[[bytes], bytes], words: str) -> None:
    data = (FOLDER / "h264-b-aac-faststart.mp4").read_bytes()
    with pytest.raises(MediaError, match=words):
        Mp4Container(Film(change(data)))


def test_a_place_is_found_however_libav_seeks(monkeypatch: pytest.MonkeyPatch) -> None:
    film = Mp4Container(Film("h264-b-aac-faststart.mp4"))
    place = film.seek(2000).place
    first = film.read(place, 1 << 13)
    second = film.read(first.next, 1 << 13)
    monkeypatch.setattr(mp4container, "BEFORE", -500)
    assert film.read(first.next, 1 << 13) == second


def test_an_error_of_the_disk_is_not_hidden() -> None:
    class Broken(Film):
        def read(self, position: int, size: int) -> bytes:
            if self.reads > 1:
                raise OSError(5, "Input/output error")
            return super().read(position, size)

    with pytest.raises(OSError, match="Input/output error"):
        Mp4Container(Broken("h264-b-aac-moov-last.mp4"))


def test_a_place_is_equal_however_one_came_there() -> None:
    film = Mp4Container(Film("h264-b-aac-faststart.mp4"))
    point = film.seek(4000)
    place = film.seek(2000).place
    seen = set()
    while (block := film.read(place)).tags:
        seen.add(place)
        place = block.next
    assert point.place in seen
    assert isinstance(point, Point)


def at_one_time(data: bytes) -> bytes:
    """The same with clocks of which a tick is half a nanosecond."""
    found = bytearray(data)
    for place in _boxes(data, b"mdhd"):
        found[place + 16 : place + 20] = b"\x7f\xff\xff\xff"
    for place in _boxes(data, b"elst"):
        found[place : place + 4] = b"free"
    for kind, ticks in ((b"stts", 1), (b"ctts", 0)):
        for place in _boxes(data, kind):
            (count,) = struct.unpack_from(">I", data, place + 8)
            for entry in range(count):
                struct.pack_into(">I", found, place + 16 + 8 * entry, ticks)
    return bytes(found)


def _boxes(data: bytes, kind: bytes) -> list[int]:
    return [found.start() for found in re.finditer(kind, data)]


def test_frames_that_all_have_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put in order, or passed over to go somewhere, is bounded."""
    monkeypatch.setattr(mp4container, "MOST_FRAMES", 64)
    monkeypatch.setattr(mp4container, "MOST_AT_ONE_TIME", 100)
    film = Mp4Container(Film(at_one_time(Film("h264-b-aac-faststart.mp4").data)))
    block = film.read(film.seek(0).place, 1 << 12)
    assert {tag.timestamp for tag in block.tags} == {0}
    assert len(film._queue) < 100
    with pytest.raises(MediaError, match="more than 100 frames at 0 ms"):
        played(film, film.seek(0), 1 << 12)
    film.close()


def long(name: str, times: int) -> bytes:
    """The same again and again, in fragments of a second."""
    some = [tag for tag in tags(name) if tag.type != SCRIPT]
    length = max(tag.timestamp for tag in some) + 33
    return written(
        [
            FlvTag(tag.type, tag.timestamp + length * number, tag.payload)
            for number in range(times)
            for tag in some
        ]
    )


@pytest.mark.parametrize(
    ("name", "times"), [("h264-b-aac", 5), ("h264-longgop-aac", 8), ("audio-only-aac", 5)]
)
def test_with_an_index_of_fragments_it_opens_at_once_and_plays_the_same(
    monkeypatch: pytest.MonkeyPatch, name: str, times: int
) -> None:
    """From anywhere, also where fragments begin without a key frame."""
    monkeypatch.setattr(mp4container, "MOST_WAITING", 100_000)
    data = long(name, times)
    other = Mp4Container(Film(data[: data.rindex(b"mfra") - 4]))
    for time in range(0, other.duration + 2000, 2700):
        source = Film(data)
        film = Mp4Container(source)
        assert film.duration == other.duration
        point = film.seek(time)
        assert point == other.seek(time)
        assert source.reads < 25
        block = film.read(point.place)
        assert block == other.read(point.place)
        following = Mp4Container(Film(data)).read(block.next)
        assert following == other.read(block.next)
