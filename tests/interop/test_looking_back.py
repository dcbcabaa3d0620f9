"""A real player goes back into a live stream, and comes to its end without a gap."""

from __future__ import annotations

import pytest

from tests.support.programs import SAMPLES, Programs, ffmpeg9, packets, publishing, serve
from tests.support.variants import LISTENERS, url
from tests.support.watchers import FFMPEG5, FFMPEG9, by_stream, watch

pytestmark = pytest.mark.interop

SAMPLE = SAMPLES / "h264-b-aac.flv"


@pytest.mark.parametrize("variant", ["rtmp", "rtmpt"])
def test_ffmpeg_seeks_in_what_is_live(started: Programs, variant: str) -> None:
    """It comes in the middle, goes to the beginning, and gets every packet from there on."""
    folder = started.folder()
    recording = f"grace = 0\noutlets = record:{folder}/{{name}}.flv\n"
    site = serve(started, recording, LISTENERS)
    run = publishing(started, SAMPLE, site.url("live/show"), 1, until=4)
    back = ("-seek_timestamp", "1", "-ss", "0.5")
    watchers = [
        watch(started, kind, url(site, variant, "live/show"), *back) for kind in (FFMPEG9, FFMPEG5)
    ]
    assert run.wait() == 0
    sent = by_stream(packets(ffmpeg9(), SAMPLE))
    for watcher in watchers:
        got = by_stream(watcher.packets())
        for stream, theirs in sent.items():
            # FFmpeg has read some of the present before it seeks
            assert got[stream][-len(theirs) :] == theirs
