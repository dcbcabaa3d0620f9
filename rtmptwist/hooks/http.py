"""
HTTP servers as hooks.

Each question is a POST. Certificates are checked, redirections are not followed (what is asked is
signed for one server and may hold secrets), and of an answer no more is read than one can have to
say.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, NamedTuple, TypeVar, cast
from urllib.parse import unquote, urlsplit, urlunsplit

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import (
    URI,
    Agent,
    HTTPConnectionPool,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from rtmptwist import __version__
from rtmptwist.hooks import signature
from rtmptwist.hooks.answer import Answer, NoAnswer, from_http
from rtmptwist.hooks.question import Question
from rtmptwist.net.tls import in_words

T = TypeVar("T")

LARGEST_BODY: Final = 32 << 10
"Bytes of an answer: some hundred are needed; an error page has ten thousand."

LARGEST: Final = 64 << 10
"Bytes that may come for one question, headers and all."

IDLE: Final = 30
"Seconds that a connection waits for the next question; many servers close it after 60 or 75."

LINGER: Final = 1.0
"Seconds that a server may take to close a connection of which nobody wants anything any more."


class TooMuch(Exception):
    """A server sends more than an answer can be."""

    def __init__(self) -> None:
        super().__init__(f"its answer is too large (more than {LARGEST_BODY} bytes)")


class Reply(NamedTuple):
    """What a server answers."""

    status: int
    location: str
    kind: str
    "Of the body: its Content-Type."
    body: bytes


class Server:
    """A server to which something is posted."""

    def __init__(
        self,
        url: str,
        reactor: Any,
        *,
        tls: IOpenSSLClientConnectionCreator | None = None,
        connections: int = 2,
    ) -> None:
        """
        `url` may hold a user and a password. `tls`: for https. So many `connections` wait for the
        next question.
        """
        parts = urlsplit(url)
        user_info, _, host = parts.netloc.rpartition("@")
        self._url = urlunsplit(parts._replace(netloc=host, fragment="")).encode("ascii")
        self._headers = {"User-Agent": f"rtmptwist/{__version__}"}
        if user_info:
            login = b64encode(unquote(user_info).encode()).decode()
            self._headers["Authorization"] = f"Basic {login}"
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = connections
        self._pool.cachedConnectionTimeout = IDLE
        self._agent = Agent.usingEndpointFactory(reactor, _Ways(reactor, tls), self._pool)

    async def post(self, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> Reply:
        """
        Post once, something of a Content-Type.

        Raises:
            NoAnswer: there was none.
        """
        said = {**self._headers, "Content-Type": kind, **(headers or {})}
        try:
            response, answer = await _promptly(self._exchange(said, body))
        except _FAILURES as error:
            raise NoAnswer(_why(error)) from error
        return Reply(
            response.code, _header(response, "Location"), _header(response, "Content-Type"), answer
        )

    async def _exchange(self, said: Mapping[str, str], body: bytes) -> tuple[IResponse, bytes]:
        headers = Headers({name: [value] for name, value in said.items()})
        response = await self._agent.request(b"POST", self._url, headers, _Body(body))
        return response, await _read(response)

    async def close(self) -> None:
        """
        Close what is open, within `LINGER`. Whoever waits for an answer must have given up.
        """
        await self._pool.closeCachedConnections()


class HttpCarrier:
    """`hooks.asking.Carrier`: a server is asked."""

    def __init__(
        self,
        url: str,
        reactor: Any,
        *,
        form: bool = False,
        secret: Callable[[], bytes] | None = None,
        tls: IOpenSSLClientConnectionCreator | None = None,
        connections: int = 2,
        now: Callable[[], float] = time.time,
    ) -> None:
        """As of `Server`; `secret`: to sign with."""
        self._server = Server(url, reactor, tls=tls, connections=connections)
        self._form = form
        self._secret = secret
        self._now = now

    async def ask(self, question: Question) -> Answer:
        """Ask once."""
        body = question.form() if self._form else question.json()
        kind = "application/x-www-form-urlencoded" if self._form else "application/json"
        headers: dict[str, str] = {}
        if self._secret is not None:
            now = int(self._now())
            headers = signature.headers(self._secret(), question.id, now, body)
        reply = await self._server.post(body, kind, headers)
        return from_http(
            reply.status, reply.location, reply.kind, reply.body, strict=not self._form
        )

    async def close(self, patience: float) -> None:  # noqa: ARG002 - closing takes `LINGER`
        """Close what is open. Questions that are on their way must have been given up."""
        await self._server.close()


def _promptly(exchange: Coroutine[Any, Any, T]) -> Deferred[T]:
    """What comes of it. It fails as usual when it is cancelled: Agent has a dozen other ways."""
    exchanging = Deferred.fromCoroutine(exchange)

    def cancel(waiting: Deferred[T]) -> None:
        waiting.errback(CancelledError())
        exchanging.cancel()

    waiting: Deferred[T] = Deferred(cancel)
    exchanging.addBoth(lambda result: None if waiting.called else waiting.callback(result))
    return waiting


def _header(response: IResponse, name: str) -> str:
    values: list[bytes] = response.headers.getRawHeaders(name.encode()) or [b""]
    return values[0].decode(errors="replace").strip()


_FAILURES: Final = (
    *(TooMuch, ConnectError, ConnectionClosed, OSError),
    *(RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed),
)
"What is not a bug of ours."


def _why(error: BaseException) -> str:
    """What went wrong, in words: the reason that lies at the bottom."""
    while reasons := getattr(error, "reasons", None):
        error = reasons[0].value
    if isinstance(error, TooMuch):
        return str(error)
    if isinstance(error, ConnectionClosed):
        return "it closed the connection before the end of its answer"
    if isinstance(error, ConnectError | OSError | SSL.Error | VerificationError):
        return in_words(Failure(error), client=True).rstrip(".")
    return "what it answers is no HTTP"


@implementer(IBodyProducer)
class _Body:
    """What is sent: all at once."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._data)
        return succeed(None)

    def pauseProducing(self) -> None:
        """It is sent already."""

    def resumeProducing(self) -> None:
        """It is sent already."""

    def stopProducing(self) -> None:
        """It is sent already."""


def _read(response: IResponse) -> Deferred[bytes]:
    """What stands in an answer; cancelling breaks the connection off."""
    reader = _Reader()
    response.deliverBody(reader)
    return reader.done


class _Reader(Protocol):
    """Gathers the body of an answer."""

    def __init__(self) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _: self._break_off())
        self._data = b""

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > LARGEST_BODY and not self.done.called:
            self.done.errback(TooMuch())
            self._break_off()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        # servers of HTTP/1.0 end an answer by closing
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(self._data)
        else:
            self.done.errback(reason)

    def _break_off(self) -> None:
        transport: Any = self.transport
        transport.stopProducing()


# ---- connections


@implementer(IAgentEndpointFactory)
class _Ways:
    """How the agent reaches a server."""

    def __init__(self, reactor: Any, tls: IOpenSSLClientConnectionCreator | None) -> None:
        self._reactor = reactor
        self._tls = tls

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        endpoint: Any = HostnameEndpoint(self._reactor, uri.host.decode(), uri.port)
        if self._tls is not None:
            endpoint = wrapClientTLS(self._tls, endpoint)
        return _Way(endpoint, self._reactor)


@implementer(IStreamClientEndpoint)
class _Way:
    """An endpoint with a `_Line` between its transport and the agent's protocol."""

    def __init__(self, endpoint: IStreamClientEndpoint, clock: IReactorTime) -> None:
        self._endpoint = endpoint
        self._clock = clock

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        factory: Any = protocolFactory
        factory.noisy = False  # else the log has two lines for each connection
        connecting: Deferred[Any] = self._endpoint.connect(_Lines(protocolFactory, self._clock))
        return connecting.addCallback(lambda line: line.wrappedProtocol)


class _Line(ProtocolWrapper):
    """Bounds what comes on a connection, and how long it takes to close."""

    _received = 0
    _too_much: TooMuch | None = None
    _abort: IDelayedCall | None = None

    def write(self, data: bytes) -> None:
        self._received = 0
        super().write(data)

    def dataReceived(self, data: bytes) -> None:
        self._received += len(data)
        if self._received <= LARGEST:
            super().dataReceived(data)
        else:
            self._too_much = TooMuch()
            self.abortConnection()

    def loseConnection(self) -> None:
        super().loseConnection()
        if self._abort is None:
            factory = cast("_Lines", self.factory)
            self._abort = factory.clock.callLater(LINGER, self.abortConnection)

    def abortConnection(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()

    def stopProducing(self) -> None:
        self.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._abort is not None and self._abort.active():
            self._abort.cancel()
        super().connectionLost(reason if self._too_much is None else Failure(self._too_much))


class _Lines(WrappingFactory[_Line]):
    """Makes them."""

    protocol = _Line
    noisy = False

    def __init__(self, factory: IProtocolFactory, clock: IReactorTime) -> None:
        super().__init__(factory)
        self.clock = clock

    def buildProtocol(self, addr: IAddress | None) -> _Line:
        return _Line(self, self.wrappedFactory.buildProtocol(addr))
