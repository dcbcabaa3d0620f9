"""How publications and views begin and end, with real encoders and players."""

from __future__ import annotations

import signal
from itertools import pairwise

import pytest

from rtmptwist.media.flv import SCRIPT, FlvReader
from rtmptwist.wire.message import Message
from tests.support.guests import visiting
from tests.support.programs import (
    SAMPLES,
    Programs,
    Site,
    ffmpeg9,
    packets,
    program,
    publisher,
    publishing,
    serve,
)
from tests.support.publishers import publish
from tests.support.reactor import reactor_test
from tests.support.variants import LISTENERS, UNSENT, VARIANTS, tunnelled
from tests.support.variants import url as url_of
from tests.support.watchers import (
    FFMPEG5,
    FFMPEG9,
    RTMP2SRC,
    RTMPDUMP,
    RTMPSRC,
    Watcher,
    by_stream,
    payloads,
    watch,
)

pytestmark = pytest.mark.interop

SHORT, LONG = SAMPLES / "h264-base-aac-25.flv", SAMPLES / "h264-b-aac.flv"


def steps_back(watcher: Watcher) -> list[tuple[int, int]]:
    """Where the time of a stream goes back, if anywhere."""
    return [
        (int(first[0]), int(second[0]))
        for theirs in by_stream(watcher.packets()).values()
        for first, second in pairwise(theirs)
        if int(second[0]) < int(first[0])
    ]


# ------------------------------------------------------------------------------ publishers


@pytest.mark.parametrize(
    ("kind", "variant"),
    [
        *((FFMPEG9, variant) for variant in VARIANTS if variant != "rtmpts"),
        (FFMPEG5, "rtmp"),
        (FFMPEG5, "rtmpts"),
    ],
)
def test_ffmpeg_reads_why_its_name_is_refused(started: Programs, kind: str, variant: str) -> None:
    site = serve(started, "takeover = reject\n", LISTENERS)
    first = publishing(started, LONG, site.url("live/show"), 1.0)
    second = publish(started, kind, LONG, url_of(site, variant, "live/show"))
    assert second.wait() != 0
    assert "show is live already, and may not be taken over here." in second.words()
    assert first.process.poll() is None


def test_a_publisher_that_is_killed_and_comes_back(started: Programs) -> None:
    """Its viewers stay and see time go on, from a key frame."""
    site = serve(started, "grace = 2s\nwindow = 1m\nmax_lag = 1m\n")
    url = site.url("live/show")
    watching = [watch(started, kind, url) for kind in (FFMPEG9, FFMPEG5, RTMPDUMP)]
    site.wait_for("plays live/show", times=3)
    first = publishing(started, LONG, url, 4.0, until=2.5)
    first.kill()
    site.wait_for("no longer publishes")
    second = started.start(*publisher(ffmpeg9(), SHORT, url))
    assert second.wait() == 0, second.words()
    whole = payloads(packets(ffmpeg9(), LONG))
    again = payloads(packets(ffmpeg9(), SHORT))
    for watcher in watching:
        got = payloads(watcher.packets())
        assert got["0"][-len(again["0"]) :] == again["0"], watcher
        for stream, theirs in got.items():
            # the beginning of the first, and the second, its sound from its key frame on
            pairs = enumerate(zip(theirs, whole[stream], strict=False))
            begun = next((number for number, (one, other) in pairs if one != other), 0)
            assert begun > 10, watcher
            assert theirs[begun:] == again[stream][begun - len(theirs) :], watcher
        assert steps_back(watcher) == []


@pytest.mark.parametrize("variant", ["rtmp", "rtmps", "rtmpt", "rtmpte"])
def test_a_publisher_is_taken_over_by_itself(started: Programs, variant: str) -> None:
    """The connection that is still there ends with words, the viewers stay."""
    site = serve(started, "grace = 0\nwindow = 1m\nmax_lag = 1m\n", LISTENERS)
    url = url_of(site, variant, "live/show")
    watcher = watch(started, FFMPEG9, url)
    site.wait_for("plays live/show")
    first = publishing(started, LONG, url, 1.0, until=0.5)
    second = started.start(*publisher(ffmpeg9(), SHORT, url))
    assert first.wait() != 0
    assert "show was taken over by the same publisher" in first.words()
    assert second.wait() == 0, second.words()
    got, again = payloads(watcher.packets()), payloads(packets(ffmpeg9(), SHORT))
    sent = again["0"][: -UNSENT or None] if tunnelled(variant) else again["0"]
    assert got["0"][got["0"].index(sent[0]) :][: len(sent)] == sent
    assert len(got["0"]) > len(again["0"])
    assert steps_back(watcher) == []


def test_a_publisher_that_is_stopped_frees_its_name(started: Programs) -> None:
    """No FIN comes, and no answer."""
    site = serve(
        started,
        "grace = 0\ntakeover = reject\n[limits]\nping_interval = 500ms\nping_timeout = 500ms\n",
    )
    url = site.url("live/show")
    watcher = watch(started, FFMPEG9, url)
    site.wait_for("plays live/show")
    first = publishing(started, LONG, url, 2.0, until=1.0)
    first.process.send_signal(signal.SIGSTOP)
    site.wait_for("left: nothing was heard for too long")
    assert watcher.packets()  # over, for nobody is coming back within no grace
    second = started.start(*publisher(ffmpeg9(), SHORT, url))
    assert second.wait() == 0, second.words()


# --------------------------------------------------------------------------------- viewers


@pytest.mark.parametrize("version", [9, 5])
def test_ffmpeg_waits_as_long_as_it_may(started: Programs, version: int) -> None:
    site = serve(started, "wait = 1s\n")
    ffmpeg = ffmpeg9() if version == 9 else program("ffmpeg")
    command = (ffmpeg, "-v", "error", "-nostdin", "-i", site.url("live/none"), "-f", "null", "-")
    watching = started.start(*command)
    site.wait_for("plays live/none")
    assert watching.wait() != 0
    assert "Nobody publishes this stream at present" in watching.words()
    recorded = started.start(command[0], "-rtmp_live", "recorded", *command[1:])
    assert recorded.wait() != 0
    assert "Nobody publishes none now" in recorded.words()


def test_everybody_means_the_same_stream(started: Programs, site: Site) -> None:
    """FFmpeg cuts at the second slash, librtmp at the last."""
    url = site.url("live/a/b/s")
    watching = [
        watch(started, kind, url) for kind in (FFMPEG9, FFMPEG5, RTMPDUMP, RTMPSRC, RTMP2SRC)
    ]
    site.wait_for("plays live/a/b/s ", times=5)
    sending = started.start(*publisher(ffmpeg9(), SHORT, url))
    assert sending.wait() == 0, sending.words()
    source = packets(ffmpeg9(), SHORT)
    for watcher in watching:
        got = watcher.packets()
        expected = source[: max(len(got), len(source) - watcher.missing())]
        assert by_stream(got) == by_stream(expected), watcher


def test_the_log_keeps_secrets(started: Programs) -> None:
    site = serve(started)
    url = site.url("live?password=SECRET/sk-SECRET-0123456789?token=SECRET")
    watching = [watch(started, kind, url) for kind in (FFMPEG9, RTMPDUMP)]
    site.wait_for("plays live/sk-", times=2)
    sending = started.start(*publisher(ffmpeg9(), SHORT, url))
    assert sending.wait() == 0, sending.words()
    for watcher in watching:
        assert watcher.packets()
    site.wait_for("no longer publishes live/sk-…")
    assert "SECRET" not in site.log()


# ------------------------------------------------------------------------------------ time


@pytest.mark.parametrize("border", [1 << 31, 1 << 32], ids=["31 bits", "32 bits"])
@reactor_test
async def test_players_go_on_where_timestamps_end(
    started: Programs, site: Site, path: str, border: int
) -> None:
    """After 24.8 and 49.7 days."""
    kinds = FFMPEG9, FFMPEG5, RTMPDUMP, RTMP2SRC
    watching = [watch(started, kind, site.url(path)) for kind in kinds]
    site.wait_for(f"plays {path} ", times=4)
    tags = FlvReader().feed(SHORT.read_bytes())
    offset = border - 3000
    async with visiting(site.url("").rstrip("/")) as guests:
        encoder = await guests.publish(path.removeprefix("live/"))
        await encoder.feed(
            *(
                Message(tag.type, (tag.timestamp + offset) % (1 << 32), 0, tag.payload)
                for tag in tags
                if tag.type != SCRIPT
            )
        )
    source = packets(ffmpeg9(), SHORT)
    first = int(by_stream(source)["0"][0][0])
    for watcher in watching:
        got = watcher.packets()
        expected = source[: max(len(got), len(source) - watcher.missing())]
        assert payloads(got) == payloads(expected), watcher
        if watcher.file is None:  # in a file they wrap
            start = int(by_stream(got)["0"][0][0])
            assert {s: [int(p[0]) - start for p in ps] for s, ps in by_stream(got).items()} == {
                s: [int(p[0]) - first for p in ps] for s, ps in by_stream(expected).items()
            }


def test_ffmpeg_passes_its_own_border(started: Programs, site: Site, path: str) -> None:
    """It counts 31 bits: after 24.8 days its timestamps begin at 0 again."""
    watcher = watch(started, FFMPEG9, site.url(path))
    site.wait_for(f"plays {path} ")
    command = list(publisher(ffmpeg9(), SHORT, site.url(path)))
    command[-1:-1] = ["-output_ts_offset", str(2147483.648 - 3)]
    sending = started.start(*command)
    assert sending.wait() == 0, sending.words()
    source = packets(ffmpeg9(), SHORT)
    got = watcher.packets()
    assert payloads(got) == payloads(source)
    starts = [int(by_stream(found)["0"][0][0]) for found in (got, source)]
    assert [int(p[0]) - starts[0] for p in by_stream(got)["0"]] == [
        int(p[0]) - starts[1] for p in by_stream(source)["0"]
    ]
