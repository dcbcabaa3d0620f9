"""A listener's site: what is mounted is there, and nothing else."""

from __future__ import annotations

from klein import Klein
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import Clock
from twisted.web.server import Request
from zope.interface.verify import verifyObject

from rtmptwist.web.channel import Channel
from rtmptwist.web.express import ExpressChannel
from rtmptwist.web.site import Site
from tests.support.web import Web, Wire, request


def hello(app: Klein) -> None:
    """One route."""

    @app.route("/hello")
    def answer(request: Request) -> bytes:
        request.setHeader("Content-Length", "5")
        return b"hello"


def test_what_is_mounted_is_served() -> None:
    wire = Wire(Site(Clock(), [hello]))
    wire.say(request("/hello", b"", method="GET", length=False))
    assert [a.body for a in wire.hear()] == [b"hello"]
    wire.say(request("/open/1"))
    assert wire.raw().startswith(b"HTTP/1.1 404 ")


def test_tunnels_and_pages_live_together() -> None:
    web = Web(mounts=(hello,))
    wire, session_id, _ = web.open()
    wire.say(
        request(f"/send/{session_id}/0", b"x")
        + request("/hello", b"", method="GET", length=False)
        + request(f"/send/{session_id}/1", b"y")
    )
    web.turn()
    assert [a.body for a in wire.hear()] == [b"\x01X", b"hello", b"\x01Y"]


def test_two_sites_are_two_apps() -> None:
    Site(Clock(), [hello])
    wire = Wire(Site(Clock(), []))
    wire.say(request("/hello", b"", method="GET"))
    assert wire.raw().startswith(b"HTTP/1.1 404 ")


def test_is_a_factory_without_a_log_of_requests() -> None:
    clock = Clock()
    site = Site(clock, [hello])
    verifyObject(IProtocolFactory, site)
    site.doStart()
    assert clock.getDelayedCalls() == []
    wire = Wire(site)
    wire.say(request("/hello", b"", method="GET"))
    wire.lose()
    site.doStop()
    assert clock.getDelayedCalls() == []


def test_the_lane_is_there_where_tunnels_are() -> None:
    address = IPv4Address("TCP", "192.0.2.1", 1)
    assert type(Site(Clock(), []).buildProtocol(address)) is Channel
    assert type(Web().site.buildProtocol(address)) is ExpressChannel
