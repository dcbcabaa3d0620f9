"""
A tunnel: the transport of an RTMP connection whose bytes travel in HTTP requests (RTMPT).

For the connection it is a transport like any other. Nothing can be sent at will, though: what is
written waits here until the client asks for it, see `net.polls`. A client that does not ask is one
that does not read: the producer is paused, so that it lags in the stream's window like every slow
viewer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import Any, cast

from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IProducer,
    IProtocol,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer


@dataclass(frozen=True, slots=True)
class TunnelLimits:
    """What tunnels may cost us. Sizes in bytes, times in seconds."""

    sessions: int = 10_000
    "In all: an `open` is one cheap request. Those that ended a moment ago count as well."

    sessions_per_address: int = 16
    "Open ones. A browser opens one for each movie, a flooder as many as it can."

    trusted: tuple[IPv4Network | IPv6Network, ...] = ()
    "Exempt from the bound per address: proxies and load tests."

    answer_size: int = 64 * 1024
    """
    In one answer: a client behind a slow round trip catches up, and librtmp, which reads one answer
    at a time, still begins to play. A tunnel's throughput is at most this in a round trip.
    """

    requests_per_second: int = 200
    "In one session; rtmpdump, answered at once, makes 7,300. A publisher at 60 fps needs 110."

    delay: float = 0.02
    "How long answers beyond that are kept."

    early_requests: int = 16
    "How far ahead of the one that is due a request's number may be, and how often one may come."

    early_size: int = 1 << 20
    "Of all bodies that came too early."

    gap: float = 2.0
    "How long they wait for the missing one; also how long an ended session answers a repetition."


class Use(Enum):
    """What a tunnel is used for, and so how its requests are treated. Times in seconds."""

    HANDSHAKE = (0.0, 5.0)
    """
    Until `connect` is accepted. Each request brings an answer, there is nothing to wait for; and
    who does not go on at once never will.
    """

    PLAYING = (0.5, 10.0)
    """
    Playing, or doing nothing much: players poll all the time, and librtmp never says goodbye. A
    held answer is what makes a tunnel quick: 25 frames/s to FFmpeg wait 0.3 ms instead of 20, and
    rtmpdump polls 25 times a second instead of 6,700. RootEncoder gives up after 5 s.
    """

    PUBLISHING = (0.0, 30.0)
    """
    FFmpeg sends nothing while it waits for an answer, so it gets one at once; and it does not poll
    while its own input pauses.
    """

    def __init__(self, hold: float, silence: float) -> None:
        self.hold = hold
        "How long a poll may wait for something to say."
        self.silence = silence
        "Without any request, before the session is over."


class ClosedByClient(ConnectionDone):
    """
    The client said that it is done.

    FFmpeg says nothing else, neither FCUnpublish nor deleteStream: its publication is over too.
    """


@implementer(ITransport, IConsumer, IPushProducer)
class Tunnel:
    """
    One session's pipe. `open` makes the connection, `hang_up` ends it.

    Between the two, the side that speaks HTTP hands bytes in with `feed` and gets them with `take`.
    """

    log = Logger()

    __slots__ = (
        "_clock",
        "_ending",
        "_host",
        "_limits",
        "_offset",
        "_paused",
        "_peer",
        "_producer",
        "_protocol",
        "_streaming",
        "_written",
        "disconnecting",
        "identity",
        "lost",
        "reading",
        "stirred",
        "use",
        "waiting",
    )

    def __init__(
        self,
        peer: IAddress,
        host: IAddress,
        clock: IReactorTime,
        limits: TunnelLimits,
        identity: str = "",
    ) -> None:
        self.identity = identity
        "Who the client is by the certificate with which it opened the tunnel; see `net.tls`."

        self.use = Use.HANDSHAKE
        "The connection sets this when its state changes."

        self.waiting = 0
        "Bytes written that nobody has taken yet."

        self.reading = True
        "Whether `feed` is allowed: the connection may be busy with a decision."

        self.disconnecting = False
        "The connection wants to end: as soon as what waits is taken."

        self.lost = False
        "Over: the connection knows, and nothing is left."

        self.stirred: Callable[[], None] = _nobody
        "Called when one of the four above has changed; often, so do little."

        self._peer = peer
        self._host = host
        self._clock = clock
        self._limits = limits
        self._protocol: IProtocol | None = None
        self._written: list[bytes] = []
        self._offset = 0  # of the first of these, what is taken already
        self._producer: Any = None
        self._streaming = True
        self._paused = False
        self._ending: IDelayedCall | None = None

    def open(self, protocol: IProtocol) -> None:
        """Begin. The protocol may end it at once."""
        self._protocol = protocol
        try:
            protocol.makeConnection(self)
        except Exception:
            self.log.failure("a connection in a tunnel failed while it was opened")
            self.abortConnection()

    def carry(self, *, publishing: bool) -> None:
        """What it carries from now on: a publisher, or one that plays or does nothing much."""
        self.use = Use.PUBLISHING if publishing else Use.PLAYING

    # ------------------------------------------------------------- for HTTP

    def feed(self, data: bytes) -> None:
        """Bytes came from the client. Only while `reading`."""
        assert self._protocol is not None
        try:
            self._protocol.dataReceived(data)
        except Exception:
            self.log.failure("a connection in a tunnel failed")
            self.abortConnection()

    def take(self) -> bytes:
        """Get what waits, as much as fits into one answer."""
        written, limit = self._written, self._limits.answer_size
        if self.waiting <= limit and not self._offset:
            data = b"".join(written)
            written.clear()
            self.waiting = 0
        else:
            data = self._cut(min(limit, self.waiting))
        if self.waiting <= limit // 2:  # soon enough for the next answer to be full
            self._resume_producer()
        self._end_when_empty()
        return data

    def hang_up(self, reason: Failure) -> None:
        """End it now, whatever still waits; `reason` is for the connection and its log line."""
        if self.lost:
            return
        self.lost = self.disconnecting = True
        self.reading = False
        if self._ending is not None and self._ending.active():
            self._ending.cancel()
        self._forget_written()
        producer, self._producer = self._producer, None
        protocol, self._protocol = self._protocol, None
        assert protocol is not None
        try:
            if producer is not None:
                producer.stopProducing()
            protocol.connectionLost(reason)
        except Exception:
            self.log.failure("a connection in a tunnel failed while it was closed")
        self.stirred()

    # ------------------------------------------------------------ ITransport

    def write(self, data: bytes) -> None:
        """Keep bytes until the client asks."""
        if self.lost or (self.disconnecting and self._producer is None) or not data:
            return
        self._written.append(data)
        self.waiting += len(data)
        if self.waiting >= self._limits.answer_size and self._streaming:
            self._pause_producer()
        self.stirred()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Keep bytes until the client asks."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """End when everything written is taken and no producer is left."""
        if not self.disconnecting:
            self.disconnecting = True
            self.reading = False
            self._end_when_empty()
            self.stirred()

    def abortConnection(self) -> None:
        """End at once; the protocol hears of it in the next turn of the reactor."""
        if not self.lost:
            self.disconnecting = True
            self.reading = False
            self._forget_written()
            self._end_soon(ConnectionAborted())
            self.stirred()

    def getPeer(self) -> IAddress:
        """The client, as it was when it opened the tunnel; its requests may come from anywhere."""
        return self._peer

    def getHost(self) -> IAddress:
        """Where it came to."""
        return self._host

    # ------------------------------------------------------------- IConsumer

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Have a producer paused while more waits than one answer takes."""
        if self._producer is not None:
            raise RuntimeError(f"cannot register {producer}: {self._producer} is registered")
        if self.lost:
            producer.stopProducing()
            return
        self._producer = producer
        self._streaming = streaming
        self._paused = False
        if not streaming:
            cast("Any", producer).resumeProducing()

    def unregisterProducer(self) -> None:
        """Let it go."""
        self._producer = None
        self._streaming = True
        self._end_when_empty()

    # --------------------------------------------------------- IPushProducer

    def pauseProducing(self) -> None:
        """Hand nothing in for now: a request that brings something waits, and so its client."""
        self.reading = False

    def resumeProducing(self) -> None:
        """Go on; what waited comes in the next turn of the reactor."""
        if not self.disconnecting and not self.reading:
            self.reading = True
            self.stirred()

    def stopProducing(self) -> None:
        """As `loseConnection`."""
        self.loseConnection()

    # -------------------------------------------------------------- ourselves

    def _cut(self, size: int) -> bytes:
        """Take that much off the front, of more."""
        written = self._written
        parts: list[bytes] = []
        used = 0
        while size:
            part = written[used][self._offset : self._offset + size]
            parts.append(part)
            size -= len(part)
            self.waiting -= len(part)
            self._offset += len(part)
            if self._offset == len(written[used]):
                self._offset = 0
                used += 1
        del written[:used]
        return b"".join(parts)

    def _forget_written(self) -> None:
        self._written.clear()
        self._offset = 0
        self.waiting = 0

    def _pause_producer(self) -> None:
        if self._producer is not None and not self._paused:
            self._paused = True
            self._producer.pauseProducing()

    def _resume_producer(self) -> None:
        if self._producer is not None and (self._paused or not self._streaming):
            self._paused = False
            self._producer.resumeProducing()

    def _end_when_empty(self) -> None:
        if self.disconnecting and not self.waiting and self._producer is None:
            self._end_soon(ConnectionDone())

    def _end_soon(self, why: Exception) -> None:
        # not now: the protocol is about to return from the call that brought us here
        if self._ending is None and not self.lost:
            self._ending = self._clock.callLater(0, self.hang_up, Failure(why))


def _nobody() -> None:
    """Nobody looks after the tunnel."""
