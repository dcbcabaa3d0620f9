"""Crowds that come and go: memory and descriptors of the server return to where they were."""

from __future__ import annotations

import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.guests import PATIENCE
from tests.support.programs import (
    SAMPLES,
    Programs,
    Site,
    ffmpeg9,
    packets,
    parse_packets,
    player,
    programs,
    publisher,
    serve,
)
from tests.support.rogue import CONNECT, HANDSHAKE, PUBLISH, command
from tests.support.watchers import by_stream

pytestmark = pytest.mark.load

IDLE = 2000
"Connections at one time."

VISITS = 5000
"Connections one after the other."

FILES = IDLE + 500
"Descriptors that either side may need."

LISTENER = "[listener main]\nendpoint = tcp:0:interface=127.0.0.1:backlog=1024\n"

ACCEPTED = b"NetConnection.Connect.Success"


@pytest.fixture
def started() -> Iterator[Programs]:
    """Programs that may open as many files as this test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        pytest.skip(f"only {hard} files may be open here (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    try:
        with programs() as these:
            yield these
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory(site: Site) -> float:
    """MB that the server has in memory."""
    status = Path(f"/proc/{site.run.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def files(site: Site) -> int:
    """Descriptors that the server has open."""
    return len(list(Path(f"/proc/{site.run.process.pid}/fd").iterdir()))


def visit(site: Site, words: bytes = CONNECT) -> socket.socket:
    """Connect and speak, without listening."""
    peer = socket.create_connection(("127.0.0.1", site.ports["main"]), timeout=PATIENCE)
    peer.sendall(words)
    return peer


def hear(peer: socket.socket, words: bytes = ACCEPTED) -> None:
    """Read until the server has said something."""
    heard = b""
    while words not in heard:
        part = peer.recv(65536)
        assert part, heard[3073:]
        heard += part


def crowd(site: Site) -> list[socket.socket]:
    """All of those that will be idle, a hundred at a time."""
    peers: list[socket.socket] = []
    for _ in range(0, IDLE, 100):
        new = [visit(site) for _ in range(100)]
        for peer in new:
            hear(peer)
        peers += new
    return peers


def leave(peer: socket.socket, *, rudely: bool = False) -> None:
    """Close; rudely: with a reset."""
    if rudely:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


VISITORS = [
    # what it says, what it hears before it leaves, whether it leaves rudely
    (b"", b"", False),
    (HANDSHAKE[:1000], b"", True),
    (CONNECT, ACCEPTED, False),
    (PUBLISH, b"NetStream.Publish.Start", True),
    (PUBLISH + command("deleteStream", 1.0), b"NetStream.Unpublish.Success", False),
    (CONNECT + command("play", "nothing", stream_id=1), b"NetStream.Play.Start", True),
    (CONNECT + command("publish", "..", stream_id=1), b"NetStream.Publish.BadName", False),
    (b"GET / HTTP/1.1\r\n\r\n", b"", False),
]


def visits(site: Site, count: int) -> None:
    """One after the other, in all the ways that visits end."""
    for number in range(count):
        words, answer, rudely = VISITORS[number % len(VISITORS)]
        peer = visit(site, words)
        if answer:
            hear(peer, answer)
        leave(peer, rudely=rudely)


def come_and_go(site: Site, count: int, figures: dict[str, float], name: str) -> None:
    """A crowd, so many visits, and what they cost."""
    before = files(site)
    peers = crowd(site)
    until(lambda: files(site) >= IDLE)
    figures[f"{name} crowd"] = memory(site)
    for peer in peers:
        leave(peer)
    visits(site, count)
    until(lambda: files(site) <= before)
    figures[f"after the {name}"] = memory(site)


def test_crowds_leave_nothing_behind(started: Programs) -> None:
    """
    Two thousand idle connections, five thousand visits, and one stream through all of it.

    The first crowd makes the server take memory from the system, which CPython keeps for the next
    one. That the next one needs no more is what tells that nobody left anything behind.
    """
    site = serve(started, "grace = 0\n", LISTENER)
    sample, url = SAMPLES / "h264-b-aac.flv", site.url("live/steady")
    peer = visit(site)
    hear(peer)  # only a reactor that runs has opened all that it needs for itself
    rested, figures = files(site) - 1, {"start": memory(site)}
    leave(peer)
    come_and_go(site, VISITS // 10, figures, "first")
    watching = started.start(*player(ffmpeg9(), url))
    site.wait_for("plays live/steady")
    sending = started.start(*publisher(ffmpeg9(), sample, url, "-readrate", "2"))
    site.wait_for("publishes live/steady")
    come_and_go(site, VISITS, figures, "second")
    assert sending.wait() == 0, sending.words()
    got = parse_packets(watching.output()) if watching.wait() == 0 else []
    until(lambda: files(site) == rested)
    for name, megabytes in figures.items():
        print(f"{name}: {megabytes:.1f} MB")
    assert figures["first crowd"] - figures["start"] < 0.02 * IDLE  # 20 KB each
    assert figures["second crowd"] < figures["first crowd"] + 2
    assert figures["after the second"] < figures["first crowd"] + 2
    assert by_stream(got) == by_stream(packets(ffmpeg9(), sample))
    assert "Traceback" not in site.log()
