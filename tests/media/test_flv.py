"""FLV headers and tags, both ways, in whatever pieces they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import binary, booleans, builds, integers, lists, sampled_from

from rtmptwist.media.errors import MediaError
from rtmptwist.media.flv import AUDIO, SCRIPT, VIDEO, FlvReader, FlvTag, flv_header, flv_tag
from tests.media.samples import FOLDER, facts, tags

TAGS = builds(
    FlvTag,
    type=sampled_from((8, 9, 15, 18)),
    timestamp=integers(0, 2**32 - 1),
    payload=binary(min_size=1),
)


@pytest.mark.parametrize(
    ("audio", "video", "expected"),
    [
        (True, True, "464c56 01 05 00000009 00000000"),
        (True, False, "464c56 01 04 00000009 00000000"),
        (False, True, "464c56 01 01 00000009 00000000"),
        (False, False, "464c56 01 00 00000009 00000000"),
    ],
)
def test_header(audio: bool, video: bool, expected: str) -> None:
    assert flv_header(audio, video) == bytes.fromhex(expected)
    assert FlvReader().feed(flv_header(audio, video)) == []


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (FlvTag(AUDIO, 0, b"\xaf\x00\x12\x10"), "08 000004 000000 00 000000 af001210 0000000f"),
        (FlvTag(VIDEO, 0xFFFFFF, b"\x17"), "09 000001 ffffff 00 000000 17 0000000c"),
        (FlvTag(VIDEO, 0x01000000, b"\x17"), "09 000001 000000 01 000000 17 0000000c"),
        (FlvTag(SCRIPT, 0xFEDCBA98, b"\x05"), "12 000001 dcba98 fe 000000 05 0000000c"),
    ],
)
def test_tags_both_ways(tag: FlvTag, expected: str) -> None:
    data = flv_tag(tag.type, tag.timestamp, tag.payload)
    assert data == bytes.fromhex(expected)
    assert FlvReader().feed(flv_header(True, True) + data) == [tag]


def test_timestamps_wrap() -> None:
    """Inside a live stream they have as many bits as it takes."""
    assert flv_tag(AUDIO, 2**32 + 5, b"a") == flv_tag(AUDIO, 5, b"a")


def test_a_payload_that_flv_cannot_say() -> None:
    with pytest.raises(MediaError, match="16777216 bytes"):
        flv_tag(VIDEO, 0, bytes(1 << 24))


@given(lists(TAGS), integers(1, 40))
def test_any_split_gives_the_same_tags(written: list[FlvTag], size: int) -> None:
    data = flv_header(True, True) + b"".join(
        flv_tag(tag.type, tag.timestamp, tag.payload) for tag in written
    )
    reader = FlvReader()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert [tag for piece in pieces for tag in reader.feed(piece)] == written


def test_a_tag_is_there_with_its_last_byte() -> None:
    """Not with the size behind it: a live stream would lag by one frame."""
    reader = FlvReader()
    data = flv_header(True, False) + flv_tag(AUDIO, 7, b"\xaf\x01\x00")
    assert reader.feed(data[:-5]) == []
    assert reader.feed(data[-5:-4]) == [FlvTag(AUDIO, 7, b"\xaf\x01\x00")]


@pytest.mark.parametrize("size", [1, 100, 8000])
def test_a_sample_file_in_pieces(size: int) -> None:
    data = (FOLDER / "audio-alaw-8k.flv").read_bytes()
    reader = FlvReader()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert [tag for piece in pieces for tag in reader.feed(piece)] == tags("audio-alaw-8k")


@pytest.mark.parametrize("name", [row.name for row in facts()])
def test_a_sample_file_written_again_is_the_same(name: str) -> None:
    data = (FOLDER / f"{name}.flv").read_bytes()
    flags = data[4]
    assert data == flv_header(bool(flags & 4), bool(flags & 1)) + b"".join(
        flv_tag(tag.type, tag.timestamp, tag.payload) for tag in tags(name)
    )


class TestTolerance:
    """What other programs write and players read all the same."""

    TAG = flv_tag(AUDIO, 7, b"\xaf\x01\x00")
    READ = FlvTag(AUDIO, 7, b"\xaf\x01\x00")

    def test_a_wrong_previous_tag_size(self) -> None:
        data = (
            flv_header(True, False)[:9] + b"\xff\xff\xff\xff" + self.TAG[:-4] + b"\x12\x34\x56\x78"
        )
        assert FlvReader().feed(data + self.TAG) == [self.READ, self.READ]

    def test_a_longer_header(self) -> None:
        data = b"FLV\x01\x05\x00\x00\x00\x0d" + b"more" + bytes(4) + self.TAG
        for cut in (9, 11, 13, 17, 20):
            reader = FlvReader()
            assert reader.feed(data[:cut]) + reader.feed(data[cut:]) == [self.READ]

    def test_tags_without_data(self) -> None:
        data = flv_header(True, False) + flv_tag(VIDEO, 3, b"") + self.TAG
        assert FlvReader().feed(data) == [self.READ]

    def test_tags_of_unknown_type(self) -> None:
        data = flv_header(True, False) + flv_tag(31, 3, b"what") + self.TAG
        assert FlvReader().feed(data) == [self.READ]

    def test_an_encrypted_tag_says_so(self) -> None:
        tag = flv_tag(AUDIO | 0x20, 7, b"secret")
        assert FlvReader().feed(flv_header(True, False) + tag) == [
            FlvTag(AUDIO, 7, b"secret", encrypted=True)
        ]

    def test_reserved_bits(self) -> None:
        data = flv_header(True, False) + flv_tag(AUDIO | 0xC0, 7, b"\xaf\x01\x00")
        assert FlvReader().feed(data) == [self.READ]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"FLW\x01\x05\x00\x00\x00\x09", "b'FLW"),
        (b"FLV\x02\x05\x00\x00\x00\x09", "version 1"),
        (b"FLV\x01\x05\x00\x00\x00\x08", r"8 bytes \(expected 9 to 4096\)"),
        (b"FLV\x01\x05\xff\xff\xff\xff", "4294967295 bytes"),
    ],
)
def test_what_is_no_flv(header: bytes, words: str) -> None:
    reader = FlvReader()
    assert reader.feed(header[:8]) == []
    with pytest.raises(MediaError, match=words):
        reader.feed(header[8:])


def test_a_tag_beyond_the_limit_is_refused_by_its_header() -> None:
    """Before anything of it is held."""
    reader = FlvReader(tag_size=10)
    assert len(reader.feed(flv_header(True, False) + flv_tag(AUDIO, 0, bytes(10)))) == 1
    with pytest.raises(MediaError, match=r"11 bytes \(expected 0 to 10\)"):
        reader.feed(flv_tag(AUDIO, 0, bytes(11))[:11])


@given(lists(binary()), booleans())
def test_any_bytes_give_tags_or_a_media_error(pieces: list[bytes], headed: bool) -> None:
    reader = FlvReader()
    try:
        reader.feed(flv_header(True, True) if headed else b"")
        for piece in pieces:
            reader.feed(piece)
    except MediaError as error:
        assert "expected" in str(error)  # noqa: PT017 - it need not raise at all
