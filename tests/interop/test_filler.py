"""A file on air while nobody publishes, as a real player sees it."""

from __future__ import annotations

import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.programs import (
    PATIENCE,
    SAMPLES,
    Packet,
    Programs,
    ffmpeg9,
    packets,
    publishing,
    serve,
)
from tests.support.watchers import FFMPEG5, FFMPEG9, RTMPDUMP, Watcher, by_stream, watch

pytestmark = pytest.mark.interop

SLATE, SHOW = SAMPLES / "h264-base-aac-25.flv", SAMPLES / "h264-b-aac.flv"


def sounds(found: list[Packet]) -> list[str]:
    return [packet[3] for packet in by_stream(found)["1"]]


def pictures(found: list[Packet]) -> list[str]:
    return [packet[3] for packet in by_stream(found)["0"]]


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def wait_for_more(watcher: Watcher) -> None:
    """Until the player has got some packets more."""
    size = 1000 if watcher.file is None else 50_000
    output = watcher.run.output if watcher.file is None else partial(_read, watcher.file)
    before, deadline = len(output()), time.monotonic() + PATIENCE
    while len(output()) < before + size:
        assert time.monotonic() < deadline, watcher.run.words()
        time.sleep(0.02)


def check(got: list[Packet]) -> None:
    """The slate, a publication from its first key frame on, the slate: on one timeline."""
    for of, unheard in ((pictures, 0), (sounds, 4)):
        show, slate = of(packets(ffmpeg9(), SHOW)), set(of(packets(ffmpeg9(), SLATE)))
        heard = of(got)
        assert heard[0] in slate
        assert heard[-1] in slate
        shown = [packet for packet in heard if packet not in slate]
        # sound before the first picture of a publication does not belong to what is seen
        assert shown == show[len(show) - len(shown) :]
        assert len(show) - len(shown) <= unheard
    for theirs in by_stream(got).values():
        times = [int(packet[0]) for packet in theirs]
        assert all(0 <= later - earlier <= 1500 for earlier, later in pairwise(times))


def test_before_and_after_a_publication(started: Programs) -> None:
    site = serve(started, f"grace = 1s\ninlet = file:{SLATE}?loop\n")
    watchers = [
        watch(started, kind, site.url("live/show")) for kind in (FFMPEG9, FFMPEG5, RTMPDUMP)
    ]
    for watcher in watchers:
        wait_for_more(watcher)
    assert publishing(started, SHOW, site.url("live/show"), 2).wait() == 0
    site.wait_for("stands in for the publisher of show", times=2)
    for watcher in watchers:
        wait_for_more(watcher)
    site.run.stop()
    for watcher in watchers:
        check(watcher.packets())


def test_a_file_that_is_not_there_is_said_at_the_start(started: Programs) -> None:
    site = serve(started, "inlet = file:nothing.flv?loop\n")
    site.wait_for("nothing.flv cannot stand in for publishers: ")
    site.wait_for("No such file")
