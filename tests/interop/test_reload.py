"""A configuration that changes under the streams of real encoders and players."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.support.programs import SAMPLES, Programs, Site, ffmpeg9, packets, publisher, serve_file
from tests.support.trickle import trickle
from tests.support.variants import UNSENT
from tests.support.watchers import FFMPEG5, FFMPEG9, RTMPDUMP, by_stream, watch

pytestmark = pytest.mark.interop

MAIN = "[listener main]\nendpoint = tcp:0:interface=127.0.0.1\nserve = rtmp, rtmpt, rtmps\n"
NEW = "[listener new]\nendpoint = tcp:0:interface=127.0.0.2\n"
LIVE = "[app live]\npublish = anyone\ngrace = 0\nwindow = 1m\nmax_lag = 1m\n"
NOBODY = LIVE.replace("anyone", "nobody\nplay = nobody\nmerge = 1s\nmax_viewers = 1")
OTHER = "[app other]\npublish = anyone\n"

TEXTS = (
    MAIN + NOBODY,
    MAIN + LIVE + OTHER,
    MAIN + LIVE + NEW,
    MAIN.replace("rtmp, rtmpt, rtmps", "rtmpe") + LIVE,
    MAIN + LIVE + "[limits]\nconnections = 1\nwaiting_per_viewer = 64K\n",
    MAIN + LIVE + "[vhost localhost]\naliases = 127.0.0.1\n[vhost localhost / app live]\n",
    MAIN + LIVE + "[hook none]\nrun = false\n",
    MAIN + "certificate = none.pem\n" + LIVE,
    MAIN + LIVE + "mrege = 1s\n",
    MAIN + LIVE,
)
"Two of them cannot be used."


def written(config: Path, text: str) -> None:
    """In one step, as editors do."""
    new = config.with_suffix(".new")
    new.write_text(f"[server]\nstate = {config.parent}\n{text}")
    new.replace(config)


def hang_up(site: Site) -> None:
    """As `kill -HUP` does; waits until the server has said what came of it."""
    told = "the configuration is (?:not )?reloaded"
    before = len(re.findall(told, site.log()))
    site.run.process.send_signal(signal.SIGHUP)
    site.wait_for(told, times=before + 1)


def test_ten_reloads_under_streams_of_three_variants(started: Programs, tmp_path: Path) -> None:
    """Every packet of two encoders arrives, whatever the file says meanwhile."""
    config = started.folder() / "site.ini"
    written(config, MAIN + LIVE)
    site = serve_file(started, config)
    watchers = [
        watch(started, FFMPEG9, site.url("live/film")),
        watch(started, FFMPEG5, site.url("live/film", "rtmpt")),
        watch(started, RTMPDUMP, site.url("live/film", "rtmps")),
        watch(started, FFMPEG9, site.url("live/again")),
        watch(started, FFMPEG9, site.url("live/again", "rtmpt")),
    ]
    site.wait_for("plays live/.* as anyone", times=len(watchers))
    film = SAMPLES / "h264-b-aac.flv"
    data = film.read_bytes()
    with (
        trickle(tmp_path / "film.fifo", data, 20_000) as one,
        trickle(tmp_path / "again.fifo", data, 20_000) as two,
    ):
        how = ("-probesize", "5000", "-f", "flv")
        senders = [
            started.start(*publisher(ffmpeg9(), source.path, url, *how))
            for source, url in (
                (one, site.url("live/film")),
                (two, site.url("live/again", "rtmpt")),
            )
        ]
        site.wait_for("publishes live/.* as anyone", times=2)
        for text in TEXTS:
            written(config, text)
            hang_up(site)
        assert "no longer publishes" not in site.log()
        one.finish()
        two.finish()
        for sender in senders:
            assert sender.wait() == 0, sender.words()
    expected = by_stream(packets(ffmpeg9(), film))
    for watcher in watchers[:3]:
        assert by_stream(watcher.packets()) == expected, watcher.run.words()
    for watcher in watchers[3:]:  # FFmpeg itself forgets the last of a tunnel
        for stream, found in by_stream(watcher.packets()).items():
            assert found == expected[stream][: len(found)]
            assert len(found) >= len(expected[stream]) - UNSENT
    log = site.log()
    assert log.count("the configuration is reloaded") == len(TEXTS) - 2
    assert "[listener main] " in log
    assert f"{config}:11: [app live] mrege: unknown key" in log
    assert "Traceback" not in log
    assert site.run.stop() == 0
