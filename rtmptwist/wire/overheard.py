"""A chunk decoder whose messages somebody hears as well: a session pays only while it is so."""

from __future__ import annotations

from collections.abc import Callable

from rtmptwist.wire.chunk import ChunkDecoder
from rtmptwist.wire.message import Message

Listener = Callable[[list[Message]], None]


class OverheardDecoder:
    """As the decoder that it stands before; `listener` gets the messages of each read as well."""

    __slots__ = ("_listener", "decoder")

    def __init__(self, decoder: ChunkDecoder, listener: Listener) -> None:
        self.decoder = decoder
        self._listener = listener

    def feed(self, data: bytes) -> list[Message]:
        """As `ChunkDecoder.feed`."""
        messages = self.decoder.feed(data)
        if messages:
            self._listener(messages)
        return messages

    @property
    def held(self) -> int:
        """As `ChunkDecoder.held`."""
        return self.decoder.held

    @property
    def chunks(self) -> int:
        """As `ChunkDecoder.chunks`."""
        return self.decoder.chunks

    @property
    def connected(self) -> bool:
        """As `ChunkDecoder.connected`."""
        return self.decoder.connected

    @connected.setter
    def connected(self, connected: bool) -> None:
        self.decoder.connected = connected
