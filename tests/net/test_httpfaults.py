"""
What peers do wrong over HTTP and in tunnels, by accident or on purpose, to a real server in its own
process, while streams run through it, in tunnels and beside them: they stay exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import Any

import pytest

from tests.support.guests import Guest, eventually
from tests.support.programs import Site, programs, serve
from tests.support.reactor import reactor_test
from tests.support.rogue import CONNECT, PUBLISH, Rogue, command, rogue
from tests.support.steady import rss, steady, steady_ffmpeg
from tests.support.tunnelled import exact, pictures
from tests.support.web import answers, chunked, request
from tests.web.test_channel import SMUGGLING

SETTINGS = """\
grace = 0
takeover = reject
[limits]
trusted = none
"""

LISTENER = """
[listener main]
endpoint = tcp:0:interface=127.0.0.1
serve = rtmp, rtmpt
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The server, and a stream of FFmpeg through it."""
    with programs() as started:
        server = serve(started, SETTINGS, LISTENER)
        with steady_ffmpeg(started, server):
            yield server
        assert "Traceback" not in server.log()


def port(site: Site) -> int:
    """Where it listens."""
    return site.ports["main"]


def session_of(guest: Guest) -> str:
    """The id of its tunnel, which nobody else should know."""
    transport: Any = guest.connection.transport
    return str(transport._session_id)


STATUS = re.compile(rb"^HTTP/1\.1 (\d+) ", re.MULTILINE)


def statuses(peer: Rogue) -> list[int]:
    """Of all answers so far."""
    return [int(status) for status in STATUS.findall(peer.heard)]


# ------------------------------------------------------------- where does a request end?


@reactor_test
async def test_doubtful_requests_touch_nothing(site: Site) -> None:
    """They name the session of a publisher whom each of them would destroy."""
    async with steady(site, "rtmpt") as (_, guests):
        publisher, viewer = await guests.publish("victim"), await guests.play("victim")
        session_id = session_of(publisher).encode()
        following = b"POST /close/{id} HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"
        shapes = {name: shape for name, shape in SMUGGLING.items() if shape[0] != 3}  # RTMP
        peers = {
            name: await rogue(port(site), (shape + following * 2).replace(b"{id}", session_id))
            for name, shape in shapes.items()
        }
        for name, peer in peers.items():
            await peer.hear(b"\r\n\r\n")
            assert statuses(peer) == [400], name
            await peer.leave()
        await exact(publisher, viewer, pictures(100, 10_000))


@reactor_test
async def test_other_methods_touch_nothing(site: Site) -> None:
    async with steady(site, "rtmpt") as (_, guests):
        publisher, viewer = await guests.publish("victim"), await guests.play("victim")
        session_id = session_of(publisher)
        for method in "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE":
            for target in "/open/1", f"/close/{session_id}", f"/send/{session_id}/0":
                peer = await rogue(port(site), request(target, method=method))
                await peer.hear(b"\r\n\r\n")
                assert statuses(peer) == [405]
                assert b"\r\nAllow: POST\r\n" in peer.heard
                await peer.leave()
        await exact(publisher, viewer, pictures(100, 10_000))


# -------------------------------------------------------------------------- too much of it

LONG = 10 << 20

FLOODS: dict[str, tuple[int, Callable[[], Iterable[bytes]]]] = {
    # what is answered last, and what is sent
    "a body of 10 MB": (413, lambda: [head("/send/x/0", f"Content-Length: {LONG}"), *zeros()]),
    "a chunked body of 10 MB": (
        413,
        lambda: [
            head("/open/1", "Transfer-Encoding: chunked"),
            *(b"%x\r\n%b\r\n" % (len(part), part) for part in zeros()),
        ],
    ),
    "one chunk of 10 MB": (
        413,
        lambda: [head("/open/1", "Transfer-Encoding: chunked"), b"%x\r\n" % LONG, *zeros()],
    ),
    "a head without end": (
        431,
        lambda: chain([head("/open/1")[:-2]], repeat(b"a" * 1000, 10_000)),
    ),
    "headers without end": (
        400,
        lambda: chain([head("/open/1")[:-2]], repeat(b"X-A: b\r\n" * 100, 10_000)),
    ),
    "a target without end": (431, lambda: chain([b"POST /"], repeat(b"a" * 1000, 10_000))),
    "a trailer without end": (
        400,
        lambda: chain(
            [head("/open/1", "Transfer-Encoding: chunked"), b"0\r\n"],
            repeat(b"X-A: b\r\n" * 100, 10_000),
        ),
    ),
    "an extension without end": (
        400,
        lambda: chain(
            [head("/open/1", "Transfer-Encoding: chunked"), b"1;"], repeat(b"a" * 1000, 10_000)
        ),
    ),
}


def head(target: str, *headers: str) -> bytes:
    """A request without what follows its head."""
    return request(target, b"", *headers, length=False)


def zeros() -> Iterable[bytes]:
    """10 MB."""
    return repeat(bytes(65536), LONG // 65536)


@pytest.mark.parametrize("kind", FLOODS)
@reactor_test
async def test_what_is_too_long_is_refused_before_it_is_kept(site: Site, kind: str) -> None:
    status, parts = FLOODS[kind]
    async with steady(site, "rtmpt"):
        before = rss(site)
        peer = await rogue(port(site), more=parts())
        await peer.hear(b"\r\n\r\n")
        assert statuses(peer) == [status]
        await peer.leave()
        assert rss(site) - before < 8 << 20


GET = request("/", b"", method="GET", length=False)


@pytest.mark.parametrize(
    ("data", "status"),
    [(GET, 404), (request("/idle/AAAAAAAAAAAAAAAAAAAAAA/0"), 404), (request("/open/1"), 429)],
    ids=["pages", "guesses", "sessions"],
)
@reactor_test
async def test_pipelined_floods_delay_nobody(site: Site, data: bytes, status: int) -> None:
    """Of each of three peers, answers are read; of another three they are not."""
    async with steady(site, "rtmpt") as (stream, guests):
        viewer = await guests.guest()
        before = rss(site)
        peers = [
            await rogue(port(site), more=repeat(data * 500, 500), address="127.0.0.3")
            for _ in range(6)
        ]
        for peer in peers[3:]:
            peer.pipe.pauseProducing()
        await stream.more(50)
        await viewer.settle()
        assert rss(site) - before < 16 << 20
        for peer in peers:
            await peer.leave()
        seen = [status for peer in peers[:3] for status in statuses(peer)]
        assert seen.count(200) <= 16  # sessions of one address
        assert {*seen} - {200} == {status}


@reactor_test
async def test_chunks_of_one_byte(site: Site) -> None:
    """As long as they make no long body, they are only silly."""
    async with steady(site, "rtmpt"):
        body = chunked(bytes(60_000), 1)
        peer = await rogue(port(site), head("/idle/x/0", "Transfer-Encoding: chunked"), body)
        await peer.hear(b"\r\n\r\n")
        assert statuses(peer) == [413]  # for a body that means nothing
        await peer.leave()


@reactor_test
async def test_slow_ones_stay_and_disturb_nobody(site: Site) -> None:
    """Half heads and half bodies, byte by byte; a minute is all that they get, by another test."""
    whole = request("/open/1", b"x" * 64)
    async with steady(site, "rtmpt") as (stream, guests):
        peers = [
            await rogue(port(site), whole[: 20 + 2 * number], address="127.0.0.4")
            for number in range(60)
        ]
        for number in range(20):
            for peer, begun in zip(peers, range(20, 140, 2), strict=True):
                peer.say(whole[begun + number : begun + number + 1])
            await stream.more(2)
        viewer = await guests.play("another")
        await viewer.settle()
        for peer in peers:
            await peer.leave()


# -------------------------------------------------------------------------------- sessions


class Tunnel:
    """A session that is spoken to by hand, from an address of its own."""

    def __init__(self, site: Site, address: str) -> None:
        self._site = site
        self._address = address
        self.session_id = ""

    async def open(self) -> Tunnel:
        """Get an id."""
        (answer,) = await self.ask(request("/open/1"))
        assert answer[0] == 200
        self.session_id = answer[1].decode().strip()
        return self

    async def ask(self, *requests: bytes) -> list[tuple[int, bytes]]:
        """Requests on a connection of their own, and what was answered: status and body."""
        peer = await rogue(port(self._site), *requests, address=self._address)
        await peer.hear(b"HTTP/1.1", len(requests))
        await eventually(lambda: complete(peer.heard, len(requests)))
        await peer.leave()
        return [(answer.status, answer.body) for answer in answers(peer.heard)]

    def send(self, number: int, data: bytes) -> bytes:
        """A request that brings something."""
        return request(f"/send/{self.session_id}/{number}", data)

    def idle(self, number: int) -> bytes:
        """A request that brings nothing."""
        return request(f"/idle/{self.session_id}/{number}")

    def close(self) -> bytes:
        """The last one."""
        return request(f"/close/{self.session_id}")


def complete(data: bytes, count: int) -> bool:
    """Whether so many answers are there to the end."""
    for _ in range(count):
        head, separator, rest = data.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        if not separator or length is None or len(rest) < int(length[1]):
            return False
        data = rest[int(length[1]) :]
    return True


@reactor_test
async def test_replays_are_not_heard_twice(site: Site) -> None:
    """A whole session that somebody recorded, while it lives and when it is over."""
    async with steady(site, "rtmpt"):
        tunnel = await Tunnel(site, "127.0.0.5").open()
        recorded = [
            tunnel.send(0, PUBLISH),
            tunnel.send(1, command("publish", "other", stream_id=1)),
            tunnel.idle(2),
        ]
        published = re.compile(r"127\.0\.0\.5:\d+ publishes")
        first = [answer for each in recorded for answer in await tunnel.ask(each)]
        assert {status for status, _ in first} == {200}
        assert b"NetStream.Publish.Start" in b"".join(body for _, body in first)
        begun = len(published.findall(site.log()))
        again = [answer for each in recorded for answer in await tunnel.ask(each)]
        assert again == [(200, b"\x01"), (200, b"\x01"), first[-1]]
        assert len(published.findall(site.log())) == begun
        assert await tunnel.ask(tunnel.close()) == [(200, b"\x00")]
        for each in [*recorded, tunnel.close(), tunnel.send(3, b"x")]:
            assert await tunnel.ask(each) in ([(404, b"")], [(200, b"\x00")])
        site.wait_for(r"127\.0\.0\.5:\d+ left: ")


@reactor_test
async def test_two_clients_of_one_session(site: Site) -> None:
    """They get into each other's way, and into nobody else's."""
    async with steady(site, "rtmpt"):
        tunnel = await Tunnel(site, "127.0.0.6").open()
        both = [
            await rogue(port(site), tunnel.send(0, CONNECT), address="127.0.0.6") for _ in range(2)
        ]
        for peer in both:
            await peer.hear(b"NetConnection.Connect.Success")
        assert both[0].heard == both[1].heard
        for peer in both:  # each goes on in its own way, with the same numbers
            peer.say(tunnel.send(1, command("x" * (1 + both.index(peer)))))
        for peer in both:
            await peer.hear(b"HTTP/1.1", 2)
        assert both[0].heard == both[1].heard
        both[0].say(tunnel.send(2, bytes(range(256)) * 20))
        await both[0].hear(b"HTTP/1.1", 3)
        site.wait_for(r"127\.0\.0\.6:\d+ left: ")
        for peer in both:
            await peer.leave()


@pytest.mark.parametrize("number", [17, 1000, 9_999_999_999])
@reactor_test
async def test_numbers_that_are_far_off_end_the_session(site: Site, number: int) -> None:
    async with steady(site, "rtmpt"):
        tunnel = await Tunnel(site, "127.0.0.7").open()
        assert await tunnel.ask(tunnel.send(number, b"x")) == [(400, b"")]
        assert await tunnel.ask(tunnel.send(0, b"x")) == [(404, b"")]


@reactor_test
async def test_early_requests_are_bounded(site: Site) -> None:
    """Those that are never to have their turn take a megabyte at most, and not for long."""
    async with steady(site, "rtmpt"):
        tunnel = await Tunnel(site, "127.0.0.8").open()
        peers = [
            await rogue(port(site), tunnel.send(n, bytes(600_000)), address="127.0.0.8")
            for n in (2, 3)
        ]
        for peer in peers:
            await peer.hear(b"\r\n\r\n")
            assert statuses(peer) == [400]
            await peer.leave()


@reactor_test
async def test_garbage_in_a_tunnel_ends_the_tunnel(site: Site) -> None:
    """TLS, HTTP, and nothing at all."""
    async with steady(site, "rtmpt"):
        for data in b"\x16\x03\x01\0\0", b"GET / HTTP/1.1\r\n\r\n", bytes(4000), b"\xff":
            tunnel = await Tunnel(site, "127.0.0.9").open()
            await tunnel.ask(tunnel.send(0, data))
            assert await tunnel.ask(tunnel.idle(1)) == [(404, b"")]
