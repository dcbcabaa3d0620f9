"""The transport that sends at once: with a fake kernel, and over sockets."""

from __future__ import annotations

import hashlib
from typing import Any, cast

import pytest
from klein import Klein
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IConsumer, IPushProducer, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.server import Request
from zope.interface.verify import verifyObject

from rtmptwist.web.channel import Channel
from rtmptwist.web.eager import EagerTransport, eager
from rtmptwist.web.site import Site
from tests.support.tunnel import HOST, PEER
from tests.support.web import request

reactor: Any = global_reactor


class Kernel:
    """Takes so many bytes, then none; or fails."""

    def __init__(self) -> None:
        self.room = 1 << 30
        self.took = b""
        self.error: Exception | None = None

    def send(self, data: bytes) -> int:
        if self.error is not None:
            raise self.error
        if not self.room:
            raise BlockingIOError
        part = data[: self.room]
        self.took += part
        self.room -= len(part)
        return len(part)


class Pipe:
    """The transport under test, and what is below it."""

    def __init__(self) -> None:
        self.kernel = Kernel()
        self.inner: Any = StringTransport(HOST, PEER)
        self.transport = EagerTransport(self.inner, self.kernel.send)
        self.producer = Producer()
        self.transport.registerProducer(cast("Any", self.producer), True)

    def drain(self) -> bytes:
        """Twisted has sent the rest."""
        self.kernel.room = 1 << 30
        rest = b""
        while piece := self.inner.value():
            rest += piece
            self.inner.clear()
            self.inner.producer.resumeProducing()
        return rest


class Producer:
    """Counts what is wanted of it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


def test_is_a_transport() -> None:
    transport = Pipe().transport
    assert (transport.getPeer(), transport.getHost()) == (PEER, HOST)
    for interface in (ITransport, IConsumer, IPushProducer):
        verifyObject(interface, transport)


def test_where_nothing_is_to_be_gained_nothing_changes() -> None:
    """TLS, and what tests use."""
    transport = StringTransport()
    assert eager(transport) is transport


def test_everything_goes_to_the_kernel() -> None:
    pipe = Pipe()
    pipe.transport.write(b"one")
    pipe.transport.writeSequence([b"t", b"wo"])
    assert pipe.kernel.took == b"onetwo"
    assert pipe.inner.value() == b""


def test_a_producer_is_paused_until_everything_is_out() -> None:
    pipe = Pipe()
    pipe.kernel.room = 3
    for data in (b"ab", b"cd", b"ef"):
        pipe.transport.write(data)
    assert pipe.producer.calls == ["pause"]
    assert pipe.kernel.took + pipe.drain() == b"abcdef"
    assert pipe.producer.calls == ["pause", "resume"]
    pipe.transport.write(b"gh")
    assert pipe.producer.calls == ["pause", "resume"]


def test_without_a_producer_nobody_is_paused_or_resumed() -> None:
    pipe = Pipe()
    pipe.kernel.room = 0
    pipe.transport.write(b"a")
    pipe.transport.unregisterProducer()
    pipe.transport.write(b"b")
    assert pipe.drain() == b"ab"
    assert pipe.producer.calls == ["pause"]


def test_pull_producers_are_not_taken() -> None:
    with pytest.raises(ValueError, match="pull producer"):
        Pipe().transport.registerProducer(cast("Any", Producer()), False)


@pytest.mark.parametrize("error", [BrokenPipeError(), ConnectionResetError(), TimeoutError()])
def test_what_a_client_sent_before_it_left_is_still_read(error: Exception) -> None:
    """librtmp closes without reading its answers: the rest of its publication is on its way."""
    pipe = Pipe()
    pipe.kernel.error = error
    pipe.transport.write(b"nobody reads this")
    assert pipe.inner.value() == b""
    assert pipe.inner.producerState == "producing"
    assert not pipe.transport.disconnecting


def test_reading_and_the_end_are_the_transport_s() -> None:
    pipe = Pipe()
    pipe.transport.pauseProducing()
    states = [pipe.inner.producerState]
    pipe.transport.resumeProducing()
    states.append(pipe.inner.producerState)
    assert states == ["paused", "producing"]
    pipe.transport.stopProducing()
    assert pipe.transport.disconnecting
    pipe.transport.write(b"too late")
    assert pipe.kernel.took + pipe.inner.value() == b""
    pipe.transport.abortConnection()
    assert pipe.inner.disconnected


class Slow(Protocol):
    """Reads a little, now and then."""

    def __init__(self, data: bytes, size: int) -> None:
        self.done: Deferred[bytes] = Deferred()
        self._data = data
        self._size = size
        self._got = bytearray()

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.readBufferSize = 200_000
        transport.write(self._data)

    def dataReceived(self, data: bytes) -> None:
        self._got += data
        transport: Any = self.transport
        transport.pauseProducing()
        self._later = reactor.callLater(0.001, transport.resumeProducing)
        if len(self._got) >= self._size:
            transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._later.active():
            self._later.cancel()
        self.done.callback(bytes(self._got))


class OverSockets(TestCase):
    """What only sockets show."""

    def serve(self, mount: Any) -> Any:
        """A site, and an endpoint for its clients."""
        port = reactor.listenTCP(0, Site(reactor, [mount]), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)

    async def test_long_answers_arrive_whole_and_in_order(self) -> None:
        """Written in pieces, by a producer that is paused and resumed, between short ones."""
        pieces = [bytes([n]) * 100_000 for n in range(80)]
        paused = 0

        class Film:
            """A push producer with some pieces."""

            def __init__(self, request: Request) -> None:
                self.done: Deferred[None] = Deferred()
                self._request = request
                self._left = list(pieces)
                self._flowing = True

            def run(self) -> None:
                while self._flowing and self._left:
                    self._request.write(self._left.pop(0))
                if not self._left and not self.done.called:
                    self._request.unregisterProducer()
                    self.done.callback(None)

            def pauseProducing(self) -> None:
                nonlocal paused
                paused += 1
                self._flowing = False

            def resumeProducing(self) -> None:
                self._flowing = True
                self.run()

            def stopProducing(self) -> None:
                self._left = []

        def mount(app: Klein) -> None:
            @app.route("/short")
            def short(request: Request) -> bytes:
                request.setHeader("Content-Length", "5")
                return b"short"

            @app.route("/film")
            def film(request: Request) -> Deferred[None]:
                request.setHeader("Content-Length", str(sum(map(len, pieces))))
                film = Film(request)
                request.registerProducer(film, True)
                film.run()
                return film.done

        endpoint = self.serve(mount)
        paths = ["/short", "/film", "/short"]
        data = b"".join(request(path, b"", method="GET", length=False) for path in paths)
        client = Slow(data, 8_000_000 + 10)
        await connectProtocol(endpoint, client)
        got = await client.done
        film_at = got.index(b"\r\n\r\n\x00") + 4
        assert got.startswith(b"HTTP/1.1 200 OK\r\n")
        assert got[:film_at].count(b"HTTP/1.1 200 OK") == 2
        assert b"short" in got[:film_at]
        received = hashlib.sha256(got[film_at : film_at + 8_000_000]).hexdigest()
        assert received == hashlib.sha256(b"".join(pieces)).hexdigest()
        assert paused > 3

    async def test_who_writes_an_answer_hears_of_the_loss(self) -> None:
        stopped: Deferred[None] = Deferred()
        channels: list[Channel] = []

        class Endless(Producer):
            def stopProducing(self) -> None:
                stopped.callback(None)

        def mount(app: Klein) -> None:
            @app.route("/")
            def answer(request: Request) -> Deferred[bytes]:
                channels.append(cast("Channel", request.channel))
                request.registerProducer(Endless(), True)
                request.notifyFinish().addErrback(lambda _: None)
                request.write(b"begin")
                return Deferred()

        endpoint = self.serve(mount)
        client = Slow(request("/", b"", method="GET", length=False), 1)
        await connectProtocol(endpoint, client)
        await client.done
        await stopped
        assert isinstance(channels[0].transport, EagerTransport)
