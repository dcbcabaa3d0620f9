"""RTMPT with real encoders and players at both ends, and through a network that does its worst."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.programs import (
    IN_A_HURRY,
    SAMPLES,
    Programs,
    Site,
    ffmpeg9,
    packets,
    programs,
    publisher,
    serve,
)
from tests.support.publishers import RTMPSINK, publish
from tests.support.unruly import Unruly
from tests.support.watchers import (
    FFMPEG5,
    FFMPEG9,
    RTMPDUMP,
    Watcher,
    by_stream,
    payloads,
    watch,
)

pytestmark = pytest.mark.interop

SAMPLE = SAMPLES / "h264-b-aac.flv"

LISTENER = """
[listener main]
endpoint = tcp:0:interface=127.0.0.1
serve = rtmp, rtmpt
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The real server with RTMP and RTMPT on one port."""
    with programs() as these:
        yield serve(these, IN_A_HURRY, LISTENER)


@pytest.fixture
def unruly(site: Site) -> Iterator[Unruly]:
    """A proxy that delays, doubles, reorders, and loses answers."""
    proxy = Unruly(site.ports["main"])
    yield proxy
    proxy.close()


def begin(started: Programs, site: Site, path: str, kind: str, url: str) -> Watcher:
    """A player that waits for the stream."""
    watcher = watch(started, kind, url)
    site.wait_for(rf"plays {path} ")
    return watcher


def test_tunnels_on_both_ends(started: Programs, site: Site, path: str) -> None:
    watcher = begin(started, site, path, FFMPEG5, site.url(path, "rtmpt"))
    sending = publish(started, RTMPSINK, SAMPLE, site.url(path, "rtmpt"))
    assert sending.wait() == 0, sending.words()
    assert payloads(watcher.packets()) == payloads(packets(ffmpeg9(), SAMPLE))


@pytest.mark.parametrize("kind", [FFMPEG9, RTMPDUMP])
def test_players_behind_an_unruly_proxy(
    started: Programs, site: Site, path: str, unruly: Unruly, kind: str
) -> None:
    watcher = begin(started, site, path, kind, f"rtmpt://127.0.0.1:{unruly.port}/{path}")
    sending = started.start(*publisher(ffmpeg9(), SAMPLE, site.url(path)))
    assert sending.wait() == 0, sending.words()
    assert by_stream(watcher.packets()) == by_stream(packets(ffmpeg9(), SAMPLE))
    assert unruly.doubled + unruly.lost > 0


def test_publishers_behind_an_unruly_proxy(
    started: Programs, site: Site, path: str, unruly: Unruly
) -> None:
    """rtmpsink's requests overtake each other by the dozen."""
    watcher = begin(started, site, path, FFMPEG9, site.url(path))
    sending = publish(started, RTMPSINK, SAMPLE, f"rtmpt://127.0.0.1:{unruly.port}/{path}")
    assert sending.wait() == 0, sending.words()
    assert payloads(watcher.packets()) == payloads(packets(ffmpeg9(), SAMPLE))
    assert unruly.doubled > 10
    assert unruly.lost > 10
