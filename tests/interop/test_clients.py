"""
What each program speaks, as publisher and as player: packet by packet through plain RTMP's other
end, or its own words why not. A cell that begins to work fails here until its reason is taken out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.programs import (
    IN_A_HURRY,
    PATIENCE,
    SAMPLES,
    Packet,
    Programs,
    Run,
    Site,
    ffmpeg9,
    packets,
    programs,
    publisher,
    serve,
)
from tests.support.publishers import RTMP2SINK, RTMPSINK, publish
from tests.support.tables import Cell
from tests.support.variants import LISTENERS, UNSENT, UNSENT_NOTE, VARIANTS, tunnelled, url
from tests.support.watchers import (
    FFMPEG5,
    FFMPEG9,
    RTMP2SRC,
    RTMPDUMP,
    RTMPSRC,
    by_stream,
    payloads,
    watch,
)

pytestmark = pytest.mark.interop

TITLE = "what each program speaks"

SAMPLE = SAMPLES / "h264-base-aac-25.flv"

PLAYERS = (FFMPEG9, FFMPEG5, RTMPDUMP, RTMPSRC, RTMP2SRC)
PUBLISHERS = (FFMPEG9, FFMPEG5, RTMPSINK, RTMP2SINK)

UNABLE = {
    FFMPEG9: {"rtmpts": "Cannot reuse HTTP connection for different protocol https vs http"},
    FFMPEG5: dict.fromkeys(("rtmpe", "rtmpte"), "Protocol not found"),
    **dict.fromkeys(
        # what they make of a scheme that they do not know
        (RTMP2SRC, RTMP2SINK),
        dict.fromkeys(("rtmpe", "rtmpt", "rtmpte", "rtmpts"), "Failed to connect: Host is not set"),
    ),
}
"What programs cannot speak, and what they say to that."


HELD_NOTE = "rtmp2src may lose the last packet: it holds one, and drops it at the end of the stream"

TALKATIVE = ("-hide_banner", "-v", "verbose")
"FFmpeg's reasons are no errors to it."


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The server with all six variants."""
    with programs() as these:
        yield serve(these, IN_A_HURRY, LISTENERS)


def source() -> list[Packet]:
    """What is sent."""
    return packets(ffmpeg9(), SAMPLE)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", PLAYERS)
def test_players(
    started: Programs, site: Site, path: str, kind: str, variant: str, cell: Cell
) -> None:
    """Every packet, with its times."""
    cell.at(TITLE, f"{kind} plays", variant)
    target = url(site, variant, path)
    watcher = watch(started, kind, target, *TALKATIVE, SSL_CERT_FILE=str(site.certificate))
    if words := UNABLE.get(kind, {}).get(variant):
        fails(site, watcher.run, words, f"plays {path} ")
        cell.found("no", f"{kind}: {words}")
        return
    site.wait_for(rf"plays {path} ")
    sending = started.start(*publisher(ffmpeg9(), SAMPLE, site.url(path)))
    assert sending.wait() == 0, sending.words()
    sent, got = source(), watcher.packets()
    least = len(sent) - watcher.missing()
    assert by_stream(got) == by_stream(sent[: max(len(got), least)]), watcher.run.words()
    cell.found("yes", *([HELD_NOTE] if watcher.missing() else []))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", PUBLISHERS)
def test_publishers(
    started: Programs, site: Site, path: str, kind: str, variant: str, cell: Cell
) -> None:
    """Every packet that leaves them; GStreamer's muxer makes other times."""
    cell.at(TITLE, f"{kind} publishes", variant)
    watcher = watch(started, FFMPEG9, site.url(path))
    site.wait_for(rf"plays {path} ")
    target = url(site, variant, path)
    sending = publish(
        started, kind, SAMPLE, target, *TALKATIVE, SSL_CERT_FILE=str(site.certificate)
    )
    if words := UNABLE.get(kind, {}).get(variant):
        fails(site, sending, words, f"publishes {path} ")
        cell.found("no", f"{kind}: {words}")
        return
    assert sending.wait() == 0, sending.words()
    view = by_stream if kind in (FFMPEG9, FFMPEG5) else payloads
    sent, got = view(source()), view(watcher.packets())
    if kind in (FFMPEG9, FFMPEG5) and tunnelled(variant):
        assert sum(map(len, sent.values())) - sum(map(len, got.values())) <= UNSENT
        assert got == {stream: sent[stream][: len(got[stream])] for stream in sent}
        cell.found("yes", UNSENT_NOTE)
    else:
        assert got == sent
        cell.found("yes")


def fails(site: Site, run: Run, words: str, success: str) -> None:
    """It says so, without having done what would be in the server's log. GStreamer never ends."""
    deadline = time.monotonic() + PATIENCE
    while words not in run.words() and run.process.poll() is None:
        assert success not in site.log(), "it works: take it out of UNABLE"
        assert time.monotonic() < deadline, run.words()
        time.sleep(0.02)
    assert words in run.words()
    run.kill()
    assert success not in site.log()
