"""Whoever reads everything that the server tells a viewer does not find the publisher's key."""

from __future__ import annotations

import base64
import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from rtmptwist.auth.keyfile import StreamKey, hash_of, new_key
from rtmptwist.net.netstream import Refusal
from tests.support.guests import Guests, eventually, reactor, visiting
from tests.support.programs import SAMPLES, Programs, Run, ffmpeg9, player, publisher, serve
from tests.support.reactor import reactor_test
from tests.support.wiretap import Wiretap, wiretap

pytestmark = pytest.mark.interop

SAMPLE = SAMPLES / "h264-base-aac-25.flv"

LISTENER = """
stream_metrics = 10

[listener main]
endpoint = tcp:0:interface=127.0.0.1
serve = rtmp, rtmpt, http
api = loopback
"""

PAGES = (
    "/",
    "/status",
    "/stat",
    "/metrics",
    "/api",
    "/api/v1/server",
    "/api/v1/applications",
    "/api/v1/applications/live",
    "/api/v1/streams",
    "/api/v1/connections",
    "/api/v1/bans",
    "/api/v1/openapi.json",
    "/live/show.flv",
    "/live/show.m3u8",
    "/fcs/ident2",
)


def spellings(key: str) -> list[bytes]:
    """How a key might stand somewhere: as it is, or such that one could find it out."""
    plain = key.encode()
    hashed = hashlib.sha256(plain)
    return [
        plain,
        plain.removeprefix(b"key_"),
        plain[:12],
        plain[-12:],
        plain[::-1],
        plain.hex().encode(),
        base64.b64encode(plain)[:-4],
        "".join(f"%{byte:02x}" for byte in plain).encode(),
        key.encode("utf-16-be"),
        hashed.digest(),
        hashed.hexdigest().encode(),
    ]


def found(key: str, text: bytes) -> list[bytes]:
    """What of a key stands in a text."""
    return [spelling for spelling in spellings(key) if spelling.lower() in text.lower()]


async def over(run: Run) -> int:
    """Its status, when it has ended."""
    return await deferToThread(run.wait)


@reactor_test
async def test_a_viewer_does_not_find_the_key(started: Programs, tmp_path: Path) -> None:
    first_key, second_key, wrong = new_key(), new_key(), new_key()
    file = tmp_path / "keys"
    keys = [StreamKey("show", hash_of(key)) for key in (first_key, second_key)]
    file.write_text("".join(f"{key.line()}\n" for key in keys))
    site = serve(started, f"publish = keys\nkeys = {file}\ngrace = 0\n", LISTENER)
    server = site.ports["main"]
    async with wiretap(server) as viewers, wiretap(server) as publishers, wiretap(server) as web:
        watching = [
            started.start(*player(ffmpeg9(), f"{scheme}://127.0.0.1:{viewers.port}/live/show"))
            for scheme in ("rtmp", "rtmpt")
        ]
        async with visiting(f"rtmp://127.0.0.1:{viewers.port}") as guests:
            watcher = await guests.play("show")
            await eventually(lambda: site.log().count("plays live/show ") == 3)
            url = f"rtmp://127.0.0.1:{publishers.port}/live/{first_key}"
            first = started.start(*publisher(ffmpeg9(), SAMPLE, url, "-readrate", "1"))
            await watcher.until(lambda: watcher.media)
            await curious(guests, wrong)
            for page in PAGES:
                await fetch(web, page)
            url = f"rtmp://127.0.0.1:{publishers.port}/live/show?key={second_key}"
            second = started.start(*publisher(ffmpeg9(), SAMPLE, url))
            assert await over(second) == 0, second.words()
            assert await over(first) != 0
            await watcher.until_told("Play.UnpublishNotify")
        for run in watching:
            assert await over(run) == 0, run.words()
        process = Path(f"/proc/{site.run.process.pid}")
        heard = {
            "the wire": bytes(viewers.heard),
            "the pages": bytes(web.heard),
            "the player": b"".join(run.output() + run.stderr.read_bytes() for run in watching),
            "the server's log": site.log().encode(),
            "its command line": (process / "cmdline").read_bytes(),
            "its name": (process / "comm").read_bytes(),
            "its environment": (process / "environ").read_bytes(),
        }
        for key in (first_key, second_key):
            leaks = {
                where: spelling for where, text in heard.items() for spelling in found(key, text)
            }
            assert leaks == {}
        # to the viewer who tried it, the server may say it again
        assert found(wrong, heard["the server's log"]) == []
        # and this would find it:
        assert b"show" in heard["the wire"]
        assert b'"account":"key ' in heard["the pages"].replace(b": ", b":")
        assert b"rtmptwist_" in heard["the pages"]
        assert found(first_key, bytes(publishers.said))
        assert found(second_key, bytes(publishers.said))


async def curious(guests: Guests, wrong: str) -> None:
    """Ask for everything that might make the server say something."""
    for name in ("show", f"show?key={wrong}", wrong, "", "show/..", "show?key="):
        for doing in ("publish", "play"):
            guest = await guests.guest()
            with suppress(Refusal):
                await getattr(guest.stream, doing)(name)
            guest.vanish()
    connection = await guests.connect()
    for method in ("getStreamLength", "getStreams", "show"):
        with suppress(Refusal):
            await connection.call(method, "show")
    for app in ("other", wrong, f"live/{wrong}"):
        with suppress(Refusal):
            await guests.connect(app)


async def fetch(tap: Wiretap, page: str) -> None:
    """Ask for a page by HTTP; what comes is on the wire."""

    class Browser(Protocol):
        def connectionMade(self) -> None:
            self.gone: Deferred[None] = Deferred()
            transport: Any = self.transport
            request = f"GET {page} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            transport.write(request.encode())

        def connectionLost(self, reason: Failure = connectionDone) -> None:
            self.gone.callback(None)

    before = len(tap.heard)
    server = TCP4ClientEndpoint(reactor, "127.0.0.1", tap.port)
    browser = await connectProtocol(server, Browser())
    await browser.gone
    assert tap.heard[before:].startswith(b"HTTP/1.1 ")
