"""What lies where in a file, whole, cut or broken."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.media.flv import AUDIO, FLV_START, SCRIPT, VIDEO, flv_header, flv_tag
from rtmptwist.media.flvindex import BLOCK, KeyFrames, Read, survey, walk
from tests.media.samples import FOLDER, Facts, facts, tags


def reading(data: bytes) -> Read:
    """As a file is read."""
    file = io.BytesIO(data)

    def read(position: int, size: int) -> bytes:
        file.seek(position)
        return file.read(size)

    return read


@pytest.mark.parametrize("sample", facts(), ids=lambda sample: sample.name)
def test_samples(sample: Facts) -> None:
    data = (FOLDER / f"{sample.name}.flv").read_bytes()
    places = list(walk(reading(data), len(data)))
    assert [(place.type, place.timestamp, place.start[:16]) for place in places] == [
        (tag.type, tag.timestamp, tag.payload[:16]) for tag in tags(sample.name)
    ]
    found = survey(reading(data), len(data))
    assert (found.end, found.last) == (len(data), sample.last)
    assert (found.audio, found.video) == (sample.audio > 0, sample.video > 0)
    assert found.keyframes.times == sample.key_frames
    for time, position in zip(found.keyframes.times, found.keyframes.positions, strict=True):
        assert data[position] == VIDEO
        assert int.from_bytes(data[position + 4 : position + 7]) == time & 0xFFFFFF


TAGS = [
    flv_tag(SCRIPT, 0, b"\x02\0\x01a"),
    flv_tag(VIDEO, 0, b"\x17\x01\0\0\0" + bytes(100)),
    flv_tag(AUDIO, 5, b"\xaf\x01" + bytes(10)),
    flv_tag(VIDEO, 40, b"\x27\x01\0\0\0" + bytes(BLOCK)),  # longer than what is read at once
    flv_tag(AUDIO, 45, b""),
    flv_tag(VIDEO, 1 << 24, b"\x17\x01\0\0\0" + bytes(50)),
]
FILE = flv_header(audio=True, video=True) + b"".join(TAGS)
ENDS = [FLV_START + sum(map(len, TAGS[:count])) for count in range(len(TAGS) + 1)]


@given(size=st.integers(0, len(FILE)) | st.sampled_from(ENDS).map(lambda end: end - 1))
def test_a_file_that_was_cut_anywhere_has_what_is_whole(size: int) -> None:
    data = FILE[:size]
    places = list(walk(reading(data), len(data)))
    ends = [end for end in ENDS[1:] if end <= size]
    assert [place.end for place in places] == ends
    assert survey(reading(data), size).end == max([min(size, FLV_START), *ends])


def test_a_file_that_is_shorter_than_it_was() -> None:
    """Somebody cut it meanwhile, in the middle of what is read."""
    for size in range(0, len(FILE), 7):
        places = list(walk(reading(FILE[:size]), len(FILE)))
        assert [place.end for place in places] == [end for end in ENDS[1:] if end <= size]


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("unknown type", b"\x07" + TAGS[2][1:]),
        ("wrong size behind it", TAGS[2][:-1] + b"\xff"),
        ("zeros, as after a loss of power", bytes(500)),
    ],
)
def test_what_is_no_tag_is_the_end(name: str, tag: bytes) -> None:
    data = flv_header(audio=True, video=True) + TAGS[1] + tag + TAGS[1]
    assert survey(reading(data), len(data)).end == FLV_START + len(TAGS[1])


def test_facts_of_a_file() -> None:
    found = survey(reading(FILE), len(FILE))
    assert found.last == 1 << 24
    assert found.keyframes.times == [0, 1 << 24]
    assert found.keyframes.positions == [ENDS[1], ENDS[5]]
    assert found.keyframes.last == (1 << 24, ENDS[5])


@given(count=st.integers(0, 200))
def test_an_index_stays_small_and_covers_everything(count: int) -> None:
    index = KeyFrames(8)
    for number in range(count):
        index.add(number * 10, number * 1000)
    assert index.positions == [time * 100 for time in index.times]
    assert len(index.times) == min(count, max(len(index.times), 5))
    assert len(index.times) <= 8
    steps = {after - before for before, after in zip(index.times, index.times[1:], strict=False)}
    assert len(steps) <= 1, "they are equally far apart"
    if count:
        assert index.times[0] == 0
        assert index.last == ((count - 1) * 10, (count - 1) * 1000)
        assert index.last[0] - index.times[-1] < max(steps, default=10)
