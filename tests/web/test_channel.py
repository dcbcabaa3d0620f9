"""HTTP connections: what is refused, what is bounded, and that nothing else is touched."""

from __future__ import annotations

import socket
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from klein import Klein
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from twisted.web.server import Request

from rtmptwist.net.tunnel import Use
from rtmptwist.web.channel import BODY_SIZE, ERROR, LINGER, RATE, REQUEST_TIME
from rtmptwist.web.site import Site
from tests.support.web import Web, Wire, chunked, request

reactor: Any = global_reactor


@pytest.fixture(params=["express", "klein"])
def web(request: pytest.FixtureRequest) -> Web:
    """With an express lane and without: the bounds are the same."""
    return Web(express=request.param == "express")


# ------------------------------------------------------------- where does a request end?

_HEAD = b"POST /send/{id}/0 HTTP/1.1\r\nHost: example.org\r\n"
_NEXT = b"POST /send/{id}/1 HTTP/1.1\r\nHost: example.org\r\nContent-Length: 8\r\n\r\nsmuggled"

SMUGGLING = {
    "two lengths": _HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "two different lengths": _HEAD + b"Content-Length: 1\r\nContent-Length: 200\r\n\r\nx",
    "a list of lengths": _HEAD + b"Content-Length: 1, 1\r\n\r\nx",
    "a signed length": _HEAD + b"Content-Length: +1\r\n\r\nx",
    "a negative length": _HEAD + b"Content-Length: -1\r\n\r\nx",
    "a hexadecimal length": _HEAD + b"Content-Length: 0x1\r\n\r\nx",
    "an empty length": _HEAD + b"Content-Length:\r\n\r\nx",
    "a folded length": _HEAD + b"Content-Length: 1\r\n 0\r\n\r\nx",
    "a length on a line of its own": _HEAD + b"Content-Length:\r\n 1\r\n\r\nx",
    "a coding on a line of its own": _HEAD + b"Transfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n",
    "another header that is folded": _HEAD + b"X: y\r\n z\r\nContent-Length: 1\r\n\r\nx",
    "a head that begins with a blank": b"POST /send/{id}/0 HTTP/1.1\r\n Content-Length: 1\r\n\r\nx",
    "a length with an underscore": _HEAD + b"Content-Length: 1_0\r\n\r\n1234567890",
    "a length in other digits": _HEAD + "Content-Length: ١\r\n\r\nx".encode(),
    "length and chunks": _HEAD
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": _HEAD
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "chunks and length 0": _HEAD
    + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
    "chunks twice": _HEAD
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks, then more": _HEAD
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "identity": _HEAD + b"Transfer-Encoding: identity\r\n\r\n",
    "identity and length": _HEAD + b"Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx",
    "identity and length 0": _HEAD + b"Content-Length: 0\r\nTransfer-Encoding: identity\r\n\r\n",
    "another coding": _HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "nearly chunked": _HEAD + b"Transfer-Encoding: xchunked\r\nContent-Length: 1\r\n\r\nx",
    "chunked in quotes": _HEAD + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "a blank before the colon": _HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a blank before a length's colon": _HEAD + b"Content-Length : 1\r\n\r\nx",
    "a tab in a name": _HEAD + b"Content\tLength: 1\r\n\r\nx",
    "a bare line feed": _HEAD + b"Content-Length: 1\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bare carriage return": _HEAD + b"X: y\rContent-Length: 1\r\n\r\nx",
    "a zero byte": _HEAD + b"X: \x00\r\nContent-Length: 1\r\n\r\nx",
    "a zero byte in a name": _HEAD + b"X\x00: y\r\nContent-Length: 1\r\n\r\nx",
    "a zero byte in a length": _HEAD + b"Content-Length: 1\x00\r\n\r\nx",
    "a zero byte in the path": b"POST /send/{id}\x00/0 HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
    "a vertical tab in a coding": _HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "no colon": _HEAD + b"nonsense\r\nContent-Length: 1\r\n\r\nx",
    "a chunk size that is none": _HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n",
    "no chunk size": _HEAD + b"Transfer-Encoding: chunked\r\n\r\n\r\nx\r\n0\r\n\r\n",
    "a chunk size with a prefix": _HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n",
    "a chunk size with an underscore": _HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n0_1\r\nx\r\n0\r\n\r\n",
    "a negative chunk size": _HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
    "a blank before a chunk size": _HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n 1\r\nx\r\n0\r\n\r\n",
    "a blank behind a chunk size": _HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n",
    "chunks that end with a line feed": _HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n"
    + b"x" * 2000,
    "a line feed in a chunk's extension": _HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\nx\r\n0\r\n\r\n",
    "a signed chunk size": _HEAD + b"Transfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n",
    "a chunk longer than it says": _HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n",
    "an endless chunk size": _HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 2000,
    "an endless trailer": _HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 12_000,
    "an old version": b"POST /send/{id}/0 HTTP/0.9\r\n\r\n",
    "a new version": b"POST /send/{id}/0 HTTP/2.0\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": b"POST /send/{id}/0\r\n\r\n",
    "blanks in the path": b"POST /send/{id} /0 HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"\x03\x00\x00\x00\x00\r\n\r\n",
}


@pytest.mark.parametrize("data", SMUGGLING.values(), ids=SMUGGLING)
def test_doubtful_requests_end_the_connection(web: Web, data: bytes) -> None:
    wire, session_id, listener = web.open()
    other, other_id, _ = web.open()
    for piece in (data, _NEXT, _NEXT):
        wire.say(piece.replace(b"{id}", session_id.encode()))
    raw = wire.raw()
    assert raw.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert raw.count(b"HTTP/1.1") == 1
    assert wire.channel.refused
    assert listener.heard == []
    assert listener.lost == []
    assert other.ask(f"/send/{other_id}/0", b"x").body == b"\x01X"
    assert web.connect().ask(f"/send/{session_id}/0", b"x").body == b"\x01X"


@given(st.binary(max_size=300), st.booleans())
def test_noise_is_harmless(noise: bytes, express: bool) -> None:
    web = Web(express=express)
    other, other_id, _ = web.open()
    wire = web.connect()
    wire.say(noise)
    wire.say(b"POST /open/1 HTTP/1.1\r\n" + noise + b"\r\n\r\n")
    wire.lose()
    assert other.ask(f"/send/{other_id}/0", b"x").body == b"\x01X"


# -------------------------------------------------------------------------------- bounds


def refusal(wire: Wire) -> int:
    """The status of a last answer; empty, and said to be the last."""
    raw = wire.raw()
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert body == b""
    assert b"Content-Length: 0" in lines
    assert b"Connection: close" in lines
    assert wire.channel.refused
    return int(lines[0].split()[1])


def test_a_body_of_a_megabyte_is_taken(web: Web) -> None:
    wire, session_id, listener = web.open()
    listener.answer = lambda data: None
    data = request(f"/send/{session_id}/0", b"x" * BODY_SIZE)
    for start in range(0, len(data), 65536):
        wire.say(data[start : start + 65536])
    assert [a.body for a in wire.hear()] == [b"\x01"]
    assert [len(data) for data in listener.heard] == [BODY_SIZE]


def test_a_longer_one_is_refused_before_it_is_read(web: Web) -> None:
    wire, session_id, listener = web.open()
    data = request(f"/send/{session_id}/0", b"x" * (BODY_SIZE + 1), "Expect: 100-continue")
    wire.say(data[:200])
    assert refusal(wire) == 413
    for _ in range(100):
        wire.say(b"x" * 65536)
    wire.say(request(f"/send/{session_id}/0", b"x"))
    assert wire.raw() == b""
    assert listener.heard == []
    assert web.connect().ask(f"/send/{session_id}/0", b"x").body == b"\x01X"


def test_chunks_without_end_are_refused_when_they_are_too_many(web: Web) -> None:
    wire, session_id, listener = web.open()
    head = request(f"/send/{session_id}/0", b"", "Transfer-Encoding: chunked", length=False)
    wire.say(head + chunked(b"x" * (BODY_SIZE + 3 * 8192), 8192))
    assert refusal(wire) == 413
    assert listener.heard == []


def test_a_refused_client_has_time_to_read_why(web: Web) -> None:
    """Closed at once, with bytes unread, its kernel would throw the answer away."""
    wire, session_id, _ = web.open()
    wire.say(request(f"/send/{session_id}/0", b"x" * (BODY_SIZE + 1))[:200])
    web.turn(LINGER - 0.1)
    wire.say(b"x")
    assert not wire.closed
    web.turn(0.1)
    assert wire.transport.disconnected


def test_heads_are_bounded(web: Web) -> None:
    wire = web.connect()
    wire.say(b"POST /open/1 HTTP/1.1\r\n")
    wire.say(b"".join(b"Header-%d: %b\r\n" % (n, b"x" * 1000) for n in range(20)))
    assert refusal(wire) == 400
    assert len(web.tunnels) == 0


def test_headers_are_counted(web: Web) -> None:
    wire = web.connect()
    wire.say(request("/open/1", b"\x00", *(f"A{n}: b" for n in range(120))))
    assert refusal(wire) == 400
    assert len(web.tunnels) == 0


@pytest.mark.parametrize("start", [b"", b"POST /open/1 HTTP/1.1\r\nHost: "])
def test_endless_lines_are_refused(web: Web, start: bytes) -> None:
    wire = web.connect()
    wire.say(start + b"A" * 20_000)
    assert refusal(wire) == 431
    wire.say(b"A" * 20_000)
    assert wire.raw() == b""


def test_a_request_must_come_whole_in_time(web: Web) -> None:
    """A byte now and then does not keep a connection."""
    wire = web.connect()
    data = request("/open/1")
    for n in range(60):
        assert not wire.closed
        wire.say(data[n : n + 1])
        web.turn(REQUEST_TIME / 60)
    assert wire.transport.disconnected


def test_an_idle_connection_is_kept_for_a_while(web: Web) -> None:
    wire, session_id, _ = web.open()
    for number in range(5):
        web.turn(REQUEST_TIME - 1)
        wire.say(request(f"/idle/{session_id}/{number}"))
        assert not wire.closed
    web.turn(REQUEST_TIME)
    assert wire.transport.disconnected


def test_a_flood_of_requests_behind_one_that_waits_is_not_read(web: Web) -> None:
    wire, session_id, listener = web.open()
    listener.tunnel.pauseProducing()  # a login, say
    wire.say(request(f"/send/{session_id}/0", b"x"))
    number = 0
    while wire.transport.producerState == "producing":
        number += 1
        wire.say(request(f"/send/{session_id}/{number}", b"x" * 100))
        assert number < 200
    listener.tunnel.resumeProducing()
    web.turn()
    assert wire.transport.producerState == "producing"
    assert len(wire.hear()) == number + 1
    assert len(listener.heard) == number + 1


def test_a_thousand_requests_at_once_are_answered_in_order(web: Web) -> None:
    """Not one inside the other: that would end in a RecursionError."""
    wire, session_id, listener = web.open()
    wire.say(b"".join(request(f"/send/{session_id}/{n}", b"<%d>" % n) for n in range(1000)))
    for _ in range(1000):
        web.turn(0.02)
    assert [a.body for a in wire.hear()] == [b"\x01<%d>" % n for n in range(1000)]
    assert listener.heard == [b"<%d>" % n for n in range(1000)]


GET = request("/nowhere", b"", method="GET", length=False)


def test_one_request_is_served_in_a_turn(web: Web) -> None:
    """What else the reactor has to do is not delayed by a flood."""
    wire = web.connect()
    wire.say(GET * 3)
    assert len(wire.hear()) == 1
    web.turn()
    assert len(wire.hear()) == 2


def test_requests_that_lead_nowhere_are_soon_served_slowly(web: Web) -> None:
    wire, session_id, _ = web.open()
    wire.say(GET * 100)
    web.turn()
    at_once = RATE // ERROR
    assert len(wire.hear()) == pytest.approx(at_once, abs=1)
    counts = []
    for _ in range(3):
        web.turn(1.0)
        counts.append(len(wire.hear()))
    assert counts == pytest.approx([RATE / ERROR] * 3, abs=1)
    assert not wire.closed
    other = web.connect()
    assert other.ask(f"/send/{session_id}/0", b"x").body == b"\x01X"


def test_a_flood_that_is_served_slowly_is_not_read(web: Web) -> None:
    wire = web.connect()
    wire.say(GET * 1000)
    for _ in range(30):
        web.turn(0.5)
        assert wire.transport.producerState == "paused"
    for _ in range(20):
        web.turn(1.0)
    assert wire.transport.producerState == "producing"


def test_a_request_that_has_to_wait_is_forgotten_with_its_connection(web: Web) -> None:
    wire = web.connect()
    wire.say(GET * 100)
    web.turn()
    wire.lose()
    assert web.clock.getDelayedCalls() == []


def test_nobody_waits_because_the_clock_is_set_back(web: Web) -> None:
    wire = web.connect()
    wire.say(GET * 20)
    web.turn(1.0)
    assert len(wire.hear()) == 20
    web.clock.rightNow -= 3600
    wire.say(GET * 2)
    web.turn(0.1)
    assert len(wire.hear()) == 2


def test_who_does_not_read_answers_is_not_read(web: Web) -> None:
    wire, session_id, listener = web.open()
    wire.channel.pauseProducing()  # Twisted: the send buffer is full
    assert wire.transport.producerState == "paused"
    wire.say(request(f"/send/{session_id}/0", b"x"))  # was on its way
    wire.channel.resumeProducing()
    assert wire.transport.producerState == "producing"
    wire.say(request(f"/send/{session_id}/1", b"y"))
    assert [a.body for a in wire.hear()] == [b"\x01X", b"\x01Y"]
    assert listener.heard == [b"x", b"y"]


def test_nothing_is_written_to_a_lost_connection(web: Web) -> None:
    wire, session_id, listener = web.open()
    listener.tunnel.use = Use.PLAYING
    wire.say(request(f"/idle/{session_id}/0"))
    wire.lose()
    listener.tunnel.write(b"frame")
    web.turn(1)
    assert wire.raw() == b""


# ------------------------------------------------------------------------ other resources


def test_a_resource_that_takes_its_time() -> None:
    later: list[Deferred[bytes]] = []

    def mount(app: Klein) -> None:
        @app.route("/later")
        def answer(request: Request) -> Deferred[bytes]:
            request.setHeader("Content-Length", "4")
            later.append(Deferred())
            return later[-1]

    web = Web(mounts=(mount,))
    wire, session_id, _ = web.open()
    wire.say(request("/later", b"", method="GET", length=False))
    wire.say(request(f"/send/{session_id}/0", b"x"))
    web.turn(REQUEST_TIME * 2)
    assert (wire.raw(), wire.closed) == (b"", False)
    later[0].callback(b"done")
    web.turn()
    assert [a.body for a in wire.hear()] == [b"done", b"\x01X"]


def test_a_bug_in_a_resource_is_no_business_of_the_client() -> None:
    def mount(app: Klein) -> None:
        @app.route("/bug")
        def answer(request: Request) -> bytes:
            raise ZeroDivisionError("secret")

    site = Site(Clock(), [mount])
    wire = Wire(site)
    wire.say(request("/bug", b"", method="GET"))
    raw = wire.raw()
    assert raw.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in raw


class Quick(Protocol):
    """A client that writes head and body apart, with Nagle's algorithm on, as FFmpeg does."""

    def __init__(self, session_id: str, rounds: int) -> None:
        self.done: Deferred[None] = Deferred()
        self._session_id = session_id
        self._rounds = rounds
        self._number = 0
        self._got = b""

    def connectionMade(self) -> None:
        self._ask()

    def _ask(self) -> None:
        transport: Any = self.transport
        handle = transport.getHandle()
        data = request(f"/send/{self._session_id}/{self._number}", b"x" * 20)
        self._number += 1
        handle.send(data[:-20])
        handle.send(data[-20:])

    def dataReceived(self, data: bytes) -> None:
        self._got += data
        if self._got.endswith(b"\x01" + b"X" * 20):
            self._got = b""
            if self._number == self._rounds:
                cast("Any", self.transport).loseConnection()
                self.done.callback(None)
            else:
                self._ask()


class OverSockets(TestCase):
    """What only sockets show."""

    def test_bodies_do_not_wait_for_acknowledgements(self) -> Deferred[None]:
        """40 ms for each of FFmpeg's requests, unless we acknowledge its heads at once."""
        web = Web()
        _, session_id, _ = web.open()
        port = reactor.listenTCP(0, web.site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        if not hasattr(socket, "TCP_QUICKACK"):
            self.skipTest("this system has no TCP_QUICKACK")
        client = Quick(session_id, 50)
        started = reactor.seconds()
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        connecting = connectProtocol(endpoint, client)
        connecting.addCallback(lambda _: client.done)

        def check(_: None) -> None:
            assert reactor.seconds() - started < 50 * 0.02

        return cast("Deferred[None]", connecting.addCallback(check))
