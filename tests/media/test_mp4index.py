"""The index of a cut MP4: FFmpeg's own, whatever is in the file; none where that is not certain."""

from __future__ import annotations

import pytest

from rtmptwist.media import mp4index
from rtmptwist.media.mp4index import index
from tests.media.films import Film
from tests.media.samples import tags
from tests.media.test_mp4guard import box, full, numbers
from tests.media.test_mux import SAMPLES, written


def indexed(data: bytes) -> bytes:
    return index(Film(data).read, len(data))


def cut(data: bytes) -> tuple[bytes, bytes]:
    """A file without its index, and that."""
    at = data.rindex(b"mfra") - 4
    return data[:at], data[at:]


@pytest.mark.parametrize("name", SAMPLES)
def test_it_is_what_ffmpeg_writes(name: str) -> None:
    rest, found = cut(written(tags(name)))
    assert indexed(rest) == found


def wide(kind: bytes, *parts: bytes) -> bytes:
    """A box with version 1."""
    return box(kind, numbers(1 << 24), *parts)


ID = full(b"tkhd", numbers(0, 0, 7, 0))
EDIT = full(b"elst", numbers(1, 100, 30))
TRACK = box(b"trak", ID, box(b"edts", EDIT))
OF = full(b"tfhd", numbers(7))
TIME = wide(b"tfdt", numbers(0, 1000))
RUN = full(b"trun", numbers(1, 0, 0, 0, 5), flags=0x905)
WHOLE = [TRACK, OF, TIME, RUN]


def file(*parts: bytes) -> bytes:
    track, *fragment = parts
    return box(b"moov", track) + box(b"moof", box(b"traf", *fragment)) + box(b"mdat", bytes(2))


def time(data: bytes) -> int:
    """Of the first fragment."""
    found = indexed(data)
    at = found.index(b"tfra") + 4 + 16
    return int.from_bytes(found[at : at + 8], "big")


@pytest.mark.parametrize(
    ("number", "part", "shown"),
    [
        (0, TRACK, 975),
        (0, box(b"trak", wide(b"tkhd", bytes(16), numbers(7, 0)), box(b"edts", EDIT)), 975),
        (0, box(b"trak", ID, box(b"edts", wide(b"elst", numbers(1, 0, 100, 0, 40)))), 965),
        (0, box(b"trak", ID), 1005),
        (2, full(b"tfdt", numbers(2000)), 1975),
        (3, full(b"trun", numbers(1, 5), flags=0x800), 975),
        (3, full(b"trun", numbers(1, 0, 0, 0, 0, 0, 5), flags=0xF05), 975),
        (3, box(b"trun", numbers(0x01000801, 1, 0, (1 << 32) - 5)), 965),
        (3, full(b"trun", numbers(1, 9), flags=0x200), 970),
    ],
)
def test_what_a_file_may_say_in_several_ways(number: int, part: bytes, shown: int) -> None:
    parts = WHOLE.copy()
    parts[number] = part
    assert time(file(*parts)) == shown


@pytest.mark.parametrize(
    ("number", "part"),
    [
        (0, b""),
        (0, box(b"trak", box(b"edts", EDIT))),
        (0, box(b"trak", full(b"tkhd", numbers(0)))),
        (0, box(b"trak", box(b"tkhd"))),
        (0, box(b"trak", box(b"tkhd", numbers(2 << 24, 0, 0, 7, 0, 7)))),
        (0, box(b"trak", full(b"tkhd", numbers(0, 0, 8, 0)))),
        (0, box(b"trak", ID, box(b"edts"))),
        (0, box(b"trak", ID, box(b"edts", full(b"elst", numbers(2, 100, 30, 1, 100, 30))))),
        (0, box(b"trak", ID, box(b"edts", full(b"elst", numbers(1, 100, 0xFFFFFFFF))))),
        (0, box(b"trak", ID, box(b"edts", full(b"elst", numbers(1, 100, 2000))))),
        (1, b""),
        (2, b""),
        (3, b""),
        (3, full(b"trun", numbers(1), flags=0x905)),
    ],
)
def test_of_what_is_not_understood_there_is_none(number: int, part: bytes) -> None:
    parts = WHOLE.copy()
    parts[number] = part
    assert indexed(file(*parts)) == b""


def test_a_file_has_one_index() -> None:
    data = file(*WHOLE)
    assert indexed(data + indexed(data)) == b""


@pytest.mark.parametrize("data", [b"", box(b"moov", TRACK), box(b"mdat", bytes(100))])
def test_where_there_is_nothing_there_is_nothing_to_be_found(data: bytes) -> None:
    assert indexed(data) == b""


def test_what_has_no_fragment_is_left_out() -> None:
    other = box(b"trak", full(b"tkhd", numbers(0, 0, 8, 0)))
    assert indexed(box(b"moov", TRACK, other) + file(*WHOLE)[len(box(b"moov", TRACK)) :])


def test_there_are_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file(*WHOLE)
    monkeypatch.setattr(mp4index, "MOST_ENTRIES", 1)
    assert indexed(data)
    assert indexed(data * 2) == b""
    monkeypatch.setattr(mp4index, "MOST_DESCRIBED", 50)
    assert indexed(data) == b""
