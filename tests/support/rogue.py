"""A peer that says what it likes, over a real socket, and hears when the server had enough."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from rtmptwist.amf.values import Value
from rtmptwist.wire.chunk import encode_full
from rtmptwist.wire.command import Command
from rtmptwist.wire.message import Message
from tests.support.guests import PATIENCE, eventually, reactor

HANDSHAKE = b"\x03" + bytes(2 * 1536)
"C0, C1 and C2, without waiting for an answer."


def command(name: str, *arguments: Value, stream_id: int = 0, wanted: float = 0.0) -> bytes:
    """A command in chunks, any number of which may follow each other."""
    return chunks(Command(name, wanted, None, arguments, stream_id).message())


def chunks(message: Message, chunk_stream_id: int = 3) -> bytes:
    """A message in chunks of 128 bytes."""
    return encode_full(message, chunk_stream_id, 128)


CONNECT = HANDSHAKE + chunks(Command("connect", 1.0, {"app": "live"}).message())
"Up to an accepted connect."

PUBLISH = CONNECT + command("publish", "rogue", stream_id=1)
"Up to a publication."


class Rogue(Protocol):
    """Sends bytes as fast as they are taken."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)
        self.heard = b""
        self.name = ""
        "As the server's log has it."
        self.closed = False
        self._gone: Deferred[None] = Deferred()
        self._said: Deferred[None] = Deferred()

    @property
    def pipe(self) -> Any:
        """The transport."""
        return self.transport

    def connectionMade(self) -> None:
        self.name = f"{self.pipe.getHost().host}:{self.pipe.getHost().port}"
        self.pipe.registerProducer(self, False)

    def say(self, data: bytes) -> None:
        """More, after `said`."""
        self.pipe.write(data)

    def resumeProducing(self) -> None:
        part = next(self._parts, None)
        if part is None:
            self.pipe.unregisterProducer()
            self._said.callback(None)
        else:
            self.pipe.write(part)

    def stopProducing(self) -> None:
        pass

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.closed = True
        if not self._said.called:
            self._said.callback(None)
        self._gone.callback(None)

    async def said(self) -> None:
        """Everything is on its way, or nobody wants to hear it any more."""
        await self._said

    async def hear(self, words: bytes = b"", count: int = 1) -> bytes:
        """All that it heard, once these words have come so often; or nothing more will come."""
        await eventually(lambda: self.closed or self.heard.count(words) >= count)
        assert self.heard.count(words) >= count, self.heard[-1000:]
        return self.heard

    async def gone(self, patience: float = PATIENCE) -> None:
        """The server has closed."""
        if not self.closed:
            await self._gone.addTimeout(patience, reactor)

    async def leave(self) -> None:
        """Close."""
        self.pipe.abortConnection()
        await self.gone()


async def rogue(
    port: int, *parts: bytes, more: Iterable[bytes] = (), address: str = "127.0.0.1"
) -> Rogue:
    """Connect one, from some address; `more` is made as it is sent."""
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port, bindAddress=(address, 0))
    peer: Rogue = await connectProtocol(endpoint, Rogue(chain(parts, more)))
    return peer
