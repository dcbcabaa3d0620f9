"""The end of a server under the streams of real encoders and players."""

from __future__ import annotations

import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from rtmptwist.media.flv import VIDEO
from rtmptwist.media.tag import video_tag
from rtmptwist.net.client import connect
from rtmptwist.net.netstream import Refusal
from tests.interop.test_operation import ADMIN, Desk
from tests.support.guests import eventually, reactor, visiting
from tests.support.live import gop, headers
from tests.support.programs import (
    PATIENCE,
    SAMPLES,
    Programs,
    Site,
    ffmpeg9,
    free_port,
    packets,
    player,
    program,
    programs,
    publisher,
    serve,
)
from tests.support.proxies import recipe
from tests.support.reactor import reactor_test
from tests.support.recordings import tags_of
from tests.support.trickle import trickle
from tests.support.watchers import FFMPEG5, FFMPEG9, RTMPDUMP, by_stream, watch

pytestmark = pytest.mark.interop

LISTENER = "[listener main]\nendpoint = tcp:0:interface=127.0.0.1\nserve = rtmp, rtmpt, rtmps\n"
STOPS = "The server is about to stop: please connect again in a moment."


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A GOP of ten seconds, and the beginning of another."""
    target = tmp_path / "film.flv"
    subprocess.run(
        [
            *(ffmpeg9(), "-v", "error", "-nostdin", "-stream_loop", "1"),
            *("-i", SAMPLES / "h264-longgop-aac.flv", "-t", "10.7", "-c", "copy", target),
        ],
        check=True,
        timeout=PATIENCE,
    )  # fmt: skip
    return target


@pytest.fixture
def content(film: Path) -> bytes:
    """Of that file."""
    return film.read_bytes()


def key_frames(film: Path) -> list[int]:
    """How many pictures come before each."""
    pictures = [
        tag
        for tag in map(video_tag, (t.payload for t in tags_of(film) if t.type == VIDEO))
        if tag.coded
    ]
    return [number for number, tag in enumerate(pictures) if tag.keyframe]


def ready(site: Site) -> int:
    """The status of /readyz."""
    try:
        Desk(site).read("readyz")
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def listening(port: int) -> bool:
    """Whether anybody does."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def refused(started: Programs, *command: str | Path) -> str:
    """What a newcomer that is refused says."""
    run = started.start(*command)
    assert run.wait() != 0
    return run.words()


def test_what_came_before_the_last_key_frame_is_everybody_s(
    started: Programs, film: Path, content: bytes, tmp_path: Path
) -> None:
    """Two encoders, six players, two recordings; nobody misses a packet of the whole GOP."""
    folder = tmp_path / "rec"
    site = serve(
        started,
        f"grace = 10s\nwindow = 1m\nmax_lag = 1m\noutlets = record:{folder}/{{name}}.flv\n",
        f"drain = 50s\n{LISTENER}{ADMIN}",
    )
    watchers = {
        name: [
            watch(started, FFMPEG9, site.url(f"live/{name}")),
            watch(started, FFMPEG5, site.url(f"live/{name}", "rtmpt")),
            watch(started, RTMPDUMP, site.url(f"live/{name}", "rtmps")),
        ]
        for name in ("one", "two")
    }
    site.wait_for("plays live/", times=6)
    urls = {"one": site.url("live/one"), "two": site.url("live/two", "rtmpt")}
    with (
        trickle(tmp_path / "one.fifo", content, 20_000) as one,
        trickle(tmp_path / "two.fifo", content, 20_000) as two,
    ):
        for source, url in zip((one, two), urls.values(), strict=True):
            sending = ("-probesize", "5000", "-f", "flv")
            started.start(*publisher(ffmpeg9(), source.path, url, *sending))
        site.wait_for("publishes live/", times=2)
        desk = Desk(site)
        desk.once("streams", lambda page: all(each["frames"] > 9 for each in page["items"]))
        assert desk.api("server")["draining"] is False
        assert desk.api("drain", {}) is None
        assert ready(site) == 503
        site.wait_for("publications that end with their next key frame, within")
        assert desk.read("healthz") == "ok\n"
        assert desk.api("server")["draining"] is True
        said = refused(started, *player(ffmpeg9(), site.url("live/one")))
        assert f"Server error: {STOPS}" in said
        with pytest.raises(urllib.error.HTTPError, match="503") as caught:
            urllib.request.urlopen(site.url("open/1", "http"), b"\0", timeout=PATIENCE)
        assert caught.value.headers["Retry-After"] == "5"
        assert "no longer" not in site.log()
        one.finish()
        two.finish()
        assert site.run.wait(50) == 0
    keys = key_frames(film)
    whole = by_stream(packets(ffmpeg9(), film))
    for name, theirs in watchers.items():
        expected = by_stream(packets(ffmpeg9(), folder / f"{name}.flv"))
        assert len(expected["0"]) == keys[1]
        for stream in ("0", "1"):
            assert expected[stream] == whole[stream][: len(expected[stream])]
        # the last sound before the key frame: a frame of AAC has 23 ms
        end = int(whole["0"][keys[1]][0])
        assert end - 60 < int(expected["1"][-1][0]) <= end
        for watcher in theirs:
            assert by_stream(watcher.packets()) == expected, (watcher, watcher.run.words())
    log = site.log()
    assert "operator loopback: the server stops" in log
    assert "viewers who do not get all of it" not in log
    assert "Traceback" not in log
    assert list(folder.glob("*.part")) == []


@reactor_test
async def test_who_is_sent_elsewhere_says_so(film: Path, content: bytes, tmp_path: Path) -> None:
    """None of these programs goes there by itself; the log of each tells where it should."""
    with programs() as started:
        site = serve(
            started,
            "grace = 10s\n",
            f"drain = 50s\ndrain_to = rtmp://127.0.0.1:9/{{app}}\n{LISTENER}",
        )
        async with visiting(site.url("").rstrip("/")) as guests:
            viewer = await guests.play()
            with trickle(tmp_path / "one.fifo", content, 20_000) as source:
                url = site.url("live/show")
                sender = started.start(
                    *publisher(ffmpeg9(), source.path, url, "-probesize", "5000", "-f", "flv")
                )
                site.wait_for("publishes live/show")
                await viewer.until(lambda: len(viewer.media) > 2)
                site.run.process.send_signal(signal.SIGTERM)
                site.wait_for("publications that end with their next key frame, within")
                words = "The server is about to stop: please go to rtmp://127.0.0.1:9/live."
                newcomers = (
                    player(ffmpeg9(), url),
                    player(program("ffmpeg"), url),
                    publisher(ffmpeg9(), film, site.url("live/other")),
                )
                for command in newcomers:
                    assert f"Server error: {words}" in refused(started, *command)
                for variant in ("rtmp", "rtmps"):
                    where = site.url("live/show", variant)
                    said = refused(
                        started, program("rtmpdump"), "-v", "-r", where, "-o", "/dev/null"
                    )
                    assert "rtmp server sent error" in said
                with pytest.raises(Refusal) as caught:
                    await connect(reactor, site.url("live"))
                assert caught.value.info["ex"] == {
                    "code": 302.0,
                    "redirect": "rtmp://127.0.0.1:9/live",
                }
                site.run.process.send_signal(signal.SIGINT)
                assert site.run.wait(20) == 0
                assert "SIGINT again: nobody is waited for any more" in site.log()
                source.finish()
                assert sender.wait() != 0
        assert "Traceback" not in site.log()


@reactor_test
async def test_a_load_balancer_sends_newcomers_to_the_other_server() -> None:
    """HAProxy, as README says; only that it looks ten times as often."""
    health = ADMIN.replace("api = loopback\n", "")
    with programs() as started:
        servers = [serve(started, listeners=f"drain = 50s\n{LISTENER}{health}") for _ in range(2)]
        config, port = recipe("haproxy", "/readyz"), free_port()
        config = config.replace("bind :1935", f"bind 127.0.0.1:{port}")
        config = config.replace("inter 2s", "inter 200ms")
        for number, site in enumerate(servers, 1):
            there = f"127.0.0.1:{site.ports['main']} check port {site.ports['admin']}"
            config = config.replace(f"10.0.0.{number}:1935 check port 8080", there)
        file = started.file("cfg")
        file.write_text(config)
        balancer = started.start(program("haproxy"), "-db", "-f", file)
        async with visiting(f"rtmp://127.0.0.1:{port}") as guests:
            await eventually(lambda: listening(port))
            publisher = await guests.publish()
            first, second = sorted(servers, key=lambda site: "publishes" not in site.log())
            assert ready(first) == 200  # as the balancer does, sooner or later
            first.run.process.send_signal(signal.SIGTERM)
            first.wait_for("nothing is cut for 16.7 s")
            await eventually(lambda: "is DOWN" in balancer.words())
            for number in range(1, 4):
                await guests.play(f"other{number}")
                second.wait_for(f"plays live/other{number}")
            await publisher.feed(*headers(), *gop(0))
            assert not publisher.gone
            first.run.process.send_signal(signal.SIGTERM)
            assert first.run.wait(20) == 0
