"""
What one side of a connection sent, from its first byte on: the handshake, then messages.

The chunk decoder is the server's. It gets each header byte by byte and each payload as a whole:
so it can be told for every message where it began, and for every mistake where it was made.
"""

from __future__ import annotations

from typing import Any, Final

from rtmptwist.inspector.greeting import Greeting
from rtmptwist.inspector.lines import Line, Tell, Way
from rtmptwist.inspector.messages import Reader, Saying
from rtmptwist.inspector.tally import Tally
from rtmptwist.wire.chunk import ChunkDecoder
from rtmptwist.wire.errors import LimitExceeded, RemoteProtocolError
from rtmptwist.wire.message import Message

SPAN: Final = 10.0
"Seconds of frames that are told in one line."

_PIECE: Final = 4096
"Bytes that are read at a time: what is left of them is copied for each byte of a header."

_HEADER: Final = 18
"Bytes of the longest header of a chunk (5.3.1)."


class Direction:
    """One side's bytes in order, told line by line."""

    def __init__(self, way: Way, reader: Reader, tell: Tell, *, every_frame: bool = False) -> None:
        self.other: Direction
        self._way = way
        self._reader = reader
        self._tell = tell
        self._every_frame = every_frame
        self.greeting = Greeting(client=way is Way.CLIENT)
        self.offset = 0
        "Bytes so far."
        self._decoder: ChunkDecoder | None = None
        self._closed = ""
        "Why nothing more is read."
        self._ignored = 0
        "Bytes since then."
        self._tally = Tally()
        self._time: float | None = None
        self._header = bytearray()
        self._began = 0  # the message that is being read on each chunk stream, by its offset
        self._messages: dict[int, tuple[int, int, int]] = {}
        self._damaged: dict[int, int] = {}
        self._unknown = 0

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return self._decoder.held if self._decoder is not None else 0

    def skip_greeting(self) -> None:
        """The bytes begin behind the handshake."""
        self._decoder = ChunkDecoder(self._reader.limits)

    def feed(self, data: bytes, time: float | None = None) -> None:
        """Take what came next."""
        self._time = time
        if self._tally.began is not None and time is not None and time - self._tally.began > SPAN:
            self.tell_tally()
        for start in range(0, len(data), _PIECE):
            self._read(data[start : start + _PIECE])

    def _read(self, data: bytes) -> None:
        while data and not self._closed:
            decoder = self._decoder
            data = self._greet(data) if decoder is None else self._chunk(decoder, data)
        self._ignored += len(data)
        self.offset += len(data)

    def lose(self, size: int, time: float | None = None) -> None:
        """So many bytes are missing in the capture."""
        self._time = time
        if self._closed:
            self._ignored += size
            return
        decoder = self._decoder
        if decoder is not None and decoder.due >= size:  # then we know where the next chunk begins
            number = decoder.chunk_stream_id
            self._damaged[number] = self._damaged.get(number, 0) + size
            self._note(f"{size} bytes of a message are missing in the capture", self.offset)
            self.feed(bytes(size), time)
        else:
            words = f"{size} bytes are missing in the capture: it is not known where chunks begin"
            self._close(words, self.offset)
            self.offset += size

    def end(self) -> None:
        """Nothing more comes: tell what was held back."""
        self.tell_tally()
        if self._closed:
            if self._ignored:
                self._note(f"{self._ignored} bytes were not read: {self._closed}")
            return
        if self._decoder is None:
            if self.offset:
                self._note(f"ends in the handshake: {self.greeting.missing} bytes are missing")
        elif self._decoder.held or not self._decoder.between:
            words = f"ends within a message, of which {self._decoder.held} bytes are here"
            self._note(words, self.offset)

    def tell_tally(self) -> None:
        """Tell of the frames that were only counted."""
        if self._tally.counts:
            words, facts = self._tally.take()
            self._say("media", words, facts=facts)

    # ------------------------------------------------------------- handshake

    def _greet(self, data: bytes) -> bytes:
        greeting = self.greeting
        part, rest = data[: greeting.missing], data[greeting.missing :]
        for remark in greeting.feed(part, self.other.greeting):
            if greeting.bad:
                self._error(remark.words, self.offset)
                self._closed = "it is no handshake"
                return data
            self._say("handshake", remark.words, remark.offset, facts=remark.facts)
        self.offset += len(part)
        if greeting.done:
            if greeting.encrypted:
                self._closed = "RTMPE, whose keys are not in a capture"
                self._note(f"all that follows is encrypted: {self._closed}", self.offset)
            else:
                self.skip_greeting()
        return rest

    # ---------------------------------------------------------------- chunks

    def _chunk(self, decoder: ChunkDecoder, data: bytes) -> bytes:
        """Take a byte of a header, or all that is here of a payload; return the rest."""
        size = decoder.due or 1
        header = not decoder.due
        part = data[:size]
        if header:
            if decoder.between:
                self._header.clear()
                self._began = self.offset
            self._header += part
        dropped = decoder.dropped
        try:
            messages = decoder.feed(part)
        except RemoteProtocolError as error:
            self._illegal(error)
            return data
        self.offset += len(part)
        if decoder.dropped > dropped:
            self._note("a message never came to its end: it was aborted, or another began")
        if header and (decoder.due or messages):
            self._count_chunk(decoder.chunk_stream_id)
        for message in messages:
            self._message(message, decoder.chunk_stream_id)
            if self._closed:
                break
        return data[len(part) :]

    def _count_chunk(self, number: int) -> None:
        kind = self._header[0] >> 6
        began = self._messages.get(number)
        if began is None or kind < 3:
            self._messages[number] = (self._began, kind, 1)
        else:
            offset, first, count = began
            self._messages[number] = (offset, first, count + 1)

    def _message(self, message: Message, number: int) -> None:
        offset, kind, count = self._messages.pop(number, (self._began, 3, 1))
        saying = self._reader.read(message)
        facts = {
            "chunk_stream": number,
            "format": kind,
            "chunks": count,
            "message_stream": message.stream_id,
            "size": len(message.payload),
        }
        missing = self._damaged.pop(number, 0)
        if missing:
            saying.trouble, saying.frame = f"{missing} bytes of it are zeros here", False
        if saying.frame and not self._every_frame:
            if self._tally.began is None:
                self._tally.began = self._time
            self._tally.add(saying, message.timestamp, len(message.payload))
            return
        self.tell_tally()
        self.other.tell_tally()
        self._tell(
            Line(
                self._way,
                saying.kind,
                saying.words,
                offset,
                self._time,
                chunks=f"cs{number}/{kind}" + (f"x{count}" if count > 1 else ""),
                timestamp=message.timestamp,
                facts={**facts, **({saying.kind: saying.facts} if saying.facts else {})},
            )
        )
        if saying.trouble:
            self._error(f"the message at byte {offset}: {saying.trouble}", offset)
        self._mind_unknown(saying, message, offset)

    def _mind_unknown(self, saying: Saying, message: Message, offset: int) -> None:
        """As the session does."""
        if saying.kind != "unknown":
            self._unknown = 0
            return
        self._unknown += 1
        if self._unknown >= self._reader.limits.unknown_types_in_a_row:
            self._error(
                f"{self._unknown} messages of unknown types in a row, the last {message.type}:"
                " chunk synchronisation is lost",
                offset,
            )
            self._closed = "where chunks begin is not known any more"

    def _illegal(self, error: RemoteProtocolError) -> None:
        what = "beyond a limit of the server" if isinstance(error, LimitExceeded) else "illegal"
        shown = self._header[:_HEADER].hex(" ")
        self._error(
            f"{what}: {error}; at byte {self.offset}, in the chunk that begins at byte"
            f" {self._began} with {shown}",
            self._began,
        )
        self._closed = "after what is illegal it is not known where chunks begin"

    # ----------------------------------------------------------------- lines

    def _close(self, why: str, offset: int) -> None:
        self._error(why, offset)
        self._closed = why

    def _error(self, words: str, offset: int) -> None:
        self._say("error", words, offset)

    def _note(self, words: str, offset: int | None = None) -> None:
        self._say("note", words, offset)

    def _say(
        self,
        kind: str,
        words: str,
        offset: int | None = None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        if kind != "media":
            self.tell_tally()
            self.other.tell_tally()
        self._tell(Line(self._way, kind, words, offset, self._time, facts=facts or {}))
