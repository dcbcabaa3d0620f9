"""
What 20 messages cost as chunks: 200-byte sounds, 10 kB pictures, in the ways publishers send them.

Chunk size 128: librtmp, GStreamer; 4096: OBS; 65,536: FFmpeg, which takes ours over.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from rtmptwist.wire import control
from rtmptwist.wire.chunk import ChunkDecoder, ChunkEncoder, Parts, append_full, encode_full
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message, MessageType
from tests.support.chunks import pieces

pytestmark = pytest.mark.benchmark(max_time=0.2, min_rounds=5)

SOUND = Message(MessageType.AUDIO, 1000, 1, bytes(range(200)))
PICTURE = Message(MessageType.VIDEO, 1000, 1, bytes(range(250)) * 40)

COUNT = 20

WAYS = [
    # name, message, chunk size, size of a read
    ("sounds in one read", SOUND, 4096, 65_536),
    ("sounds in a read each", SOUND, 4096, 208),
    ("pictures, chunk size 128", PICTURE, 128, 65_536),
    ("pictures, chunk size 4096", PICTURE, 4096, 65_536),
    ("pictures, chunk size 65536", PICTURE, 65_536, 65_536),
    ("pictures, chunk size 128, reads of 1448", PICTURE, 128, 1448),
    ("pictures, chunk size 4096, reads of 1448", PICTURE, 4096, 1448),
    ("pictures, chunk size 65536, reads of 1448", PICTURE, 65_536, 1448),
]


def announced(decoder: ChunkDecoder, chunk_size: int) -> ChunkDecoder:
    decoder.feed(encode_full(control.message(control.SetChunkSize(chunk_size)), 2, 128))
    return decoder


@pytest.mark.parametrize(
    ("message", "chunk_size", "read"), [way[1:] for way in WAYS], ids=[way[0] for way in WAYS]
)
def test_decode(benchmark: BenchmarkFixture, message: Message, chunk_size: int, read: int) -> None:
    """With type 1 headers, because neighbours differ in length."""
    encoder = ChunkEncoder()
    encoder.chunk_size = chunk_size
    decoder = announced(ChunkDecoder(Limits()), chunk_size)
    decoder.feed(encoder.encode(message, 4))
    shorter = replace(message, payload=message.payload[:-1])
    wire = b"".join(encoder.encode((shorter, message)[n % 2], 4) for n in range(COUNT))
    reads = pieces(wire, read)

    def decode() -> int:
        return sum(len(decoder.feed(part)) for part in reads)

    assert benchmark(decode) == COUNT


def test_decode_header_and_payload_apart(benchmark: BenchmarkFixture) -> None:
    """As FFmpeg sends them."""
    decoder = announced(ChunkDecoder(Limits()), 65_536)
    header = encode_full(PICTURE, 6, 65_536)[:12]
    reads = [header, PICTURE.payload] * COUNT

    def decode() -> int:
        return sum(len(decoder.feed(part)) for part in reads)

    assert benchmark(decode) == COUNT


@pytest.mark.parametrize("message", [SOUND, PICTURE], ids=["sound", "picture"])
@pytest.mark.parametrize("chunk_size", [128, 4096, 65_536])
def test_encode_batch(benchmark: BenchmarkFixture, message: Message, chunk_size: int) -> None:
    """As a fan-out does for all players of a stream."""

    def encode() -> bytes:
        parts: Parts = []
        for _ in range(COUNT):
            append_full(parts, message, 6, chunk_size, 1)
        return b"".join(parts)

    assert benchmark(encode) == encode_full(message, 6, chunk_size) * COUNT


def test_encode_compressed(benchmark: BenchmarkFixture) -> None:
    """As a client does that publishes."""
    encoder = ChunkEncoder()
    encoder.chunk_size = 4096
    encoder.encode(SOUND, 4)

    def encode() -> int:
        return sum(len(encoder.encode(SOUND, 4)) for _ in range(COUNT))

    assert benchmark(encode) == COUNT * 204
