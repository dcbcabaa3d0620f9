"""
What peers do wrong over TLS, by accident or on purpose, to a real server, while streams run through
it over TLS: one between our own clients in each test, and one between FFmpeg and FFmpeg throughout.
Both reach their viewers bit by bit.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from OpenSSL import SSL
from twisted.internet.task import LoopingCall

from rtmptwist.wire.message import Message, MessageType
from tests.support.guests import eventually
from tests.support.programs import (
    SAMPLES,
    Site,
    ffmpeg9,
    looped,
    packets,
    parse_packets,
    player,
    programs,
    publisher,
    serve,
)
from tests.support.reactor import reactor_test
from tests.support.rogue import CONNECT, HANDSHAKE, PUBLISH, chunks, rogue
from tests.support.roguetls import context, hello, rogue_tls
from tests.support.steady import rss, steady
from tests.support.trickle import trickle
from tests.support.watchers import by_stream

SETTINGS = """\
grace = 0
window = 1h
max_lag = 1h
[limits]
handshake_timeout = 500ms
connect_timeout = 500ms
"""

LISTENERS = """
[listener plain]
endpoint = tcp:0:interface=127.0.0.1
serve = rtmp

[listener main]
endpoint = tcp:0:interface=127.0.0.1:backlog=51
serve = rtmps, rtmpts
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server, less patient than usual, with FFmpeg's stream on it."""
    folder = tmp_path_factory.mktemp("film")
    # FFmpeg's last words are lost, and with them what its kernel still has to send, if anything is
    # said to it then; an acknowledgement would be, every 2.5 MB
    film = looped(SAMPLES / "h264-b-aac.flv", folder / "film.flv", 10)
    with programs() as started, trickle(folder / "pipe", film.read_bytes(), 100_000) as source:
        site = serve(started, SETTINGS, LISTENERS)
        url = site.url("live/film", "rtmps")
        watching = started.start(*player(ffmpeg9(), url))
        site.wait_for("plays live/film ")
        sending = started.start(*publisher(ffmpeg9(), source.path, url, "-probesize", "20000"))
        site.wait_for("publishes live/film ")
        yield site
        source.finish()
        assert sending.wait() == 0, sending.words()
        watching.wait()
        assert by_stream(parse_packets(watching.output())) == by_stream(packets(ffmpeg9(), film))
        assert "Traceback" not in site.log()


def port(site: Site) -> int:
    """Where it speaks TLS."""
    return site.ports["main"]


# --------------------------------------------------------------------------- handshakes

HELLO = hello()


def record(kind: int, data: bytes, version: int = 0x0303) -> bytes:
    """A record of TLS."""
    return bytes([kind]) + version.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


HANDSHAKING, ALERT, CIPHERS, DATA, HEARTBEAT = 22, 21, 20, 23, 24


HALVES = {
    "a byte": b"\x16",
    "a part of a header": b"\x16\x03\x01\x02",
    "half a hello": HELLO[:100],
    "all but a byte": HELLO[:-1],
    "half a hello in a whole record": record(HANDSHAKING, HELLO[5:100]),
    "a hello": HELLO,
    "a hello and a byte": HELLO + b"\x16",
    "a hello and ciphers": HELLO + record(CIPHERS, b"\x01"),
    "the longest record but a byte": b"\x16\x03\x01\x40\x00" + bytes(16383),
}


@reactor_test
async def test_half_handshakes_do_not_stay(site: Site) -> None:
    words = "127.0.0.1 left: no TLS handshake within 0.5 s"
    async with steady(site, "rtmps") as (stream, _):
        count = told(site, words)
        peers = [await rogue(port(site), said) for said in HALVES.values() for _ in range(5)]
        await stream.more()
        for peer in peers:
            await peer.gone()
        assert told(site, words) == count + len(peers)


INSIDE = {
    b"": "127.0.0.1 left: it said nothing for 0.5 s",
    HANDSHAKE[:1]: "no handshake within 0.5 s",
    HANDSHAKE[:-1]: "no handshake within 0.5 s",
    HANDSHAKE: "no connect within 1 s",
}
"What is said inside TLS, and the words in the log."


@reactor_test
async def test_nor_do_half_handshakes_inside_tls(site: Site) -> None:
    async with steady(site, "rtmps"):
        counts = {words: told(site, words) for words in INSIDE.values()}
        peers = [await rogue_tls(port(site)) for _ in INSIDE]
        for peer, said in zip(peers, INSIDE, strict=True):
            peer.say(said)
        for peer in peers:
            await peer.gone()
        for words, count in counts.items():
            await eventually(lambda: told(site, words) > count)  # noqa: B023 - at once


@reactor_test
async def test_a_byte_now_and_then_does_not_help(site: Site) -> None:
    """The whole handshake has to be done in time, not the next byte of it."""
    async with steady(site, "rtmps"):
        peer = await rogue(port(site))
        rest = iter(HELLO)
        dripping = LoopingCall(lambda: peer.pipe.write(bytes([next(rest)])))
        dripping.start(0.05).addErrback(lambda _: None)
        await peer.gone()
        if dripping.running:
            dripping.stop()
        assert next(rest, None) is not None


def in_records_of(size: int, message: bytes) -> bytes:
    """A handshake message in pieces, each with a record of its own."""
    pieces = (message[at : at + size] for at in range(0, len(message), size))
    return b"".join(record(HANDSHAKING, piece, 0x0301) for piece in pieces)


@pytest.mark.parametrize("size", [1, 2, 7])
@reactor_test
async def test_a_hello_in_many_records_is_answered(site: Site, size: int) -> None:
    """RFC 8446, section 5.1: handshake messages may be cut anywhere."""
    async with steady(site, "rtmps"):
        peer = await rogue(port(site), in_records_of(size, HELLO[5:]))
        await eventually(lambda: len(peer.heard) > 500)
        assert peer.heard[0] == HANDSHAKING
        await peer.leave()


@reactor_test
async def test_a_hello_byte_by_byte_is_answered(site: Site) -> None:
    """Each in a TCP segment of its own."""
    async with steady(site, "rtmps"):
        peer = await rogue(port(site))
        peer.pipe.setTcpNoDelay(True)
        for byte in HELLO:
            peer.pipe.write(bytes([byte]))
            peer.pipe.doWrite()
        await eventually(lambda: len(peer.heard) > 500)
        assert peer.heard[0] == HANDSHAKING
        await peer.leave()


def noise(seed: int, size: int = 100_000) -> bytes:
    return random.Random(seed).randbytes(size)


def long_hello(size: int) -> bytes:
    """A ClientHello of this length, in records as long as they may be."""
    return in_records_of(16384, b"\x01" + size.to_bytes(3, "big") + b"\x03\x03" + bytes(size - 2))


OLD = context(SSL.TLS1_1_VERSION, b"ALL:@SECLEVEL=0")

NONSENSE: dict[str, tuple[list[bytes], str]] = {
    # what is sent, and the words in the log
    "noise after a hello": ([HELLO, noise(1)], "TLS: "),
    "noise for a hello": ([b"\x16\x03\x01\x02\x00", noise(2)], "TLS: "),
    "a second hello": ([HELLO, HELLO], "TLS: "),
    "a thousand hellos": ([HELLO] * 1000, "TLS: "),
    "data before its time": ([HELLO, record(DATA, bytes(100))], "TLS: "),
    "RTMP after a hello": ([HELLO, CONNECT], "TLS: "),
    "HTTP after a hello": ([HELLO, b"POST /open/1 HTTP/1.1\r\n\r\n"], "TLS: "),
    "a heartbeat": ([HELLO, record(HEARTBEAT, b"\x01\x40\x00")], "TLS: "),
    "a heartbeat first": ([record(HANDSHAKING, b""), record(HEARTBEAT, b"\x01\x40\x00")], "TLS: "),
    "ciphers without end": ([HELLO, record(CIPHERS, b"\x01") * 1000], "TLS: "),
    "empty records": ([record(HANDSHAKING, b"") * 1000], "TLS: "),
    "warnings without end": ([HELLO, record(ALERT, b"\x01\x5a") * 1000], "TLS: "),
    "an alert": ([HELLO, record(ALERT, b"\x02\x28")], "TLS: the client knows none of our ciphers"),
    "an alert first": ([record(HANDSHAKING, HELLO[5:6]), record(ALERT, b"\x02\x28")], "TLS: "),
    "a record that is too long": ([b"\x16\x03\x01\xff\xff", bytes(70_000)], "TLS: "),
    "a second one": ([HELLO, b"\x17\x03\x03\x41\x01", bytes(70_000)], "TLS: "),
    "a hello of 200 KB": ([long_hello(200_000)], "TLS: "),
    "a hello of 16 MB": ([long_hello((1 << 24) - 1)[:100_000]], "TLS: "),
    "a server's hello": ([record(HANDSHAKING, b"\x02" + HELLO[6:])], "TLS: "),
    "TLS 1.1": ([hello(OLD)], "TLS: the client speaks no version that we do"),
    "SSL 3": (
        [record(HANDSHAKING, b"\x01\0\0\x29\x03\0" + bytes(32) + b"\0\0\2\0\x2f\1\0", 0x0300)],
        "TLS: the client speaks no version that we do",
    ),
}


def told(site: Site, words: str) -> int:
    """How often the log has these words."""
    return len(re.findall(words, site.log()))


@reactor_test
async def test_nonsense_ends_its_own_connection_only(site: Site) -> None:
    async with steady(site, "rtmps") as (stream, _):
        for kind, (said, reason) in NONSENSE.items():
            words = f"127.0.0.1 left: {reason}"
            count = told(site, words)
            peer = await rogue(port(site), *said)
            await peer.gone()
            await eventually(lambda: told(site, words) > count, what=kind)  # noqa: B023 - awaited
            await stream.more(2)


@reactor_test
async def test_ssl_2_is_nothing_that_we_know(site: Site) -> None:
    async with steady(site, "rtmps"):
        peer = await rogue(port(site), bytes.fromhex("802e010002001500000010") + bytes(37))
        await peer.gone()
        await eventually(lambda: "first byte 0x80 is neither RTMP nor TLS" in site.log())


@reactor_test
async def test_a_crowd_that_says_hello(site: Site) -> None:
    """At once, and half of it never says more."""
    async with steady(site, "rtmps") as (stream, _):
        before = rss(site)
        silent = [await rogue(port(site), HELLO) for _ in range(50)]
        others = [await rogue_tls(port(site)) for _ in range(50)]
        await stream.more()
        for peer in silent:
            await peer.gone()
        for other in others:
            await other.gone()
        assert rss(site) - before < 20 << 20


@reactor_test
async def test_what_waits_for_its_end_takes_little(site: Site) -> None:
    """The longest record, but for its last byte, a hundred times."""
    async with steady(site, "rtmps"):
        before = rss(site)
        longest = b"\x16\x03\x01\x40\x00" + bytes(16383)
        peers = [await rogue(port(site), longest) for _ in range(100)]
        assert rss(site) - before < 10 << 20
        for peer in peers:
            await peer.gone()


# --------------------------------------------------------------------------- after the handshake

SOUND = Message(MessageType.AUDIO, 0, 1, b"\xaf\x01" + noise(4, 100))


IN_THE_CLEAR = {
    "RTMP": PUBLISH,
    "HTTP": b"POST /open/1 HTTP/1.1\r\n\r\n",
    "noise": noise(3),
    "a forged record": record(DATA, bytes(100)),
    "an empty record": record(DATA, b""),
    "a record that is too long": b"\x17\x03\x03\x48\x01" + bytes(20_000),
    "a hello": record(HANDSHAKING, HELLO[5:]),
    "an alert": record(ALERT, b"\x02\x28"),
    "a heartbeat": record(HEARTBEAT, b"\x01\x40\x00"),
}


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"])
@reactor_test
async def test_what_is_not_encrypted_ends_a_publication(site: Site, version: int) -> None:
    """Nothing of it is taken for media; what came before is."""
    words = "no longer publishes live/rogue: TLS: "
    async with steady(site, "rtmps") as (_, guests):
        for kind, said in IN_THE_CLEAR.items():
            viewer = await guests.play("rogue")
            count = told(site, words)
            peer = await rogue_tls(port(site), context(version))
            peer.say(PUBLISH + chunks(SOUND))
            await viewer.until(lambda: viewer.media)  # noqa: B023 - awaited
            peer.raw(said)
            await peer.gone()
            await viewer.until_told("Play.UnpublishNotify")
            await eventually(lambda: told(site, words) > count, what=kind)  # noqa: B023 - awaited
            assert viewer.payloads == [SOUND.payload]
            await viewer.leave()


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"])
@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("goodbye", "Connection was closed cleanly"),
        ("hang_up", "Connection to the other side was lost in a non-clean fashion"),
    ],
)
@reactor_test
async def test_a_publisher_leaves_with_or_without_a_goodbye(
    site: Site, version: int, end: str, words: str
) -> None:
    """With close_notify and an open socket, or without either; in the middle of a message."""
    async with steady(site, "rtmps") as (_, guests):
        viewer = await guests.play("rogue")
        count = told(site, f"no longer publishes live/rogue: {words}")
        peer = await rogue_tls(port(site), context(version))
        peer.say(PUBLISH + chunks(SOUND) + chunks(SOUND)[:-1])
        await viewer.until(lambda: viewer.media)
        getattr(peer, end)()
        await peer.gone()
        await viewer.until_told("Play.UnpublishNotify")
        await eventually(lambda: told(site, f"no longer publishes live/rogue: {words}") > count)
        assert viewer.payloads == [SOUND.payload]


@reactor_test
async def test_nobody_renegotiates(site: Site) -> None:
    """It costs the server more than who asks for it: each is refused, and then all."""
    async with steady(site, "rtmps"):
        peer = await rogue_tls(port(site), context(SSL.TLS1_2_VERSION))
        peer.say(CONNECT)
        await eventually(lambda: len(peer.heard) > 3200)
        peer.tls.renegotiate()
        with pytest.raises(SSL.Error):
            peer.tls.do_handshake()
        peer.flush()
        await peer.gone()


@reactor_test
async def test_records_of_one_byte_are_borne(site: Site) -> None:
    """It costs them a record for each byte, and all of it arrives."""
    async with steady(site, "rtmps") as (_, guests):
        viewer = await guests.play("rogue")
        peer = await rogue_tls(port(site))
        for byte in PUBLISH + chunks(SOUND):
            peer.say(bytes([byte]))
        await viewer.until(lambda: viewer.media)
        peer.hang_up()
        await viewer.until_told("Play.UnpublishNotify")
