"""
Writers: the only place that sends. Knows sockets and Twisted's transports, not what the bytes mean.

A write while nothing waits goes to the kernel at once, without a trip through the reactor; what the
kernel does not take goes to the transport, which tells when it is out. So a connection costs one
`send` per batch while its peer reads, and nothing at all while it does not.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol, cast

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import (
    IProducer,
    IPullProducer,
    IPushProducer,
    ISystemHandle,
    ITransport,
)
from twisted.protocols.policies import ProtocolWrapper
from zope.interface import implementer

from rtmptwist.live.interfaces import Writer

UNSENT_SIZE: Final = 128 * 1024
"""
Bytes of one connection that the kernel may hold unsent (TCP_NOTSENT_LOWAT).

A slow viewer shall lag in the stream's window, where that costs one integer and what is too old is
skipped, not in kernel memory, where it must be sent however old it is. For a loopback viewer that
never reads the kernel held 0.16 MB, without the option 4.2 MB (30 s at 1 Mbit/s); bytes in flight
are not limited. A viewer that reads has nothing unsent and costs the same. Small enough for a
second of 1 Mbit/s; large enough that a batch with a key frame rarely exceeds it.
"""


PIECE: Final = 64 * 1024
"Bytes that a transport gets at a time, when the socket does not take everything: as it sends."


class MeteredWriter(Writer, Protocol):
    """A writer of this room: one that counts."""

    @property
    def waiting(self) -> int:
        """
        Bytes that the kernel has not accepted, as far as we know: 0 while `idle`.

        An upper bound: what has left since the peer stopped taking everything still counts. What a
        transport other than a socket keeps before it says so (64 KiB) does not.
        """

    @property
    def sent(self) -> int:
        """Bytes taken by `write` in all, those that wait included."""

    @property
    def stalls(self) -> int:
        """How often the peer was slower than we."""

    def finish(self) -> None:
        """
        Send what waits, then tell the peer, if the transport can, that nothing more will come.

        To a peer that is sending, `close` means a reset, which may overtake our last words. After
        this the owner reads on and drops what it reads until the peer closes, with a time limit.
        """


class Pipe(Protocol):
    """What a writer needs of a transport: ITransport and IConsumer together."""

    def write(self, data: bytes) -> None: ...
    def loseConnection(self) -> None: ...
    def registerProducer(self, producer: IProducer, streaming: bool) -> None: ...
    def unregisterProducer(self) -> None: ...


class SocketPipe(Pipe, Protocol):
    """A transport that can be told not to read, and half of which can be closed."""

    def pauseProducing(self) -> None: ...
    def loseWriteConnection(self) -> None: ...


def writer_for(transport: ITransport | None) -> SocketWriter | TransportWriter:
    """
    Make the writer of a new connection and tune its socket.

    From now on nobody else may write to the transport: order and `idle` depend on it. One that
    knows a shorter way than `write` has a method `make_writer`.
    """
    assert transport is not None
    tcp = tcp_socket(transport)
    if tcp is not None:
        tune(tcp)
    make_writer = getattr(type(transport), "make_writer", None)  # its own, of no wrapped one
    if make_writer is not None:
        return cast("TransportWriter", make_writer(transport))
    plain = plain_socket(transport)
    if plain is None:
        return TransportWriter(cast("Pipe", transport))
    return SocketWriter(cast("SocketPipe", transport), plain.send)


@implementer(IPullProducer)
class SocketWriter:
    """
    Sends on a plain socket directly while nothing waits.

    As a pull producer it is told by the transport exactly when everything is out. When `send`
    fails, the transport gets the bytes, fails as well and reports the loss in the usual way.

    CPU per viewer and batch, kernel included, with 100 loopback viewers: 10.1 µs for 20.8 kB and
    7.0 for 5 kB; the bare `send` 9.8 and 6.5, `transport.write` 17.2 and 13.6. What is ours of it
    is 0.1 µs (tests/bench/test_writer.py compares the three without the reactor).
    """

    __slots__ = ("_pipe", "_rest", "_send", "drained", "idle", "sent", "stalls", "waiting")

    def __init__(self, pipe: SocketPipe, send: Callable[[bytes], int]) -> None:
        """`send` is the bound method of the non-blocking socket under `pipe`."""
        self._pipe: SocketPipe | None = pipe
        self._send = send
        self._rest: list[memoryview] = []
        "What the transport does not have yet."

        self.drained: Callable[[], None] = _nobody
        self.idle = True
        self.sent = 0
        self.stalls = 0
        self.waiting = 0
        pipe.registerProducer(self, False)

    def write(self, data: bytes) -> bool:
        """Take all of it; return `idle`. After `close` or a loss: do nothing, return False."""
        if self.idle:
            try:
                taken = self._send(data)
            except BlockingIOError:
                taken = 0
            except OSError as error:  # the transport will fail as well, and report it
                taken = 0
                self._hide_the_end(error)
            size = len(data)
            self.sent += size
            if taken == size:
                return True
            self.idle = False
            self.stalls += 1
            self.waiting = size - taken
            self._rest.append(memoryview(data)[taken:])
            self._hand_over()
        elif self._pipe is not None:
            self.sent += len(data)
            self.waiting += len(data)
            self._rest.append(memoryview(data))
        return False

    def _hand_over(self) -> None:
        """
        Give the transport a piece to send; the rest stays shared with all who have yet to get it.

        Forty viewers who do not take a picture of 15 MB are 40 copies of it otherwise.
        """
        rest = self._rest
        first = rest[0]
        if len(first) > PIECE:
            rest[0] = first[PIECE:]
        else:
            del rest[0]
        assert self._pipe is not None
        self._pipe.write(bytes(first[:PIECE]))

    def close(self) -> None:
        """
        Send what waits, then close.

        A peer that does not read never lets it come to that: whoever closes also sets a time limit
        and then calls the transport's `abortConnection`.
        """
        pipe = self._pipe
        if pipe is not None:
            self._let_go(pipe)
            pipe.loseConnection()

    def finish(self) -> None:
        """As `MeteredWriter` says."""
        pipe = self._pipe
        if pipe is not None:
            self._let_go(pipe)
            pipe.loseWriteConnection()

    def resumeProducing(self) -> None:
        """Twisted: everything that the transport had is out."""
        if self._rest:
            self.waiting = sum(map(len, self._rest))
            self._hand_over()
        elif self.waiting:
            self.waiting = 0
            self.idle = True
            self.drained()

    def stopProducing(self) -> None:
        """Twisted: the connection is lost."""
        self._pipe = None
        self._rest.clear()
        self.idle = False
        self.waiting = 0
        self.drained = _nobody

    def _let_go(self, pipe: SocketPipe) -> None:
        for piece in self._rest:
            pipe.write(bytes(piece))
        self.stopProducing()
        pipe.unregisterProducer()  # or the transport waits for us for ever

    def _hide_the_end(self, error: OSError) -> None:
        """
        See that a connection that broke is not reported as closed cleanly.

        The kernel tells an error once, and `send` has just heard it: a read would find nothing but
        the end. Without reading, the reactor finds the connection lost.
        """
        if self._pipe is not None and isinstance(error, ConnectionError | TimeoutError):
            self._pipe.pauseProducing()


@implementer(IPushProducer)
class TransportWriter:
    """Writes to any transport, which says when it has enough: TLS, a tunnel, an HTTP response."""

    __slots__ = ("_end", "_pipe", "drained", "idle", "sent", "stalls", "waiting")

    def __init__(self, pipe: Pipe, end: Callable[[], None] | None = None) -> None:
        """`end` is for what is written, an HTTP response say, instead of the connection's."""
        self._pipe: Pipe | None = pipe
        self._end = end or pipe.loseConnection
        self.drained: Callable[[], None] = _nobody
        self.idle = True
        self.sent = 0
        self.stalls = 0
        self.waiting = 0
        pipe.registerProducer(self, True)

    def write(self, data: bytes) -> bool:
        """Take all of it; return `idle`. After `close` or a loss: do nothing, return False."""
        pipe = self._pipe
        if pipe is not None:
            size = len(data)
            self.sent += size
            pipe.write(data)  # may pause, resume or stop us before it returns
            if not self.idle and self._pipe is not None:
                self.waiting += size
        return self.idle

    def close(self) -> None:
        """Send what waits, then close; as for `SocketWriter`, the caller sets a time limit."""
        pipe, end = self._pipe, self._end
        if pipe is not None:
            self.stopProducing()
            pipe.unregisterProducer()
            end()

    def finish(self) -> None:
        """Close: these have no halves."""
        self.close()

    def pauseProducing(self) -> None:
        """Twisted: the transport has more than enough."""
        if self.idle:
            self.idle = False
            self.stalls += 1

    def resumeProducing(self) -> None:
        """Twisted: the transport has nothing left."""
        if not self.idle and self._pipe is not None:
            self.waiting = 0
            self.idle = True
            self.drained()

    def stopProducing(self) -> None:
        """Twisted: the connection is lost."""
        self._pipe = None
        self._end = _nobody
        self.idle = False
        self.waiting = 0
        self.drained = _nobody


class CipherWriter:
    """Encrypts what another writer sends (RTMPE): the price of bytes that nobody can share."""

    __slots__ = ("_encrypt", "_inner")

    def __init__(self, inner: MeteredWriter, encrypt: Callable[[bytes], bytes]) -> None:
        """Takes `inner` over, together with whom it tells of `drained`."""
        self._inner = inner
        self._encrypt = encrypt

    def write(self, data: bytes) -> bool:
        """Take all of it; return `idle`."""
        return self._inner.write(self._encrypt(data))

    def close(self) -> None:
        """Send what waits, then close."""
        self._inner.close()

    def finish(self) -> None:
        """As for `inner`."""
        self._inner.finish()

    @property
    def idle(self) -> bool:
        """As for `inner`."""
        return self._inner.idle

    @property
    def drained(self) -> Callable[[], None]:
        """As for `inner`."""
        return self._inner.drained

    @drained.setter
    def drained(self, drained: Callable[[], None]) -> None:
        self._inner.drained = drained

    @property
    def waiting(self) -> int:
        """As for `inner`."""
        return self._inner.waiting

    @property
    def sent(self) -> int:
        """As for `inner`, whose unencrypted beginning counts."""
        return self._inner.sent

    @property
    def stalls(self) -> int:
        """As for `inner`."""
        return self._inner.stalls


def tcp_socket(transport: ITransport) -> socket.socket | None:
    """Find the TCP socket below a transport, whatever is wrapped around it; to set options on."""
    inner: Any = transport
    while isinstance(inner, ProtocolWrapper):
        inner = inner.transport
    handle = _handle(inner)
    internet = {socket.AF_INET, socket.AF_INET6}
    return handle if handle is not None and handle.family in internet else None


def plain_socket(transport: ITransport) -> socket.socket | None:
    """
    Find the socket that takes exactly the bytes that are written to the transport, if there is one.

    Wrappers that leave writing as it is (the PROXY protocol's) may be passed by; TLS may not.
    """
    inner: Any = transport
    while isinstance(inner, ProtocolWrapper) and _passes_bytes(type(inner)):
        inner = inner.transport
    return _handle(inner)


def _passes_bytes(wrapper: type[ProtocolWrapper]) -> bool:
    names = ("write", "writeSequence", "registerProducer", "unregisterProducer")
    return all(getattr(wrapper, name) is getattr(ProtocolWrapper, name) for name in names)


def _handle(transport: object) -> socket.socket | None:
    # after startTLS a connection is the same object, but its handle is OpenSSL's
    if isinstance(transport, FileDescriptor) and ISystemHandle.providedBy(transport):
        handle = cast("Any", transport).getHandle()
        if type(handle) is socket.socket:
            return handle
    return None


def tune(tcp: socket.socket) -> None:
    """Have small batches leave at once, and little of what is old wait in the kernel."""
    with suppress(OSError):  # some systems complain when the peer is gone already
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_SIZE)


def _nobody() -> None:
    """Nobody waits for `drained`."""
