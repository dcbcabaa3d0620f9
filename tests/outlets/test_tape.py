"""Messages to tags of one file."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.amf import amf0
from rtmptwist.amf.values import EcmaArray
from rtmptwist.live.headers import Header
from rtmptwist.media.flv import FlvReader, FlvTag, flv_header
from rtmptwist.outlets.tape import (
    Batch,
    Take,
    Tape,
    begin_at,
    cut_at,
    is_frame,
    is_metadata,
    metadata_in,
)
from rtmptwist.wire.message import Message, MessageType
from tests.support.live import aac_header, audio, avc_end, avc_header, data, gop, video


def tags(*batches: Batch) -> list[FlvTag]:
    """What readers find in them."""
    parts = [batch.data for batch in batches]
    for batch in batches:
        assert len(batch.data) == batch.size
    return FlvReader().feed(flv_header(audio=True, video=True) + b"".join(parts))


def meta(**values: float) -> Message:
    return data("onMetaData", dict(values))


def seeing() -> Tape:
    """A tape after its first key frame."""
    tape = Tape(Take.ALL)
    tape.encode([video(0, key=True)])
    return tape


def times(found: Sequence[FlvTag]) -> list[int]:
    return [tag.timestamp for tag in found]


# -------------------------------------------------------------------------------------- tags


def test_tags_are_what_came() -> None:
    tape = Tape(Take.ALL)
    assert tape.begin(gop(0), ()) == []
    messages = [avc_header(), aac_header(), *gop(0), avc_end(90), data("onCuePoint", timestamp=95)]
    first, second = tape.encode(messages[:4]), tape.encode(messages[4:])
    assert [(tag.type, tag.timestamp, tag.payload) for tag in tags(first, second)] == [
        (message.type, message.timestamp, message.payload) for message in messages
    ]
    assert tape.size == first.size + second.size
    assert (first.audio, first.video) == (second.audio, second.video) == (True, True)


def test_data_in_amf3_stays_data_in_amf3() -> None:
    message = Message(MessageType.DATA_AMF3, 5, 1, b"\0" + amf0.encode("onCuePoint"))
    (tag,) = tags(Tape(Take.ALL).encode([message]))
    assert (tag.type, tag.payload) == (15, message.payload)


def test_nothing_makes_nothing() -> None:
    batch = Tape(Take.ALL).encode([])
    assert (batch.data, batch.size) == (b"", 0)
    assert Tape(Take.AUDIO).encode(gop(0)[:1]).size == 0


def test_time_begins_with_the_earliest_frame_there_is() -> None:
    """Sound may come after the picture that it comes before."""
    tape = Tape(Take.ALL)
    messages = [avc_header(), video(5100, key=True), audio(5080), audio(5103)]
    assert tape.begin(messages, ()) == []
    assert times(tags(tape.encode(messages))) == [0, 20, 0, 23]
    assert tape.last == 23


def test_what_comes_from_before_the_beginning_is_put_there() -> None:
    tape = Tape(Take.ALL)
    tape.begin([video(5000, key=True)], ())
    messages = [video(5000, key=True), audio(4990), audio(5010)]
    assert times(tags(tape.encode(messages))) == [0, 0, 10]


@pytest.mark.parametrize("hours", [0, 4, 5, 20, 1000, 2000])
def test_any_time_fits(hours: int) -> None:
    """Every 2^24 ms, 4.66 hours, the highest byte changes."""
    tape = Tape(Take.ALL)
    tape.begin([video(0, key=True)], ())
    expected = []
    for begin in hours * 3_600_000, (hours * 3_600_000 >> 24) + 1 << 24:
        messages = [video(begin - 40, key=True), video(begin), video(begin + 40)]
        expected += [max(0, message.timestamp) for message in messages]
        batch = tape.encode(messages)
        assert times(tags(batch)) == [time & 0xFFFFFFFF for time in expected[-3:]]
        assert batch.last == tape.last == expected[-1]
        assert [time for time, _ in batch.keyframes] == expected[-3:-2]


@given(
    begins=st.lists(
        st.integers(0, 1 << 31) | st.integers(-50, 50).map((1 << 24).__add__), max_size=20
    ),
    cut=st.integers(0, 20),
)
def test_any_times_in_any_batches(begins: list[int], cut: int) -> None:
    tape = Tape(Take.ALL)
    tape.begin([audio(1000)], ())
    messages = [audio(1000 + begin) for begin in begins]
    found = tags(tape.encode(messages[:cut]), tape.encode(messages[cut:]))
    assert times(found) == begins
    assert tape.last == max(begins, default=0)


def test_key_frames_are_found_where_they_are() -> None:
    tape = Tape(Take.ALL)
    messages = [avc_header(), *gop(0), *gop(120)]
    batch = tape.encode(messages)
    assert [time for time, _ in batch.keyframes] == [0, 120]
    for time, place in batch.keyframes:
        (tag,) = FlvReader().feed(flv_header(audio=True, video=True) + batch.data[place:])[:1]
        assert tag.payload == video(time, str(time), key=True).payload


# ----------------------------------------------------------------------------------- headers


def test_headers_come_first_at_the_time_of_the_first_frame() -> None:
    description = meta(width=640)
    headers = [Header(1, description), Header(2, avc_header()), Header(3, aac_header())]
    tape = Tape(Take.ALL, description)
    messages = gop(7000)
    lead = tape.begin(messages, headers, at=500)
    assert [message.payload for message in lead] == [avc_header().payload, aac_header().payload]
    assert times(tags(tape.encode(lead), tape.encode(messages)))[:4] == [500, 500, 500, 500]
    assert tape.last == 580


def test_metadata_of_the_head_is_not_there_twice() -> None:
    description = meta(width=640)
    tape = seeing()
    tape._metadata = description
    assert tags(tape.encode([description])) == []


def test_metadata_that_changes_says_nothing_of_the_file() -> None:
    """FFmpeg would believe its duration; and it makes a text stream of one that has a time."""
    tape = Tape(Take.ALL, meta(width=640))
    tape.begin([audio(1000)], ())
    wrapped = Message(MessageType.DATA_AMF3, 0, 1, b"\0" + meta(height=7.0).payload)
    (plain, amf3) = tags(tape.encode([meta(width=1280.0, duration=0.0, filesize=1.0), wrapped]))
    assert (plain.timestamp, amf0.decode(plain.payload)[1]) == (0, EcmaArray({"width": 1280.0}))
    assert (amf3.type, amf3.payload[:1]) == (15, b"\0")
    assert amf0.decode(amf3.payload[1:])[1] == EcmaArray({"height": 7.0})


def test_broken_metadata_says_nothing() -> None:
    broken = Message(MessageType.DATA, 0, 1, b"\x02\0\x0aonMetaData\x08\0")
    (tag,) = tags(Tape(Take.ALL).encode([broken]))
    assert amf0.decode(tag.payload) == ["onMetaData", EcmaArray()]
    assert is_metadata(broken)
    assert metadata_in(broken) == {}


def test_what_is_metadata() -> None:
    assert metadata_in(meta(width=1.0)) == {"width": 1.0}
    assert is_metadata(Message(MessageType.DATA_AMF3, 0, 1, b"\0" + meta().payload))
    assert not is_metadata(data("onCuePoint"))
    assert not is_metadata(Message(MessageType.VIDEO, 0, 1, meta().payload))


# ------------------------------------------------------------------------------ what is taken


STREAM = [avc_header(), aac_header(), *gop(0), data("onCuePoint")]


@pytest.mark.parametrize(
    ("take", "kept"),
    [
        (Take.ALL, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (Take.AUDIO, [1, 3, 5, 7, 8]),
        (Take.VIDEO, [0, 2, 4, 6, 8]),
        (Take.KEYS, [0, 2, 8]),
    ],
)
def test_only_what_is_wanted_is_taken(take: Take, kept: list[int]) -> None:
    batch = Tape(take).encode(STREAM)
    assert [tag.payload for tag in tags(batch)] == [STREAM[index].payload for index in kept]
    assert batch.audio == (take in (Take.ALL, Take.AUDIO))
    assert batch.video == (take is not Take.AUDIO)


def test_pictures_before_the_first_key_frame_are_left_out() -> None:
    tape = Tape(Take.ALL)
    messages = [avc_header(), video(0), audio(5), video(40)]
    assert [tag.type for tag in tags(tape.encode(messages))] == [9, 8]
    batch = tape.encode([video(80), video(120, key=True), video(160)])
    assert times(tags(batch)) == [120, 160]


def test_messages_without_a_body_are_passed_on() -> None:
    """Readers step over their tags."""
    batch = seeing().encode([Message(MessageType.AUDIO, 5, 1, b""), audio(10)])
    assert times(tags(batch)) == [10]
    assert batch.size == 15 + 15 + len(audio(10).payload)


# --------------------------------------------------------------------------- where files begin


def test_the_next_file_begins_with_a_key_frame_when_it_is_time() -> None:
    tape = Tape(Take.ALL, until=100)
    messages = [*gop(1000), *gop(1120), *gop(1240)]
    tape.begin(messages, ())
    assert tape.cut(messages[:6], pictures=True) is None
    assert tape.cut(messages, pictures=True) == 6
    assert tape.cut(messages[7:], pictures=True) == 5


def test_the_next_file_begins_when_there_is_enough_in_this_one() -> None:
    tape = Tape(Take.ALL, most=100)
    messages = gop(0)
    tape.begin(messages, ())
    assert tape.cut(messages, pictures=True) is None
    tape.encode(messages)
    assert tape.cut([audio(90), *gop(120)], pictures=True) == 1


def test_without_pictures_it_begins_with_any_sound() -> None:
    tape = Tape(Take.ALL, until=100)
    messages = [audio(0), audio(50), data("onCuePoint", timestamp=105), audio(110)]
    tape.begin(messages, ())
    assert tape.cut(messages, pictures=False) == 3
    assert tape.cut(messages, pictures=True) is None


def test_there_may_be_no_next_file() -> None:
    tape = Tape(Take.ALL, until=math.inf)
    assert tape.cut(gop(10**9), pictures=True) is None


KEY, INTER, SOUND = video(0, key=True), video(0), audio(0)


@pytest.mark.parametrize(
    ("take", "pictures", "begins"),
    [
        (Take.ALL, True, [KEY]),
        (Take.ALL, False, [KEY, INTER, SOUND]),
        (Take.AUDIO, True, [SOUND]),
        (Take.AUDIO, False, [SOUND]),
        (Take.VIDEO, True, [KEY]),
        (Take.VIDEO, False, [KEY]),
        (Take.KEYS, False, [KEY]),
    ],
)
def test_what_a_file_can_begin_with_amid_a_stream(
    take: Take, pictures: bool, begins: list[Message]
) -> None:
    everything = [KEY, INTER, SOUND, avc_header(), aac_header(), data("onCuePoint")]
    assert list(filter(cut_at(take, pictures=pictures), everything)) == begins


@pytest.mark.parametrize(
    ("take", "begins"),
    [
        (Take.ALL, [KEY, SOUND]),
        (Take.AUDIO, [SOUND]),
        (Take.VIDEO, [KEY]),
        (Take.KEYS, [KEY]),
    ],
)
def test_what_a_recording_can_begin_with_when_a_stream_does(
    take: Take, begins: list[Message]
) -> None:
    everything = [KEY, INTER, SOUND, avc_header(), aac_header(), data("onCuePoint")]
    assert list(filter(begin_at(take), everything)) == begins


def test_what_is_a_frame() -> None:
    assert list(filter(is_frame, [KEY, INTER, SOUND, avc_header(), aac_header(), data("x")])) == [
        KEY,
        INTER,
        SOUND,
    ]
