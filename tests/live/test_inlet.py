"""What becomes of a publisher's messages: their time, their place, what is kept of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtmptwist.amf import amf0
from rtmptwist.amf.values import EcmaArray
from rtmptwist.wire.message import Message, MessageType
from tests.support.live import (
    HEADERS,
    Stage,
    aac_header,
    audio,
    avc_end,
    avc_header,
    data,
    feed,
    gop,
    metadata,
    on_air,
    payloads,
    stored,
    video,
)

WRAP = 1 << 32


# ----------------------------------------------------------------------- time


def test_the_first_publishers_messages_pass_as_they_are() -> None:
    stage = Stage()
    inlet = stage.publish()
    message = video(WRAP - 20, key=True)
    feed(inlet, message)
    assert stage.stream.window.since(0, 1)[0] is message


def test_time_goes_on_after_32_bits() -> None:
    stage = Stage()
    viewer = stage.watch()
    feed(stage.publish(), video(WRAP - 20, key=True), video(20), audio(5))
    window = stage.stream.window
    assert [m.timestamp for m in window.since(0, 3)] == [WRAP - 20, WRAP + 20, WRAP + 5]
    assert viewer.times == [WRAP - 20, 20, 5]


def test_headers_of_any_time_do_not_disturb_the_clock() -> None:
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    first = [avc_header(), aac_header(), *gop(16_773_933)]
    feed(inlet, *first, avc_header("new"), avc_end(16_774_020), video(16_774_053))
    last = [16_774_013, 16_774_020, 16_774_053]
    assert viewer.times == [*(message.timestamp for message in first), *last]


def test_an_unknown_codec_is_relayed_in_time_and_nobody_waits_for_its_key_frame() -> None:
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    opaque = [Message(9, time, 1, b"\x9cabcdefghijklm") for time in (100, 140, 90_000_000)]
    feed(inlet, *opaque[:2])
    feed(inlet, opaque[2])
    assert viewer.payloads == payloads(opaque)
    assert viewer.times == [100, 140, 180]
    late = stage.watch()
    feed(inlet, opaque[2])
    assert late.payloads == [opaque[2].payload]


# ----------------------------------------------------------------------- data


def test_set_data_frame_is_unpacked_stored_and_has_no_time() -> None:
    """FFmpeg makes a text stream of metadata whose timestamp is not 0."""
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    feed(inlet, metadata(timestamp=77), *gop(5000), metadata(1920, 5100))
    late = stage.watch()
    assert amf0.decode(viewer.payloads[0]) == ["onMetaData", EcmaArray({"width": 640.0})]
    assert [m.timestamp for m in viewer.messages if m.type == MessageType.DATA] == [0, 0]
    assert late.payloads == [viewer.payloads[0], *payloads(gop(5000)), viewer.payloads[-1]]


def test_plain_metadata_is_stored_as_well() -> None:
    stage = Stage()
    inlet = stage.publish()
    message = data("onMetaData", EcmaArray({"width": 1.0}), timestamp=5)
    feed(inlet, message, *gop(5000))
    assert stage.watch().payloads[0] == message.payload


def test_repeated_metadata_is_dropped() -> None:
    """GStreamer repeats it every few seconds."""
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    feed(inlet, metadata(), metadata(), video(0, key=True), metadata())
    assert viewer.payloads == [stored(metadata()), video(0, key=True).payload]


def test_any_data_frame_is_stored_under_its_name() -> None:
    stage = Stage()
    inlet = stage.publish()
    other = metadata(1, name="onStudio")
    feed(inlet, metadata(), other, *gop(0), metadata(2, name="onStudio"))
    late = stage.watch()
    assert late.payloads[:2] == [stored(metadata()), stored(other)]
    assert late.payloads[-1] == stored(metadata(2, name="onStudio"))


def test_clear_data_frame_clears_and_is_not_relayed() -> None:
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    feed(inlet, metadata(), metadata(name="onStudio"), data("@clearDataFrame", "onMetaData"))
    feed(inlet, *gop(0))
    assert stage.watch().payloads == [stored(metadata(name="onStudio")), *payloads(gop(0))]
    assert len(viewer.payloads) == 2 + 6


@pytest.mark.parametrize(
    "message",
    [
        data("onTextData", {"text": "hello"}, timestamp=130),
        data("onCuePoint", {"name": "x"}, timestamp=130),
        data("onFI", {"st": "12:00"}, timestamp=130),
        data("whatever", timestamp=130),
        data(timestamp=130),
        data(5.0, timestamp=130),
        Message(MessageType.DATA, 130, 1, b"\x02\xff\xffshort"),
        Message(MessageType.DATA, 130, 1, b"\x0c\0\0\0\1x"),
    ],
    ids=["text", "cue point", "fi", "unknown", "empty", "no name", "cut off", "long string"],
)
def test_any_other_data_passes_in_its_place_and_is_not_stored(message: Message) -> None:
    stage, viewer, inlet = on_air()
    before = len(viewer.messages)
    feed(inlet, video(120), message, video(160))
    assert viewer.payloads[before:] == payloads([video(120), message, video(160)])
    assert viewer.times[before:] == [120, 130, 160]
    feed(inlet, *gop(200))
    assert stage.watch().payloads == HEADERS + payloads(gop(200))


def test_a_data_frame_without_a_name_is_kept_for_what_it_is() -> None:
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    feed(inlet, data("@setDataFrame"), data("@setDataFrame", 5.0), data("@setDataFrame", 5.0))
    assert viewer.payloads == [b"", data(5.0).payload]


def test_amf3_data_becomes_amf0_when_it_is() -> None:
    """Type 15 begins with a format byte; FFmpeg and librtmp do not take it."""
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    text = data("onTextData", "x")
    strange = amf0.encode("onTextData") + b"\x11\x06\x03x"
    for payload in (b"\0" + text.payload, text.payload, b"\0" + metadata().payload):
        feed(inlet, Message(MessageType.DATA_AMF3, 0, 1, payload))
    feed(inlet, Message(MessageType.DATA_AMF3, 0, 1, b"\0" + strange))
    assert [(m.type, m.payload) for m in viewer.messages] == [
        (MessageType.DATA, text.payload),
        (MessageType.DATA, text.payload),
        (MessageType.DATA, stored(metadata())),
        (MessageType.DATA_AMF3, b"\0" + strange),
    ]


def test_other_messages_are_no_business_of_a_stream() -> None:
    stage = Stage()
    inlet = stage.publish()
    feed(inlet, Message(MessageType.COMMAND, 0, 1, b""), Message(MessageType.AGGREGATE, 0, 1, b""))
    assert inlet.meter.messages == 0


# -------------------------------------------------------------------- headers


def test_headers_are_kept_by_track_and_replace_another_codecs() -> None:
    stage = Stage()
    inlet = stage.publish()
    hevc = Message(MessageType.VIDEO, 0, 1, b"\x90hvc1" + bytes(8))
    second = Message(MessageType.VIDEO, 0, 1, b"\x96\x00hvc1\x01" + bytes(8))
    feed(inlet, avc_header(), second, hevc, aac_header(), video(0, key=True))
    assert stage.watch().payloads == payloads([second, hevc, aac_header(), video(0, key=True)])


def test_a_header_of_another_track_leaves_the_key_frame_alone() -> None:
    stage, _, inlet = on_air()
    second = Message(MessageType.VIDEO, 120, 1, b"\x96\x00hvc1\x01" + bytes(8))
    feed(inlet, second)
    assert stage.watch().payloads == HEADERS + payloads([*gop(0), second])


def test_a_color_info_that_says_nothing_clears_the_former() -> None:
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    name = b"\xd4hvc1" + amf0.encode("colorInfo")
    color = Message(9, 0, 1, name + amf0.encode({"colorConfig": {"bitDepth": 10.0}}))
    nothing = Message(9, 0, 1, name + amf0.encode({}))
    feed(inlet, color, video(0, key=True))
    assert stage.watch().payloads == payloads([color, video(0, key=True)])
    feed(inlet, nothing, video(40, key=True))
    assert stage.watch().payloads == payloads([video(40, key=True)])
    assert nothing.payload in viewer.payloads


def test_marks_without_a_frame_pass_in_their_place() -> None:
    stage, viewer, inlet = on_air()
    before = len(viewer.messages)
    marks = [Message(8, 110, 1, b""), Message(9, 115, 1, b"\x57\x00"), avc_end(120)]
    feed(inlet, *marks)
    assert viewer.payloads[before:] == payloads(marks)
    assert viewer.times[before:] == [110, 115, 120]
    feed(inlet, *gop(160))
    assert stage.watch().payloads == HEADERS + payloads(gop(160))


def test_every_kind_of_tag_there_is_passes() -> None:
    """Whatever an encoder may send, known or not, comes out as it went in."""
    samples = Path(__file__).parent.parent / "media_samples" / "flv-tags.json"
    tags = [tag for tag in json.loads(samples.read_text()) if "hex" in tag]
    assert len(tags) > 40
    messages = [
        Message(9 if tag["type"] == "video" else 8, number, 1, bytes.fromhex(tag["hex"]))
        for number, tag in enumerate(tags)
    ]
    stage = Stage()
    viewer = stage.watch()
    feed(stage.publish(), *messages)
    assert viewer.messages == messages
