"""
SWF verification with real players: who knows the file plays, others hear why they may not.

FFmpeg always shakes hands with digests, so it is always asked; without an answer it waits for the
server's patience to end. rtmpdump does so if it has something to answer, and by RTMPE; without
digests it is refused at once, as is GStreamer's rtmp2src.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from rtmptwist.net.client import NetConnection, Refusal, connect
from rtmptwist.net.tls import client_tls
from rtmptwist.wire.swf import Swf
from tests.support.guests import Guest, reactor
from tests.support.programs import (
    SAMPLES,
    Programs,
    Run,
    Site,
    ffmpeg9,
    program,
    programs,
    publisher,
    serve,
)
from tests.support.reactor import reactor_test
from tests.support.swf import COMPRESSED, SWF
from tests.support.tables import Cell
from tests.support.variants import LISTENERS, VARIANTS, url

pytestmark = pytest.mark.interop

FFMPEG9, FFMPEG5, RTMPDUMP = "FFmpeg 9", "FFmpeg 5.1", "rtmpdump"

SPOKEN = [
    *((FFMPEG9, variant) for variant in ("rtmp", "rtmpe", "rtmpt", "rtmpte")),
    *((FFMPEG5, variant) for variant in ("rtmp", "rtmpt")),
    *((RTMPDUMP, variant) for variant in ("rtmp", "rtmpe", "rtmpt", "rtmpte")),
]

TITLE = "SWF verification: who knows what (row), by variant (column)"

UNKNOWN = Swf(SWF.size, bytes(32))

WRONG = "SWF verification failed: the player has another SWF file than it should have."
LATE = "SWF verification failed: no answer within 5 s."
UNVERIFIED = "Players must pass SWF verification here"


@dataclass
class House:
    """A server that demands the file, a web server that has it, and a publisher who knows none."""

    site: Site
    swf_url: str

    def play(self, started: Programs, player: str, variant: str, knows: Swf | str | None) -> Run:
        """Let one play for a moment: knowing a file, where to fetch it, or nothing."""
        where = url(self.site, variant, "live/show")
        if player == RTMPDUMP:
            options = _options(knows, "--swfsize", "--swfhash", "--swfVfy")
            command = (program("rtmpdump"), "-q", "-m", "30", "--stop", "0.3", *options)
            home = started.file("home")  # what it fetches it keeps there, or not at all
            home.mkdir()
            return started.start(*command, "-r", where, "-o", "-", HOME=str(home))
        ffmpeg = ffmpeg9() if player == FFMPEG9 else program("ffmpeg")
        options = _options(knows, "-rtmp_swfsize", "-rtmp_swfhash", "-rtmp_swfverify")
        return started.start(
            ffmpeg, "-v", "error", "-nostdin", *options, "-i", where, "-t", "0.3", "-map", "0",
            "-c", "copy", "-f", "framemd5", "-",
        )  # fmt: skip


def _options(knows: Swf | str | None, size: str, digest: str, fetch: str) -> tuple[str, ...]:
    if isinstance(knows, Swf):
        return size, str(knows.size), digest, knows.hash.hex()
    return (fetch, knows) if knows else ()


def played(run: Run) -> None:
    """It got something, and ended well."""
    assert run.wait() == 0, run.words()
    assert len(run.output()) > 300


def refused(player: str, run: Run, words: str) -> None:
    """It got nothing; FFmpeg says why."""
    assert run.wait() != 0
    assert run.output() == b""
    if player != RTMPDUMP:
        assert words in run.words()


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with programs() as these, TemporaryDirectory() as folder, _web(folder) as web:
        file = Path(folder) / "player.swf"
        file.write_bytes(COMPRESSED)
        site = serve(these, f"swf = {file}\n", LISTENERS)
        endless = ("-stream_loop", "-1", "-readrate", "1")
        source = SAMPLES / "h264-base-aac-25.flv"
        these.start(*publisher(ffmpeg9(), source, site.url("live/show"), *endless))
        site.wait_for("publishes live/show ")
        yield House(site, f"http://127.0.0.1:{web.server_port}/player.swf")


class _Web(ThreadingHTTPServer):
    """Serves a folder while the block lasts."""

    def __enter__(self) -> _Web:
        threading.Thread(target=partial(self.serve_forever, 0.05), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def _web(folder: str) -> _Web:
    return _Web(("127.0.0.1", 0), partial(_Quiet, directory=folder))


@pytest.mark.parametrize(("player", "variant"), SPOKEN, ids=[" ".join(pair) for pair in SPOKEN])
def test_who_knows_the_file_plays(
    house: House, started: Programs, player: str, variant: str, cell: Cell
) -> None:
    """By its hash, or because it fetched it; and with another hash it does not."""
    cell.at(TITLE, f"{player}: the file", variant)
    known, fetched, wrong = (
        house.play(started, player, variant, knows) for knows in (SWF, house.swf_url, UNKNOWN)
    )
    played(known)
    played(fetched)
    cell.found("plays")
    cell.at(TITLE, f"{player}: another", variant)
    refused(player, wrong, WRONG)
    house.site.wait_for(WRONG)
    cell.found("rejected")


def test_who_knows_nothing_does_not_play_and_publishers_are_not_asked(
    house: House, started: Programs, cell: Cell
) -> None:
    runs = [
        (player, variant, house.play(started, player, variant, None)) for player, variant in SPOKEN
    ]
    for player, variant, run in runs:
        cell.at(TITLE, f"{player}: none", variant)
        at_once = player == RTMPDUMP and not variant.endswith("e")
        refused(player, run, UNVERIFIED if at_once else LATE)
        cell.found("refused" if at_once else "rejected")
    house.site.wait_for(f"play refused: .*{UNVERIFIED}")
    house.site.wait_for(f"rejected: .*{LATE}", times=len(SPOKEN) - 2)
    assert "no longer publishes" not in house.site.log()


def test_gstreamer_is_told_at_once(house: House, started: Programs, cell: Cell) -> None:
    cell.at(TITLE, "rtmp2src: none", "rtmp")
    location = f"location={house.site.url('live/show')}"
    command = (program("gst-launch-1.0"), "-q", "rtmp2src", location, "!", "fakesink")
    run = started.start(*command)
    assert run.wait() != 0
    assert "ERROR" in run.words()
    cell.found("refused")


def test_our_client(house: House, cell: Cell) -> None:
    """Through all six variants, with the file and with another."""
    cell.at(TITLE, "our client: the file", "rtmp")
    tls = client_tls("localhost", verify=False)

    async def opened(variant: str, swf: Swf) -> NetConnection:
        return await connect(reactor, url(house.site, variant, "live"), tls=tls, swf=swf)

    @reactor_test
    async def play() -> None:
        for variant in VARIANTS:
            cell.at(TITLE, "our client: the file", variant)
            viewer = Guest(await (await opened(variant, SWF)).create_stream())
            await viewer.stream.play("show")
            await viewer.until(partial(_sees, viewer))
            await viewer.leave()
            cell.found("plays")
            cell.at(TITLE, "our client: another", variant)
            stranger = await opened(variant, UNKNOWN)
            told: list[dict[str, Any]] = []
            stranger.on_status = told.append
            await stranger.when_closed()
            (info,) = told
            assert Refusal(info).code == "NetConnection.Connect.Rejected"
            assert info["description"] == WRONG
            cell.found("rejected")

    play()


def _sees(viewer: Guest) -> bool:
    return bool(viewer.media)
