"""One side's bytes: handshakes as they were recorded, and mistakes where they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rtmptwist.inspector.conversation import Conversation
from rtmptwist.inspector.files import begins_with_chunks
from rtmptwist.inspector.lines import Line, Way
from rtmptwist.inspector.messages import Reader
from rtmptwist.wire import control
from rtmptwist.wire.chunk import encode_full
from rtmptwist.wire.command import Command
from rtmptwist.wire.control import SetChunkSize
from rtmptwist.wire.message import Message, MessageType
from tests.inspector.telling import checked, of_bytes, words
from tests.support.live import audio, video

VECTORS = Path(__file__).parent.parent / "vectors"
SHAKE = b"\x03" + bytes(3072)
CONNECT = encode_full(Command("connect", 1.0, {"app": "live"}).message(), 3, 128)


def handshake(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize(
    ("name", "client", "server"),
    [
        (
            "handshake/ffmpeg9-play-digest",
            ["C0 C1: digest in layout DK, Flash version 9.0.124.2, time 0 ms", "C2: signed"],
            ["S0 S1: digest in layout DK, server version ", "S2: signed, and the signature"],
        ),
        (
            "handshake/ffmpeg9-publish-simple",
            ["C0 C1: digest in layout DK, Flash version 9.0.124.2", "C2: an echo of S1"],
            ["S0 S1: plain", "S2: an echo of C1"],
        ),
        (
            "handshake/rtmpdump-play-simple",
            ["C0 C1: plain, time", "C2: an echo of S1"],
            ["S0 S1: plain", "S2: an echo of C1"],
        ),
    ],
)
def test_recorded_handshakes(name: str, client: list[str], server: list[str]) -> None:
    found = handshake(name)
    theirs = bytes.fromhex(found["c0c1"] + found["c2"])
    ours = bytes.fromhex(found["s0s1s2"])
    lines = of_bytes(theirs + CONNECT, ours)
    for way, expected in ((Way.CLIENT, client), (Way.SERVER, server)):
        told = [line.words for line in lines if line.way is way and line.kind == "handshake"]
        assert [each[: len(start)] for each, start in zip(told, expected, strict=True)] == expected
    assert words(lines, "command") == ['connect 1 {app: "live"}']
    assert words(lines, "error") == []


def test_bytes_are_the_same_in_any_pieces() -> None:
    data = (VECTORS / "vectors-sessions/ffmpeg9-publish-multitrack.c2s.bin").read_bytes()
    whole = of_bytes(data)
    assert [line for line in whole if "track 1 hvc1.1.6.L30.90 Main 1.0 160x90" in line.words]
    for piece in (1, 7, 1000):
        lines: list[Line] = []
        talk = Conversation(Reader(), lines.append)
        for at in range(0, len(data), piece):
            talk.client.feed(data[at : at + piece])
        talk.end()
        assert lines == whole


@pytest.mark.parametrize(
    "name", [path.stem.removesuffix(".c2s") for path in VECTORS.glob("vectors-sessions/*.bin")]
)
def test_recorded_sessions(name: str) -> None:
    """As many messages of each type as those who recorded them found; nothing is illegal."""
    folder = VECTORS / "vectors-sessions"
    lines = of_bytes((folder / f"{name}.c2s.bin").read_bytes(), every_frame=True)
    assert words(lines, "error") == []
    expected = json.loads((folder / f"{name}.json").read_text())
    told = [line for line in lines if line.chunks]
    assert len(told) == expected["messages"]
    for line, message in zip(told, expected["first"], strict=False):
        facts = line.facts
        found = facts["chunk_stream"], facts["format"], facts["message_stream"], facts["size"]
        assert found == (message["csid"], message["fmt"], message["msid"], message["len"])
        assert line.timestamp == message["ts"]


def test_every_chunk_is_counted_and_every_message_has_its_place() -> None:
    long = Message(MessageType.VIDEO, 5, 1, b"\x17\x01\0\0\0" + bytes(400))
    data = SHAKE + CONNECT + encode_full(long, 6, 128) + encode_full(audio(9), 300, 128)
    lines = of_bytes(data, every_frame=True)
    video_line, audio_line = lines[-2:]
    at = len(SHAKE + CONNECT)
    assert (video_line.offset, video_line.chunks, video_line.timestamp) == (at, "cs6/0x4", 5)
    assert audio_line.offset == at + len(encode_full(long, 6, 128))
    assert audio_line.chunks == "cs300/0"
    assert audio_line.facts == {
        "chunk_stream": 300,
        "format": 0,
        "chunks": 1,
        "message_stream": 1,
        "size": 10,
        "audio": {
            "content": "frame",
            "enhanced": False,
            "tracks": [{"track": 0, "codec": "mp4a"}],
        },
    }


def test_frames_are_summed_up_between_what_is_told() -> None:
    frames = [video(0, key=True), audio(0), video(40), audio(23)]
    eof = control.message(control.StreamEof(1))
    acknowledgements = [control.message(control.Acknowledgement(n)) for n in (1, 2)]
    said = [*frames, *acknowledgements, eof, video(80)]
    data = SHAKE + b"".join(encode_full(message, 4, 128) for message in said)
    assert words(of_bytes(data), "media", "control") == [
        (
            "2 audio frames, 20 bytes, 0 to 23 ms; 2 acknowledgements;"
            " 2 video frames (1 key), 24 bytes, 0 to 40 ms"
        ),
        "stream eof: stream id 1",
        "1 video frames (0 key), 12 bytes, 80 to 80 ms",
    ]


def test_frames_are_told_every_ten_seconds() -> None:
    lines: list[Line] = []
    talk = Conversation(Reader(), lines.append)
    talk.client.feed(SHAKE, 0.0)
    for second in range(25):
        talk.client.feed(encode_full(audio(second * 1000), 4, 128), 100.0 + second)
    talk.end()
    assert words(lines, "media") == [
        "11 audio frames, 110 bytes, 0 to 10000 ms",
        "11 audio frames, 110 bytes, 11000 to 21000 ms",
        "3 audio frames, 30 bytes, 22000 to 24000 ms",
    ]


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (
            b"\xff",
            (
                "illegal: chunk stream 63 begins with type 3 (expected 0 or 1); at byte 3120,"
                " in the chunk that begins at byte 3120 with ff"
            ),
        ),
        (
            encode_full(Message(MessageType.SET_CHUNK_SIZE, 0, 0, bytes(4)), 2, 128),
            (
                "illegal: chunk size 0 (expected 1 to 2147483647); at byte 3132, in the chunk that"
                " begins at byte 3120 with 02 00 00 00 00 00 04 01 00 00 00 00"
            ),
        ),
        (
            b"\x04\0\0\0\x20\0\0\x08\0\0\0\0",
            (
                "beyond a limit of the server: message of type 8 with 2097152 bytes (at most"
                " 1048576); at byte 3131, in the chunk that begins at byte 3120 with 04 00 00 00 20"
                " 00 00 08 00 00 00 00"
            ),
        ),
    ],
)
def test_mistakes_and_where_they_are(bad: bytes, told: str) -> None:
    lines = of_bytes(SHAKE + CONNECT + bad + CONNECT)
    assert words(lines, "error") == [told]
    (error,) = [line for line in lines if line.kind == "error"]
    assert error.offset == 3120 == len(SHAKE + CONNECT)
    assert "were not read: after what is illegal" in lines[-1].words
    assert len(words(lines, "command")) == 1


def test_what_is_wrong_inside_a_message_stops_nothing() -> None:
    bad = encode_full(Message(MessageType.COMMAND, 0, 0, b"\x02\xff\xff"), 3, 128)
    lines = of_bytes(SHAKE + bad + CONNECT)
    (error,) = words(lines, "error")
    assert error.startswith("the message at byte 3073: command: ")
    assert words(lines, "command")[-1] == 'connect 1 {app: "live"}'


def test_unknown_types_in_a_row_mean_that_the_way_is_lost() -> None:
    unknown = [Message(70 + n, 0, 0, b"x") for n in range(3)]
    one = b"".join(encode_full(message, 3, 128) for message in unknown[:2])
    three = one + encode_full(unknown[2], 3, 128)
    assert words(of_bytes(SHAKE + one + CONNECT + one), "error") == []
    lines = of_bytes(SHAKE + three + CONNECT)
    assert words(lines, "error") == [
        "3 messages of unknown types in a row, the last 72: chunk synchronisation is lost"
    ]
    assert words(lines, "command") == []


@pytest.mark.parametrize(
    ("first", "told"),
    [(b"\x16\x03", "a TLS ClientHello"), (b"GET /", "an HTTP request"), (b"\x00", "deprecated")],
)
def test_no_handshake(first: bytes, told: str) -> None:
    lines = of_bytes(first + bytes(4000))
    assert told in lines[0].words
    assert "expected 03 for RTMP" in lines[0].words
    assert lines[1].words == f"{4000 + len(first)} bytes were not read: it is no handshake"
    assert "the server's first byte 0x48: HTTP" in of_bytes(b"HTTP/1.1", side=Way.SERVER)[0].words


def test_rtmpe_is_told_and_its_rest_is_not_read() -> None:
    found = handshake("rtmpe/server-role-ffmpeg9-play-s0-6")
    client = bytes.fromhex(found["c0c1"] + found["c2"])
    lines = of_bytes(client + bytes(100))
    assert lines[0].words.startswith("C0 C1: RTMPE type 6, digest in layout")
    assert lines[0].facts["handshake"] == "rtmpe"
    assert "all that follows is encrypted" in lines[2].words
    assert lines[3].words.startswith("100 bytes were not read: RTMPE")
    bare = of_bytes(b"\x08" + bytes(1536))
    assert "RTMPE type 8, no valid digest, without which RTMPE is refused" in bare[0].words
    assert bare[1].words == "ends in the handshake: 1536 bytes are missing"


def test_ends_in_the_middle() -> None:
    assert words(of_bytes(SHAKE[:100])) == ["ends in the handshake: 2973 bytes are missing"]
    cut = of_bytes(SHAKE + encode_full(video(0, size=100), 4, 128)[:-10])
    assert cut[-1].words == "ends within a message, of which 90 bytes are here"
    assert of_bytes(SHAKE + b"\x03\0")[-1].words.startswith("ends within a message, of which 0")
    assert of_bytes(SHAKE)[-1].kind == "handshake"
    assert of_bytes(b"") == []


def test_an_abandoned_message_is_told() -> None:
    half = encode_full(video(0, size=300), 4, 128)[:140]
    abort = encode_full(control.message(control.Abort(4)), 2, 128)
    lines = of_bytes(SHAKE + half + abort + CONNECT)
    assert words(lines, "note") == [
        "a message never came to its end: it was aborted, or another began"
    ]
    assert words(lines, "command")


def test_bytes_that_were_lost_inside_a_message_lose_no_more_than_that() -> None:
    lines: list[Line] = []
    talk = Conversation(Reader(), lines.append)
    picture = encode_full(video(0, size=5000), 4, 65536)
    talk.client.feed(SHAKE + encode_full(control.message(SetChunkSize(65536)), 2, 128))
    talk.client.feed(picture[:1000])
    talk.client.lose(500)
    talk.client.lose(100)
    talk.client.feed(picture[1600:] + CONNECT)
    assert "600 bytes of it are zeros here" in words(lines, "error")[0]
    assert words(lines, "command") == ['connect 1 {app: "live"}']
    talk.client.lose(10)
    assert "it is not known where chunks begin" in words(lines, "error")[1]
    talk.client.feed(b"abc")
    talk.client.lose(4)
    talk.end()
    checked(lines)
    assert lines[-1].words.startswith("7 bytes were not read: 10 bytes are missing")


def test_bare_chunks_are_known() -> None:
    data = (VECTORS / "chunks/ffmpeg9-play.bin").read_bytes()
    assert begins_with_chunks(data)
    assert words(of_bytes(data), "command")[0].startswith("connect 1 ")
    assert not begins_with_chunks(SHAKE)
    odd = (VECTORS / "chunks/own-csid-100-three-byte-form.bin").read_bytes()
    assert not begins_with_chunks(odd)
    told = of_bytes(odd, chunks=True)
    assert words(told, "error") == []
    assert told[0].chunks == "cs102/0x3"
    answer = (VECTORS / "chunks/nginx-rtmp-to-player.bin").read_bytes()
    assert of_bytes(answer)[0].way is Way.SERVER


def test_whose_bytes_they_are() -> None:
    found = handshake("handshake/ffmpeg9-play-digest")
    assert of_bytes(bytes.fromhex(found["s0s1s2"]))[0].way is Way.SERVER
    assert of_bytes(SHAKE)[0].way is Way.CLIENT
    assert of_bytes(SHAKE, side=Way.SERVER)[0].words.startswith("S0 S1: plain")
