"""The first byte decides."""

from __future__ import annotations

import re
from ipaddress import ip_network

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from rtmptwist.config.schema import Limits
from rtmptwist.live.refusals import Reason
from rtmptwist.live.registry import Registry
from rtmptwist.net.frontdoor import FrontDoor, Speech, Visitor
from rtmptwist.net.polls import Kind
from rtmptwist.net.rate import AddressRate
from rtmptwist.net.tunnels import Tunnels
from tests.support.logs import Logs


class Inner(Protocol):
    """What is behind the door."""

    def __init__(self) -> None:
        self.got = b""
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True


class Room:
    """Makes `Inner`s, or nobody."""

    def __init__(self, full: bool = False) -> None:
        self.made: list[Inner] = []
        self._full = full

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        if self._full:
            return None
        self.made.append(Inner())
        return self.made[-1]


class House:
    """A door with all rooms, or some."""

    def __init__(
        self,
        *speeches: Speech,
        inside: str = "",
        connections: int = 10,
        connections_per_address: int = 256,
        proxies: str = "198.51.100.0/24",
    ) -> None:
        self.clock = Clock()
        self.rates = {
            Speech.RTMPE: AddressRate(self.clock, 1),
            Speech.TLS: AddressRate(self.clock, 2),
        }
        limits = Limits(
            connections=connections,
            connections_per_address=connections_per_address,
            trusted=(ip_network("127.0.0.0/8"),),
        )
        self.registry = Registry((), limits, self.clock)
        self.rooms = {speech: Room() for speech in speeches or tuple(Speech)}
        self.door = FrontDoor(
            self.rooms,
            self.registry,
            self.clock,
            patience=10.0,
            name="main",
            inside=inside,
            rates=self.rates,
            proxies=(ip_network(proxies),),
        )

    def visit(self, address: str = "192.0.2.1") -> tuple[Visitor, StringTransport]:
        visitor = self.door.buildProtocol(None)
        assert visitor is not None
        transport = StringTransport(peerAddress=IPv4Address("TCP", address, 5))
        visitor.makeConnection(transport)  # type: ignore[no-untyped-call]  # Twisted's
        return visitor, transport


def test_whoever_may_not_connect_is_not_even_looked_at(logs: Logs) -> None:
    house = House()
    house.registry.guessing = lambda address: "wrong" if address == "192.0.2.1" else ""
    assert house.door.buildProtocol(IPv4Address("TCP", "192.0.2.1", 5)) is None
    assert house.door.buildProtocol(IPv4Address("TCP", "192.0.2.2", 5)) is not None
    assert logs.lines("warn") == ["192.0.2.1 refused: wrong"]


def test_what_stands_inside_another_door_has_been_looked_at() -> None:
    house = House(inside="TLS")
    house.registry.guessing = lambda address: "wrong"
    assert house.door.buildProtocol(IPv4Address("TCP", "192.0.2.1", 5)) is not None


def words_of(house: House, first: bytes) -> tuple[str, StringTransport]:
    """What the log says when somebody who begins like this is turned away."""
    logged: list[str] = []

    def observe(event: dict[str, object]) -> None:
        logged.append(str(event.get("words", "")))

    globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]  # takes any mapping
    visitor, transport = house.visit()
    visitor.dataReceived(first)
    globalLogPublisher.removeObserver(observe)  # type: ignore[arg-type]
    assert transport.disconnecting
    return logged[-1], transport


@pytest.mark.parametrize(
    ("first", "speech"),
    [
        (b"\x03", Speech.RTMP),
        (b"\x06", Speech.RTMPE),
        (b"\x08", Speech.RTMPE),
        (b"\x09", Speech.RTMPE),
        (b"\x16\x03\x01", Speech.TLS),
        (b"POST /open/1 HTTP/1.1", Speech.HTTP),
        (b"GET / HTTP/1.1", Speech.HTTP),
    ],
)
def test_the_first_byte_decides(first: bytes, speech: Speech) -> None:
    house = House()
    visitor, transport = house.visit()
    visitor.dataReceived(first)
    visitor.dataReceived(b" more")
    (inner,) = house.rooms[speech].made
    assert inner.got == first + b" more"
    assert [inner.transport] == [transport]
    visitor.connectionLost(connectionDone)
    assert inner.lost
    assert not house.registry.connections


def test_one_who_leaves_without_a_word_is_counted_out() -> None:
    house = House()
    visitor, _ = house.visit()
    visitor.connectionLost(connectionDone)
    assert not house.registry.connections


def test_a_visitor_is_counted_until_somebody_else_counts_it() -> None:
    house = House()
    rtmp, _ = house.visit()
    http, _ = house.visit()
    assert len(house.registry.connections) == 2
    rtmp.dataReceived(b"\x03")
    http.dataReceived(b"P")
    assert house.registry.connections == {http}


def test_no_more_are_let_in_than_may_be() -> None:
    house = House(connections=1)
    first, _ = house.visit()
    _, transport = house.visit()
    assert transport.disconnected
    assert house.registry.connections == {first}


def test_silence_ends() -> None:
    house = House()
    visitor, transport = house.visit()
    visitor.dataReceived(b"")
    states = []
    for now in (10.0, 10.1):
        visitor.sweep(now)
        states.append(transport.disconnected)
    assert states == [False, True]


def test_who_has_spoken_is_no_longer_ours_to_time() -> None:
    house = House()
    visitor, transport = house.visit()
    visitor.dataReceived(b"P")
    visitor.sweep(99.0)
    assert not transport.disconnected


def test_leaving_closes() -> None:
    visitor, transport = House().visit()
    visitor.leave()
    assert transport.disconnecting


@pytest.mark.parametrize(
    ("house", "first", "words"),
    [
        (
            House(Speech.RTMP),
            b"\x16",
            "TLS is not served by listener main.*add rtmps, rtmpts or https",
        ),
        (House(Speech.RTMP), b"\x06", "RTMPE is not served by listener main.*add rtmpe"),
        (House(Speech.TLS), b"\x03", "RTMP is not served by listener main, only TLS: use rtmps"),
        (House(Speech.RTMP, inside="TLS"), b"\x16", "TLS inside TLS is not served.*main$"),
        (House(Speech.RTMP, inside="HTTP"), b"\x09", "RTMPE inside HTTP is not.*add rtmpte to"),
        (House(Speech.RTMP, inside="HTTPS"), b"\x09", "RTMPE inside HTTPS is not.*main$"),
        (House(Speech.RTMP), b"\xff", "first byte 0xff is neither RTMP nor TLS nor HTTP"),
    ],
)
def test_who_is_turned_away_is_told_what_to_change(house: House, first: bytes, words: str) -> None:
    said, transport = words_of(house, first)
    assert re.match(words, said)
    assert transport.value() == b""


def test_http_clients_are_told_in_their_own_way() -> None:
    said, transport = words_of(House(Speech.RTMP), b"POST /open/1 HTTP/1.1\r\n\r\n")
    assert transport.value().startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert said.encode() in transport.value()


def test_a_room_that_takes_nobody_counts_as_closed() -> None:
    house = House(Speech.RTMP)
    house.door.rooms[Speech.RTMP] = Room(full=True)
    said, _ = words_of(house, b"\x03")
    assert said.startswith("RTMP is not served")


def test_proxies_may_make_any_number_of_connections() -> None:
    """One for each viewer in a tunnel; up to what all may make."""
    house = House(connections=5, connections_per_address=2)
    carried = [house.visit("198.51.100.7") for _ in range(4)]
    own = [house.visit() for _ in range(2)]
    assert not any(transport.disconnected for _, transport in (*carried, own[0]))
    assert own[1][1].disconnected
    assert len(house.registry.connections) == 5


# ---------------------------------------------------------------- the PROXY protocol


def test_who_comes_through_a_proxy_counts_for_itself_as_soon_as_it_is_known() -> None:
    """The header comes after the connection, and changes what the transport says of its peer."""
    house = House(connections_per_address=1)
    visitor, transport = house.visit()
    transport.peerAddr = IPv4Address("TCP", "203.0.113.9", 7)
    visitor.dataReceived(b"P")
    assert visitor.address == "203.0.113.9"
    second, _ = house.visit()  # the proxy's own address is free again
    assert house.registry.connections == {visitor, second}
    visitor.connectionLost(connectionDone)
    assert house.registry.connections == {second}


def test_who_is_one_too_many_is_refused_as_soon_as_it_is_known(logs: Logs) -> None:
    house = House(connections_per_address=1)
    transports = []
    for _ in range(2):
        visitor, transport = house.visit()
        transport.peerAddr = IPv4Address("TCP", "203.0.113.9", 7)
        visitor.dataReceived(b"POST")
        visitor.dataReceived(b" /open/1")
        transports.append(transport)
    assert [transport.disconnected for transport in transports] == [False, True]
    assert len(house.rooms[Speech.HTTP].made) == 1
    assert logs.about("203.0.113.9 refused: 1 connections from 203.0.113.9 are open")


def test_a_proxy_that_does_not_say_for_whom_it_comes(logs: Logs) -> None:
    """Twisted closes its connection; that it did so for us to tell why is all we hear."""
    visitor, transport = House().visit()
    transport.loseConnection()
    visitor.connectionLost(connectionDone)
    [line] = logs.lines("warn")
    assert line == (
        "192.0.2.1 refused: no PROXY header came first, which a haproxy: endpoint expects: add"
        " send-proxy to the proxy's configuration, or take haproxy: out of ours"
    )


@pytest.mark.parametrize("inside", ["", "TLS", "HTTP"])
def test_other_ends_need_no_such_words(inside: str, logs: Logs) -> None:
    house = House(inside=inside)
    silent, _ = house.visit()
    silent.sweep(99.0)
    leaving, _ = house.visit()
    leaving.leave()
    gone, transport = house.visit()
    if inside:
        transport.loseConnection()
    for visitor in silent, leaving, gone:
        visitor.connectionLost(connectionDone)
    assert logs.about("PROXY") == []


@pytest.mark.parametrize(
    "first", [b"PROXY TCP4 192.0.2.1", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"], ids=["v1", "v2"]
)
def test_a_proxy_that_says_it_to_who_does_not_expect_it(first: bytes) -> None:
    said, _ = words_of(House(), first)
    assert said == "the PROXY protocol, on listener main: let its endpoint begin with haproxy:"


# ------------------------------------------------------------------- what costs much


@pytest.mark.parametrize(
    ("first", "speech", "line"),
    [
        (b"\x06", Speech.RTMPE, "more than 1 RTMPE handshakes a second (rtmpe_handshakes in"),
        (b"\x16", Speech.TLS, "more than 2 TLS handshakes a second (tls_handshakes in [limits])"),
    ],
)
def test_one_address_may_not_ask_for_too_many(
    first: bytes, speech: Speech, line: str, logs: Logs
) -> None:
    house = House()
    room = house.rooms[speech]
    transports = []
    for _ in range(10):
        visitor, transport = house.visit()
        visitor.dataReceived(first)
        transports.append(transport)
    served = len(room.made)
    assert served == {Speech.RTMPE: 4, Speech.TLS: 8}[speech]
    assert [t.disconnected for t in transports] == [False] * served + [True] * (10 - served)
    house.registry.sweep()
    assert len(logs.about(line)) == 1
    assert len(logs.about("more refused, from 192.0.2.1: too many")) == 1
    counts = house.registry.meter.refusals
    assert counts[Reason[speech]] == house.registry.meter.refused == 10 - served
    other, _ = house.visit("192.0.2.2")
    other.dataReceived(first)
    house.clock.advance(1.0)
    again, _ = house.visit()
    again.dataReceived(first)
    assert len(room.made) == served + 2


def test_what_is_not_served_is_not_rationed() -> None:
    """Who is told to use another port has cost nothing."""
    house = House(Speech.TLS)
    for _ in range(10):
        house.visit()[0].dataReceived(b"\x06")
    assert len(house.rates[Speech.RTMPE]) == 0
    assert house.registry.meter.refusals[Reason.NOT_SERVED] == 10


def test_what_costs_little_is_not_rationed() -> None:
    house = House(connections=1000)
    for _ in range(100):
        house.visit()[0].dataReceived(b"\x03")
        house.visit()[0].dataReceived(b"P")
    assert len(house.rooms[Speech.RTMP].made) == len(house.rooms[Speech.HTTP].made) == 100


def test_in_tunnels_the_address_of_their_client_counts() -> None:
    """Who came through a proxy is told by X-Forwarded-For; all proxies' clients are not one."""
    house = House(Speech.RTMP, Speech.RTMPE, inside="HTTP", connections=100)
    tunnels = Tunnels(house.door, house.clock)
    here = IPv4Address("TCP", "198.51.100.1", 80)
    for address in ["192.0.2.1"] * 6 + ["192.0.2.2"]:
        session_id = tunnels.open(IPv4Address("TCP", address, 5), here)
        tunnels.enter(session_id, Kind.SEND, 0, b"\x06", lambda *_: None)
        house.clock.advance(0)
    assert len(house.rooms[Speech.RTMPE].made) == 5
    assert not house.registry.connections, "they count themselves, or are gone"
    assert house.registry.meter.refusals[Reason.RTMPE] == 2
