"""
POST requests to one server, over one connection that stays, answered in the order they were made.

Servers and proxies close connections between two requests, and networks break them in the middle of
one. Then there is a new connection, and the request that is under way is made again, byte for byte:
RTMPT numbers its requests, so that a server which was reached the first time knows it again. What
requests mean is left to `net.tunnelclient`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from typing import Any, Final, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocol,
    IReactorTime,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from rtmptwist.net.listen import quick_ack
from rtmptwist.net.reply import BadReply, Reply, ReplyReader
from rtmptwist.net.writer import SocketWriter, TransportWriter, writer_for

PATIENCE: Final = 30
"Seconds for an answer, repetitions included: a server may ask somebody else first."

STALE: Final = 5
"""
Seconds without a word, after which a connection is given up and the request made again.

So a phone that went from one network to another goes on before the server misses it, which takes
10 s. The longest that a server is known to hold an answer is 4 s (AMS).
"""

SLOW: Final = 16 * 1024
"Bytes per second that a request may take to get out; it counts as stale that much later."

RESCUE: Final = 10
"Seconds without a connection, after which there need not be one any more."

PAUSES: Final = (0.0, 0.5, 2.0)
"Seconds before each repetition after a connection broke; then it has broken too often."

LINGER: Final = 1.0
"Seconds for a connection to close in good order: with TLS the other side has a say in it."

_LOOK: Final = 1
"Seconds between two looks at the time."

_GATEWAY: Final = frozenset({502, 503, 504})
"What a proxy says that did not reach the server: as good as a broken connection."

_REQUEST: Final = b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b"

_HEADERS: Final = (
    b"Host: %b\r\n"
    b"User-Agent: Shockwave Flash\r\n"  # Wowza insists on it
    b"Connection: Keep-Alive\r\n"
    b"Cache-Control: no-cache\r\n"
    b"Content-Type: application/x-fcs\r\n"
)
"As librtmp has them, which every server knows."


class Posts:
    """The requests to one server. Made by `post`, until `end`."""

    def __init__(
        self, clock: IReactorTime, endpoint: IStreamClientEndpoint, host: str, port: int
    ) -> None:
        """`host` and `port` are what the server hears; `endpoint` is what leads there."""
        self.lost: Callable[[Failure], None] = _nobody
        "Called once, when there will be no more answers, with what went wrong. Not after `end`."

        self.durable = False
        "Whether a request is made again when its connection breaks. Opening must not be."

        self.pipelines = False
        "Whether a request may be made while another is under way: librtmp does, with all servers."

        self.repeated = 0
        "Requests that were made again."

        self.peer: IAddress | None = None
        self.host: IAddress | None = None
        "The two ends of the first connection, once it was there."

        self._clock = clock
        self._endpoint = endpoint
        host = f"[{host}]" if ":" in host else host
        self._headers = _HEADERS % f"{host}:{port}".encode("idna")
        self._due: deque[_Post] = deque()
        self._line: _Line | None = None
        self._opening: Deferred[IProtocol] | None = None
        self._pause: IDelayedCall | None = None
        self._breaks = 0  # since the last answer
        self._looks = 0  # one a second; the reactor's clock may be set
        self._heard = 0  # at that look, or a connection was made
        self._without = inf  # since then there is no connection, and should be one
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock
        self._ended = False
        self._gone: Deferred[None] = Deferred()

    def write(self, path: str, body: bytes) -> bytes:
        """A request as it goes out: in one piece, or Nagle's algorithm would have a say."""
        return _REQUEST % (path.encode("ascii"), self._headers, len(body), body)

    def post(self, name: str, path: str, body: bytes, answered: Callable[[Reply], None]) -> None:
        """Make a request. `name` is for messages: the path has what nobody else should know."""
        post = _Post(name, self.write(path, body), self._looks, answered)
        self._due.append(post)
        if not self._looking.running:
            self._looking.start(_LOOK, now=False)
        if self._line is not None:
            self._line.send(post.data)
        elif len(self._due) == 1:
            self._open()

    def end(self, last_words: bytes | None = None) -> Deferred[None]:
        """
        Forget what is under way and close; fires when the connection is gone.

        `last_words` are sent before, and nobody waits for an answer. With None nothing is sent any
        more, not even what waits.
        """
        if self._ended:
            return self._gone
        self._ended = True
        self._due.clear()
        if self._looking.running:
            self._looking.stop()
        if self._pause is not None and self._pause.active():
            self._pause.cancel()
        if self._opening is not None:
            self._opening.cancel()
        line = self._line
        if line is None:
            self._gone.callback(None)
        elif last_words is None:
            line.abort()
        else:
            line.send(last_words)
            line.close()
        return self._gone

    # ----------------------------------------------------------- connections

    def _open(self) -> None:
        self._opening = self._endpoint.connect(_Lines(self._make_line))
        self._opening.addCallbacks(self._opened, self._not_opened)

    def _make_line(self) -> _Line:
        return _Line(self._clock, self._line_heard, self._line_lost)

    def _opened(self, protocol: IProtocol) -> None:
        line = cast("_Line", protocol)
        self._opening = None
        if self._ended:  # could not be cancelled any more
            line.abort()
            return
        self._without = inf
        self._heard = self._looks
        self._line = line
        transport = cast("ITransport", line.transport)
        self.peer = self.peer or transport.getPeer()
        self.host = self.host or transport.getHost()
        for post in self._due:
            line.send(post.data)

    def _not_opened(self, reason: Failure) -> None:
        self._opening = None
        if not self._ended:
            self._broken(reason)

    def _line_lost(self, line: _Line, reason: Failure) -> None:
        if line is not self._line:
            return
        self._drop_line()
        if self._ended:
            self._gone.callback(None)
        elif self._due:  # else it was closed between two requests
            self._broken(reason)

    def _drop_line(self) -> _Line:
        line, self._line = self._line, None
        self.pipelines = False
        assert line is not None
        return line

    # --------------------------------------------------------------- answers

    def _line_heard(self, line: _Line, replies: Iterable[Reply]) -> None:
        self._heard = self._looks
        for reply in replies:
            if line is not self._line or self._ended:
                return
            self._answered(reply)

    def _answered(self, reply: Reply) -> None:
        if not self._due:  # some servers say 408 before they close
            self._drop_line().close()
        elif reply.status in _GATEWAY and self.durable:
            self._drop_line().close()
            self._broken(Failure(BadReply(f"{reply.status} {reply.phrase}")))
        else:
            post = self._due.popleft()
            self._breaks = 0
            if reply.keeps:
                self.pipelines = reply.pipelines
            else:
                self._drop_line().close()
                if self._due:  # which nobody has read
                    self._open()
            post.answered(reply)

    def _broken(self, reason: Failure) -> None:
        """What is under way was not answered: make it again, if that can help."""
        if not self.durable:
            self._fail(reason)
        elif self._breaks == len(PAUSES):
            self._lose(f"not answered, {self._breaks + 1} times", reason.getErrorMessage())
        else:
            self._breaks += 1
            self._repeat(PAUSES[self._breaks - 1])

    def _repeat(self, pause: float) -> None:
        if len(self._due) > 1:
            # a server keeps its last answer for us, but may have given two
            self._lose("on its way with another one", "and the connection broke")
            return
        self.repeated += 1
        self._without = min(self._without, self._looks)
        self._pause = self._clock.callLater(pause, self._open)

    def _lose(self, what: str, why: str) -> None:
        name = self._due[0].name
        self._fail(Failure(ConnectionLost(f"{name} was {what}: {why.rstrip('.')}")))

    def _fail(self, reason: Failure) -> None:
        lost, self.lost = self.lost, _nobody
        self.end().addCallback(lambda _: lost(reason))

    # ------------------------------------------------------------------ time

    def _look(self) -> None:
        """Once a second: are we waiting too long for something?"""
        self._looks += 1
        if not self._due:
            return
        post, now = self._due[0], self._looks
        stale = max(self._heard, post.since) + STALE + len(post.data) / SLOW
        if now - post.since > PATIENCE:
            self._lose(f"not answered in {PATIENCE} s", f"{self.repeated} repetitions")
        elif now - self._without > RESCUE:
            self._lose("not answered", f"no new connection in {RESCUE} s")
        elif now > stale and self._line is not None and self.durable:
            self._drop_line().abort()
            self._repeat(0)


class _Post:
    """A request that is not answered yet."""

    __slots__ = ("answered", "data", "name", "since")

    def __init__(
        self, name: str, data: bytes, since: int, answered: Callable[[Reply], None]
    ) -> None:
        self.name = name
        self.data = data
        self.since = since
        self.answered = answered


class _Line(Protocol):
    """One connection."""

    def __init__(
        self,
        clock: IReactorTime,
        heard: Callable[[_Line, Iterable[Reply]], None],
        lost: Callable[[_Line, Failure], None],
    ) -> None:
        self._clock = clock
        self._heard = heard
        self._lost = lost
        self._reader = ReplyReader()
        self._writer: SocketWriter | TransportWriter
        self._quick_ack: Callable[[], None] | None = None
        self._linger: IDelayedCall | None = None
        self._gone = False

    def connectionMade(self) -> None:
        """Twisted: it is there."""
        transport = self.transport
        assert transport is not None
        self._writer = writer_for(transport)
        self._quick_ack = quick_ack(transport)

    def send(self, data: bytes) -> None:
        """Write now; what the kernel does not take follows."""
        self._writer.write(data)

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came."""
        if self._quick_ack is not None:
            # some servers send head and body apart, with Nagle's algorithm on
            self._quick_ack()
        try:
            replies = self._reader.feed(data)
        except BadReply as error:
            self._lost(self, Failure(error))
            self.abort()
        else:
            self._heard(self, replies)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: it is gone; some answers end with that."""
        self._gone = True
        if self._linger is not None and self._linger.active():
            self._linger.cancel()
        reply = self._reader.finish() if reason.check(ConnectionDone) else None
        if reply is not None:
            self._heard(self, [reply])
        self._lost(self, reason)

    def close(self) -> None:
        """In good order, but not for ever."""
        if not self._gone:
            self._writer.close()
            self._linger = self._clock.callLater(LINGER, self.abort)

    def abort(self) -> None:
        """Now."""
        transport = cast("Any", self.transport)
        transport.abortConnection()


class _Lines(Factory):
    noisy = False

    def __init__(self, make: Callable[[], _Line]) -> None:
        self._make = make

    def buildProtocol(self, addr: object) -> _Line:  # noqa: ARG002 - Twisted's
        return self._make()


def _nobody(reason: Failure) -> None:
    """Nobody waits for answers."""
