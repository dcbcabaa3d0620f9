"""How much of an MP4 that was cut is whole."""

from __future__ import annotations

import pytest

from rtmptwist.media.mp4boxes import whole
from tests.media.films import Film

HEAD = b"\0\0\0\x0cftypisom"
MOOV = b"\0\0\0\x0cmoov1234"
MOOF = b"\0\0\0\x0cmoof1234"
MDAT = b"\0\0\0\x10mdatabcdefgh"
LONG = b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x14abcd"


def found(data: bytes) -> tuple[int, bool] | None:
    return whole(Film(data).read, len(data))


@pytest.mark.parametrize(
    ("data", "end", "media"),
    [
        (b"", 0, False),
        (HEAD[:7], 0, False),
        (HEAD, 12, False),
        (HEAD + MOOV, 24, False),
        (HEAD + MOOV + MOOF, 24, False),
        (HEAD + MOOV + MOOF + MDAT, 52, True),
        (HEAD + MOOV + MOOF + LONG, 56, True),
        (HEAD + MOOV + MOOF + MDAT + MOOF, 52, True),
        (HEAD + MOOV + MOOF + MDAT + MOOF + MDAT[:-1], 52, True),
        (HEAD + MOOV + MOOF + MDAT + b"\0\0\0\x07moof", 52, True),
        (HEAD + MOOV + MOOF + MDAT + b"\0\0\0\x0amfra12", 62, True),
        (HEAD + MOOV + MOOF + MDAT + LONG[:12], 52, True),
        (HEAD + MOOV + MOOF + MDAT + b"\0\0\0", 52, True),
    ],
)
def test_where_it_ends(data: bytes, end: int, media: bool) -> None:
    assert found(data) == (end, media)


@pytest.mark.parametrize("data", [b"FLV\x01\x05\0\0\0\x09", bytes(50), MOOV])
def test_something_else_is_no_mp4(data: bytes) -> None:
    assert found(data) is None


def test_a_file_that_shrinks_meanwhile_has_an_end() -> None:
    assert whole(Film(HEAD).read, 500) == (12, False)
