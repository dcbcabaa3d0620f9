"""Bytes in any pieces, and chunks as programs other than ours may write them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import strategies as st

from rtmptwist.wire.message import Message


def pieces(data: bytes, size: int) -> list[bytes]:
    """Cut bytes into reads of one size."""
    return [data[offset : offset + size] for offset in range(0, len(data), size)]


@dataclass(frozen=True)
class Cuts:
    """
    How the bytes come: `size` at a time, or, if that is 0, cut at some places.

    The same place twice is a read of nothing.
    """

    size: int
    places: tuple[int, ...] = ()

    def of(self, data: bytes) -> Iterator[bytes]:
        if self.size:
            yield from pieces(data, self.size)
            return
        last = 0
        for place in sorted(place % (len(data) + 1) for place in self.places):
            yield data[last:place]
            last = place
        yield data[last:]


def cuts() -> st.SearchStrategy[Cuts]:
    sizes = st.builds(Cuts, st.sampled_from([1, 2, 3, 100]))
    places = st.lists(st.integers(0, 10_000), max_size=20).map(tuple)
    return sizes | st.builds(Cuts, st.just(0), places)


@dataclass
class Sender:
    """
    A writer of chunks that uses whatever the specification allows, as `choose` says.

    Any header type that fits, any form of a chunk stream id, chunks in any order; `repeats` tells
    whether chunks inside a message have the extended timestamp again.
    """

    choose: st.DataObject
    repeats: bool
    chunk_size: int = 128
    data: bytearray = field(default_factory=bytearray)
    messages: list[Message] = field(default_factory=list)
    "The messages that are complete, in the order of their last chunks."
    last: dict[int, tuple[Message, int]] = field(default_factory=dict)
    "For each chunk stream its last message and what a type 3 header adds to that one's time."
    unfinished: dict[int, tuple[Message, bytes, bytes]] = field(default_factory=dict)
    "For each chunk stream the message, the next header and the payload still to be written."
    extended: dict[int, bytes] = field(default_factory=dict)

    def begin(self, message: Message, number: int) -> None:
        """Choose how a message on a chunk stream without an unfinished one begins."""
        fresh = number not in self.last
        last, step = self.last.get(number, (Message(0, 0, 0, b""), 0))
        delta = (message.timestamp - last.timestamp) & 0xFFFFFFFF
        size = len(message.payload)
        formats = [0]
        if message.stream_id == last.stream_id:
            formats.append(1)
            if not fresh and (size, message.type) == (len(last.payload), last.type):
                formats += [2, 3] if delta == step else [2]
        fmt = self.choose.draw(st.sampled_from(formats))
        value = delta if fmt else message.timestamp
        if fmt < 3:
            self.extended[number] = value.to_bytes(4, "big") if value >= 0xFFFFFF else b""
        header = (
            min(value, 0xFFFFFF).to_bytes(3, "big")
            + size.to_bytes(3, "big")
            + bytes([message.type])
            + message.stream_id.to_bytes(4, "little")
        )[: (11, 7, 3, 0)[fmt]]
        header = self._basic(fmt, number) + header + self.extended[number]
        self.last[number] = (message, value)
        self.unfinished[number] = (message, header, message.payload)

    def chunk(self, number: int) -> None:
        """Write the next chunk of an unfinished message."""
        message, header, rest = self.unfinished.pop(number)
        self.data += header + rest[: self.chunk_size]
        rest = rest[self.chunk_size :]
        if not rest:
            self.messages.append(message)
            return
        again = self.extended[number]
        # An old sender whose payload looks like the field is lost on every reader.
        if not self.repeats and not rest.startswith(again[:1]):
            again = b""
        self.unfinished[number] = (message, self._basic(3, number) + again, rest)

    def _basic(self, fmt: int, number: int) -> bytes:
        forms = []
        if number < 64:
            forms.append(bytes([fmt << 6 | number]))
        if 64 <= number < 320:
            forms.append(bytes([fmt << 6, number - 64]))
        if number >= 64:
            forms.append(bytes([fmt << 6 | 1]) + (number - 64).to_bytes(2, "little"))
        return self.choose.draw(st.sampled_from(forms))
