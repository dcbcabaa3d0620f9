"""
The client's end of a tunnel (RTMPT): a transport that makes the HTTP requests itself.

`TunnelClientEndpoint` is an endpoint like any other; TLS below it makes RTMPTS, an RTMPE handshake
inside RTMPTE. What is written goes out in the next request, and what the server says comes back in
the answers:

    POST /open/1              one byte           -> session id
    POST /send/<session>/<n>  bytes              -> polling byte, bytes
    POST /idle/<session>/<n>  one byte           -> polling byte, bytes
    POST /close/<session>/<n> one byte           -> one byte

When is there a request? With something to send: once the last one that did so is answered. With
nothing: while no other is under way, as soon as the server wants it (`PollPace`).

A server that has nothing to say may hold its answer until it has. What is to be sent then goes out
behind that request, on the same connection: who serves librtmp can read that, and our server
answers the first one at once (0.6 ms for a call; 470 ms if it had to wait). Over a connection of
its own it would also get past a proxy, which reads one request at a time, but then the two answers
could come in the wrong order from a server that ignores the numbers.
"""

from __future__ import annotations

import re
from collections import deque
from math import inf
from typing import Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    NoProtocol,
)
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from rtmptwist.net.polls import Kind
from rtmptwist.net.posts import Posts
from rtmptwist.net.reply import BadReply, Reply
from rtmptwist.net.tunnel import Tunnel, TunnelLimits

BODY_SIZE: Final = 256 * 1024
"""
Bytes in one request, if so much waits. Proxies take 1 MB, as our server does.

It is the most that leaves in a round trip: 14 Mbit/s when that takes 150 ms.
"""

UNIT: Final = 0.016
"Seconds that one in the polling byte stands for."

SLOWEST: Final = 0.512
"Seconds between two requests at most: what Red5 and AMS ask for when nothing happens."

PATIENT: Final = 10
"Requests answered with nothing, in a row; after these there are 31 per second at most."

RATE: Final = 180
"Requests per second, whatever happens. Our server delays answers beyond 200; 60 fps need 110."

BURST: Final = 100
"Requests that may come sooner than that: what a viewer gets first is seconds of the stream."

RELEASED: Final = 0.1
"Seconds in which a held answer comes, if a server lets it go for the request behind it."

OFTEN: Final = 0.1
"Seconds between two writes, on average, of somebody who writes often."

SILENCE: Final = 5.0
"Seconds after which a session that is unknown was forgotten by the server rather than ended."

_LIMITS: Final = TunnelLimits(answer_size=BODY_SIZE)

_NOTHING: Final = b"\x00"
"The body of a request that has none: every client sends one byte."

_SESSION_ID: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%-]{1,63}")
"What may stand in a path; longer ones do not fit into FFmpeg."


@implementer(IStreamClientEndpoint)
class TunnelClientEndpoint:
    """Connects through HTTP requests."""

    def __init__(
        self, clock: IReactorTime, endpoint: IStreamClientEndpoint, host: str, port: int
    ) -> None:
        """
        `endpoint` leads to the HTTP server, or to a proxy; with TLS where that is wanted.

        `host` and `port` are the server's as its URL has them.
        """
        self._clock = clock
        self._endpoint = endpoint
        self._host = host
        self._port = port

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Open a session.

        Raises:
            ConnectError: by the Deferred: not reached, or refused by the server.
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        posts = Posts(self._clock, self._endpoint, self._host, self._port)
        opened: Deferred[Reply] = Deferred()
        posts.lost = opened.errback
        posts.post("open", "/open/1", _NOTHING, opened.callback)
        try:
            session_id = _session_id(await opened)
        except BadReply as error:
            raise ConnectError(string=f"no RTMPT: {error}") from error
        except BaseException:
            posts.end(b"")
            raise
        tunnel = ClientTunnel(posts, session_id, self._clock)
        protocol: IProtocol | None = factory.buildProtocol(tunnel.getPeer())
        if protocol is None:
            posts.end(posts.write(f"/close/{session_id}/0", _NOTHING))
            raise NoProtocol
        tunnel.open(protocol)
        return protocol


def _session_id(reply: Reply) -> str:
    if reply.status != 200:
        raise ConnectError(string=f"no RTMPT: {reply.status} {reply.phrase}")
    text = reply.body.decode("latin-1").rstrip("\r\n")
    if not _SESSION_ID.fullmatch(text):
        raise ConnectError(string=f"no RTMPT: {text[:64]!r} is no session id")
    return text


class ClientTunnel(Tunnel):
    """A tunnel that makes the requests itself. Ends when the server knows, or will not answer."""

    def __init__(self, posts: Posts, session_id: str, clock: IReactorTime) -> None:
        """`posts` have just got the id."""
        assert posts.peer is not None
        assert posts.host is not None
        super().__init__(posts.peer, posts.host, clock, _LIMITS)
        self.stirred = self._soon
        posts.durable = True
        posts.lost = self._broken
        self._posts = posts
        self._session_id = session_id
        self._pace = PollPace()
        self._number = 0  # of the next request
        self._under_way: deque[_Request] = deque()
        self._heard = clock.seconds()
        self._kept = b""  # what came; for long only while the connection does not read
        self._why: Exception | None = None  # it is to end, once everything is sent
        self._leaving = False
        self._timer: IDelayedCall | None = None

    def open(self, protocol: IProtocol) -> None:
        """Begin."""
        super().open(protocol)
        self._soon()

    def write(self, data: bytes) -> None:
        """Keep bytes until the next request."""
        self._pace.wrote(self._clock.seconds())
        super().write(data)

    def hang_up(self, reason: Failure) -> None:
        """End it now, without a word to the server."""
        self._stop()
        super().hang_up(reason)

    # --------------------------------------------------------------- requests

    def _soon(self) -> None:
        """Something has changed: look at the end of this turn, when all of it is written."""
        if not self._leaving and not self.lost:
            self._wake_at(self._clock.seconds())

    def _wake_at(self, due: float) -> None:
        timer = self._timer
        if timer is not None and timer.active():
            if timer.getTime() <= due:
                return
            timer.cancel()
        self._timer = self._clock.callLater(max(due - self._clock.seconds(), 0), self._go_on)

    def _go_on(self) -> None:
        """Make the request that is due, if one is."""
        if self._kept and self.reading:
            kept, self._kept = self._kept, b""
            self.feed(kept)
        if isinstance(self._why, ConnectionAborted):
            self._abort(self._why)
            return
        kind = self._wanted()
        if kind is not None:
            now = self._clock.seconds()
            due = self._pace.due(kind, now)
            if now < due:
                self._wake_at(due)
            else:
                self._ask(kind)

    def _wanted(self) -> Kind | None:
        under_way = self._under_way
        if len(under_way) > 1 or (under_way and under_way[0].kind is not Kind.IDLE):
            return None
        if self._kept and not self.disconnecting:  # the answer would make it more
            return None
        if self.waiting:
            wanted = Kind.SEND
        elif self._why is not None:
            wanted = Kind.CLOSE
        elif self.reading and not under_way:
            return Kind.IDLE
        else:
            return None
        if under_way and not self._posts.pipelines:
            self._pace.blocked = True
            return None
        return wanted

    def _ask(self, kind: Kind) -> None:
        request = _Request(kind, f"{kind.value} {self._number}", self._clock.seconds())

        def answered(reply: Reply) -> None:
            self._under_way.popleft()
            self._answered(request, reply)

        path = self._path(kind)
        body = self.take() if kind is Kind.SEND else _NOTHING
        self._number += 1
        self._under_way.append(request)
        self._pace.made(request)
        self._posts.post(request.name, path, body, answered)

    def _path(self, kind: Kind) -> str:
        return f"/{kind.value}/{self._session_id}/{self._number}"

    # ---------------------------------------------------------------- answers

    def _answered(self, request: _Request, reply: Reply) -> None:
        now = self._clock.seconds()
        silent, self._heard = now - self._heard, now
        if request.kind is Kind.CLOSE:
            self._leave(self._why or ConnectionDone())
        elif reply.status == 404 and silent < SILENCE:  # so a server closes a connection
            self._leave(ConnectionDone("the server has ended the session"))
        elif reply.status != 200:
            words = f"{request.name} was answered {reply.status} {reply.phrase}"
            self._leave(ConnectionLost(words))
        elif not reply.body:
            self._leave(ConnectionLost(f"{request.name} was answered without a polling byte"))
        else:
            data = reply.body[1:]
            behind = self._under_way[0].made if self._under_way else None
            self._pace.answered(request, now, None if data else reply.body[0], behind)
            if not self.disconnecting:
                self._kept += data
            self._go_on()

    # ------------------------------------------------------------------- ends

    def _end_soon(self, why: Exception) -> None:
        """Everything is sent, or is not to be."""
        if not isinstance(self._why, ConnectionAborted):
            self._why = why
            self._soon()

    def _abort(self, why: Exception) -> None:
        """Tell the server, which else would wait for us, if that takes no time."""
        if all(request.kind is Kind.IDLE for request in self._under_way):
            self._leave(why, self._posts.write(self._path(Kind.CLOSE), _NOTHING))
        else:
            self._leave(why, None)

    def _leave(self, why: Exception, last_words: bytes | None = b"") -> None:
        """No more requests. The connection hears of it when its last socket is closed."""
        self._stop()
        self._leaving = self.disconnecting = True
        self.reading = False
        self._posts.end(last_words).addCallback(lambda _: self.hang_up(Failure(why)))

    def _broken(self, reason: Failure) -> None:
        """There will be no more answers."""
        # a `close` is made when everything else that mattered was answered
        closing = any(request.kind is Kind.CLOSE for request in self._under_way)
        self.hang_up(Failure(ConnectionDone()) if closing else reason)

    def _stop(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()


class _Request(NamedTuple):
    kind: Kind
    name: str
    made: float


class PollPace:
    """
    When the next request may be made.

    A server that answers at once although it has nothing to say wants to be left alone for as long
    as its polling byte says. One that holds its answers, or has something to say, is asked again at
    once: to be asked is all that it waits for.
    """

    def __init__(self) -> None:
        self.blocked = False
        """
        What was to be sent had to wait for a held answer: a proxy reads one request at a time.

        Then who sends often asks with what it sends, and does not ask in between: each picture of a
        publisher behind nginx would wait for 240 ms.
        """

        self._interval = 0.0
        "Between two requests for bytes, if there are none; 0 with a server that holds."

        self._empty = 0  # answers in a row
        self._idle = 0.0  # when to ask for bytes
        self._spent = 0.0  # requests made, in seconds at RATE
        self._written = -inf
        self._gap = 1.0  # between two writes, on average

    def due(self, kind: Kind, now: float) -> float:
        """When a request may be made. The clock may have been set back meanwhile."""
        self._spent = min(self._spent, now + (BURST + 1) / RATE)
        due = self._spent - BURST / RATE
        if kind is not Kind.IDLE:
            return due
        if self.blocked and self._gap < OFTEN:
            due = max(due, min(self._written, now) + 2 * OFTEN)
        return max(due, self._idle)

    def wrote(self, now: float) -> None:
        """There is something to send."""
        self._gap += (min(abs(now - self._written), 1.0) - self._gap) / 8
        self._written = now

    def made(self, request: _Request) -> None:
        """One was made."""
        self._spent = max(self._spent, request.made) + 1 / RATE

    def answered(
        self, request: _Request, now: float, polling: int | None, behind: float | None
    ) -> None:
        """
        One was answered.

        `polling` is the byte of an answer with nothing else in it; `behind`: when the next request
        was made, if it was made before this answer.
        """
        if behind is not None:
            self.blocked = now - behind > RELEASED
        if polling is None:
            self._empty = 0
            self._idle = 0.0
            return
        if request.kind is Kind.IDLE and behind is None:
            self._empty += 1
            least = 1 if self._empty <= PATIENT else 2
            wanted = min(max(polling, least) * UNIT, SLOWEST)
            self._interval = wanted if now - request.made < wanted else 0.0
        self._idle = min(request.made, now) + self._interval
