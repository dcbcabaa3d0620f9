"""The head of a recording, which is changed in place when the recording is complete."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.amf import amf0
from rtmptwist.amf.values import EcmaArray
from rtmptwist.media.errors import MediaError
from rtmptwist.media.flv import FLV_START, SCRIPT, FlvReader, flv_header, flv_tag
from rtmptwist.media.flvhead import LARGEST, Head, head_size, metadata_of, read_head
from rtmptwist.media.flvindex import CAPACITY, MOST_HEADERS, Facts, KeyFrames
from rtmptwist.media.packet import Content, Kind
from rtmptwist.media.tag import Slot
from tests.media.samples import FOLDER

OWN: dict[str, Any] = {
    "width": 640.0,
    "encoder": "Ünicode",
    "videoTrackIdInfoMap": {"1": {"width": 320.0}},
}


def values_of(head: bytes) -> list[Any]:
    """What a head says, and what fills it up."""
    (tag,) = FlvReader().feed(head)
    assert tag.type == SCRIPT
    name, values, *filler = amf0.decode(tag.payload)
    assert name == "onMetaData"
    assert isinstance(values, EcmaArray)
    assert set(filler) <= {0.0, None}
    return [dict(values), len(filler)]


def complete(count: int) -> Facts:
    """Facts of a file with so many key frames."""
    keyframes = KeyFrames()
    for number in range(count):
        keyframes.add(number * 2000, 70_000 + number * 500_000)
    return Facts(70_000 + count * 500_000, count * 2000 + 40, audio=True, video=True,
                 keyframes=keyframes)  # fmt: skip


def test_a_head_that_is_written_says_nothing_of_the_length() -> None:
    """Players then look at the end of the file; a duration of 0 they would believe."""
    values, _ = values_of(Head(OWN, "test").begin(audio=True, video=False))
    assert values == {**OWN, "metadatacreator": "test"}


def test_a_complete_head_says_everything_in_the_same_room() -> None:
    head = Head({**OWN, "duration": 0.0, "filesize": 1.0, "keyframes": 3.0}, "test")
    facts = complete(3)
    packed = head.finish(facts)
    assert len(packed) == len(head.begin(audio=True, video=True)) == head.size
    values, _ = values_of(packed)
    assert values == {
        "duration": 6.04,
        "filesize": 1_570_000.0,
        "lasttimestamp": 6.04,
        "lastkeyframetimestamp": 4.0,
        "lastkeyframelocation": 1_070_000.0,
        "hasAudio": True,
        "hasVideo": True,
        "hasMetadata": True,
        "hasKeyframes": True,
        "metadatacreator": "test",
        **OWN,
        "sequenceheaders": [],
        "keyframes": {
            "times": [0.0, 2.0, 4.0],
            "filepositions": [70_000.0, 570_000.0, 1_070_000.0],
        },
    }
    assert packed[4] == 5


@pytest.mark.parametrize(("audio", "video", "flags"), [(True, False, 4), (False, True, 1)])
def test_flags(audio: bool, video: bool, flags: int) -> None:
    head = Head({}, "test")
    assert head.begin(audio=audio, video=video)[4] == flags
    assert head.finish(Facts(audio=audio, video=video))[4] == flags


def test_the_fullest_index_fits() -> None:
    values, _ = values_of(Head(OWN, "test").finish(complete(CAPACITY)))
    assert len(values["keyframes"]["times"]) == CAPACITY


def test_where_headers_stand() -> None:
    facts = complete(CAPACITY)
    for number in range(2 * MOST_HEADERS):
        facts.headers.add(Slot(Kind.VIDEO, Content.SEQUENCE_HEADER, (0,), ()), number, number)
    values, _ = values_of(Head(OWN, "test").finish(facts))
    assert values["sequenceheaders"] == [float(place) for place in range(MOST_HEADERS)]
    assert len(values["keyframes"]["times"]) == CAPACITY
    small = Head({}, "test", size=700)
    values, _ = values_of(small.finish(facts))
    assert "sequenceheaders" not in values, "there is no room in what an older one left"
    assert "keyframes" in values


def test_there_is_no_index_without_key_frames() -> None:
    values, _ = values_of(Head({}, "test").finish(Facts(audio=True)))
    assert "keyframes" not in values
    assert values["hasKeyframes"] is False


@given(size=st.integers(200, 1000), count=st.integers(0, 100))
def test_a_smaller_head_has_what_fits(size: int, count: int) -> None:
    """Of another program, for example."""
    head = Head({}, "test", size)
    facts = complete(count)
    if size < 253:
        with pytest.raises(MediaError, match=r"bytes of metadata \(expected"):
            head.finish(facts)
        return
    packed = head.finish(facts)
    assert len(packed) == size
    values, _ = values_of(packed)
    if "keyframes" in values:
        times, positions = values["keyframes"]["times"], values["keyframes"]["filepositions"]
        assert times[0] == 0.0
        assert {(time, position) for time, position in zip(times, positions, strict=True)} <= {
            (number * 2.0, 70_000.0 + number * 500_000) for number in range(count)
        }


def test_read_back() -> None:
    for packed in (
        Head(OWN, "first").begin(audio=True, video=True),
        Head(OWN, "first").finish(complete(7)),
    ):
        assert head_size(packed[:24]) == len(packed)
        head = read_head(packed + b"more", "second")
        assert head is not None
        assert head.size == len(packed)
        assert head.metadata == {**OWN, "metadatacreator": "second"}
        assert len(packed) < LARGEST


def test_read_a_head_that_was_broken_off_while_it_was_changed() -> None:
    """Its first pages are new, the rest is as old: an index that ends in zeros."""
    old, new = (
        Head(OWN, "test").begin(audio=True, video=True),
        Head(OWN, "test").finish(complete(2000)),
    )
    for pages in 1, 3, 7:
        broken = new[: pages * 4096] + old[pages * 4096 :]
        head = read_head(broken, "test")
        assert head is not None
        assert head.finish(complete(5))[:13] == new[:13]
        assert head.size == len(new)


def test_read_another_program_s() -> None:
    data = (FOLDER / "h264-b-aac.flv").read_bytes()
    head = read_head(data, "test")
    assert head is not None
    assert head.metadata["framerate"] == 30.0
    assert "duration" not in head.metadata
    assert len(head.begin(audio=True, video=True)) == head.size
    assert data[head.size] in (8, 9)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("nothing", b""),
        ("too short", flv_header(audio=True, video=True)),
        ("no FLV", b"RIFF" + bytes(100)),
        ("another version", b"FLV\x02" + bytes(100)),
        ("a longer header", b"FLV\x01\x05\0\0\0\x0a" + bytes(100)),
        ("no metadata first", flv_header(audio=True, video=True) + flv_tag(8, 0, bytes(50))),
    ],
)
def test_files_without_a_head(name: str, data: bytes) -> None:
    assert head_size(data) == 0
    assert read_head(data, "test") is None


def test_a_head_that_is_not_all_there() -> None:
    packed = Head(OWN, "test").begin(audio=True, video=True)
    assert read_head(packed[:-1], "test") is None


def test_metadata_too_large_to_keep_is_left_out() -> None:
    head = Head({"text": "x" * 70_000}, "test")
    assert head.metadata == {"metadatacreator": "test"}
    assert head.size < LARGEST


def test_metadata_that_cannot_be_written_is_left_out() -> None:
    """Small to receive, huge to write: AMF0 has no references to texts."""
    text: Any = "x" * 65_000
    metadata = {str(number): text for number in range(300)}
    assert Head(metadata, "test").metadata == {"metadatacreator": "test"}


@pytest.mark.parametrize(
    ("payload", "metadata"),
    [
        (amf0.encode("onMetaData", {"a": 1.0}), {"a": 1.0}),
        (amf0.encode("onMetaData", EcmaArray({"a": 1.0}), "more"), {"a": 1.0}),
        (amf0.encode("onMetaData", 3.0), None),
        (amf0.encode("onTextData", {"a": 1.0}), None),
        (amf0.encode("onMetaData"), None),
        (b"", None),
        (b"\x02\0\x0aonMetaData\x08\0\0", None),
    ],
)
def test_metadata_of(payload: bytes, metadata: object) -> None:
    assert metadata_of(payload) == metadata


def test_where_the_first_tag_of_media_is() -> None:
    packed = Head(OWN, "test").begin(audio=True, video=True)
    assert packed[FLV_START] == SCRIPT
    assert int.from_bytes(packed[-4:]) == len(packed) - FLV_START - 4
