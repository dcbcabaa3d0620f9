"""
Hears every message that goes over one connection, both ways, for a while.

Others pay nothing: what listens stands before the decoder and the writer of this one only. RTMPE is
heard as it was before it was encrypted.
"""

from __future__ import annotations

from collections.abc import Callable

from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.playing import Playing
from rtmptwist.net.writer import CipherWriter, MeteredWriter
from rtmptwist.wire.chunk import ChunkDecoder
from rtmptwist.wire.errors import RemoteProtocolError
from rtmptwist.wire.message import Message

Heard = Callable[[Message, bool], None]
"A message, and whether it was received."


class Tap:
    """On a connection whose handshake is done, until `remove`."""

    def __init__(self, connection: ServerConnection, heard: Heard) -> None:
        self._connection = connection
        self._heard = heard
        session = connection.session
        self._decoder: ChunkDecoder | None = ChunkDecoder(session.limits)
        self._decoder.chunk_size = session.chunk_size
        session.overhear(self._received)
        self._writer = connection.writer
        self._own = CipherWriter(self._writer, self._sent)  # it changes nothing, it only listens
        self._put(self._writer, self._own)

    def remove(self) -> None:
        """All is as it was; a file that began to play meanwhile keeps the writer, which is deaf."""
        self._decoder = None
        self._connection.session.overhear(None)
        self._put(self._own, self._writer)

    def _put(self, old: MeteredWriter, new: MeteredWriter) -> None:
        connection = self._connection
        if connection.writer is old:
            connection.writer = new
        for stream in connection.uses.values():
            if isinstance(stream, Playing) and stream.subscriber.writer is old:
                stream.subscriber.writer = new

    def _received(self, messages: list[Message]) -> None:
        for message in messages:
            self._heard(message, True)

    def _sent(self, data: bytes) -> bytes:
        """Each write holds whole messages with full headers, so that reading may begin anywhere."""
        if self._decoder is not None:
            try:
                for message in self._decoder.feed(data):
                    self._heard(message, False)
            except RemoteProtocolError:  # beyond a limit for what others send: hear no more of it
                self._decoder = None
        return data
