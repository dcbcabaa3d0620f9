"""
Chunk streams (RTMP 1.0, section 5.3), both ways.

Knows headers, not what is in a message, but for the two that steer the chunk stream itself:
SetChunkSize and Abort. The session gets those too.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final, NamedTuple

from rtmptwist.wire.control import Abort, SetChunkSize
from rtmptwist.wire.errors import ChunkError, LimitExceeded, LocalProtocolError
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message, MessageType

DEFAULT_CHUNK_SIZE: Final = 128
"Bytes of payload, each way, until a SetChunkSize (5.4.1)."

MAX_MESSAGE_SIZE: Final = 0xFFFFFF
"The longest that a header can say; a chunk size beyond it means the same as this."

MAX_CHUNK_STREAM_ID: Final = 65_599

_EXTENDED: Final = 0xFFFFFF
"In the timestamp field: look in the extended timestamp, behind the header (5.3.1.3)."

_WRAP: Final = 0xFFFFFFFF
"Timestamps are counted modulo 2**32."

# Message headers with the byte before them: 8, 24, 24 and 8 bits are two numbers of 32
# (0.07 µs; int.from_bytes of a slice is 0.10 µs for each field).
_HEADER: Final = struct.Struct(">II")
_NUMBER: Final = struct.Struct(">I")
_STREAM_ID: Final = struct.Struct("<I")  # little-endian, against the rest of the protocol

_STEERING: Final = int(MessageType.ABORT)
"Messages of types up to this one are for the decoder itself."

_RUN: Final = 128
"""
The most continuation chunks to take at once. To look for a run and find none must not cost more
than to read a chunk: 0.3 µs for so many.
"""

_PIECES: Final = 256
"The most pieces of a message that are kept one by one: a piece of 2 bytes occupies 43."


class ChunkDecoder:
    """
    Makes messages of what a peer sends after the handshake.

    It keeps what was received, never what was announced, within the limits. A small message takes
    0.7 µs, 10 kB in 4096-byte chunks 3.0, in 128-byte chunks 3.4 (tests/bench/test_chunk.py).
    """

    __slots__ = (
        "_changes",
        "_connected",
        "_head",
        "_limits",
        "_room",
        "_sizes",
        "_stream",
        "_streams",
        "_unfinished",
        "_want",
        "chunk_size",
        "chunks",
        "dropped",
    )

    def __init__(self, limits: Limits) -> None:
        self.chunk_size = DEFAULT_CHUNK_SIZE
        "What the peer announced, at most `MAX_MESSAGE_SIZE`."
        self.chunks = 0
        "Whole chunks so far. There is no clock in here: the owner checks the rate."
        self.dropped = 0
        "Messages whose rest never came: aborted, or another began in their place."
        self._limits = limits
        self._connected = True
        self._sizes = message_sizes(limits)
        self._changes = 0
        "SetChunkSize messages so far."
        self._streams: dict[int, _ChunkStream] = {}
        self._head = b""
        "The beginning of a header whose rest has not come yet."
        self._stream = _ChunkStream(0)
        "The chunk stream whose chunk is being read,"
        self._want = 0
        "and how much of the chunk is still to come."
        self._unfinished = 0
        "Messages of which a chunk has come and another has not,"
        self._room = limits.unfinished_size
        "and how many bytes more may come for them."

    @property
    def held(self) -> int:
        """Bytes of messages whose rest has not come."""
        return sum(len(piece) for stream in self._streams.values() for piece in stream.pieces)

    @property
    def connected(self) -> bool:
        """
        Whether messages may have their full size, as they may at first.

        An owner that does not know the peer yet sets it to False: until it is True again, no
        message may be longer than `message_size_before_connect`.
        """
        return self._connected

    @connected.setter
    def connected(self, connected: bool) -> None:
        self._connected = connected
        self._sizes = message_sizes(self._limits, connected=connected)

    @property
    def due(self) -> int:
        """Bytes of the chunk being read that are still to come, once its header is here."""
        return self._want

    @property
    def between(self) -> bool:
        """Whether no chunk is being read: the next byte begins a header."""
        return not self._want and not self._head

    @property
    def chunk_stream_id(self) -> int:
        """Of the newest chunk whose header is here; 0 before the first."""
        streams = self._streams.items()
        return next((number for number, stream in streams if stream is self._stream), 0)

    def feed(self, data: bytes) -> list[Message]:
        """
        Take bytes as they came from the peer; return the messages they completed.

        Any split of the same bytes gives the same messages. SetChunkSize and Abort take effect
        before the next chunk, so the caller need not loop.

        Raises:
            ChunkError: the bytes are no chunk stream; the decoder is then dead.
            LimitExceeded: a message, the number of chunk streams or what is unfinished on them
                is beyond the limits. Dead as well.
            RemoteProtocolError: a SetChunkSize or an Abort makes no sense. Dead as well.
        """
        messages: list[Message] = []
        streams = self._streams
        sizes = self._sizes
        chunk_size = self.chunk_size
        stream = self._stream
        want = self._want
        if self._head:
            data = self._head + data
        offset = 0
        end = len(data)
        while True:
            if not want:
                # Basic header (5.3.1.1). Nothing may change before the whole header is here.
                if offset == end:
                    break
                first = data[offset]
                chunk_stream_id = first & 0x3F
                last = offset  # byte of the basic header
                if chunk_stream_id < 2:
                    last += 1 + chunk_stream_id
                    if last >= end:
                        break
                    chunk_stream_id = 64 + data[offset + 1]
                    if last > offset + 1:
                        chunk_stream_id += data[last] << 8  # little-endian
                found = streams.get(chunk_stream_id)

                # Message header (5.3.1.2) and extended timestamp (5.3.1.3).
                if first >= 0xC0:
                    if found is None:
                        raise ChunkError(_begins_with(3, chunk_stream_id))
                    start = last + 1
                    missing = found.missing
                    extended = found.extended
                    if extended:
                        field = data[start : start + 4]
                        if field == extended or (not missing and len(field) == 4):
                            start += 4
                        elif not missing or extended.startswith(field):
                            break
                        # else it is payload: old senders repeat the field only in new messages
                    stream = found
                    if not missing:
                        missing = stream.length
                        stream.timestamp = (stream.timestamp + stream.delta) & _WRAP
                else:
                    if first < 0x80:
                        start = last + 8 if first >= 0x40 else last + 12
                        if start > end:
                            break
                        delta, missing = _HEADER.unpack_from(data, last)
                        kind = missing & 0xFF
                        missing >>= 8
                    else:
                        if found is None:
                            raise ChunkError(_begins_with(2, chunk_stream_id))
                        start = last + 4
                        if start > end:
                            break
                        (delta,) = _NUMBER.unpack_from(data, last)
                        kind = found.type
                        missing = found.length
                    delta &= 0xFFFFFF
                    extended = b""
                    if delta == _EXTENDED:
                        start += 4
                        if start > end:
                            break
                        extended = data[start - 4 : start]
                        (delta,) = _NUMBER.unpack(extended)
                    if missing > sizes[kind]:
                        raise LimitExceeded(
                            f"message of type {kind} with {missing} bytes (at most {sizes[kind]})"
                        )
                    if found is None:
                        found = self._open(chunk_stream_id)
                    elif found.missing:
                        self._drop(found)
                    stream = found
                    if first < 0x40:
                        stream.timestamp = delta
                        (stream.stream_id,) = _STREAM_ID.unpack_from(data, last + 8)
                    else:
                        stream.timestamp = (stream.timestamp + delta) & _WRAP
                    stream.delta = delta  # of type 0 too: its timestamp (5.3.1.2.4)
                    stream.length = missing
                    stream.type = kind
                    stream.extended = extended
                offset = start
                want = missing
                if want > chunk_size:  # min() would be 0.06 of 0.7 µs
                    want = chunk_size
                stream.missing = missing - want
                if want > self._room:
                    raise self._no_room()

            # Payload: as much of the chunk as is here.
            stop = offset + want
            if stop > end:
                if offset < end:
                    stream.append(data[offset:])
                    offset = end
                want = stop - end
                break
            want = 0
            if stream.missing:
                offset = self._take_run(stream, data, offset, stop)
                if stream.missing:
                    continue
                payload = self._finish(stream)
            else:
                payload = data[offset:stop]
                offset = stop
                if stream.pieces:
                    stream.pieces.append(payload)
                    payload = self._finish(stream)
            message = Message(stream.type, stream.timestamp, stream.stream_id, payload)
            messages.append(message)
            if stream.type <= _STEERING:
                self._obey(message)
                chunk_size = self.chunk_size
        self._stream = stream
        self._want = want
        self._head = data[offset:]
        self.chunks += len(messages)
        return messages

    def _take_run(self, stream: _ChunkStream, data: bytes, offset: int, stop: int) -> int:
        """
        Take a chunk whose message goes on, and the chunks of the same message right behind it.

        `offset` and `stop` enclose what is here of the first one. Headers of the others are equal
        single bytes at equal distances: CPython finds and removes them at the speed of memory
        (10 kB in 128-byte chunks: 3.4 µs, one by one 85). Returns where it stopped.
        """
        missing = stream.missing
        end = len(data)
        count = size = 0
        if stop < end and data[stop] == stream.continuation and not stream.extended:
            chunk_size = self.chunk_size
            distance = chunk_size + 1
            count = -(-missing // chunk_size)
            if end - stop < missing + count:
                count = (end - stop) // distance
            if count > _RUN:
                count = _RUN
            headers = data[stop : stop + count * distance : distance]
            count -= len(headers.lstrip(headers[:1]))
            size = min(count * chunk_size, missing)
        if count:
            run = bytearray(data[offset : stop + count + size])
            del run[stop - offset :: distance]
            stream.append(run)
        else:
            stream.append(data[offset:stop])
        stream.missing = missing - size
        self._hold(stream)
        # The last chunk of a message is counted with it.
        self.chunks += count + 1 if size < missing else count
        return stop + count + size

    def _open(self, chunk_stream_id: int) -> _ChunkStream:
        if len(self._streams) >= self._limits.chunk_streams:
            raise LimitExceeded(f"more than {self._limits.chunk_streams} chunk streams")
        stream = self._streams[chunk_stream_id] = _ChunkStream(chunk_stream_id)
        return stream

    def _hold(self, stream: _ChunkStream) -> None:
        """Count what has come of a message that is not in one chunk."""
        if not stream.held:
            self._unfinished += 1
            if self._unfinished > self._limits.unfinished_messages:
                raise LimitExceeded(
                    f"more than {self._limits.unfinished_messages} unfinished messages"
                )
        size = stream.length - stream.missing - stream.held
        if size > self._room:
            raise self._no_room()
        self._room -= size
        stream.held += size

    def _no_room(self) -> LimitExceeded:
        return LimitExceeded(
            f"more than {self._limits.unfinished_size} bytes of unfinished messages"
        )

    def _finish(self, stream: _ChunkStream) -> bytes:
        """Make one payload of the pieces."""
        payload = b"".join(stream.pieces)
        self._clear(stream)
        return payload

    def _drop(self, stream: _ChunkStream) -> None:
        """Forget an unfinished message. Its timestamp stays the base of the next delta."""
        self._clear(stream)
        stream.missing = 0
        self.dropped += 1

    def _clear(self, stream: _ChunkStream) -> None:
        stream.pieces.clear()
        stream.joined = 0
        if stream.held:
            self._unfinished -= 1
            self._room += stream.held
            stream.held = 0

    def _obey(self, message: Message) -> None:
        if message.type == MessageType.SET_CHUNK_SIZE:
            self._changes += 1
            if self._changes > self._limits.chunk_size_changes:
                raise LimitExceeded(f"more than {self._limits.chunk_size_changes} SetChunkSize")
            self.chunk_size = min(SetChunkSize.unpack(message.payload).size, MAX_MESSAGE_SIZE)
        elif message.type == MessageType.ABORT:
            stream = self._streams.get(Abort.unpack(message.payload).chunk_stream_id)
            if stream is not None and stream.missing:
                self._drop(stream)


class _ChunkStream:
    """What a chunk stream said of its last message, and what has come of that."""

    __slots__ = (
        "continuation",
        "delta",
        "extended",
        "held",
        "joined",
        "length",
        "missing",
        "pieces",
        "stream_id",
        "timestamp",
        "type",
    )

    def __init__(self, chunk_stream_id: int) -> None:
        # Zeros are what a type 1 header counts from that comes first: librtmp sends such ones.
        self.timestamp = 0
        self.delta = 0
        self.length = 0
        self.type = 0
        self.stream_id = 0
        self.extended = b""
        "The extended timestamp of the last header of type 0, 1 or 2."
        self.missing = 0
        "Bytes in chunks of the message that have not begun."
        self.held = 0
        "Bytes that count as unfinished."
        self.pieces: list[bytes | bytearray] = []
        "What has come of the message."
        self.joined = 0
        "Pieces in front that were many."
        self.continuation = 0xC0 | chunk_stream_id if chunk_stream_id < 64 else -1
        "The header of the message's next chunk, if that is a single byte."

    def append(self, piece: bytes | bytearray) -> None:
        """Keep a piece of the message."""
        pieces = self.pieces
        pieces.append(piece)
        if len(pieces) >= self.joined + _PIECES:
            pieces[self.joined :] = [b"".join(pieces[self.joined :])]
            self.joined += 1


@lru_cache(maxsize=16)
def message_sizes(limits: Limits, *, connected: bool = True) -> tuple[int, ...]:
    """Tell the longest payload that we take of each message type from 0 to 255."""
    sizes = [limits.data_size] * 256
    for kind in range(MessageType.SET_CHUNK_SIZE, MessageType.SET_PEER_BANDWIDTH + 1):
        sizes[kind] = limits.control_size
    sizes[MessageType.AUDIO] = limits.audio_size
    sizes[MessageType.VIDEO] = limits.video_size
    sizes[MessageType.AGGREGATE] = limits.aggregate_size
    if not connected:
        sizes = [min(size, limits.message_size_before_connect) for size in sizes]
    return tuple(sizes)


def _begins_with(kind: int, chunk_stream_id: int) -> str:
    return f"chunk stream {chunk_stream_id} begins with type {kind} (expected 0 or 1)"


Parts = list[bytes | memoryview]
"Bytes in pieces, for one `b''.join`."


def encode_full(message: Message, chunk_stream_id: int, chunk_size: int) -> bytes:
    """
    Put a message into chunks that depend on nothing sent before: type 0, type 3 only inside it.

    Raises:
        LocalProtocolError: there is no such chunk stream, or the payload is too long for RTMP.
    """
    parts: Parts = []
    append_full(parts, message, chunk_stream_id, chunk_size)
    return b"".join(parts)


def append_full(
    parts: Parts,
    message: Message,
    chunk_stream_id: int,
    chunk_size: int,
    stream_id: int | None = None,
) -> None:
    """
    Do as `encode_full`, but in pieces, so that a batch is copied once.

    `stream_id` replaces the message's own: what one publisher sends goes to many players' streams.
    """
    payload = message.payload
    size = len(payload)
    if size > MAX_MESSAGE_SIZE:
        raise LocalProtocolError(f"message of {size} bytes (at most {MAX_MESSAGE_SIZE})")
    timestamp = message.timestamp & _WRAP
    if stream_id is None:
        stream_id = message.stream_id
    if size <= chunk_size and timestamp < _EXTENDED and 2 <= chunk_stream_id < 64:
        # Nearly all messages: 0.3 instead of 0.9 µs.
        header = _HEADER.pack(chunk_stream_id << 24 | timestamp, size << 8 | message.type)
        parts.append(header + _STREAM_ID.pack(stream_id))
        parts.append(payload)
        return
    basic = _basic_header(0, chunk_stream_id)
    extended = b"" if timestamp < _EXTENDED else _NUMBER.pack(timestamp)
    field = min(timestamp, _EXTENDED)
    header = _HEADER.pack(basic[-1] << 24 | field, size << 8 | message.type)
    parts.append(basic[:-1] + header + _STREAM_ID.pack(stream_id) + extended)
    # FFmpeg and librtmp lose their way without the extended timestamp in type 3 chunks.
    _append_payload(parts, payload, chunk_size, _basic_header(3, chunk_stream_id) + extended)


class ChunkEncoder:
    """
    Puts messages into chunks with the shortest headers that all known readers understand alike.

    One for each direction of a connection, because headers depend on what was sent before. Set
    `chunk_size` right after a SetChunkSize was encoded.
    """

    __slots__ = ("_sent", "chunk_size")

    def __init__(self) -> None:
        self.chunk_size = DEFAULT_CHUNK_SIZE
        self._sent: dict[int, _Sent] = {}

    def encode(self, message: Message, chunk_stream_id: int) -> bytes:
        """
        Put a message into chunks.

        A message never begins with type 3 (readers disagree about it after type 0), and a step
        that is negative or needs an extended timestamp begins anew with type 0 (SRS reads extended
        steps as absolute times).

        Raises:
            LocalProtocolError: as `encode_full`.
        """
        timestamp = message.timestamp & _WRAP
        size = len(message.payload)
        sent = self._sent.get(chunk_stream_id)
        delta = -1
        if sent is not None and sent.stream_id == message.stream_id:
            delta = timestamp - sent.timestamp
        parts: Parts = []
        if not 0 <= delta < _EXTENDED or size > MAX_MESSAGE_SIZE:
            append_full(parts, message, chunk_stream_id, self.chunk_size)
        else:
            assert sent is not None
            if sent.size == size and sent.type == message.type:
                basic = _basic_header(2, chunk_stream_id)
                header = _NUMBER.pack(basic[-1] << 24 | delta)
            else:
                basic = _basic_header(1, chunk_stream_id)
                header = _HEADER.pack(basic[-1] << 24 | delta, size << 8 | message.type)
            parts.append(basic[:-1] + header)
            continuation = _basic_header(3, chunk_stream_id)
            _append_payload(parts, message.payload, self.chunk_size, continuation)
        self._sent[chunk_stream_id] = _Sent(timestamp, size, message.type, message.stream_id)
        return b"".join(parts)


class _Sent(NamedTuple):
    """The last message of a chunk stream, as far as headers of the next may leave it out."""

    timestamp: int
    size: int
    type: int
    stream_id: int


def _append_payload(parts: Parts, payload: bytes, chunk_size: int, continuation: bytes) -> None:
    if len(payload) <= chunk_size:
        parts.append(payload)
        return
    view = memoryview(payload)  # a slice of bytes would copy: 100 kB 46 instead of 2.5 µs
    parts.append(view[:chunk_size])
    for offset in range(chunk_size, len(payload), chunk_size):
        parts.append(continuation)
        parts.append(view[offset : offset + chunk_size])


def _basic_header(fmt: int, chunk_stream_id: int) -> bytes:
    """Choose the shortest of the three forms (5.3.1.1)."""
    if 2 <= chunk_stream_id < 64:
        return bytes([fmt << 6 | chunk_stream_id])
    number = chunk_stream_id - 64
    if 0 <= number < 256:
        return bytes([fmt << 6, number])
    if 256 <= number < 65_536:
        return bytes([fmt << 6 | 1, number & 0xFF, number >> 8])
    raise LocalProtocolError(
        f"chunk stream {chunk_stream_id} (expected 2 to {MAX_CHUNK_STREAM_ID})"
    )
