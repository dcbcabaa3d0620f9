"""Chunk streams: what real programs sent, both ways, in any pieces, and hostile."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.wire import control
from rtmptwist.wire.chunk import (
    ChunkDecoder,
    ChunkEncoder,
    Parts,
    append_full,
    encode_full,
    message_sizes,
)
from rtmptwist.wire.errors import (
    ChunkError,
    LimitExceeded,
    LocalProtocolError,
    RemoteProtocolError,
)
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message, MessageType
from tests.support.chunks import Cuts, Sender, cuts, pieces

VECTORS = sorted((Path(__file__).parent.parent / "vectors" / "chunks").glob("*.bin"))
LIMITS = Limits()
ROOMY = Limits(unfinished_messages=1000, chunk_streams=70_000, chunk_size_changes=10_000)
AUDIO = MessageType.AUDIO
VIDEO = MessageType.VIDEO


def decode(parts: Iterable[bytes | str], limits: Limits = LIMITS) -> list[Message]:
    decoder = ChunkDecoder(limits)
    return [
        message
        for part in parts
        for message in decoder.feed(bytes.fromhex(part) if isinstance(part, str) else part)
    ]


def set_chunk_size(size: int, chunk_size: int = 128) -> bytes:
    return encode_full(control.message(control.SetChunkSize(size)), 2, chunk_size)


def chunks(message: Message, chunk_stream_id: int, chunk_size: int = 128) -> list[bytes]:
    """Encode a message without extended timestamp, its chunks apart."""
    wire = encode_full(message, chunk_stream_id, chunk_size)
    header = len(encode_full(replace(message, payload=b""), chunk_stream_id, chunk_size))
    first = header + chunk_size
    return [wire[:first], *pieces(wire[first:], header - 11 + chunk_size)]


# ------------------------------------------------------------------- recorded from real programs


@pytest.mark.parametrize("size", [1, 2, 3, 7, 128, 129, 1448, 1 << 20])
@pytest.mark.parametrize("path", VECTORS, ids=[path.stem for path in VECTORS])
def test_recorded_streams(path: Path, size: int) -> None:
    """Whoever sent it and however TCP cut it, we read what the program meant."""
    expected = json.loads(path.with_suffix(".json").read_text())["messages"]
    messages = decode(pieces(path.read_bytes(), size))
    assert [
        {
            "type": message.type,
            "stream": message.stream_id,
            "ts": message.timestamp,
            "length": len(message.payload),
            "sha256": hashlib.sha256(message.payload).hexdigest()[:16],
        }
        for message in messages
    ] == [
        {key: item[key] for key in ("type", "stream", "ts", "length", "sha256")}
        for item in expected
    ]


def test_vectors_are_there() -> None:
    assert len(VECTORS) == 24


# ----------------------------------------------------------------------------- tables, both ways

AB = "000000 000002 08 01000000"

FULL = [
    # name, chunk stream, chunk size, message, bytes
    (
        "one chunk",
        4,
        128,
        Message(AUDIO, 20, 1, b"\xaf\x01\x21"),
        "04 000014 000003 08 01000000 af0121",
    ),
    ("no payload", 4, 128, Message(VIDEO, 0, 1, b""), "04 000000 000000 09 01000000"),
    (
        "stream id is little-endian",
        6,
        128,
        Message(VIDEO, 0, 0x01020304, b"\x17"),
        "06 000000 000001 09 04030201 17",
    ),
    (
        "three chunks",
        4,
        2,
        Message(AUDIO, 20, 1, b"abcde"),
        "04 000014 000005 08 01000000 6162 c4 6364 c4 65",
    ),
    (
        "two whole chunks",
        4,
        2,
        Message(AUDIO, 20, 1, b"abcd"),
        "04 000014 000004 08 01000000 6162 c4 6364",
    ),
    (
        "the last timestamp that fits",
        4,
        128,
        Message(AUDIO, 0xFFFFFE, 1, b"\xaf"),
        "04 fffffe 000001 08 01000000 af",
    ),
    (
        "the first that does not",
        4,
        128,
        Message(AUDIO, 0xFFFFFF, 1, b"\xaf"),
        "04 ffffff 000001 08 01000000 00ffffff af",
    ),
    (
        "extended timestamp in each chunk",
        4,
        2,
        Message(AUDIO, 0x01000000, 1, b"abc"),
        "04 ffffff 000003 08 01000000 01000000 6162 c4 01000000 63",
    ),
    ("largest one-byte id", 63, 1, Message(8, 0, 1, b"ab"), f"3f {AB} 61 ff 62"),
    ("smallest two-byte id", 64, 1, Message(8, 0, 1, b"ab"), f"0000 {AB} 61 c000 62"),
    ("largest two-byte id", 319, 1, Message(8, 0, 1, b"ab"), f"00ff {AB} 61 c0ff 62"),
    ("smallest three-byte id", 320, 1, Message(8, 0, 1, b"ab"), f"010001 {AB} 61 c10001 62"),
    ("which is little-endian", 5000, 1, Message(8, 0, 1, b"ab"), f"014813 {AB} 61 c14813 62"),
    (
        "largest id, extended timestamp",
        65_599,
        1,
        Message(8, 0xFFFFFFFF, 1, b"ab"),
        "01ffff ffffff 000002 08 01000000 ffffffff 61 c1ffff ffffffff 62",
    ),
]


@pytest.mark.parametrize(
    ("chunk_stream_id", "chunk_size", "message", "wire"),
    [case[1:] for case in FULL],
    ids=[case[0] for case in FULL],
)
def test_both_ways(chunk_stream_id: int, chunk_size: int, message: Message, wire: str) -> None:
    data = bytes.fromhex(wire)
    assert encode_full(message, chunk_stream_id, chunk_size) == data
    for size in (1, len(data)):
        assert decode([set_chunk_size(chunk_size), *pieces(data, size)])[1:] == [message]


def test_timestamps_beyond_32_bits_wrap() -> None:
    """Inside a live stream they go on; on the wire they cannot."""
    assert encode_full(Message(8, 0x1_0000_0014, 1, b"a"), 4, 128) == encode_full(
        Message(8, 20, 1, b"a"), 4, 128
    )


def test_a_batch_can_go_to_any_message_stream() -> None:
    """One message of the publisher's stream 1 is sent to the streams of players."""
    parts: Parts = []
    append_full(parts, Message(8, 20, 1, b"abc"), 4, 65536, stream_id=7)
    append_full(parts, Message(9, 20, 1, b"abc"), 6, 2, stream_id=0)
    assert b"".join(parts).hex(" ") == (
        "04 00 00 14 00 00 03 08 07 00 00 00 61 62 63"
        " 06 00 00 14 00 00 03 09 00 00 00 00 61 62 c6 63"
    )


READ = [
    # name, bytes, [(type, timestamp, stream id, payload)]
    (
        "type 1 keeps the stream",
        "04 000014 000001 08 01000000 61  44 000017 000002 09 6263",
        [(8, 20, 1, b"a"), (9, 43, 1, b"bc")],
    ),
    (
        "type 2 keeps length and type as well",
        "04 000014 000001 08 01000000 61  84 000017 62  84 000018 63",
        [(8, 20, 1, b"a"), (8, 43, 1, b"b"), (8, 67, 1, b"c")],
    ),
    (
        "type 3 after type 0 adds its timestamp again",
        "04 0000c8 000001 08 01000000 61  c4 62  c4 63",
        [(8, 200, 1, b"a"), (8, 400, 1, b"b"), (8, 600, 1, b"c")],
    ),
    (
        "type 3 after type 1 adds its delta again",
        "04 0000c8 000001 08 01000000 61  44 000028 000001 08 62  c4 63  c4 64",
        [(8, 200, 1, b"a"), (8, 240, 1, b"b"), (8, 280, 1, b"c"), (8, 320, 1, b"d")],
    ),
    (
        "type 3 after type 2 adds its delta again",
        "04 0000c8 000001 08 01000000 61  84 000028 62  c4 63",
        [(8, 200, 1, b"a"), (8, 240, 1, b"b"), (8, 280, 1, b"c")],
    ),
    (
        "librtmp answers a ping with type 1 on a fresh chunk stream",
        "42 000005 000006 04 0007 01020304",
        [(4, 5, 0, bytes.fromhex("000701020304"))],
    ),
    (
        "librtmp goes back by a wrapped delta",
        "04 000200 000001 08 01000000 61  44 ffffff 000001 09 fffffed6 62",
        [(8, 512, 1, b"a"), (9, 214, 1, b"b")],
    ),
    (
        "a delta crosses 2**32",
        "04 ffffff 000001 08 01000000 fffffff0 61  84 000020 62",
        [(8, 0xFFFFFFF0, 1, b"a"), (8, 16, 1, b"b")],
    ),
    (
        "type 3 that starts a message after an extended timestamp has one too, whatever it says",
        "04 ffffff 000001 08 01000000 01000000 61  c4 01000000 62  c4 aabbccdd 63",
        [(8, 0x01000000, 1, b"a"), (8, 0x02000000, 1, b"b"), (8, 0x03000000, 1, b"c")],
    ),
    (
        "a header without extended timestamp ends that",
        "04 ffffff 000001 08 01000000 01000000 61  84 000001 62  c4 63",
        [(8, 0x01000000, 1, b"a"), (8, 0x01000001, 1, b"b"), (8, 0x01000002, 1, b"c")],
    ),
    (
        "ids below 320 in the long form",
        "012400 000014 000001 08 01000000 61  c024 62",
        [(8, 20, 1, b"a"), (8, 40, 1, b"b")],
    ),
    (
        "ids below 64 in the long forms",
        "0000 000001 000001 08 01000000 61  010000 000002 000001 08 01000000 62",
        [(8, 1, 1, b"a"), (8, 2, 1, b"b")],
    ),
    (
        "messages without payload disturb nothing",
        "04 000014 000001 08 01000000 61  44 000001 000000 09  c4  44 000001 000001 08 62",
        [(8, 20, 1, b"a"), (9, 21, 1, b""), (9, 22, 1, b""), (8, 23, 1, b"b")],
    ),
    (
        "an unknown type is a message like others",
        "04 000014 000001 63 01000000 61",
        [(99, 20, 1, b"a")],
    ),
]


@pytest.mark.parametrize(
    ("wire", "messages"), [case[1:] for case in READ], ids=[case[0] for case in READ]
)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_read(wire: str, messages: list[tuple[int, int, int, bytes]], size: int) -> None:
    assert decode(pieces(bytes.fromhex(wire), size)) == [Message(*items) for items in messages]


SIZE = "02 000000 000004 01 00000000"

BROKEN = [
    ("type 2 on a fresh chunk stream", "84 000014", ChunkError, "stream 4 begins with type 2"),
    ("type 3 on a fresh chunk stream", "c03f", ChunkError, "stream 127 begins with type 3"),
    ("chunk size 0", SIZE + "00000000", RemoteProtocolError, "chunk size 0"),
    ("chunk size 2**31", SIZE + "80000000", RemoteProtocolError, "chunk size 2147483648"),
    ("abort of nothing", "02 000000 000000 02 00000000", RemoteProtocolError, "Abort of 0 bytes"),
]


@pytest.mark.parametrize(
    ("wire", "error", "words"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
@pytest.mark.parametrize("size", [1, 1000])
def test_broken(wire: str, error: type[Exception], words: str, size: int) -> None:
    with pytest.raises(error, match=words):
        decode(pieces(bytes.fromhex(wire), size))


# ------------------------------------------------------------------------ type 3 inside a message

EXTENDED = "04 ffffff {length:06x} 08 01000000 01020304"


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 1000])
@pytest.mark.parametrize(
    "rest", [b"b", b"bc", b"bcd", b"bcdef", b"\x01\x02\x03\x05", b"\x01", b"\x01\x02\x03"]
)
@pytest.mark.parametrize("repeated", [True, False])
def test_extended_timestamp_inside_a_message_may_be_missing(
    rest: bytes, size: int, repeated: bool
) -> None:
    """
    All of today's senders repeat it; old ones did not, and their bytes are payload.

    Where payload looks like the beginning of the field, only what follows can tell.
    """
    payload = b"a" * 128 + rest
    marker = bytes.fromhex("c4 01020304" if repeated else "c4")
    header = bytes.fromhex(EXTENDED.format(length=len(payload)))
    next_message = bytes.fromhex("06 000000 000003 09 01000000 616161")
    data = header + payload[:128] + marker + rest + next_message
    assert decode(pieces(data, size)) == [
        Message(8, 0x01020304, 1, payload),
        Message(9, 0, 1, b"aaa"),
    ]


def test_bytes_that_cannot_be_the_field_do_not_wait_for_more() -> None:
    """The last bytes of a message from an old sender come at once, not with the next message."""
    header = bytes.fromhex(EXTENDED.format(length=130))
    assert len(decode([header + b"a" * 128 + b"\xc4\x01b"])) == 1
    assert len(decode([header + b"a" * 128 + b"\xc4\x01\x02"])) == 0


# ------------------------------------------------------------------------------ interleaving


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("numbers", [(4, 5), (64, 65), (4, 320), (64, 4), (65_599, 64)], ids=str)
def test_messages_come_in_the_order_of_their_last_chunks(
    numbers: tuple[int, int], size: int
) -> None:
    """The first byte of a two-byte header of type 0 is zero: no continuation of anything."""
    first, second = Message(8, 1, 1, b"a" * 300), Message(9, 2, 1, b"b" * 200)
    one, two = (chunks(*pair) for pair in zip((first, second), numbers, strict=True))
    wire = one[0] + two[0] + one[1] + two[1] + one[2]
    assert decode(pieces(wire, size)) == [second, first]


# --------------------------------------------------------------------- messages that never finish

HALF = "04 000014 0000c8 08 01000000" + "61" * 128


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("04 000064 000001 09 02000000", Message(9, 100, 2, b"b")),
        ("44 000064 000001 09", Message(9, 120, 1, b"b")),
    ],
)
def test_a_new_message_takes_the_place_of_an_unfinished_one(
    header: str, expected: Message, size: int
) -> None:
    decoder = ChunkDecoder(LIMITS)
    data = bytes.fromhex(HALF + header) + b"b"
    assert [m for part in pieces(data, size) for m in decoder.feed(part)] == [expected]
    assert decoder.dropped == 1


def test_type_2_starts_anew_too() -> None:
    decoder = ChunkDecoder(LIMITS)
    data = bytes.fromhex(HALF + "84 000001") + b"b" * 128 + b"\xc4" + b"b" * 72
    assert decoder.feed(data) == [Message(8, 21, 1, b"b" * 200)]
    assert decoder.dropped == 1


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("number", [4, 63, 64, 319, 320, 5000, 65_599])
def test_abort_drops_what_has_come_but_not_the_timestamp(number: int, size: int) -> None:
    decoder = ChunkDecoder(LIMITS)
    half, _ = chunks(Message(8, 20, 1, bytes(129)), number)
    abort = control.message(control.Abort(number))
    encoder = ChunkEncoder()
    encoder.encode(Message(8, 20, 1, b""), number)
    following = encoder.encode(Message(8, 21, 1, b"b"), number)  # type 1
    messages: list[Message] = []
    for part in pieces(half + encode_full(abort, 2, 128), size):
        messages += decoder.feed(part)
    assert decoder.dropped == 1
    for part in pieces(following, size):
        messages += decoder.feed(part)
    assert messages == [abort, Message(8, 21, 1, b"b")]
    assert decoder.dropped == 1


def test_abort_of_nothing_unfinished_is_ignored() -> None:
    decoder = ChunkDecoder(LIMITS)
    data = encode_full(Message(8, 20, 1, b"a"), 4, 128)
    for chunk_stream_id in (4, 2, 99):
        data += encode_full(control.message(control.Abort(chunk_stream_id)), 2, 128)
    assert len(decoder.feed(data + bytes.fromhex("84 000001") + b"b")) == 5
    assert decoder.dropped == 0


# ------------------------------------------------------------------------------------- chunk size


def test_a_new_chunk_size_holds_for_messages_in_progress() -> None:
    """And control messages count on any chunk stream and message stream (RootEncoder)."""
    change = Message(MessageType.SET_CHUNK_SIZE, 1234, 1, (50).to_bytes(4, "big"))
    data = (
        bytes.fromhex(HALF)
        + encode_full(change, 7, 128)
        + b"\xc4"
        + b"b" * 50
        + set_chunk_size(100, 50)
        + b"\xc4"
        + b"c" * 22
    )
    for size in (1, 1000):
        *_, message = decode(pieces(data, size))
        assert message == Message(8, 20, 1, b"a" * 128 + b"b" * 50 + b"c" * 22)


@pytest.mark.parametrize("size", [0xFFFFFF, 0x1000000, 0x7FFFFFFF])
def test_chunk_sizes_beyond_any_message_mean_whole_messages(size: int) -> None:
    decoder = ChunkDecoder(LIMITS)
    decoder.feed(set_chunk_size(size))
    assert decoder.chunk_size == 0xFFFFFF
    assert decoder.feed(encode_full(Message(9, 0, 1, bytes(70_000)), 6, size)) == [
        Message(9, 0, 1, bytes(70_000))
    ]


def test_payloads_are_bytes_whatever_way_they_came() -> None:
    """They are shared from here on: nobody may be able to change them."""
    wire = encode_full(Message(9, 0, 1, bytes(1000)), 6, 128)
    for size in (1, 100, 129, 10_000):
        assert [type(message.payload) for message in decode(pieces(wire, size))] == [bytes]


def test_a_payload_in_a_read_of_its_own_is_not_copied() -> None:
    """FFmpeg sends header and payload apart."""
    payload = bytes(10_000)
    decoder = ChunkDecoder(LIMITS)
    decoder.feed(set_chunk_size(65_536))
    assert decoder.feed(encode_full(Message(9, 0, 1, payload), 6, 65_536)[:12]) == []
    (message,) = decoder.feed(payload)
    assert message.payload is payload


# ----------------------------------------------------------------------------------------- bounds


def test_number_of_chunk_streams_is_bounded() -> None:
    streams = [encode_full(Message(8, 0, 1, b"a"), number, 128) for number in range(2, 12)]
    limits = Limits(chunk_streams=9)
    assert len(decode(streams[:9] * 2, limits)) == 18
    with pytest.raises(LimitExceeded, match="more than 9 chunk streams"):
        decode(streams, limits)


def test_number_of_unfinished_messages_is_bounded() -> None:
    """Finished, aborted and replaced ones leave their place to others."""
    limits = Limits(unfinished_messages=2)
    message = Message(8, 0, 1, bytes(200))
    half, rest = zip(*(chunks(message, number) for number in range(2, 9)), strict=True)
    abort = encode_full(control.message(control.Abort(3)), 2, 128)
    decoder = ChunkDecoder(limits)
    decoder.feed(half[1] + half[2] + abort + half[3] + rest[2] + half[4] + half[4] + rest[3])
    decoder.feed(half[5])
    with pytest.raises(LimitExceeded, match="more than 2 unfinished messages"):
        decoder.feed(half[6])


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_bytes_of_unfinished_messages_are_bounded(size: int) -> None:
    """Those of whole chunks, and of the one that is being received: 128 and 400 bytes here."""
    message = Message(8, 0, 1, bytes(400))
    first, *rest = chunks(message, 4)
    wire = pieces(b"".join([first, *chunks(message, 5), *rest]), size)
    assert decode(wire, Limits(unfinished_size=528)) == [message, message]
    for limit in (527, 400, 383, 127):
        with pytest.raises(LimitExceeded, match=f"more than {limit} bytes of unfinished"):
            decode(wire, Limits(unfinished_size=limit))


def test_a_chunk_that_is_too_large_is_refused_before_it_comes() -> None:
    wire = set_chunk_size(65_536) + encode_full(Message(8, 0, 1, bytes(400)), 4, 65_536)[:12]
    assert len(decode([wire], Limits(unfinished_size=400))) == 1
    with pytest.raises(LimitExceeded, match="more than 399 bytes"):
        decode([wire], Limits(unfinished_size=399))


def test_finished_messages_give_their_bytes_back() -> None:
    wire = chunks(Message(8, 0, 1, bytes(400)), 4)
    assert len(decode(wire * 50, Limits(unfinished_size=400))) == 50
    assert len(decode([*wire[:2], *wire] * 50, Limits(unfinished_size=400))) == 50


SIZES = [
    (kind, limit)
    for limit, kinds in {
        "control_size": (1, 2, 3, 4, 5, 6),
        "audio_size": (8,),
        "video_size": (9,),
        "data_size": (0, 7, 15, 16, 17, 18, 19, 20, 99, 255),
        "aggregate_size": (22,),
    }.items()
    for kind in kinds
]


@pytest.mark.parametrize(("kind", "limit"), SIZES)
def test_size_of_messages_is_bounded_by_type(kind: int, limit: str) -> None:
    """The header is enough: nothing of the message need come."""
    limits = replace(
        Limits(control_size=1, audio_size=1, video_size=1, data_size=1, aggregate_size=1),
        **{limit: 10},
    )
    fits = encode_full(Message(kind, 0, 0, bytes(10)), 4, 128)[:12]
    assert decode([fits], limits) == []
    too_long = encode_full(Message(kind, 0, 0, bytes(11)), 4, 128)[:12]
    with pytest.raises(LimitExceeded, match=rf"type {kind} with 11 bytes \(at most 10"):
        decode([too_long], limits)


def test_messages_are_small_until_the_peer_is_known() -> None:
    limits = Limits(message_size_before_connect=100)
    decoder = ChunkDecoder(limits)
    assert decoder.connected
    decoder.connected = False
    assert not decoder.connected
    assert len(decoder.feed(encode_full(Message(20, 0, 0, bytes(100)), 3, 128))) == 1
    decoder.connected = True
    long = encode_full(Message(20, 0, 0, bytes(101)), 3, 128)
    assert len(decoder.feed(long)) == 1
    decoder.connected = False
    with pytest.raises(LimitExceeded, match="type 20 with 101 bytes"):
        decoder.feed(long)
    assert min(message_sizes(limits, connected=False)) == limits.control_size


def test_number_of_chunk_size_changes_is_bounded() -> None:
    limits = Limits(chunk_size_changes=2)
    assert len(decode([set_chunk_size(128)] * 2, limits)) == 2
    with pytest.raises(LimitExceeded, match="more than 2 SetChunkSize"):
        decode([set_chunk_size(128)] * 3, limits)


@pytest.mark.parametrize("size", [1, 13, 1000])
def test_whole_chunks_are_counted(size: int) -> None:
    """The rate of chunks is what small chunk sizes cost; somebody with a clock looks at it."""
    decoder = ChunkDecoder(LIMITS)
    wires = [encode_full(Message(8, 0, 1, bytes(length)), 4, 128) for length in (0, 1, 128, 300)]
    for part in pieces(b"".join(wires), size):
        decoder.feed(part)
    assert decoder.chunks == 1 + 1 + 1 + 3
    decoder.feed(wires[3][:-1])
    assert decoder.chunks == 6 + 2


# ------------------------------------------------------------------------------ work and memory


class Counted(bytes):
    """Bytes that count how many of them were copied out."""

    copied = 0

    def __getitem__(self, key: object) -> object:  # type: ignore[override]
        result = super().__getitem__(key)  # type: ignore[call-overload]
        if isinstance(result, bytes):
            Counted.copied += len(result)
        return result


def copied(data: bytes, read: int) -> int:
    Counted.copied = 0
    decoder = ChunkDecoder(ROOMY)
    for part in pieces(data, read):
        decoder.feed(Counted(part))
    return Counted.copied


def interleaved(length: int, chunk_size: int, pattern: list[int]) -> bytes:
    """Put a message on each chunk stream, the chunks in the order of the pattern."""
    data = [set_chunk_size(chunk_size)]
    left = {
        number: iter(chunks(Message(8, 0, 1, bytes(length)), number, chunk_size))
        for number in set(pattern)
    }
    while left:
        for number in pattern:
            chunk = next(left.get(number, iter(())), None)
            if chunk is None:
                left.pop(number, None)
            else:
                data.append(chunk)
    return b"".join(data)


@pytest.mark.parametrize("read", [1, 100, 1448, 65_536])
@pytest.mark.parametrize(
    ("chunk_size", "pattern"),
    [(100_000, [4]), (128, [4]), (1, [4]), (1, [4, 5]), (1, [4, 4, 5]), (1, [4, 4, 4, 5, 5])],
    ids=str,
)
def test_work_grows_with_the_bytes_and_no_faster(
    chunk_size: int, pattern: list[int], read: int
) -> None:
    """However they are cut: by TCP, into chunks, or so that looking for runs finds none."""
    small = copied(interleaved(3_000, chunk_size, pattern), read)
    large = copied(interleaved(12_000, chunk_size, pattern), read)
    assert large <= 4.2 * small + 1000


def test_long_messages_in_tiny_chunks() -> None:
    """More chunks than are taken at once."""
    message = Message(9, 0, 1, payload_of(1000))
    for size in (1, 100, 10_000):
        *_, received = decode(
            [set_chunk_size(1), *pieces(encode_full(message, 6, 1), size)], LIMITS
        )
        assert received == message


def test_a_large_chunk_in_small_reads_is_copied_once() -> None:
    data = encode_full(Message(9, 0, 1, bytes(100_000)), 6, 100_000)
    decoder = ChunkDecoder(ROOMY)
    decoder.feed(set_chunk_size(100_000))
    Counted.copied = 0
    for part in pieces(data, 1448):
        decoder.feed(Counted(part))
    assert Counted.copied <= len(data)


def test_many_small_pieces_take_little_more_than_their_bytes() -> None:
    """A piece of two bytes is an object of 35 and a pointer of 8."""
    payload = bytes(range(256)) * 256
    data = set_chunk_size(65_536) + encode_full(Message(9, 0, 1, payload), 6, 65_536)
    decoder = ChunkDecoder(LIMITS)
    parts = pieces(data[:-2], 2)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for part in parts:
        decoder.feed(part)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 1.5 * len(payload)
    assert decoder.feed(data[-2:]) == [Message(9, 0, 1, payload)]


def test_small_pieces_are_joined_once_and_in_each_message() -> None:
    """To join all that is there again and again would be quadratic, never to join is dear."""
    decoder = ChunkDecoder(LIMITS)
    wire = set_chunk_size(4096) + encode_full(Message(9, 0, 1, bytes(2048)), 6, 4096) * 50
    for part in pieces(wire, 1):
        decoder.feed(part)
        for stream in decoder._streams.values():
            assert len(stream.pieces) < 256 + 8
            assert max(map(len, stream.pieces), default=0) <= 256


def test_announced_bytes_take_no_memory() -> None:
    decoder = ChunkDecoder(LIMITS)
    decoder.feed(set_chunk_size(0xFFFFFF))
    tracemalloc.start()
    for number in range(3, 11):
        decoder.feed(bytes([number]) + bytes.fromhex("000000 ffffff 09 01000000 17"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000


# ------------------------------------------------------------------------------- ChunkEncoder


def test_encoder_leaves_out_what_repeats() -> None:
    encoder = ChunkEncoder()
    sent = [
        (Message(8, 100, 1, b"a"), "04 000064 000001 08 01000000 61"),
        (Message(8, 123, 1, b"b"), "84 000017 62"),
        (Message(8, 123, 1, b"cd"), "44 000000 000002 08 6364"),
        (Message(9, 124, 1, b"ef"), "44 000001 000002 09 6566"),
        (Message(9, 123, 1, b"gh"), "04 00007b 000002 09 01000000 6768"),  # back
        (Message(9, 124, 2, b"ij"), "04 00007c 000002 09 02000000 696a"),  # another stream
        (Message(9, 124 + 0xFFFFFE, 2, b"kl"), "84 fffffe 6b6c"),
        (Message(9, 0x2000079, 2, b"mn"), "04 ffffff 000002 09 02000000 02000079 6d6e"),
        (Message(9, 0x200007A, 2, b"op"), "84 000001 6f70"),
        (Message(9, 0xFFFFFFFF, 2, b"qr"), "04 ffffff 000002 09 02000000 ffffffff 7172"),
        (Message(9, 0x100000001, 2, b"st"), "04 000001 000002 09 02000000 7374"),
    ]
    decoder = ChunkDecoder(LIMITS)
    for message, wire in sent:
        data = encoder.encode(message, 4)
        assert data == bytes.fromhex(wire)
        assert decoder.feed(data) == [replace(message, timestamp=message.timestamp & 0xFFFFFFFF)]


def test_encoder_knows_chunk_streams_apart_and_cuts_chunks() -> None:
    encoder = ChunkEncoder()
    assert encoder.chunk_size == 128
    assert encoder.encode(control.message(control.SetChunkSize(2)), 2) == set_chunk_size(2)
    encoder.chunk_size = 2
    assert encoder.encode(Message(8, 0, 1, b"abc"), 400) == bytes.fromhex(
        "015001 000000 000003 08 01000000 6162 c15001 63"
    )
    assert encoder.encode(Message(8, 1, 1, b"def"), 400) == bytes.fromhex(
        "815001 000001 6465 c15001 66"
    )
    assert encoder.encode(Message(8, 2, 1, b"ghij"), 400) == bytes.fromhex(
        "415001 000001 000004 08 6768 c15001 696a"
    )


@pytest.mark.parametrize("chunk_stream_id", [-1, 0, 1, 65_600])
def test_there_are_no_other_chunk_streams(chunk_stream_id: int) -> None:
    with pytest.raises(LocalProtocolError, match=f"chunk stream {chunk_stream_id} .*2 to 65599"):
        encode_full(Message(8, 0, 1, b""), chunk_stream_id, 128)


def test_too_long_a_message_is_our_own_mistake() -> None:
    longest, too_long = bytes(0xFFFFFF), bytes(0x1000000)
    encoder = ChunkEncoder()
    encoder.chunk_size = 0x7FFFFFFF
    assert encode_full(Message(9, 0, 1, longest), 6, 0x7FFFFFFF) == (
        bytes.fromhex("06 000000 ffffff 09 01000000") + longest
    )
    encoder.encode(Message(9, 0, 1, b""), 6)
    for message in (Message(9, 0, 1, too_long), Message(9, 1, 1, too_long)):
        with pytest.raises(LocalProtocolError, match=r"16777216 bytes \(at most 16777215"):
            encoder.encode(message, 6)


# ------------------------------------------------------------------------------------ properties

TIMESTAMPS = (
    st.integers(0, 0xFFFFFFFF)
    | st.integers(0xFFFFFD, 0x1000002)
    | st.integers(0xFFFFFFFD, 0xFFFFFFFF)
    | st.integers(0, 3)
)
CHUNK_STREAMS = (
    st.integers(2, 8) | st.sampled_from([63, 64, 319, 320, 65_599]) | st.integers(2, 65_599)
)
CHUNK_SIZES = st.sampled_from([1, 2, 3, 127, 128, 129, 4096, 65_536, 0x7FFFFFFF])
# around the boundaries of 1, 2, 3 and 128-byte chunks, runs of them, and many runs
LENGTHS = st.integers(0, 7) | st.integers(126, 130) | st.integers(255, 258) | st.integers(0, 1000)


def payload_of(length: int) -> bytes:
    """Every place has its own bytes, and every third looks like a header."""
    return bytes((0xC4, n & 0xFF, n >> 8)[n % 3] for n in range(length))


MESSAGES = st.builds(
    Message,
    st.sampled_from([0, 3, 4, 8, 9, 15, 17, 18, 20, 22, 99, 255]),
    TIMESTAMPS,
    st.sampled_from([0, 1, 2, 0x01020304, 0xFFFFFFFF]),
    LENGTHS.map(payload_of),
)


GENEROUS = replace(ROOMY, control_size=1 << 20)


@given(st.lists(st.tuples(MESSAGES, CHUNK_STREAMS, st.booleans()), max_size=8), CHUNK_SIZES, cuts())
def test_what_we_write_we_read(
    sent: list[tuple[Message, int, bool]], chunk_size: int, cut: Cuts
) -> None:
    """Full and compressed headers may even share a chunk stream, if the encoder is told."""
    encoder = ChunkEncoder()
    data = encoder.encode(control.message(control.SetChunkSize(chunk_size)), 2)
    encoder.chunk_size = chunk_size
    full: set[int] = set()
    for message, chunk_stream_id, compressed in sent:
        if compressed and chunk_stream_id not in full:
            data += encoder.encode(message, chunk_stream_id)
        else:
            full.add(chunk_stream_id)
            data += encode_full(message, chunk_stream_id, chunk_size)
    assert decode(cut.of(data), GENEROUS)[1:] == [message for message, _, _ in sent]


@given(st.data(), cuts(), st.booleans())
def test_what_others_write_we_read(choose: st.DataObject, cut: Cuts, repeats: bool) -> None:
    """All headers, interleaved, with new chunk sizes in between, in any pieces."""
    sender = Sender(choose, repeats)
    numbers = choose.draw(st.lists(CHUNK_STREAMS, min_size=1, max_size=3, unique=True))
    for _ in range(choose.draw(st.integers(1, 12))):
        number = choose.draw(st.sampled_from(numbers))
        if number not in sender.unfinished:
            message = choose.draw(MESSAGES)
            if number in sender.last and choose.draw(st.booleans()):
                previous, delta = sender.last[number]
                message = replace(previous, timestamp=(previous.timestamp + delta) & 0xFFFFFFFF)
            sender.begin(message, number)
        for _ in range(choose.draw(st.integers(1, 4))):
            if number in sender.unfinished:
                sender.chunk(number)
        if 2 not in sender.unfinished and choose.draw(st.booleans()):
            size = choose.draw(st.integers(1, 300))
            sender.begin(control.message(control.SetChunkSize(size)), 2)
            while 2 in sender.unfinished:
                sender.chunk(2)
            sender.chunk_size = size
    assert decode(cut.of(bytes(sender.data)), GENEROUS) == sender.messages


def outcome(parts: Iterable[bytes], limits: Limits) -> tuple[list[Message], str]:
    decoder = ChunkDecoder(limits)
    messages: list[Message] = []
    try:
        for part in parts:
            messages += decoder.feed(part)
    except RemoteProtocolError as error:
        return messages, f"{type(error).__name__}: {error}"
    return messages, ""


TIGHT = Limits(
    chunk_streams=4,
    unfinished_messages=2,
    unfinished_size=600,
    chunk_size_changes=3,
    audio_size=500,
    data_size=400,
)
HEADERS = st.builds(
    lambda fmt, number, delta, length, kind, size, extended: (
        bytes([fmt << 6 | number])
        + (delta.to_bytes(3, "big") + length.to_bytes(3, "big") + bytes([kind, 1, 0, 0, 0]))[
            : (11, 7, 3, 0)[fmt]
        ]
        + extended
        + bytes(size)
    ),
    st.integers(0, 3),
    st.sampled_from([0, 1, 2, 3, 4, 5]),
    st.sampled_from([0, 20, 0xFFFFFF]),
    st.sampled_from([0, 1, 4, 128, 129, 300, 550]),
    st.sampled_from([1, 2, 8, 9]),
    st.sampled_from([0, 1, 4, 44, 127, 128]),
    st.sampled_from([b"", b"\0\0\0\4", b"\1\0\0\0"]),
)


@given(st.binary(max_size=300) | st.lists(HEADERS, max_size=10).map(b"".join), cuts())
def test_any_bytes_are_messages_or_the_peers_error(data: bytes, cut: Cuts) -> None:
    """And the same ones however they are cut."""
    whole, error = outcome([data], TIGHT)
    parts, same_error = outcome(cut.of(data), TIGHT)
    assert same_error == error
    if not error:
        assert parts == whole
