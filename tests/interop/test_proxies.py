"""
Through real reverse proxies, set up as README says: streams stay exact, and clients are known by
their own addresses. The proxies come from an address of their own, from which nobody may publish.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from tests.support.programs import (
    IN_A_HURRY,
    PATIENCE,
    SAMPLES,
    Packet,
    Programs,
    Site,
    ffmpeg9,
    packets,
    programs,
    publisher,
    serve,
)
from tests.support.proxies import NGINX_AS_IT_COMES, haproxy, nginx, recipe
from tests.support.rogue import CONNECT, command
from tests.support.variants import UNSENT, tunnelled
from tests.support.watchers import FFMPEG9, RTMPDUMP, by_stream, watch

pytestmark = pytest.mark.interop

SAMPLE = SAMPLES / "h264-base-aac-25.flv"

CLIENT, PROXY = "127.0.0.1", "127.0.0.5"

LISTENERS = f"""
[listener main]
endpoint = tcp:0:interface=127.0.0.1
serve = rtmp, rtmpt
proxies = {PROXY}

[listener suspicious]
endpoint = tcp:0:interface=127.0.0.1:backlog=50
serve = rtmpt

[listener passed]
endpoint = haproxy:tcp:0:interface=127.0.0.1
serve = rtmp, rtmpe, rtmpt

[listener secure]
endpoint = haproxy:tcp:0:interface=127.0.0.1:backlog=50
serve = rtmps
"""

DEFAULT = "nginx as it comes"
CLOSING = "HAProxy, with a new connection for each request"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The server; to be published to from one address only."""
    with programs() as these:
        yield serve(these, f"publish = {CLIENT}\n{IN_A_HURRY}", LISTENERS)


def source() -> list[Packet]:
    """What is sent."""
    return packets(ffmpeg9(), SAMPLE)


def check_all_that_was_sent(got: dict[str, list[Packet]], tail: int) -> None:
    """FFmpeg keeps the last packets of a tunnel to itself."""
    sent = by_stream(source())
    assert got == {stream: sent[stream][: len(got.get(stream, ()))] for stream in sent}
    assert sum(len(sent[stream]) - len(got[stream]) for stream in sent) <= tail


# ------------------------------------------------------------------------------------ HTTP


def front(started: Programs, kind: str, upstream: int) -> int:
    """Start a proxy before a port of ours; its own."""
    if kind == DEFAULT:
        return nginx(started, upstream, NGINX_AS_IT_COMES)[1]
    if kind == "nginx":
        return nginx(started, upstream, recipe("nginx"), source=PROXY)[1]
    config = recipe("haproxy", "send-proxy")
    if kind == CLOSING:
        config = config.replace("mode http\n", "mode http\n    option http-server-close\n")
    return haproxy(started, {"tunnels": upstream}, config, source=PROXY)[1]["web"]


@pytest.fixture(params=[DEFAULT, "nginx", "HAProxy", CLOSING])
def proxy(request: pytest.FixtureRequest, started: Programs, site: Site) -> int:
    """A proxy before the server; its port."""
    return front(started, request.param, site.ports["main"])


@pytest.mark.parametrize("kind", [FFMPEG9, RTMPDUMP])
def test_players(started: Programs, site: Site, path: str, proxy: int, kind: str) -> None:
    watcher = watch(started, kind, f"rtmpt://127.0.0.1:{proxy}/{path}")
    site.wait_for(rf"plays {path} ")
    sending = started.start(*publisher(ffmpeg9(), SAMPLE, site.url(path)))
    assert sending.wait() == 0, sending.words()
    assert by_stream(watcher.packets()) == by_stream(source())


def test_publishers(started: Programs, site: Site, path: str, proxy: int) -> None:
    """librtmp works too, but proxies pass nothing on of what they have when it closes."""
    watcher = watch(started, FFMPEG9, site.url(path))
    site.wait_for(rf"plays {path} ")
    sending = started.start(*publisher(ffmpeg9(), SAMPLE, f"rtmpt://127.0.0.1:{proxy}/{path}"))
    assert sending.wait() == 0, sending.words()
    check_all_that_was_sent(by_stream(watcher.packets()), UNSENT)
    site.wait_for(rf"{re.escape(CLIENT)}(:\d+)? publishes {path} ")


@pytest.mark.parametrize("kind", ["nginx", "HAProxy"])
def test_nobody_is_believed_who_is_not_named(
    started: Programs, site: Site, path: str, kind: str
) -> None:
    port = front(started, kind, site.ports["suspicious"])
    sending = started.start(*publisher(ffmpeg9(), SAMPLE, f"rtmpt://127.0.0.1:{port}/{path}"))
    assert sending.wait() != 0
    site.wait_for(rf"{re.escape(PROXY)}:\d+: publish refused: .*{re.escape(PROXY)} may not publish")
    assert f"publishes {path} " not in site.log()


def test_who_says_to_be_another_is_not_believed(
    started: Programs, site: Site, proxy: int, path: str
) -> None:
    """What stands before the proxy's own word in X-Forwarded-For, a client may have invented."""
    name = path.removeprefix("live/")
    client = HTTPConnection("127.0.0.1", proxy, timeout=PATIENCE)
    lie = {"X-Forwarded-For": "203.0.113.9"}

    def post(target: str, body: bytes) -> bytes:
        client.request("POST", target, body, lie)
        return client.getresponse().read()

    session_id = post("/open/1", b"\0").decode().strip()
    post(f"/send/{session_id}/0", CONNECT + command("publish", name, stream_id=1))
    post(f"/close/{session_id}/1", b"\0")
    site.wait_for(f"no longer publishes {path}:")
    assert "203.0.113.9" not in site.log()


def test_librtmp_needs_the_spelling(started: Programs, site: Site, path: str) -> None:
    """HAProxy writes all names of headers in small letters unless it is told not to."""
    config = recipe("haproxy", "send-proxy").replace("option h1-case-adjust-bogus-client", "")
    _, ports = haproxy(started, {"tunnels": site.ports["main"]}, config)
    watcher = watch(started, RTMPDUMP, f"rtmpt://127.0.0.1:{ports['web']}/{path}")
    assert watcher.run.wait() != 0
    assert f"plays {path} " not in site.log()


# ---------------------------------------------------------------------- the PROXY protocol


@pytest.mark.parametrize(
    ("version", "variant"),
    [
        ("send-proxy", "rtmp"),
        ("send-proxy", "rtmps"),
        ("send-proxy-v2", "rtmp"),
        ("send-proxy-v2", "rtmpe"),
        ("send-proxy-v2", "rtmps"),
        ("send-proxy-v2", "rtmpt"),
    ],
)
def test_clients_passed_on_by_haproxy(
    started: Programs, site: Site, path: str, version: str, variant: str
) -> None:
    upstream = site.ports["secure" if variant == "rtmps" else "passed"]
    config = recipe("haproxy", "send-proxy").replace("send-proxy-v2", version)
    _, ports = haproxy(started, {"rtmp": upstream}, config, source=PROXY)
    url = f"{variant}://127.0.0.1:{ports['rtmp']}/{path}"
    watcher = watch(started, FFMPEG9, url)
    site.wait_for(rf"{re.escape(CLIENT)}:\d+ plays {path} ")
    sending = started.start(*publisher(ffmpeg9(), SAMPLE, url))
    assert sending.wait() == 0, sending.words()
    check_all_that_was_sent(by_stream(watcher.packets()), UNSENT if tunnelled(variant) else 0)
    assert re.search(rf"{re.escape(CLIENT)}:\d+ publishes {path} ", site.log())


def test_a_proxy_that_does_not_say_for_whom_it_comes(started: Programs, site: Site) -> None:
    config = recipe("haproxy", "send-proxy").replace("send-proxy-v2", "")
    _, ports = haproxy(started, {"rtmp": site.ports["passed"]}, config, source=PROXY)
    sending = started.start(
        *publisher(ffmpeg9(), SAMPLE, f"rtmp://127.0.0.1:{ports['rtmp']}/live/x")
    )
    assert sending.wait() != 0
    site.wait_for(rf"{re.escape(PROXY)} refused: no PROXY header came first")
