"""
What peers do wrong, by accident or on purpose, to a real server in its own process, while streams
run through it: they reach their viewers bit by bit whatever happens.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat

import pytest
from twisted.internet.endpoints import TCP4ClientEndpoint

from rtmptwist.amf import amf0
from rtmptwist.config.schema import Limits
from rtmptwist.net.client import connect
from rtmptwist.wire import control
from rtmptwist.wire.chunk import encode_full
from rtmptwist.wire.control import PingRequest, SetChunkSize, WindowAcknowledgementSize
from rtmptwist.wire.message import Message, MessageType
from tests.support.guests import eventually, reactor, serving
from tests.support.live import headers, payloads
from tests.support.programs import Site, programs, serve
from tests.support.reactor import reactor_test
from tests.support.rogue import CONNECT, HANDSHAKE, PUBLISH, chunks, command, rogue
from tests.support.steady import BETWEEN, KEY, rss, steady, steady_ffmpeg

SETTINGS = """\
grace = 0
window_size = 4M
stall_timeout = 1s
[limits]
video_size = 1M
handshake_timeout = 500ms
connect_timeout = 500ms
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The server, less patient than usual."""
    with programs() as started:
        server = serve(started, SETTINGS)
        with steady_ffmpeg(started, server):
            yield server


# --------------------------------------------------------------------------- no RTMP at all

TLS = bytes.fromhex("1603010200010001fc0303") + bytes(509)
"The beginning of a ClientHello."

STRANGERS = {
    "TLS": TLS,
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "zeros": bytes(4000),
    "noise": random.Random(2).randbytes(100_000),
}


@pytest.mark.parametrize("kind", STRANGERS)
@reactor_test
async def test_strangers_are_shown_the_door(site: Site, kind: str) -> None:
    async with steady(site):
        peer = await rogue(port(site), STRANGERS[kind])
        await peer.gone()
    assert "Traceback" not in site.log()


@reactor_test
async def test_half_handshakes_do_not_stay(site: Site) -> None:
    """Nor does anybody who shook hands and says nothing."""
    halves = [b"", HANDSHAKE[:1], HANDSHAKE[:700], HANDSHAKE[:1537], HANDSHAKE[:-1], HANDSHAKE]
    async with steady(site) as (stream, _):
        peers = [await rogue(port(site), half) for half in halves for _ in range(10)]
        await stream.more()
        for peer in peers:
            await peer.gone(5.0)
    assert "no handshake within 0.5 s" in site.log()
    assert "no connect within 1 s" in site.log()


def port(site: Site) -> int:
    """Where it listens."""
    return site.ports["main"]


# --------------------------------------------------------------------------- too much of it


def nested(depth: int) -> Message:
    """A command with an object in an object in an object."""
    value = b"\x03\0\1x" * depth + b"\5" + b"\0\0\x09" * depth
    return Message(MessageType.COMMAND, 0, 0, amf0.encode("x", 0.0, None) + value)


def claiming(head: str, kind: MessageType = MessageType.COMMAND) -> bytes:
    """A command with a value that says of itself how long it is."""
    amf3 = b"\0" if kind is MessageType.COMMAND_AMF3 else b""
    said = amf0.encode("x", 0.0, None) + bytes.fromhex(head)
    return chunks(Message(kind, 0, 0, amf3 + said))


def audio(payload: bytes, stream_id: int = 1) -> Message:
    return Message(MessageType.AUDIO, 0, stream_id, payload)


def video(size: int) -> Message:
    return Message(MessageType.VIDEO, 0, 1, bytes(size))


def single_bytes(count: int) -> bytes:
    """A message in chunks of one byte each."""
    whole = chunks(video(count), 6)
    return whole[:12] + b"\0" + b"\xc6\0" * (count - 1)


SMALLEST = chunks(control.message(SetChunkSize(1)), 2)

FLOODS: dict[str, tuple[bytes, Callable[[], Iterable[bytes]], str]] = {
    # what comes first, what follows, the words in the log
    "commands before connect": (
        HANDSHAKE,
        lambda: repeat(command("x")),
        "before a connect was accepted",
    ),
    "noise": (CONNECT, lambda: noise(3), ""),
    "noise while publishing": (PUBLISH, lambda: noise(4), ""),
    "unknown messages": (
        CONNECT,
        lambda: repeat(chunks(Message(99, 0, 0, b"?"))),
        "messages of unknown types in a row",
    ),
    "tiny commands": (
        CONNECT,
        lambda: repeat(command("x") * 1000, 100),
        "commands per second",
    ),
    "streams": (
        CONNECT,
        lambda: repeat(command("createStream", wanted=2.0) * 100, 100),
        "commands per second",
    ),
    "publications": (
        PUBLISH,
        lambda: (command("publish", f"rogue{n}", stream_id=1) for n in range(1000)),
        "commands per second",
    ),
    "a huge picture": (PUBLISH, lambda: repeat(chunks(video((1 << 20) + 1))), "1048577"),
    "a huge sound": (PUBLISH, lambda: [chunks(audio(bytes(2 << 20)))], "2097152"),
    "a huge command": (CONNECT, lambda: [command("x", "y" * (2 << 20))], "of type 20 with"),
    "a huge connect": (HANDSHAKE, lambda: [command("connect", "y" * 70_000)], "of type 20 with"),
    "deep objects": (CONNECT, lambda: repeat(chunks(nested(100))), "nested too deep"),
    "a text without end": (CONNECT, lambda: repeat(claiming("0c ffffffff")), "4294967295 bytes"),
    "an array without end": (CONNECT, lambda: repeat(claiming("0a ffffffff")), "4294967295 values"),
    "an array of 10 million": (CONNECT, lambda: repeat(claiming("0a 00989680 05 05")), "10000000"),
    "a text of AMF3 without end": (
        CONNECT,
        lambda: repeat(claiming("11 06 ffffffff", MessageType.COMMAND_AMF3)),
        "268435455 bytes",
    ),
    "an array of AMF3 without end": (
        CONNECT,
        lambda: repeat(claiming("11 09 ffffffff", MessageType.COMMAND_AMF3)),
        "268435455 values",
    ),
    "a reference to nothing": (
        CONNECT,
        lambda: repeat(claiming("11 0a 10", MessageType.COMMAND_AMF3)),
        "reference",
    ),
    "unfinished messages": (
        PUBLISH,
        lambda: (chunks(audio(bytes(300)), number)[:140] for number in range(3, 60)),
        "unfinished",
    ),
    "chunk streams": (
        PUBLISH,
        lambda: (chunks(audio(b"x"), number) for number in range(3, 5000)),
        "chunk streams",
    ),
    "chunk sizes": (
        CONNECT,
        lambda: repeat(chunks(control.message(SetChunkSize(128)), 2)),
        "more than 64 SetChunkSize",
    ),
    "chunks of one byte": (
        PUBLISH + SMALLEST,
        lambda: repeat(single_bytes(10_000), 300),
        "chunks in",
    ),
    "media for nobody": (CONNECT, lambda: repeat(chunks(audio(b"x")) * 100), "no publication"),
}


def noise(seed: int) -> Iterator[bytes]:
    """A megabyte."""
    bits = random.Random(seed)
    return (bits.randbytes(10_000) for _ in range(100))


@pytest.mark.parametrize("kind", FLOODS)
@reactor_test
async def test_floods_end_their_own_connection_only(site: Site, kind: str) -> None:
    first, more, words = FLOODS[kind]
    async with steady(site):
        peer = await rogue(port(site), first, more=more())
        await peer.gone()
        reason = rf"{peer.name} left: .*{re.escape(words)}.*, after \d"
        await eventually(lambda: re.search(reason, site.log()))
    assert "Traceback" not in site.log()


@pytest.mark.parametrize(
    "part",
    [
        chunks(control.message(PingRequest(7)), 2) * 100,
        chunks(control.message(WindowAcknowledgementSize(1)), 2) * 100,
        chunks(Message(MessageType.AGGREGATE, 0, 1, b"")) * 100,
        chunks(Message(MessageType.VIDEO, 0, 1, b"")) * 100,
        chunks(Message(MessageType.DATA, 0, 1, bytes(100)), 4) * 100,
    ],
    ids=["pings", "windows of one byte", "empty aggregates", "empty pictures", "bad data"],
)
@reactor_test
async def test_what_is_only_useless_is_borne(site: Site, part: bytes) -> None:
    """Up to the bound of chunks in a second."""
    async with steady(site):
        peer = await rogue(port(site), PUBLISH, more=repeat(part, 100))
        await peer.said()
        assert not peer.closed
        await peer.leave()
    assert "Traceback" not in site.log()


@reactor_test
async def test_a_publisher_faster_than_any_network(site: Site) -> None:
    """150 MB as fast as it goes: its own viewer skips, memory does not grow with it."""
    async with steady(site) as (stream, guests):
        viewer = await guests.play("rogue")
        before = rss(site)
        second = b"".join(
            encode_full(Message(MessageType.VIDEO, 0, 1, head + bytes(30_000)), 6, 65536)
            for head in [KEY, *[BETWEEN] * 24]
        )
        large = chunks(control.message(SetChunkSize(65536)), 2)
        peer = await rogue(port(site), PUBLISH + large, more=repeat(second, 200))
        await peer.said()
        assert not peer.closed
        assert rss(site) - before < 30 << 20
        await stream.more()
        await peer.leave()
        assert viewer.media


@reactor_test
async def test_a_viewer_that_does_not_read_costs_little_and_is_closed(site: Site) -> None:
    """Others notice nothing, at 12 Mbit/s; it is told by its end alone."""
    async with steady(site) as (stream, guests):
        stalled, other = await guests.play("rogue"), await guests.play("rogue")
        publisher = await guests.publish("rogue")
        stalled.fall_silent()
        before, began = rss(site), len(site.log())
        bits = random.Random(5)
        sent = [*headers()]
        publisher.send(*sent)
        for number in range(160):  # 2.4 MB are more than a kernel keeps for it
            head = BETWEEN if number % 25 else KEY
            frame = Message(MessageType.VIDEO, 10 * number, 0, head + bits.randbytes(15_000))
            sent.append(frame)
            await publisher.feed(frame)
        await other.settle()
        assert other.payloads == payloads(sent[1:])
        assert rss(site) - before < 12 << 20
        await eventually(lambda: "nothing was taken for too long" in site.log()[began:], 5.0)
        await stream.more()
        stalled.wake()
        await stalled.until(lambda: stalled.gone)
        assert len(stalled.media) < len(sent)
        assert not other.gone


# ------------------------------------------------------------------------ too many of them


@reactor_test
async def test_one_address_may_have_so_many_connections() -> None:
    """Whoever has left counts no more, and others are not counted with it."""
    async with serving(limits=Limits(connections_per_address=3, trusted=())) as host:
        publisher = await host.publish()
        viewers = [await host.play() for _ in range(2)]
        for _ in range(5):
            peer = await rogue(host.port, CONNECT)
            await peer.gone()
            assert peer.heard == b""
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", host.port, bindAddress=("127.0.0.2", 0))
        host.also(await connect(reactor, f"{host.address}/live", endpoint=endpoint))
        await viewers.pop().leave()
        await eventually(lambda: len(host.registry.connections) == 3)
        viewers.append(await host.play())
        await publisher.feed(*headers())
        for viewer in viewers:
            await viewer.settle()
            assert viewer.payloads == payloads(headers()[1:])


@pytest.mark.parametrize(
    "limits",
    [Limits(connections_per_address=3), Limits(connections=4, connections_per_address=9)],
    ids=["trusted", "in all"],
)
@reactor_test
async def test_trusted_networks_count_only_in_all(limits: Limits) -> None:
    """Loopback is trusted unless the configuration says otherwise."""
    async with serving(limits=limits) as host:
        peers = [await host.connect() for _ in range(4)]
        if limits.connections == 4:
            peer = await rogue(host.port, CONNECT)
            await peer.gone()
            assert peer.heard == b""
        else:
            peers.append(await host.connect())
        assert not any(peer.closed for peer in peers)
