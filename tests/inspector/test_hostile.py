"""Whatever a file contains, an inspection ends, and says something that a terminal can bear."""

from __future__ import annotations

import random
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtmptwist.inspector.lines import Way
from rtmptwist.wire.chunk import encode_full
from rtmptwist.wire.message import Message, MessageType
from tests.inspector.packets import Wire, pcap
from tests.inspector.telling import of_bytes, of_capture

VECTORS = Path(__file__).parent.parent / "vectors"
SESSIONS = sorted(
    [*VECTORS.glob("vectors-sessions/*.bin"), *VECTORS.glob("chunks/*.bin")],
    key=lambda path: path.name,
)
CAPTURES = sorted(VECTORS.glob("captures/*.pcap"))
SHAKE = b"\x03" + bytes(3072)

few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def damaged(data: bytes, seed: int) -> bytes:
    """Flipped, cut, doubled, filled with noise."""
    chance = random.Random(seed)
    found = bytearray(data)
    for _ in range(chance.choice((1, 3, 30))):
        at = chance.randrange(len(found))
        match chance.randrange(5):
            case 0:
                found[at] ^= 1 << chance.randrange(8)
            case 1:
                del found[at : at + chance.randrange(1, 50)]
            case 2:
                found[at:at] = chance.randbytes(chance.randrange(1, 50))
            case 3:
                found[at:at] = found[at : at + chance.randrange(1, 500)]
            case _:
                found[at : at + 4] = chance.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"))
        if not found:
            return b""
    return bytes(found[: chance.randrange(len(found))] if chance.random() < 0.2 else found)


@few
@given(st.sampled_from(SESSIONS), st.integers(0, 2**32))
def test_damaged_sessions(path: Path, seed: int) -> None:
    data = damaged(path.read_bytes()[:8000], seed)
    of_bytes(data, chunks=bool(seed & 1), every_frame=bool(seed & 2))
    of_bytes(data, side=Way.SERVER)


@few
@given(st.sampled_from(CAPTURES), st.integers(0, 2**32))
def test_damaged_captures(path: Path, seed: int) -> None:
    data = path.read_bytes()
    of_capture(data[:24] + damaged(data[24:], seed), every_frame=bool(seed & 1))


@few
@given(st.binary(max_size=200))
def test_noise(data: bytes) -> None:
    of_bytes(data)
    of_bytes(data, chunks=True)
    of_bytes(SHAKE + data)
    of_bytes(data, data)
    of_capture(data)
    for magic in (b"\xd4\xc3\xb2\xa1", b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a"):
        of_capture(magic + data)
    of_capture(pcap(data, data[::-1], link=101) + data)


@few
@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 2, 3, 4, 5, 6, 8, 9, 15, 16, 17, 18, 19, 20, 22, 77]),
            st.binary(max_size=60),
        ),
        max_size=10,
    )
)
def test_any_messages(messages: list[tuple[int, bytes]]) -> None:
    parts = [encode_full(Message(kind, 0, 1, data), 3, 128) for kind, data in messages]
    of_bytes(SHAKE + b"".join(parts), every_frame=True)


@few
@given(st.lists(st.binary(max_size=100), max_size=5), st.booleans())
def test_any_http(bodies: list[bytes], answered: bool) -> None:
    wire = Wire()
    wire.open()
    wire.say(b"POST /open/1 HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    for body in bodies:
        wire.say(body, client=not answered)
    of_capture(pcap(*wire.packets, link=101))


def test_a_header_of_ip_that_ends_within_an_address() -> None:
    packet = bytearray(14)
    packet[0], packet[3], packet[9], packet[12] = 0x40, 200, 6, 0x50
    (line,) = of_capture(pcap(bytes(packet), link=101))
    assert line.words == "1 packet cut before the end of their headers was left out"


def test_a_large_segment_says_the_same_as_small_ones() -> None:
    lines = []
    for piece in (60_000, 1_000):
        wire = Wire()
        wire.open()
        wire.say(SHAKE)
        wire.say(SHAKE, client=False)
        ping = Message(MessageType.USER_CONTROL, 0, 0, b"\0\6\0\0\0\1")
        wire.say(encode_full(ping, 2, 128) * 3_000, piece=piece)
        told = of_capture(pcap(*wire.packets, link=101))
        lines.append([(line.words, line.offset) for line in told])
    assert lines[0] == lines[1]
    assert len(lines[0]) > 3_000


def test_every_truncation_of_a_capture() -> None:
    data = CAPTURES[1].read_bytes()[:12_000]
    for size in range(0, len(data), 97):
        of_capture(data[:size])
