"""Messages in words: everything that can be said, nothing that is secret, nothing without end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rtmptwist.amf import amf0, amf3
from rtmptwist.amf.values import (
    UNDEFINED,
    Amf3,
    Date,
    Dictionary,
    EcmaArray,
    Externalizable,
    TypedObject,
    Value,
)
from rtmptwist.inspector.messages import Reader
from rtmptwist.inspector.values import line, plain, printable
from rtmptwist.live.names import redacted
from rtmptwist.wire import aggregate, control
from rtmptwist.wire.command import Command
from rtmptwist.wire.message import Message, MessageType
from rtmptwist.wire.status import Status, StatusCode
from tests.media.samples import tags

KEY = "key_2wzA9bC8dE7fG6hI5jK4"


def shown(*messages: Message, secrets: bool = False) -> str:
    """The words about the last one."""
    reader = Reader(secrets=secrets)
    said = [reader.read(message) for message in messages][-1]
    assert said.trouble == ""
    json.dumps(said.facts, allow_nan=False)
    return said.words


def command(name: str, *arguments: Value, properties: Value = None) -> Message:
    return Command(name, 2.0, properties, arguments).message()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (command("createStream"), "createStream 2 null"),
        (command("_checkbw", None, None), "_checkbw 2 null"),
        (command("publish", "show", "live"), 'publish 2 null "show" "live"'),
        (command("publish", KEY, "live"), f'publish 2 null "{redacted(KEY)}" "live"'),
        (command("play", "show?token=x", -2000.0), 'play 2 null "show?…" -2000'),
        (command("login", "anna", "secret"), 'login 2 null "… 4 characters" "… 6 characters"'),
        (
            command(
                "connect",
                properties={"app": "live", "tcUrl": f"rtmp://u:p@h/{KEY}?q", "flashVer": "LNX 9,0"},
            ),
            (
                f'connect 2 {{app: "live", tcUrl: "rtmp://…@h/{redacted(KEY)}?…",'
                ' flashVer: "LNX 9,0"}'
            ),
        ),
        (
            command("connect", "secret", properties={"token": "much too long", "a": ["hvc1"]}),
            'connect 2 {token: "… 13 characters", a: ["hvc1"]} "… 6 characters"',
        ),
        (
            command("_error", Status(StatusCode.CONNECT_REJECTED, "Go to a?user=x").info()),
            (
                '_error 2 null {level: "error", code: "NetConnection.Connect.Rejected",'
                ' description: "Go to a?…"}'
            ),
        ),
        (
            Message(MessageType.DATA, 0, 1, amf0.encode("onMetaData", EcmaArray({"width": 2.5}))),
            "data onMetaData {width: 2.5}",
        ),
        (
            Message(MessageType.DATA, 0, 1, amf0.encode("chat", "psst")),
            'data chat "… 4 characters"',
        ),
        (Message(MessageType.DATA, 0, 1, amf0.encode(1.0)), "data  1"),
        (Message(MessageType.DATA_AMF3, 0, 1, b"\0" + amf0.encode("chat")), "data chat "),
        (
            Message(MessageType.COMMAND_AMF3, 0, 0, b"\0" + amf0.encode("call", 1.0, Amf3(7))),
            "call 1 (AMF3) 7",
        ),
        (control.message(control.SetChunkSize(4096)), "set chunk size: size 4096"),
        (
            control.message(control.SetPeerBandwidth(9)),
            "set peer bandwidth: size 9, kind dynamic",
        ),
        (
            control.message(control.SetBufferLength(1, 300)),
            "set buffer length: stream id 1, milliseconds 300",
        ),
        (control.message(control.StreamEof(1)), "stream eof: stream id 1"),
        (control.message(control.PingRequest(5)), "ping request: timestamp 5"),
        (
            control.message(control.UnknownUserControl(77, b"\xff")),
            "unknown user control: event 77, data ff",
        ),
        (Message(MessageType.SHARED_OBJECT, 0, 0, b"abc"), "shared object, 3 bytes"),
        (Message(99, 0, 0, b"abc"), "message of unknown type 99, 3 bytes"),
    ],
)
def test_messages(message: Message, words: str) -> None:
    assert shown(message) == words


@pytest.mark.parametrize("known", ["closeStream", "onBWDone", "login"])
def test_what_a_message_calls_itself_may_be_a_key(known: str) -> None:
    assert shown(Command(known, 1.0).message()).startswith(f"{known} 1 ")
    for secret in (KEY, f"{KEY}?token=geheim"):
        data = Message(MessageType.DATA, 0, 1, amf0.encode(secret, 1.0))
        for message in (Command(secret, 1.0).message(), data):
            assert redacted(KEY) in shown(message)
            assert KEY not in shown(message)
            assert "geheim" not in shown(message)
            assert secret in shown(message, secrets=True)


@pytest.mark.parametrize("name", ["onMetaData", "@setDataFrame", "onCuePoint", "onCaptionInfo"])
def test_what_data_is_usually_called_is_told(name: str) -> None:
    assert shown(Message(MessageType.DATA, 0, 1, amf0.encode(name))).strip() == f"data {name}"


def test_names_are_cut_wherever_servers_repeat_them() -> None:
    told = command("onStatus", {"description": f"{KEY} is now published.", "details": KEY})
    for earlier in (command("publish", f"{KEY}?a=b"), told):
        words = shown(earlier, told)
        assert KEY not in words
        assert f"{redacted(KEY)} is now published." in words
    assert KEY not in shown(command("onFCPublish", {"code": "A", "description": KEY}))
    assert KEY in shown(command("publish", KEY), secrets=True)
    assert "psst" in shown(command("chat", "psst"), secrets=True)
    assert "psst" in shown(
        Message(MessageType.DATA, 0, 1, amf0.encode("chat", "psst")), secrets=True
    )


MEDIA: list[tuple[str, list[str]]] = [
    (
        "h264-b-aac",
        [
            "video sequence header, avc1.64000d High 1.3 320x180, ",
            "audio sequence header, mp4a.40.2 LC 44100 Hz 2 channels, ",
            "video key frame, avc1 +67 ms, ",
            "audio frame, mp4a, ",
            "video sequence end, avc1, 5 bytes",
        ],
    ),
    (
        "hevc10-hdr-ertmp",
        [
            "video (Enhanced) sequence header, hvc1.2.4.L60.90 Main 10 2.0 320x180, ",
            "video (Enhanced) color info, hvc1, ",
            "video (Enhanced) key frame, hvc1",
        ],
    ),
    ("hevc-modex-nano", ["video (Enhanced) inter frame, hvc1 +100 ms, +333296 ns, 737 bytes"]),
    ("av1-opus-ertmp", ["video (Enhanced) sequence header, av01.0.00M.08 Main 2.0 320x180, "]),
    ("multitrack-manytracks", ["video (Enhanced) key frame, track 0 avc1, track 1 avc1"]),
    ("flv1-speex", ["video key frame, h263, ", "audio frame, speex, "]),
]


@pytest.mark.parametrize(("sample", "expected"), MEDIA, ids=[case[0] for case in MEDIA])
def test_media(sample: str, expected: list[str]) -> None:
    told = {
        shown(Message(tag.type, tag.timestamp, 1, tag.payload))
        for tag in tags(sample)
        if tag.type != MessageType.DATA
    }
    for words in expected:
        assert any(words in each for each in told), sorted(told)[:20]


def test_more_tracks_than_are_worth_a_line() -> None:
    tracks = b"".join(bytes((n, 0, 0, 1)) + b"x" for n in range(12))
    words = shown(Message(MessageType.AUDIO, 0, 1, b"\x95\x11Opus" + tracks))
    assert words.startswith("audio (Enhanced) frame, track 0 Opus, track 1 Opus, ")
    assert words.endswith("track 7 Opus, 12 tracks in all, 66 bytes")


@pytest.mark.parametrize(
    ("message", "trouble"),
    [
        (Message(MessageType.VIDEO, 0, 1, b"\x17\x01"), "avc1: 2 bytes (expected 5 at least)"),
        (Message(MessageType.COMMAND, 0, 0, b"\x02\x00\x09con"), "command: "),
        (Message(MessageType.COMMAND, 0, 0, b"\x05"), "expected its name, a string"),
        (Message(MessageType.DATA, 0, 0, b"\x02\x00"), ""),
        (Message(MessageType.SET_CHUNK_SIZE, 0, 0, bytes(4)), "chunk size 0 (expected 1 to"),
        (Message(MessageType.USER_CONTROL, 0, 0, b"\0"), "UnknownUserControl of 1 bytes"),
        (Message(MessageType.AGGREGATE, 0, 0, b"\x08"), "aggregate ends in a header"),
    ],
)
def test_what_is_illegal(message: Message, trouble: str) -> None:
    said = Reader().read(message)
    assert said.trouble
    assert trouble in said.trouble


def test_an_aggregate_is_told_part_by_part() -> None:
    parts = [Message(MessageType.AUDIO, 20 * n, 1, b"\xaf\x01abc") for n in range(20)]
    words = shown(aggregate.join(parts))
    assert words.startswith("aggregate of 20: 0 ms audio frame, mp4a, 5 bytes; 20 ms audio")
    assert words.endswith("; 20 in all")
    broken = aggregate.join([Message(MessageType.VIDEO, 0, 1, b"\x17")])
    assert "expected 5 at least" in Reader().read(broken).trouble


def whole(_: str, text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (1.0, "1"),
        (-0.5, "-0.5"),
        (1e300, "1e+300"),
        (float("nan"), "nan"),
        (UNDEFINED, "undefined"),
        ('a"b\n', '"a\\"b\N{REPLACEMENT CHARACTER}"'),
        (b"abc", "3 bytes"),
        (Date(1000.0), "date 1000 ms"),
        ([1.0, ["x"]], '[1, ["x"]]'),
        (TypedObject({"a": 1.0}, "Point"), '{(class): "Point", a: 1}'),
        (Externalizable("Box", [1]), '{(class): "Box", (content): [1]}'),
        (Dictionary([("k", 1)]), '[["k", 1]]'),
    ],
)
def test_values(value: Any, words: str) -> None:
    assert line([plain(value, whole)]) == words


def test_values_have_an_end() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert line([plain(endless, whole)]) == "[[[[[[…]]]]]]"
    wide: Any = {str(n): [float(m) for m in range(1000)] for n in range(1000)}
    found = plain(wide, whole)
    assert len(json.dumps(found)) < 5000
    assert line([found]).endswith("1000 in all], …: 1000 in all}")
    assert len(line([["x" * 300] * 10])) == 1200
    many: Any = {str(n): 1.0 for n in range(1000)}
    assert plain(many, whole)["…"] == "1000 in all"
    assert printable("x" * 1000).endswith("x… (1000 characters)")
    assert amf3.encode(1)
