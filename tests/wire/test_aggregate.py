"""Aggregates: taken apart as three players do, refused when they do not add up."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.wire.aggregate import join, split
from rtmptwist.wire.chunk import ChunkDecoder
from rtmptwist.wire.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message, MessageType

VECTORS = Path(__file__).parent.parent / "vectors" / "chunks"
LIMITS = Limits()


def aggregate(body: str, timestamp: int = 1000, stream_id: int = 1) -> Message:
    return Message(MessageType.AGGREGATE, timestamp, stream_id, bytes.fromhex(body))


AUDIO = "08 000002 000014 00 000000 af01 0000000d"
VIDEO = "09 000001 000028 00 000000 17 0000000c"


def test_parts_take_stream_and_clock_of_the_aggregate() -> None:
    """The first part is at the aggregate's timestamp, whatever its own says."""
    assert split(aggregate(AUDIO + VIDEO), LIMITS) == [
        Message(8, 1000, 1, b"\xaf\x01"),
        Message(9, 1020, 1, b"\x17"),
    ]


def test_an_empty_aggregate_is_nothing() -> None:
    assert split(aggregate(""), LIMITS) == []


def test_a_part_may_be_empty() -> None:
    assert split(aggregate("08 000000 000000 00 000000 0000000b"), LIMITS) == [
        Message(8, 1000, 1, b"")
    ]


def test_upper_timestamp_byte_comes_last() -> None:
    first = "08 000000 ffffff 00 000000 0000000b"
    second = "08 000000 000001 01 000000 0000000b"
    times = [part.timestamp for part in split(aggregate(first + second), LIMITS)]
    assert times == [1000, 1002]


def test_timestamps_wrap_and_may_go_back() -> None:
    parts = split(aggregate(VIDEO + AUDIO, timestamp=10), LIMITS)
    assert [part.timestamp for part in parts] == [10, 0xFFFFFFF6]


def test_what_four_players_read() -> None:
    """The first part is 1000 ms later than the aggregate; the other file has the same media."""
    (*_, message) = ChunkDecoder(LIMITS).feed((VECTORS / "own-aggregate-offset.bin").read_bytes())
    plain = ChunkDecoder(LIMITS).feed((VECTORS / "own-csid-forms.bin").read_bytes())[-5:]
    parts = split(message, LIMITS)
    assert [part.timestamp for part in parts] == [part.timestamp for part in plain]
    assert [(part.type, hashlib.sha256(part.payload).digest()) for part in parts] == [
        (part.type, hashlib.sha256(part.payload).digest()) for part in plain
    ]


BROKEN = [
    ("header cut", "08 000002 0000", "ends in a header: 6 bytes left"),
    ("payload cut", "08 000002 000014 00 000000 af", r"1 left \(expected 6\)"),
    ("back pointer cut", AUDIO[:-2], r"5 left \(expected 6\)"),
    ("no back pointers", AUDIO[:-8] + VIDEO[:-8], r"back pointer 150994945 .*\(expected 13\)"),
    ("wrong back pointer", AUDIO[:-1] + "2", r"back pointer 2 .*\(expected 13\)"),
    ("aggregate inside", "16 000000 000000 00 000000 0000000b", "type 22 in an aggregate"),
    ("SetChunkSize inside", "01 000004 000000 00 000000 00000080 0000000f", "type 1 in"),
    ("command inside", "14 000000 000000 00 000000 0000000b", "type 20 in an aggregate"),
]


@pytest.mark.parametrize(
    ("body", "words"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_what_does_not_add_up_is_the_peers_error(body: str, words: str) -> None:
    with pytest.raises(RemoteProtocolError, match=words):
        split(aggregate(body), LIMITS)


def test_number_of_parts_is_bounded() -> None:
    limits = Limits(aggregate_parts=2)
    assert len(split(aggregate(AUDIO * 2), limits)) == 2
    with pytest.raises(LimitExceeded, match="more than 2 messages"):
        split(aggregate(AUDIO * 3), limits)


def test_a_part_may_be_as_large_as_its_type_and_no_larger() -> None:
    assert len(split(aggregate(AUDIO), Limits(audio_size=2))) == 1
    with pytest.raises(LimitExceeded, match=r"type 8 with 2 bytes in an aggregate \(at most 1\)"):
        split(aggregate(AUDIO), Limits(audio_size=1))


def test_joining_nothing_or_commands_is_our_error() -> None:
    with pytest.raises(LocalProtocolError, match="no messages"):
        join([])
    with pytest.raises(LocalProtocolError, match="type 20"):
        join([Message(MessageType.COMMAND, 0, 1, b"")])


@given(
    st.lists(
        st.builds(
            Message,
            st.sampled_from([8, 9, 15, 18]),
            st.integers(0, 0xFFFFFFFF),
            st.just(1),
            st.binary(max_size=300),
        ),
        min_size=1,
    )
)
def test_joined_and_split_is_the_same(messages: list[Message]) -> None:
    assert split(join(messages), LIMITS) == messages


@given(st.binary(max_size=100), st.binary(max_size=10))
def test_any_body_is_parts_or_the_peers_error(body: bytes, more: bytes) -> None:
    for payload in (body, join([Message(8, 0, 1, body)]).payload + more):
        try:
            parts = split(Message(MessageType.AGGREGATE, 0, 1, payload), LIMITS)
        except RemoteProtocolError:
            continue
        assert sum(len(part.payload) + 15 for part in parts) == len(payload)
