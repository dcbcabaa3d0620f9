"""Every bound that RTMP itself needs, in one place, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)  # by identity: a key to what follows from them
class Limits:
    """What one connection may cost us. Sizes in bytes, rates per second, times in seconds."""

    handshake_timeout: float = 10.0
    "From accept to C2: clients need milliseconds, slow-loris attacks need minutes."

    connect_timeout: float = 10.0
    "From C2 to an accepted connect."

    message_size_before_connect: int = 64 * 1024
    "A connect is 200 to 300 bytes in real use; nobody unknown may make us hold more."

    messages_before_connect: int = 16
    "OBS sends one SetChunkSize before connect, GStreamer a window size."

    video_size: int = 0xFFFFFF
    "The longest that RTMP can say; 4K key frames exceed the 1 MiB of nginx-rtmp."

    audio_size: int = 1 << 20
    "A second of uncompressed sound is 176 KB."

    data_size: int = 1 << 20
    "Data, commands, shared objects, unknown types."

    aggregate_size: int = 8 << 20
    "Some seconds of media in one message."

    aggregate_parts: int = 4096
    "Each costs a dispatch."

    control_size: int = 64
    "The longest control message is the SWF verification response, 44 bytes."

    chunk_streams: int = 64
    "Real clients use at most 6; an attacker could open 65,598."

    unfinished_messages: int = 8
    "Chunk streams with a half-received message at one time; no real client interleaves at all."

    unfinished_size: int = 32 << 20
    "Bytes received, not announced, of half-received messages."

    chunk_size_changes: int = 64
    "Set Chunk Size messages in the life of a connection: one is usual."

    chunks_per_second: int = 200_000
    "Chunks of one byte cost two headers' work each; 6 Mbit/s in 128-byte chunks are 5,900."

    unknown_types_in_a_row: int = 3
    "Then the peer has lost chunk synchronisation; each is harmless alone."

    acknowledge_at_least: int = 16 * 1024
    "A peer that announces a window of 1 would make us answer 16 bytes to each of its bytes."

    message_streams: int = 64
    "createStream in a loop; Flash applications use a handful."

    stray_messages: int = 10_000
    "Media on streams that do not publish, in all: encoders go on for a while, here for minutes."

    commands_per_second: int = 100
    "After connect; a burst of `command_burst` is free."

    command_burst: int = 200
    "An encoder starts with six commands, a Flash application with some dozens."

    command_unit: int = 1024
    "Bytes; a longer command counts as several: 64 KB can be 64,000 values, 25 ms to read."

    pings_per_second: int = 10
    "Answered; the rest are dropped. The amplification is 1 to 1, but each costs a write."

    name_length: int = 512
    "app, stream name, tcUrl; FFmpeg's own buffers are 128 and 512."

    name_part_length: int = 200
    "Between two slashes: becomes a file name; those end at 255 bytes, and recorders add to them."

    query_length: int = 4096
    "What follows `?` in a name: a signed token with its claims is some hundred bytes."

    amf_depth: int = 32
    "Nesting of values; the deepest seen in the wild is 4, and CPython's stack has an end."

    amf_values: int = 65_536
    "Values in one message: a byte each is enough to make one."

    open_calls: int = 64
    "Calls of ours that a peer has not answered yet."

    swf_timeout: float = 5.0
    """
    From an accepted connect to the answer of SWF verification. Players answer as soon as they have
    read the question; a tunnel over a bad network takes a second or two.
    """

    swf_size: int = 64 << 20
    "Of a SWF file, inflated, whose hash we take: some kilobytes can claim to be gigabytes."
