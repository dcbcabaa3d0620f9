"""RTMPT with real encoders and players, directly and through proxies."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import (
    IN_A_HURRY,
    SAMPLES,
    Packet,
    Programs,
    Site,
    ffmpeg9,
    free_port,
    packets,
    program,
    programs,
    publisher,
    serve,
)
from tests.support.unruly import Unruly
from tests.support.watchers import FFMPEG5, FFMPEG9, RTMPDUMP, RTMPSRC, Watcher, by_stream, watch

pytestmark = pytest.mark.interop

SAMPLE = "h264-b-aac"

LISTENER = """
[listener main]
endpoint = tcp:0:interface=127.0.0.1
serve = rtmp, rtmpt, rtmpte
"""

TAIL = 10
"Packets that FFmpeg holds back, and forgets when its input ends (-rtmp_flush_interval)."

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream rtmptwist {{ server 127.0.0.1:{upstream}; {keepalive} }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://rtmptwist; {tuning} }}
    }}
}}
"""

NGINX_TUNED = (
    'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;'
    " proxy_request_buffering off;"
)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The real server with RTMP, RTMPT and RTMPTE on one port."""
    with programs() as these:
        yield serve(these, IN_A_HURRY, LISTENER)


@pytest.fixture(params=["as it comes", "tuned"])
def nginx(request: pytest.FixtureRequest, started: Programs, site: Site, tmp_path: Path) -> int:
    """A real nginx before the server, with its defaults and as our manual has it; its port."""
    tuned = request.param == "tuned"
    port = free_port()
    config = tmp_path / "nginx.conf"
    config.write_text(
        NGINX.format(
            folder=tmp_path,
            upstream=site.ports["main"],
            port=port,
            keepalive="keepalive 16; keepalive_requests 1000000;" if tuned else "",
            tuning=NGINX_TUNED if tuned else "",
        )
    )
    run = started.start(program("nginx"), "-c", config, "-e", "stderr")
    while not _listens(port):
        assert run.process.poll() is None, run.words()
        time.sleep(0.02)
    return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def source() -> dict[str, list[Packet]]:
    """What is sent."""
    return by_stream(packets(ffmpeg9(), SAMPLES / f"{SAMPLE}.flv"))


def begin(started: Programs, site: Site, path: str, kind: str, url: str) -> Watcher:
    """A player that waits for the stream."""
    watcher = watch(started, kind, url)
    site.wait_for(rf"plays {path} ")
    return watcher


def finish(started: Programs, url: str) -> None:
    """Publish the sample, as fast as it goes."""
    sending = started.start(*publisher(ffmpeg9(), SAMPLES / f"{SAMPLE}.flv", url))
    assert sending.wait() == 0, sending.words()


def librtmp_publisher(url: str) -> list[str | Path]:
    """
    A command that publishes the sample by GStreamer's rtmpsink, in half a second.

    It closes without having read its answers, and its kernel then throws away what is still to be
    sent: no server gets all of a file that is pushed as fast as it goes.
    """
    return [
        *(program("gst-launch-1.0"), "-q", "filesrc", f"location={SAMPLES / SAMPLE}.flv"),
        *("!", "flvdemux", "name=from", "flvmux", "streamable=true", "name=to"),
        *("from.video", "!", "queue", "!", "h264parse", "!", "to."),
        *("from.audio", "!", "queue", "!", "aacparse", "!", "to."),
        *("to.", "!", "identity", "sleep-time=500"),
        *("!", "rtmpsink", "sync=false", f"location={url} live=1"),
    ]


def payloads(found: list[Packet]) -> dict[str, list[Packet]]:
    """Sizes and hashes of packets, by stream: GStreamer's muxer makes other timestamps."""
    return {stream: [p[2:] for p in theirs] for stream, theirs in by_stream(found).items()}


def check_all_but_the_tail(watcher: Watcher) -> None:
    """What FFmpeg published by RTMPT has arrived, as far as it has sent it."""
    got, sent = by_stream(watcher.packets()), source()
    assert got.keys() == sent.keys()
    assert {s: got[s] for s in got} == {s: sent[s][: len(got[s])] for s in got}
    assert sum(len(sent[s]) - len(got[s]) for s in sent) <= TAIL


# -------------------------------------------------------------------------------- directly


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [
        (FFMPEG9, "rtmpt"),
        (FFMPEG9, "rtmpte"),
        (FFMPEG5, "rtmpt"),
        (RTMPDUMP, "rtmpt"),
        (RTMPDUMP, "rtmpte"),
        (RTMPSRC, "rtmpt"),
    ],
)
def test_players_get_every_packet(
    started: Programs, site: Site, path: str, kind: str, scheme: str
) -> None:
    watcher = begin(started, site, path, kind, site.url(path, scheme))
    finish(started, site.url(path))
    assert by_stream(watcher.packets()) == source()


@pytest.mark.parametrize("scheme", ["rtmpt", "rtmpte"])
def test_ffmpeg_publishes_all_that_it_sends(
    started: Programs, site: Site, path: str, scheme: str
) -> None:
    """Its goodbye is the HTTP request `close` and nothing else: the stream ends there."""
    watcher = begin(started, site, path, FFMPEG9, site.url(path))
    finish(started, site.url(path, scheme))
    check_all_but_the_tail(watcher)


@pytest.mark.parametrize("scheme", ["rtmpt", "rtmpte"])
def test_librtmp_publishes_everything(
    started: Programs, site: Site, path: str, scheme: str
) -> None:
    """A request for each message, without waiting for answers."""
    watcher = begin(started, site, path, FFMPEG9, site.url(path))
    sending = started.start(*librtmp_publisher(site.url(path, scheme)))
    assert sending.wait() == 0, sending.words()
    sent = packets(ffmpeg9(), SAMPLES / f"{SAMPLE}.flv")
    assert payloads(watcher.packets()) == payloads(sent)


def test_tunnels_on_both_ends(started: Programs, site: Site, path: str) -> None:
    watcher = begin(started, site, path, FFMPEG5, site.url(path, "rtmpt"))
    sending = started.start(*librtmp_publisher(site.url(path, "rtmpt")))
    assert sending.wait() == 0, sending.words()
    sent = packets(ffmpeg9(), SAMPLES / f"{SAMPLE}.flv")
    assert payloads(watcher.packets()) == payloads(sent)


# --------------------------------------------------------------------------- through nginx


@pytest.mark.parametrize("kind", [FFMPEG9, RTMPDUMP])
def test_players_behind_nginx(
    started: Programs, site: Site, path: str, nginx: int, kind: str
) -> None:
    watcher = begin(started, site, path, kind, f"rtmpt://127.0.0.1:{nginx}/{path}")
    finish(started, site.url(path))
    assert by_stream(watcher.packets()) == source()


def test_publishers_behind_nginx(started: Programs, site: Site, path: str, nginx: int) -> None:
    """librtmp works too, but nginx passes nothing on of what it has when librtmp closes."""
    watcher = begin(started, site, path, FFMPEG9, site.url(path))
    finish(started, f"rtmpt://127.0.0.1:{nginx}/{path}")
    check_all_but_the_tail(watcher)


# --------------------------------------------------------------- through a bad network


@pytest.fixture
def unruly(site: Site) -> Iterator[Unruly]:
    """A proxy that delays, doubles, reorders, and loses answers."""
    proxy = Unruly(site.ports["main"])
    yield proxy
    proxy.close()


@pytest.mark.parametrize("kind", [FFMPEG9, RTMPDUMP])
def test_players_behind_an_unruly_proxy(
    started: Programs, site: Site, path: str, unruly: Unruly, kind: str
) -> None:
    watcher = begin(started, site, path, kind, f"rtmpt://127.0.0.1:{unruly.port}/{path}")
    finish(started, site.url(path))
    assert by_stream(watcher.packets()) == source()
    assert unruly.doubled + unruly.lost > 0


def test_publishers_behind_an_unruly_proxy(
    started: Programs, site: Site, path: str, unruly: Unruly
) -> None:
    """rtmpsink's requests overtake each other by the dozen."""
    watcher = begin(started, site, path, FFMPEG9, site.url(path))
    sending = started.start(*librtmp_publisher(f"rtmpt://127.0.0.1:{unruly.port}/{path}"))
    assert sending.wait() == 0, sending.words()
    sent = packets(ffmpeg9(), SAMPLES / f"{SAMPLE}.flv")
    assert payloads(watcher.packets()) == payloads(sent)
    assert unruly.doubled > 10
    assert unruly.lost > 10
