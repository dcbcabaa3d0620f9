"""The client's end of a tunnel: what it asks, when, and what becomes of it when things go wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    NoProtocol,
)
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IProtocol,
    IPushProducer,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from rtmptwist.net.polls import Kind
from rtmptwist.net.posts import PATIENCE, STALE
from rtmptwist.net.tunnel import ClosedByClient, TunnelLimits, Use
from rtmptwist.net.tunnelclient import (
    BODY_SIZE,
    BURST,
    OFTEN,
    RATE,
    SLOWEST,
    UNIT,
    ClientTunnel,
    TunnelClientEndpoint,
)
from rtmptwist.net.tunnels import Tunnels
from rtmptwist.net.writer import TransportWriter, writer_for
from tests.support.httpserver import CLIENT, SERVER, Asked, HttpServer, Wire, answer
from tests.support.tunnel import HOST, PEER, Listener, Listeners

BREAK = ConnectionLost("cut")
NOTHING = b"\x01"


class Speaker(Listener):
    """A connection that does something as soon as it is there."""

    def __init__(self, first: Callable[[Listener], None]) -> None:
        super().__init__()
        self._first = first

    def connectionMade(self) -> None:
        self._first(self)


class Speakers(Listeners):
    """Makes them."""

    def __init__(self) -> None:
        super().__init__()
        self.first: Callable[[Listener], None] = lambda listener: None

    def buildProtocol(self, addr: IAddress | None) -> Listener | None:
        if self.closed:
            return None
        self.made.append(Speaker(self.first))
        return self.made[-1]


class Desk:
    """A connection through requests to a server in memory, which answers as a test tells it to."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.server = HttpServer(self.clock)
        self.endpoint = TunnelClientEndpoint(self.clock, self.server, "example.org", 80)
        self.factory = Speakers()
        self.connecting: Deferred[IProtocol] = self.endpoint.connect(self.factory)
        self.result: list[object] = []
        self.connecting.addBoth(self.result.append)
        self.turn()

    def open(self, session_id: bytes = b"ID\n") -> Desk:
        """Answer to `open`."""
        assert self.heard() == [Asked("/open/1", b"\x00")]
        self.server.wire.answer(session_id)
        assert self.result == [self.listener]
        return self

    @property
    def listener(self) -> Listener:
        """The connection."""
        [listener] = self.factory.made
        return listener

    @property
    def tunnel(self) -> ClientTunnel:
        """What carries it."""
        tunnel = self.listener.tunnel
        assert isinstance(tunnel, ClientTunnel)
        return tunnel

    @property
    def failure(self) -> Failure:
        """Why it did not come about."""
        [failure] = self.result
        assert isinstance(failure, Failure)
        return failure

    def turn(self, seconds: float = 0.0) -> None:
        """Let the reactor turn, and time pass."""
        self.clock.advance(seconds)

    def wait(self, seconds: float) -> None:
        """Let time pass as it does."""
        for _ in range(round(seconds * 8)):
            self.turn(0.125)

    def heard(self) -> list[Asked]:
        """The requests since the last look, those of this turn included."""
        self.turn()
        return self.server.wire.hear()

    def idle(self) -> int:
        """The number of the only request that came, which asks for bytes."""
        [asked] = self.heard()
        kind, session_id, number = asked.path.split("/")[1:]
        assert (kind, session_id, asked.body) == ("idle", "ID", b"\x00")
        return int(number)

    def sent(self) -> bytes:
        """The bytes in the only request that came."""
        [asked] = self.heard()
        assert asked.path.startswith("/send/ID/")
        return asked.body

    def say(self, body: bytes, *headers: str, status: str = "HTTP/1.1 200 OK") -> None:
        """Answer a request; let the client go on."""
        self.server.wire.answer(body, *headers, status=status)
        self.turn()

    def why(self) -> type[Exception] | None:
        """Why the connection was lost, if it was; then nothing may be left."""
        if not self.listener.lost:
            return None
        assert not self.clock.getDelayedCalls()
        assert all(wire.closed() for wire in self.server.wires)
        kind = self.listener.lost[0].type
        assert kind is not None
        assert issubclass(kind, Exception)
        return kind

    def words(self) -> str:
        """The same in words."""
        return self.listener.lost[0].getErrorMessage()


@pytest.fixture
def desk() -> Desk:
    """A connection that has just begun."""
    return Desk().open()


def quiet(desk: Desk) -> Desk:
    """The server holds the client's first request for bytes."""
    assert desk.idle() == 0
    return desk


# -------------------------------------------------------------------------------- opening


def test_it_is_an_endpoint_like_any_other() -> None:
    assert verifyObject(IStreamClientEndpoint, Desk().endpoint)


def test_its_transport_is_one_like_any_other(desk: Desk) -> None:
    for interface in (ITransport, IConsumer, IPushProducer):
        assert verifyObject(interface, desk.tunnel)
    assert (desk.tunnel.getPeer(), desk.tunnel.getHost()) == (SERVER, CLIENT)
    assert isinstance(writer_for(desk.tunnel), TransportWriter)


@pytest.mark.parametrize(
    "session_id", [b"ID\n", b"ID", b"ID\r\n", b"a" * 63 + b"\n", b"0123-_.~:@=+%2F\n"]
)
def test_a_session_id_is_used_as_it_is(session_id: bytes) -> None:
    desk = Desk().open(session_id)
    [asked] = desk.heard()
    assert asked.path == f"/idle/{session_id.decode().strip()}/0"


@pytest.mark.parametrize(
    ("session_id", "words"),
    [
        (b"", "no RTMPT: '' is no session id."),
        (b"\n", "no RTMPT: '' is no session id."),
        (b"a" * 64, f"no RTMPT: '{'a' * 64}' is no session id."),
        (b"a/b", "no RTMPT: 'a/b' is no session id."),
        (b"a b", "no RTMPT: 'a b' is no session id."),
        (b"a\nb", "no RTMPT: 'a\\nb' is no session id."),
        (b"\xe4", "no RTMPT: 'ä' is no session id."),
    ],
)
def test_what_cannot_be_in_a_path_is_no_session_id(session_id: bytes, words: str) -> None:
    desk = Desk()
    desk.say(session_id)
    assert desk.failure.check(ConnectError)
    assert desk.failure.getErrorMessage() == f"An error occurred while connecting: {words}"
    assert not desk.factory.made
    desk.turn()
    assert not desk.clock.getDelayedCalls()


@pytest.mark.parametrize("status", ["404 Not Found", "503 Service Unavailable", "302 Found"])
def test_a_server_that_refuses(status: str) -> None:
    desk = Desk()
    desk.say(b"<html>", status=f"HTTP/1.1 {status}")
    assert desk.failure.check(ConnectError)
    assert desk.failure.getErrorMessage().endswith(f"no RTMPT: {status}.")
    desk.turn()
    assert desk.server.wire.closed()
    assert not desk.clock.getDelayedCalls()


def test_a_server_that_speaks_something_else() -> None:
    desk = Desk()
    desk.server.wire.say(b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n")
    desk.turn()
    assert desk.failure.check(ConnectError)
    assert "is no HTTP/1 answer" in desk.failure.getErrorMessage()
    assert not desk.clock.getDelayedCalls()


def test_a_server_that_hangs_up() -> None:
    desk = Desk()
    desk.server.wire.lose(BREAK)
    assert desk.failure.value is BREAK
    assert not desk.clock.getDelayedCalls()


def test_to_give_up_while_it_opens() -> None:
    desk = Desk()
    desk.connecting.cancel()
    assert desk.failure.check(CancelledError)
    desk.turn()
    assert desk.server.wire.closed()
    assert not desk.clock.getDelayedCalls()


def test_a_factory_that_has_changed_its_mind() -> None:
    desk = Desk()
    desk.factory.closed = True
    desk.heard()
    desk.say(b"ID\n")
    assert desk.failure.check(NoProtocol)
    assert desk.heard() == [Asked("/close/ID/0", b"\x00")]
    desk.turn()
    assert desk.server.wire.closed()
    assert not desk.clock.getDelayedCalls()


# ---------------------------------------------------------------------------- back and forth


def test_a_life() -> None:
    desk = Desk()
    desk.factory.first = lambda listener: listener.tunnel.write(b"hello")
    desk.open()
    assert desk.heard() == [Asked("/send/ID/0", b"hello")]
    desk.say(b"\x01HELLO")
    assert desk.listener.heard == [b"HELLO"]
    assert desk.idle() == 1
    desk.say(b"\x01again")
    assert desk.listener.heard == [b"HELLO", b"again"]
    assert desk.idle() == 2
    desk.tunnel.loseConnection()
    desk.turn()
    assert desk.heard() == [Asked("/close/ID/3", b"\x00")]
    desk.say(NOTHING)
    desk.say(b"\x00")
    assert desk.why() is ConnectionDone


def test_all_writes_of_a_turn_go_together(desk: Desk) -> None:
    desk.tunnel.write(b"a")
    desk.tunnel.writeSequence([b"b", b"c"])
    desk.turn()
    assert desk.sent() == b"abc"


def test_what_is_said_to_an_answer_goes_out_at_once(desk: Desk) -> None:
    quiet(desk)
    desk.listener.answer = desk.listener.echo
    desk.server.wire.answer(b"\x01hello")
    assert desk.server.wire.hear() == [Asked("/send/ID/1", b"HELLO")]


def test_while_one_is_on_its_way_more_is_gathered(desk: Desk) -> None:
    desk.tunnel.write(b"a")
    desk.turn()
    assert desk.sent() == b"a"
    for byte in (b"b", b"c", b"d"):
        desk.tunnel.write(byte)
        desk.turn()
    assert desk.heard() == []
    desk.say(NOTHING)
    assert desk.sent() == b"bcd"


def test_a_request_has_a_bound(desk: Desk) -> None:
    data = bytes(range(256)) * 3 * (BODY_SIZE // 256)
    desk.tunnel.write(data[:-1])
    desk.turn()
    parts = []
    for _ in range(3):
        parts.append(desk.sent())
        desk.say(NOTHING)
    assert [len(part) for part in parts] == [BODY_SIZE, BODY_SIZE, BODY_SIZE - 1]
    assert b"".join(parts) == data[:-1]


def test_a_writer_is_idle_again_when_what_it_wrote_is_on_its_way(desk: Desk) -> None:
    writer = writer_for(desk.tunnel)
    drained: list[bool] = []
    writer.drained = lambda: drained.append(writer.idle)
    assert writer.write(bytes(BODY_SIZE - 1))
    assert not writer.write(bytes(2))
    assert drained == []
    assert len(desk.sent()) == BODY_SIZE
    assert drained == [True]


def test_behind_a_held_request_goes_what_is_to_be_sent(desk: Desk) -> None:
    """librtmp does so with every request; a server that holds answers lets go at that."""
    quiet(desk)
    desk.tunnel.write(b"a")
    desk.turn()
    assert desk.heard() == [Asked("/send/ID/1", b"a")]
    desk.tunnel.write(b"b")
    desk.turn()
    assert desk.heard() == []
    desk.say(NOTHING)
    assert desk.heard() == []
    desk.say(NOTHING)
    assert desk.heard() == [Asked("/send/ID/2", b"b")]
    desk.say(NOTHING)
    assert desk.idle() == 3


def test_a_server_that_holds_is_asked_again_after_every_request(desk: Desk) -> None:
    """It is only then that it can say something."""
    quiet(desk)
    desk.turn(0.5)
    desk.say(NOTHING)
    assert desk.idle() == 1
    desk.turn(0.01)
    desk.tunnel.write(b"a")
    assert desk.sent() == b"a"
    desk.say(NOTHING)
    desk.say(NOTHING)
    assert desk.idle() == 3


def test_not_behind_it_with_an_old_server() -> None:
    desk = Desk()
    desk.heard()
    desk.say(b"ID\n", "Connection: keep-alive", status="HTTP/1.0 200 OK")
    quiet(desk)
    desk.tunnel.write(b"a")
    desk.turn()
    assert desk.heard() == []
    desk.say(NOTHING, "Connection: keep-alive", status="HTTP/1.0 200 OK")
    assert desk.heard() == [Asked("/send/ID/1", b"a")]


def test_a_server_that_closes_every_connection() -> None:
    """nginx with `keepalive_requests 1`, or any of HTTP/1.0."""
    desk = Desk()
    desk.heard()
    desk.say(b"ID\n", "Connection: close")
    desk.listener.answer = desk.listener.echo
    desk.turn()
    for number in range(5):
        assert desk.heard() == [Asked(f"/idle/ID/{2 * number}", b"\x00")]
        desk.say(b"\x01abc", "Connection: close")
        desk.turn()
        assert desk.heard() == [Asked(f"/send/ID/{2 * number + 1}", b"ABC")]
        desk.say(b"\x01", "Connection: close")
        desk.turn()
    assert len(desk.server.wires) == 12


# ------------------------------------------------------------------------------------ pace


class Server:
    """
    A server for figures: has nothing to say, holds its answers, is a round trip away.

    With `releases` it answers a request that it holds when another comes behind it.
    """

    def __init__(
        self,
        desk: Desk,
        byte: int = 1,
        *,
        hold: float = 0.0,
        round_trip: float = 0.0,
        releases: bool = True,
    ) -> None:
        self._desk = desk
        self._answer = bytes([byte])
        self._hold = hold
        self._round_trip = round_trip
        self._releases = releases
        self._under_way: deque[tuple[float, Asked]] = deque()
        self.requests = 0
        self.waits: list[float] = []
        "How long what the client wrote had to wait until it was sent."

    def run(self, seconds: float, write: float = 0.0) -> float:
        """Let time pass; the client writes each `write` seconds. Return requests per second."""
        self.requests = 0
        self.waits.clear()
        desk = self._desk
        begin = now = desk.clock.seconds()
        next_write = begin + write if write else inf
        written: list[float] = []
        while now < begin + seconds:
            if now >= next_write:
                next_write += write
                written.append(now)
                desk.tunnel.write(b"x")
            for asked in desk.heard():
                self.requests += 1
                due = now + self._round_trip
                if asked.path.startswith("/send"):
                    self.waits += [now - since for since in written]
                    written.clear()
                else:
                    due += self._hold
                self._under_way.append((due, asked))
            while self._due(now):
                self._under_way.popleft()
                desk.say(self._answer)
            desk.turn(0.001)
            now = desk.clock.seconds()
        return self.requests / seconds

    def _due(self, now: float) -> bool:
        under_way = self._under_way
        if not under_way:
            return False
        return now >= under_way[0][0] or (self._releases and len(under_way) > 1)


@pytest.mark.parametrize("byte", [0, 1, 2, 3, 5, 9, 17, 33, 255])
@pytest.mark.parametrize("round_trip", [0.0, 0.02, 0.2])
def test_an_idle_client_makes_40_requests_per_second_at_most(
    desk: Desk, byte: int, round_trip: float
) -> None:
    """And it does what the polling byte says: so many times 16 ms, but half a second at most."""
    server = Server(desk, byte, round_trip=round_trip)
    server.run(1.0)
    rate = server.run(4.0)
    wanted = max(min(max(byte, 2) * UNIT, SLOWEST), round_trip)
    assert rate <= 40
    assert rate == pytest.approx(1 / wanted, rel=0.15)


def test_a_server_that_holds_is_asked_again_at_once(desk: Desk) -> None:
    assert Server(desk, hold=0.5).run(4.0) == pytest.approx(2, rel=0.15)


def test_at_first_it_asks_more_often(desk: Desk) -> None:
    """In a handshake the next answer comes soon; a live stream pauses for 40 ms all the time."""
    assert Server(desk).run(0.15) == pytest.approx(1 / UNIT, rel=0.15)


def test_who_gets_bytes_asks_at_once(desk: Desk) -> None:
    for number in range(20):
        assert desk.idle() == number
        desk.say(b"\x21x")
    assert desk.listener.heard == [b"x"] * 20


def test_after_an_answer_with_nothing_it_waits_as_told(desk: Desk) -> None:
    assert desk.idle() == 0
    desk.say(b"\x05")
    desk.turn(4.9 * UNIT)
    assert desk.heard() == []
    desk.turn(0.1 * UNIT)
    assert desk.idle() == 1


def test_after_bytes_it_asks_more_often_again(desk: Desk) -> None:
    server = Server(desk)
    assert server.run(1.0) < 40
    desk.turn(1.0)
    desk.heard()
    desk.say(b"\x01x")
    assert Server(desk).run(0.15) == pytest.approx(1 / UNIT, rel=0.15)


def test_what_is_to_be_sent_does_not_wait_for_that(desk: Desk) -> None:
    assert desk.idle() == 0
    desk.say(b"\x21")
    desk.tunnel.write(b"a")
    assert desk.sent() == b"a"
    desk.say(b"\x21")
    desk.turn(SLOWEST - 0.01)
    assert desk.heard() == []
    desk.turn(0.01)
    assert desk.idle() == 2


def test_a_publisher_needs_no_other_requests(desk: Desk) -> None:
    """The answers to what it sends bring what there is."""
    server = Server(desk)
    server.run(1.0, write=0.02)
    assert server.run(2.0, write=0.02) == pytest.approx(50, rel=0.1)
    assert max(server.waits) == 0


def test_a_held_request_does_not_delay_a_publisher(desk: Desk) -> None:
    server = Server(desk, hold=0.5)
    assert server.run(2.0, write=0.033) == pytest.approx(60, rel=0.1)
    assert max(server.waits) == 0


def test_a_proxy_before_a_server_that_holds_delays_it_at_first_only(desk: Desk) -> None:
    """nginx reads the next request when it has passed on the answer to the last."""
    server = Server(desk, hold=0.5, releases=False)
    server.run(1.5, write=0.033)
    assert max(server.waits) < 0.6
    assert server.run(2.0, write=0.033) == pytest.approx(30, rel=0.1)
    assert max(server.waits) == 0


def test_who_has_stopped_to_send_asks_again(desk: Desk) -> None:
    server = Server(desk, hold=0.5, releases=False)
    server.run(2.0, write=0.033)
    assert server.run(2 * OFTEN + 0.01) * (2 * OFTEN + 0.01) == pytest.approx(1)
    assert server.run(2.0) == pytest.approx(2, abs=0.6)


def test_an_old_server_that_holds_delays_it_at_first_only() -> None:
    desk = Desk()
    desk.heard()
    old = ("Connection: keep-alive",)
    desk.say(b"ID\n", *old, status="HTTP/1.0 200 OK")
    quiet(desk)
    for _ in range(40):
        desk.tunnel.write(b"x")
        desk.turn(0.03)
    desk.say(NOTHING, *old, status="HTTP/1.0 200 OK")
    for _ in range(10):
        assert desk.sent()
        desk.say(NOTHING, *old, status="HTTP/1.0 200 OK")
        desk.turn(0.03)
        desk.tunnel.write(b"x")
        desk.turn()


def test_requests_have_a_rate_whatever_happens(desk: Desk) -> None:
    """Ours would delay its answers; others would burn."""
    count = 0
    for _ in range(4000):
        if desk.heard():
            count += 1
            desk.say(b"\x01x")
        desk.turn(0.001)
    assert count == pytest.approx(4 * RATE + BURST, rel=0.02)


def test_a_clock_that_is_set_back_delays_nothing(desk: Desk) -> None:
    """The reactor's is the machine's, which somebody may set while the server holds a request."""
    for number in range(2 * BURST):
        assert desk.idle() == number
        desk.say(b"\x01x")
        desk.turn(1 / RATE)
    desk.tunnel.write(b"a")
    assert [asked.body for asked in desk.heard()] == [b"\x00", b"a"]
    desk.clock.rightNow -= 3600
    desk.say(NOTHING)
    desk.say(NOTHING)
    desk.turn(UNIT)
    assert desk.idle() == 2 * BURST + 2
    desk.say(NOTHING)
    desk.turn(UNIT)
    assert desk.idle() == 2 * BURST + 3
    desk.tunnel.write(b"a")
    assert desk.sent() == b"a"


# --------------------------------------------------------------------------------- reading


def test_a_connection_that_does_not_read_is_asked_for_nothing(desk: Desk) -> None:
    quiet(desk)
    desk.tunnel.pauseProducing()
    desk.say(b"\x01one")
    assert desk.heard() == []
    desk.tunnel.write(b"a")
    desk.turn(1.0)
    assert desk.heard() == []
    assert desk.listener.heard == []
    desk.tunnel.resumeProducing()
    assert desk.listener.heard == []  # it is in the middle of something
    desk.turn()
    assert desk.listener.heard == [b"one"]
    assert desk.sent() == b"a"


def test_it_may_send(desk: Desk) -> None:
    quiet(desk)
    desk.tunnel.pauseProducing()
    desk.tunnel.write(b"a")
    desk.turn()
    assert desk.sent() == b"a"
    desk.say(b"\x01one")
    desk.say(b"\x01two")
    desk.tunnel.resumeProducing()
    desk.turn()
    assert desk.listener.heard == [b"onetwo"]
    assert desk.idle() == 2


def test_order_is_kept_when_it_reads_again(desk: Desk) -> None:
    quiet(desk)
    desk.tunnel.write(b"a")
    desk.turn()
    desk.tunnel.pauseProducing()
    desk.say(b"\x01one")
    desk.tunnel.resumeProducing()
    desk.server.wire.answer(b"\x01two")
    assert b"".join(desk.listener.heard) == b"onetwo"


def test_one_that_ends_hears_nothing_any_more(desk: Desk) -> None:
    quiet(desk)
    desk.tunnel.pauseProducing()
    desk.say(b"\x01one")
    desk.tunnel.write(b"last words")
    desk.tunnel.loseConnection()
    desk.turn()
    assert desk.sent() == b"last words"
    desk.say(b"\x01two")
    assert desk.heard() == [Asked("/close/ID/2", b"\x00")]
    desk.say(b"\x00")
    assert desk.why() is ConnectionDone
    assert desk.listener.heard == []


# ------------------------------------------------------------------------------------- ends


def test_everything_is_sent_before_the_end(desk: Desk) -> None:
    desk.tunnel.write(b"last words")
    desk.tunnel.loseConnection()
    desk.tunnel.write(b"too late")
    desk.turn()
    assert desk.heard() == [Asked("/send/ID/0", b"last words")]
    desk.turn(1.0)
    assert desk.why() is None
    desk.say(NOTHING)
    assert desk.heard() == [Asked("/close/ID/1", b"\x00")]
    desk.turn(1.0)
    assert desk.why() is None
    desk.server.wire.answer(b"\x00")
    assert not desk.listener.lost  # not before the socket is closed
    desk.turn()
    assert desk.why() is ConnectionDone


@pytest.mark.parametrize("status", ["HTTP/1.1 404 Not Found", "HTTP/1.1 400 Bad Request"])
def test_whatever_close_is_answered_it_is_the_end(desk: Desk, status: str) -> None:
    quiet(desk)
    desk.tunnel.loseConnection()
    desk.turn()
    desk.say(NOTHING)
    desk.say(b"", status=status)
    assert desk.why() is ConnectionDone


def test_the_end_waits_for_a_producer(desk: Desk) -> None:
    quiet(desk)
    writer = writer_for(desk.tunnel)
    desk.tunnel.loseConnection()
    writer.write(b"last words")
    desk.turn()
    assert desk.heard() == [Asked("/send/ID/1", b"last words")]
    desk.say(NOTHING)
    desk.say(NOTHING)
    assert desk.heard() == []
    desk.tunnel.unregisterProducer()
    desk.turn()
    assert desk.heard() == [Asked("/close/ID/2", b"\x00")]


def test_an_end_that_nobody_answers_is_an_end(desk: Desk) -> None:
    """Everything that was sent was answered before."""
    quiet(desk)
    desk.say(b"\x05")
    desk.tunnel.loseConnection()
    desk.turn()
    desk.heard()
    desk.wait(PATIENCE + 2)
    assert desk.why() is ConnectionDone


def test_abort_tells_the_server_if_it_hears_us(desk: Desk) -> None:
    """Else it would keep the name of a publication for half a minute."""
    quiet(desk)
    desk.tunnel.write(b"never sent")
    desk.tunnel.abortConnection()
    assert not desk.listener.lost
    desk.turn()
    assert desk.heard() == [Asked("/close/ID/1", b"\x00")]
    desk.turn()
    assert desk.why() is ConnectionAborted


def test_abort_does_not_wait_for_what_is_on_its_way(desk: Desk) -> None:
    desk.tunnel.write(b"a")
    desk.turn()
    assert desk.sent() == b"a"
    desk.server.wire.pipe.stuck = True
    desk.tunnel.abortConnection()
    desk.tunnel.unregisterProducer()
    desk.turn()
    assert desk.heard() == []
    desk.turn()
    assert desk.why() is ConnectionAborted


def test_abort_hurries_an_end(desk: Desk) -> None:
    desk.tunnel.loseConnection()
    desk.turn()
    assert desk.heard() == [Asked("/close/ID/0", b"\x00")]
    desk.tunnel.abortConnection()
    desk.turn()
    desk.turn()
    assert desk.why() is ConnectionAborted


def test_abort_while_there_is_no_connection(desk: Desk) -> None:
    quiet(desk)
    desk.server.black_hole = True
    desk.server.wire.lose(BREAK)
    desk.turn()
    desk.tunnel.abortConnection()
    desk.turn()
    assert desk.why() is ConnectionAborted


def test_abort_before_the_begin() -> None:
    desk = Desk()
    desk.factory.first = lambda listener: listener.tunnel.abortConnection()
    desk.open()
    assert desk.heard() == [Asked("/close/ID/0", b"\x00")]
    desk.turn()
    assert desk.why() is ConnectionAborted


def test_a_lost_one_is_lost(desk: Desk) -> None:
    quiet(desk)
    desk.tunnel.abortConnection()
    desk.turn()
    desk.turn()
    desk.tunnel.write(b"late")
    desk.tunnel.abortConnection()
    desk.tunnel.loseConnection()
    desk.tunnel.resumeProducing()
    desk.turn(1.0)
    assert len(desk.listener.lost) == 1
    assert desk.why() is ConnectionAborted


def test_the_server_ends_the_session(desk: Desk) -> None:
    """It says 404 then: RTMPT's way to close a connection."""
    quiet(desk)
    desk.say(b"\x01last words")
    desk.say(b"", status="HTTP/1.1 404 Not Found")
    assert desk.listener.heard == [b"last words"]
    assert desk.why() is ConnectionDone
    assert desk.words() == "Connection was closed cleanly: the server has ended the session."


def test_a_server_that_has_forgotten_the_session_has_not_ended_it(desk: Desk) -> None:
    quiet(desk)
    desk.wait(STALE + 2)
    desk.say(b"", status="HTTP/1.1 404 Not Found")
    assert desk.why() is ConnectionLost
    assert "idle 0 was answered 404 Not Found" in desk.words()


@pytest.mark.parametrize("status", ["400 Bad Request", "500 Oops", "302 Found"])
def test_any_other_answer_is_a_loss(desk: Desk, status: str) -> None:
    quiet(desk)
    desk.say(b"<html>", status=f"HTTP/1.1 {status}")
    assert desk.why() is ConnectionLost
    assert f"idle 0 was answered {status}" in desk.words()
    assert desk.listener.heard == []


def test_an_answer_without_anything_is_a_loss(desk: Desk) -> None:
    """FFmpeg gives up, too. It is not the server who answers, but somebody in between."""
    quiet(desk)
    desk.say(b"")
    assert desk.why() is ConnectionLost
    assert "idle 0 was answered without a polling byte" in desk.words()


def test_a_server_that_is_gone_for_good(desk: Desk) -> None:
    quiet(desk)
    desk.server.down = True
    desk.server.wire.lose(BREAK)
    desk.wait(4)
    assert desk.why() is ConnectionLost
    assert "idle 0 was not answered, 4 times" in desk.words()
    assert "ID" not in desk.words()  # who knows the session's id is the session


def test_a_bug_in_a_connection_ends_it(desk: Desk) -> None:
    def fail(data: bytes) -> None:
        raise ZeroDivisionError

    desk.listener.answer = fail
    quiet(desk)
    with capturedLogs() as events:
        desk.say(b"\x01x")
    desk.turn()
    assert desk.why() is ConnectionAborted
    assert [event["log_failure"].type for event in events] == [ZeroDivisionError]


# ---------------------------------------------------------- with our server, and a bad network


class Fate(Enum):
    """What becomes of a request."""

    WELL = "it arrives, and so does its answer"
    LAST = "its connection is closed after that"
    NEVER = "its connection breaks before it arrives"
    UNHEARD = "its answer is lost"
    HALF = "half of it is lost"
    DEAF = "its answer is lost, and those to all others until the connection breaks"


class Network:
    """Brings requests to our server's tunnels, and answers back, as their fates will have it."""

    def __init__(self, desk: Desk, fates: Iterable[Fate] = ()) -> None:
        self.desk = desk
        self.server = Listeners()
        self._fates = deque(fates)
        self._tunnels = Tunnels(self.server, desk.clock, TunnelLimits(answer_size=50))
        self._deaf: list[Wire] = []
        self.settle(0.1)

    @property
    def end(self) -> Listener:
        """The connection, at the server."""
        return self.server.made[0]

    def settle(self, seconds: float = 6.0) -> None:
        """Let time pass, until nothing happens any more."""
        for _ in range(round(seconds / 0.05)):
            while self._bring_all():
                self.desk.turn()
            self.desk.turn(0.05)
            self._tunnels.sweep()
            while self._deaf:
                self._deaf.pop().lose(BREAK)

    def _bring_all(self) -> bool:
        wires = [wire for wire in self.desk.server.wires if not wire.closed()]
        requests = [(wire, asked) for wire in wires for asked in wire.hear()]
        for wire, asked in requests:
            if asked.path == "/open/1":
                wire.answer(self._tunnels.open(PEER, HOST).encode() + b"\n")
                self.end.tunnel.use = Use.PLAYING
            elif not wire.closed():
                self._bring(wire, asked, self._fates.popleft() if self._fates else Fate.WELL)
        return bool(requests)

    def _bring(self, wire: Wire, asked: Asked, fate: Fate) -> None:
        def reply(status: int, body: bytes) -> None:
            data = answer(body, status=f"HTTP/1.1 {status} Whatever")
            if fate is Fate.DEAF:
                self._deaf.append(wire)
            if wire in self._deaf:
                return
            if fate is Fate.HALF:
                wire.say(data[: len(data) - len(body) // 2 - 1])
            elif fate is not Fate.UNHEARD:
                wire.say(data)
            if fate is not Fate.WELL:
                wire.lose(ConnectionDone() if fate is Fate.LAST else BREAK)

        if fate is Fate.NEVER:
            wire.lose(BREAK)
            return
        _, kind, session_id, number = asked.path.split("/")
        self._tunnels.enter(session_id, Kind(kind), int(number), asked.body, reply)


@given(
    fates=st.lists(st.sampled_from([*[Fate.WELL] * 5, *Fate]), max_size=30),
    talk=st.lists(
        st.tuples(
            st.sampled_from(["client", "server"]),
            st.binary(min_size=1, max_size=120),
            st.sampled_from([0.0, 0.05, 0.1]),
        ),
        max_size=20,
    ),
)
def test_bytes_arrive_once_and_in_order_or_the_connection_is_lost(
    fates: list[Fate], talk: list[tuple[str, bytes, float]]
) -> None:
    """However often connections break: what is heard is what was said, or its beginning."""
    desk = Desk()
    network = Network(desk, fates)
    ends = {"client": desk.listener, "server": network.end}
    said = dict.fromkeys(ends, b"")
    for who, data, pause in talk:
        ends[who].tunnel.write(data)
        said[who] += data
        network.settle(pause)
    network.settle()
    to_server, to_client = b"".join(network.end.heard), b"".join(desk.listener.heard)
    assert said["client"].startswith(to_server)
    assert said["server"].startswith(to_client)
    if not desk.listener.lost:
        assert (to_server, to_client) == (said["client"], said["server"])
    else:
        assert set(fates) - {Fate.WELL, Fate.LAST}


def test_what_would_leave_a_hole_is_a_loss() -> None:
    """Our server keeps its last answer. When two are lost, the first one's bytes are."""
    desk = Desk()
    network = Network(desk, [Fate.DEAF])
    desk.tunnel.write(b"hello")
    desk.turn()
    network.end.tunnel.write(b"world")
    network.settle()
    assert desk.listener.heard == []
    assert desk.why() is ConnectionLost


def test_three_breaks_in_a_row_do_no_harm() -> None:
    desk = Desk()
    network = Network(desk, [Fate.WELL, Fate.UNHEARD, Fate.NEVER, Fate.HALF])
    network.end.tunnel.write(b"hello")
    network.settle()
    desk.tunnel.write(b"world")
    network.settle()
    assert not desk.listener.lost
    assert desk.listener.heard == [b"hello"]
    assert network.end.heard == [b"world"]


def test_both_ends_agree_about_the_end() -> None:
    desk = Desk()
    network = Network(desk)
    desk.tunnel.write(b"goodbye")
    desk.tunnel.loseConnection()
    network.settle(1.0)
    assert network.end.heard == [b"goodbye"]
    assert [why.type for why in network.end.lost] == [ClosedByClient]
    assert [why.type for why in desk.listener.lost] == [ConnectionDone]


def test_the_server_says_goodbye() -> None:
    desk = Desk()
    network = Network(desk)
    network.end.tunnel.write(b"goodbye")
    network.end.tunnel.loseConnection()
    network.settle(1.0)
    assert desk.listener.heard == [b"goodbye"]
    assert desk.words() == "Connection was closed cleanly: the server has ended the session."
