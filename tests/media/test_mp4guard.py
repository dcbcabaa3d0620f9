"""Files of a few bytes that would fill the memory."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from

from rtmptwist.media.errors import MediaError
from rtmptwist.media.mp4container import Mp4Container
from rtmptwist.media.mp4guard import MOST_IN_RUN, MOST_SAMPLES, Guard
from tests.media.films import Film

TYPES = (b"stsz", b"stz2", b"elst", b"trun")

AVCC = bytes.fromhex(
    "0164000dffe1001a6764000dacd941419f9f0110000003001000000303c0f142996001000568ebecb22cfdf8f800"
)


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box of ISO/IEC 14496-12."""
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8) + kind + body


def full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    """A box with version 0."""
    return box(kind, struct.pack(">I", flags), *parts)


def numbers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def film(samples: int, tracks: int = 1, each: bool = False) -> bytes:
    """
    An MP4 that says of itself to have so many pictures, all of 10 bytes.

    `each`: it says so of each of them.
    """
    size = numbers(0, samples) + numbers(10) * samples if each else numbers(10, samples)
    unity = bytes(36)
    avc1 = box(
        b"avc1", bytes(6), b"\0\1", bytes(16), struct.pack(">HH", 320, 180),
        numbers(0x480000, 0x480000, 0), b"\0\1", bytes(32), b"\0\x18\xff\xff",
        box(b"avcC", AVCC),
    )  # fmt: skip
    table = box(
        b"stbl",
        full(b"stsd", numbers(1), avc1),
        full(b"stts", numbers(1, samples, 1)),
        full(b"stsc", numbers(1, 1, samples, 1)),
        full(b"stsz", size),
        full(b"stco", numbers(1, 600)),
    )
    media = box(
        b"mdia",
        full(b"mdhd", numbers(0, 0, 1000, 0), bytes(4)),
        full(b"hdlr", bytes(4), b"vide", bytes(13)),
        box(b"minf", full(b"vmhd", bytes(8), flags=1), table),
    )
    track = box(b"trak", full(b"tkhd", numbers(0, 0, 1, 0, 0), bytes(16), unity, bytes(8)), media)
    movie = full(b"mvhd", numbers(0, 0, 1000, 0), bytes(16), unity, bytes(24), numbers(2))
    return box(b"ftyp", b"isom", bytes(4)) + box(b"moov", movie, track * tracks) + bytes(2000)


class Pieces(Film):
    """Remembers how much is wanted at once."""

    most = 0

    def read(self, position: int, size: int) -> bytes:
        """As `Source`."""
        self.most = max(self.most, size)
        return super().read(position, size)


def test_an_honest_one_is_opened() -> None:
    container = Mp4Container(Film(film(100)))
    assert container.read(container.seek(0).place).tags


def test_long_tables_are_looked_at_in_pieces() -> None:
    """Nobody else runs meanwhile."""
    pieces = Pieces(film(100_000, each=True))
    container = Mp4Container(pieces)
    assert container.read(container.seek(0).place).tags
    assert pieces.most == 32_768


@pytest.mark.parametrize("samples", [10_000_000, 100_000_000, 0xFFFFFFFF])
def test_samples_out_of_nothing_are_refused(samples: int) -> None:
    with pytest.raises(MediaError, match=f"{samples} samples"):
        Mp4Container(Film(film(samples)))


def test_tracks_without_end_are_refused() -> None:
    with pytest.raises(MediaError, match="no MP4 that can be read"):
        Mp4Container(Film(film(1, tracks=200)))


def look(*parts: bytes) -> None:
    guard, position = Guard(), 0
    for part in parts:
        guard.look(position, part)
        position += len(part)


def test_a_table_that_comes_in_pieces_is_found_once() -> None:
    table = b"0123" + full(b"stsz", numbers(0, MOST_SAMPLES)) + b"4567"
    for cut in range(len(table)):
        look(table[:cut], table[cut:])
        with pytest.raises(MediaError, match="samples"):
            look(table[:cut], table[cut:] + full(b"stsz", numbers(4, 1)) + bytes(16))


class Finding(Guard):
    """Remembers what it took for a box."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[bytes, bytes]] = []

    def _count(self, kind: bytes, head: bytes) -> None:
        self.found.append((kind, head))


@given(
    words=lists(sampled_from([*b"stzelrun2\0\1\2", *TYPES])),
    cuts=lists(integers(0, 100)),
)
def test_no_box_is_overlooked(words: list[int | bytes], cuts: list[int]) -> None:
    """However they stand in each other, and in whatever pieces they come."""
    data = b"".join(bytes([word]) if isinstance(word, int) else word for word in words) + bytes(20)
    guard = Finding()
    ends = [*sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    begin = 0
    for end in ends:
        guard.look(begin, data[begin:end])
        begin = end
    heads = [(data[at : at + 4], data[at + 4 : at + 16]) for at in range(len(data) - 15)]
    assert guard.found == [(kind, head) for kind, head in heads if kind in TYPES and head[0] < 2]


def test_what_does_not_follow_is_not_joined() -> None:
    table = full(b"stsz", numbers(0, MOST_SAMPLES + 1))
    guard = Guard()
    guard.look(0, table[:10])
    guard.look(100, table[10:])


@pytest.mark.parametrize("kind", [b"stsz", b"stz2"])
def test_samples_of_all_tracks_count(kind: bytes) -> None:
    half = full(kind, numbers(1, MOST_SAMPLES // 2 + 1))
    look(half)
    with pytest.raises(MediaError, match="samples"):
        look(half, half)


def test_edits_multiply_samples() -> None:
    samples = full(b"stsz", numbers(0, 1_000_000))
    look(samples, full(b"elst", numbers(10, 0)))
    with pytest.raises(MediaError, match="in 20 edits"):
        look(samples, full(b"elst", numbers(20, 0)))
    with pytest.raises(MediaError, match="in 20 edits"):
        look(full(b"elst", numbers(20, 0)), samples)


def test_a_fragment_has_so_many_samples_at_most() -> None:
    look(full(b"trun", numbers(MOST_IN_RUN, 0)))
    with pytest.raises(MediaError, match="fragment"):
        look(full(b"trun", numbers(MOST_IN_RUN + 1, 0)))


def test_what_only_looks_like_a_table_is_passed_over() -> None:
    look(b"stsz\x7f" + b"\xff" * 20)


def test_pictures_may_look_like_tables() -> None:
    guard = Guard()
    guard.opened()
    guard.look(0, full(b"stsz", numbers(0, MOST_SAMPLES + 1)))
    with pytest.raises(MediaError, match="fragment"):
        guard.look(50, full(b"trun", numbers(MOST_IN_RUN + 1, 0)))
