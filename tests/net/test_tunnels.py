"""The table of tunnels: ids, bounds, silence."""

from __future__ import annotations

import re
from ipaddress import ip_network

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from rtmptwist.net.polls import Kind
from rtmptwist.net.tunnel import TunnelLimits, Use
from rtmptwist.net.tunnels import TooManyFromAddress, Tunnels, TunnelsFull
from tests.support.tunnel import HOST, PEER, Desk, Listener, Listeners


def table(limits: TunnelLimits | None = None) -> tuple[Tunnels, Listeners, Clock]:
    """An empty one, with who makes its connections, and the time."""
    clock, factory = Clock(), Listeners()
    return Tunnels(factory, clock, limits), factory, clock


def address(number: int) -> IPv4Address:
    """One of many."""
    return IPv4Address("TCP", f"192.0.2.{number}", 1000)


# ---------------------------------------------------------------------------------- ids


def test_ids_are_long_random_and_fit_in_urls() -> None:
    """22 characters are 128 bits; FFmpeg takes 63, librtmp little more."""
    tunnels, _, _ = table()
    ids = {tunnels.open(address(n), HOST) for n in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", session_id) for session_id in ids)


def test_an_id_leads_to_its_connection_from_anywhere() -> None:
    tunnels, factory, _ = table()
    ids = [tunnels.open(address(n), HOST) for n in range(3)]
    for session_id in ids:
        tunnels.enter(session_id, Kind.SEND, 0, session_id.encode(), lambda *_: None)
    assert [c.heard for c in factory.made] == [[session_id.encode()] for session_id in ids]
    assert [c.tunnel.getPeer() for c in factory.made] == [address(n) for n in range(3)]
    assert [c.tunnel.getHost() for c in factory.made] == [HOST] * 3


def test_guessed_ids_are_refused_and_counted() -> None:
    tunnels, factory, _ = table()
    tunnels.open(PEER, HOST)
    answers = []
    for kind in Kind:
        tunnels.enter("A" * 22, kind, 0, b"x", lambda status, body: answers.append((status, body)))
    tunnels.hurry("A" * 22, urgent=True)
    tunnels.leave("A" * 22, lambda *_: None)
    assert answers == [(404, b"")] * 3
    assert tunnels.meter.unknown == 3
    assert factory.made[0].heard == []
    assert factory.made[0].lost == []


# ------------------------------------------------------------------------------- bounds


def test_sessions_are_bounded_by_address() -> None:
    tunnels, factory, _ = table(TunnelLimits(sessions_per_address=2))
    tunnels.open(address(1), HOST)
    session_id = tunnels.open(address(1), HOST)
    with pytest.raises(TooManyFromAddress, match=r"2 tunnels from 192\.0\.2\.1 are open"):
        tunnels.open(address(1), HOST)
    tunnels.open(address(2), HOST)
    assert (tunnels.meter.opened, tunnels.meter.refused) == (3, 1)
    assert len(factory.made) == 3
    tunnels.enter(session_id, Kind.CLOSE, None, b"", lambda *_: None)
    tunnels.open(address(1), HOST)


def test_an_ipv4_address_is_the_same_on_every_listener() -> None:
    tunnels, _, _ = table(TunnelLimits(sessions_per_address=1))
    tunnels.open(address(1), HOST)
    with pytest.raises(TooManyFromAddress):
        tunnels.open(IPv6Address("TCP", "::ffff:192.0.2.1", 1000), HOST)


def test_a_network_of_ipv6_is_one_address() -> None:
    """A customer has 2**64 of them, and so a limit per address was none."""
    tunnels, _, _ = table(TunnelLimits(sessions_per_address=2))
    ids = [tunnels.open(IPv6Address("TCP", f"2001:db8:0:1::{n}", 5), HOST) for n in (1, 2)]
    with pytest.raises(TooManyFromAddress, match="2 tunnels from 2001:db8:0:1::/64 are open"):
        tunnels.open(IPv6Address("TCP", "2001:db8:0:1::3", 5), HOST)
    tunnels.open(IPv6Address("TCP", "2001:db8:0:2::1", 5), HOST)
    tunnels.enter(ids[0], Kind.CLOSE, None, b"", lambda *_: None)
    tunnels.open(IPv6Address("TCP", "2001:db8:0:1::3", 5), HOST)


def test_trusted_networks_are_not_bounded() -> None:
    limits = TunnelLimits(sessions_per_address=1, trusted=(ip_network("192.0.2.0/24"),))
    tunnels, _, _ = table(limits)
    for _ in range(5):
        tunnels.open(address(1), HOST)
    assert len(tunnels) == 5


def test_local_sockets_are_one_address() -> None:
    tunnels, _, _ = table(TunnelLimits(sessions_per_address=1))
    tunnels.open(UNIXAddress(b"/run/a"), HOST)
    with pytest.raises(TooManyFromAddress):
        tunnels.open(UNIXAddress(b"/run/a"), HOST)


def test_sessions_are_bounded_in_all() -> None:
    tunnels, _, clock = table(TunnelLimits(sessions=3))
    ids = [tunnels.open(address(n), HOST) for n in range(3)]
    with pytest.raises(TunnelsFull, match="3 tunnels are open"):
        tunnels.open(address(9), HOST)
    tunnels.enter(ids[0], Kind.CLOSE, None, b"", lambda *_: None)
    with pytest.raises(TunnelsFull):  # it is still there for a repetition
        tunnels.open(address(9), HOST)
    clock.advance(2)
    tunnels.sweep()
    tunnels.open(address(9), HOST)


def test_a_server_that_takes_nobody() -> None:
    tunnels, factory, _ = table()
    factory.closed = True
    with pytest.raises(TunnelsFull, match="takes no connections"):
        tunnels.open(PEER, HOST)
    assert (len(tunnels), tunnels.meter.refused) == (0, 1)


class Refusing(Factory):
    """As the registry does with too many connections."""

    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> Listener:
        class Refused(Listener):
            def connectionMade(self) -> None:
                self.tunnel.abortConnection()

        return Refused()


def test_a_connection_that_is_refused_gets_no_session() -> None:
    clock = Clock()
    tunnels = Tunnels(Refusing(), clock, TunnelLimits(sessions_per_address=1))
    for _ in range(3):
        with pytest.raises(TunnelsFull, match="refused"):
            tunnels.open(PEER, HOST)
        clock.advance(0)
    clock.advance(2)
    tunnels.sweep()
    assert (len(tunnels), tunnels.meter.refused, tunnels.meter.opened) == (0, 3, 0)


# ------------------------------------------------------------------------------ silence


@pytest.mark.parametrize("use", list(Use))
def test_who_is_silent_is_gone(use: Use) -> None:
    """librtmp never says goodbye; FFmpeg says nothing while its input pauses."""
    desk = Desk()
    desk.tunnel.use = use
    desk.turn(3)
    desk.send(0, b"x")
    desk.turn(use.silence - 0.5)
    desk.tunnels.sweep()
    assert desk.listener.lost == []
    desk.turn(0.5)
    desk.tunnels.sweep()
    assert f"no request for {use.silence:.0f} s" in desk.listener.lost[0].getErrorMessage()
    assert desk.tunnels.meter.silent == 1
    assert desk.send(1, b"y") == [(404, b"")]


def test_who_opens_and_never_comes_back_is_gone() -> None:
    desk = Desk()
    desk.turn(5)
    desk.tunnels.sweep()
    assert len(desk.listener.lost) == 1


def test_who_is_kept_waiting_is_not_silent() -> None:
    desk = Desk()
    desk.tunnel.pauseProducing()
    answers = desk.send(0, b"connect")
    desk.turn(20)
    desk.tunnels.sweep()
    assert desk.listener.lost == []
    desk.tunnel.resumeProducing()
    desk.turn()
    assert len(answers) == 1


def test_what_has_ended_is_forgotten_soon() -> None:
    desk = Desk()
    desk.close(None)
    desk.tunnels.sweep()
    assert len(desk.tunnels) == 1
    desk.turn(2)
    desk.tunnels.sweep()
    assert len(desk.tunnels) == 0
    assert not desk.clock.getDelayedCalls()


def test_all_end_together() -> None:
    tunnels, factory, clock = table()
    session_id = tunnels.open(PEER, HOST)
    tunnels.open(PEER, HOST)
    answers = []
    factory.made[0].tunnel.use = Use.PLAYING
    tunnels.enter(session_id, Kind.IDLE, 0, b"", lambda status, _: answers.append(status))
    tunnels.close()
    clock.advance(0)
    assert all(len(connection.lost) == 1 for connection in factory.made)
    assert answers == [404]
    assert not clock.getDelayedCalls()


def test_clients_hear_of_the_end_when_they_ask_again() -> None:
    """The one who is held at once, the others with their next request; nobody comes in."""
    tunnels, factory, clock = table()
    ids = [tunnels.open(address(n), HOST) for n in range(4)]
    silent, held, publisher, leaving = ids
    clock.advance(3)
    factory.made[1].tunnel.use = Use.PLAYING
    statuses: list[int] = []

    def heard(status: int, _: bytes) -> None:
        statuses.append(status)

    for session_id, kind in (held, Kind.IDLE), (publisher, Kind.SEND), (leaving, Kind.SEND):
        tunnels.enter(session_id, kind, 0, b"x", heard)
    clock.advance(0)
    closing = tunnels.close()
    assert tunnels.close() is closing
    clock.advance(0)
    assert statuses == [200, 200, 404]
    with pytest.raises(TunnelsFull, match="shutting down"):
        tunnels.open(address(9), HOST)
    tunnels.enter(publisher, Kind.IDLE, 1, b"", heard)
    assert (statuses[3:], closing.called) == ([404], False)
    tunnels.enter(leaving, Kind.IDLE, 1, b"", heard)
    assert (statuses[3:], closing.called) == ([404, 404], True)
    tunnels.enter(silent, Kind.IDLE, 0, b"", heard)
    assert statuses[-1] == 404


def test_an_end_that_nobody_needs_to_hear_of() -> None:
    tunnels, _, clock = table()
    tunnels.open(PEER, HOST)
    clock.advance(2.1)
    gone = tunnels.open(PEER, HOST)
    tunnels.enter(gone, Kind.CLOSE, None, b"", lambda *_: None)
    assert tunnels.close().called


def test_whoever_waits_for_clients_may_lose_patience() -> None:
    """Then it is over all the same, and the table is as good as new."""
    tunnels, _, clock = table()
    tunnels.open(PEER, HOST)
    closing = tunnels.close().addTimeout(1.0, clock, lambda *_: None)
    clock.advance(1.0)
    assert closing.called
    assert tunnels.open(PEER, HOST)


def test_tunnels_wake_up_together() -> None:
    """A batch for many viewers costs one timer."""
    tunnels, factory, clock = table(TunnelLimits(sessions_per_address=100))
    answers: list[bytes] = []
    for _ in range(100):
        session_id = tunnels.open(PEER, HOST)
        factory.made[-1].tunnel.use = Use.PLAYING
        tunnels.enter(session_id, Kind.IDLE, 0, b"", lambda _, body: answers.append(body))
    timers = len(clock.getDelayedCalls())
    for connection in factory.made:
        connection.tunnel.write(b"batch")
    assert len(clock.getDelayedCalls()) == timers + 1
    clock.advance(0)
    assert answers == [b"\x01batch"] * 100
