"""
Three publishers and fifty viewers, by all variants: the API, the metrics and the status page say of
them what FFmpeg and the kernel say.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.threads import deferToThread

from tests.interop.test_operation import ADMIN, Desk
from tests.support.browser import Browser, chromium, pictures
from tests.support.guests import Guest, visiting
from tests.support.programs import PATIENCE, SAMPLES, Programs, Site, ffmpeg9, program, serve
from tests.support.reactor import reactor_test
from tests.support.statuspage import open_page, streams_shown, variants_shown
from tests.support.variants import LISTENERS, VARIANTS, tunnelled, url

pytestmark = pytest.mark.interop

PUBLISHERS: Final = {
    "rtmp": "h264-b-aac.flv",
    "rtmps": "hevc-aac-ertmp.flv",
    "rtmpt": "av1-opus-ertmp.flv",
}
"By which variant what is published, under the variant's name."

VIEWERS: Final = 50

HANDSHAKE: Final = 1 + 2 * 1536
"Bytes from the client that the server does not count."

NAMES: Final = {"avc1": "h264", "hvc1": "hevc", "av01": "av1", "mp4a": "aac", "Opus": "opus"}
"What FFmpeg calls codecs."


class Film(NamedTuple):
    """What FFmpeg says of a file."""

    video: str
    audio: str
    size: tuple[int, int]
    frame_rate: float


def film(path: Path) -> Film:
    told = subprocess.run(
        [ffmpeg9(), "-hide_banner", "-i", path], capture_output=True, check=False, timeout=PATIENCE
    ).stderr.decode()
    video = re.search(r"Video: (\w+).*? (\d+)x(\d+).*? ([\d.]+) fps", told)
    audio = re.search(r"Audio: (\w+)", told)
    assert video
    assert audio
    return Film(video[1], audio[1], (int(video[2]), int(video[3])), float(video[4]))


class Account(NamedTuple):
    """What the kernel says of a connection."""

    received: int
    unread: int
    sent: int


def kernel(site: Site) -> dict[str, Account]:
    """Bytes that the server received from and sent to each peer."""
    ports = {url(site, variant, "").split(":")[2].rstrip("/") for variant in VARIANTS}
    told = subprocess.run(
        [program("ss"), "-tinHO", "state", "established"], capture_output=True, check=True
    ).stdout.decode()
    found = {}
    for line in told.splitlines():
        unread, _, here, there, *_ = line.split()
        if here.rpartition(":")[2] in ports:
            received, sent, again = (
                int(word_found[1]) if (word_found := re.search(rf"\b{word}:(\d+)", line)) else 0
                for word in ("bytes_received", "bytes_sent", "bytes_retrans")
            )
            peer = there.replace("[::ffff:", "").replace("]", "")
            found[peer] = Account(received, int(unread), sent - again)
    return found


def metrics(desk: Desk) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(desk.read("metrics"))
        for sample in family.samples
    }


def seen(viewer: Guest) -> bool:
    return len(viewer.media) > 100


def check_streams(desk: Desk, watched: dict[str, int]) -> None:
    """What is on air, as FFmpeg knows it; and that sums match their parts."""

    def steady(page: Any) -> bool:
        return all(
            abs(stream["frame_rate"]["over_10s"] / film(SAMPLES / sample).frame_rate - 1) < 0.15
            for stream in page["items"]
            for sample in [PUBLISHERS[stream["name"]]]
        )

    page = desk.once("streams", steady)
    assert {stream["name"] for stream in page["items"]} == set(PUBLISHERS)
    for stream in page["items"]:
        truth = film(SAMPLES / PUBLISHERS[stream["name"]])
        video, audio = stream["tracks"]
        assert stream["viewers"] == watched[stream["name"]]
        assert stream["variant"] == stream["name"]
        assert (NAMES[video["codec"]], NAMES[audio["codec"]]) == (truth.video, truth.audio)
        assert (video["width"], video["height"]) == truth.size
        viewers = desk.api(f"streams/{stream['id']}/viewers?limit=500")
        assert viewers["total"] == len(viewers["items"]) == stream["viewers"]


def check_kernel(site: Site, desk: Desk) -> None:
    """Bytes of each connection lie between what the kernel says before and after."""
    before = kernel(site)
    page = desk.api("connections?limit=500")
    after = kernel(site)
    assert page["total"] == VIEWERS + len(PUBLISHERS)
    for connection in page["items"]:
        if connection["variant"] not in ("rtmp", "rtmpe"):
            continue  # TLS and HTTP put something around what is counted here
        peer = connection["peer"].rpartition(" ")[2]
        least, most = before[peer], after[peer]
        assert least.received - least.unread <= connection["bytes_in"] + HANDSHAKE <= most.received
        assert least.sent <= connection["bytes_out"] <= most.sent + connection["waiting"]


def check_metrics(desk: Desk, variants: dict[str, int], watched: dict[str, int]) -> None:
    """The same as the API says."""
    server, told = desk.api("server"), metrics(desk)
    assert server["by_variant"] == variants
    assert (server["streams"], server["viewers"]) == (len(PUBLISHERS), VIEWERS)
    for variant, count in variants.items():
        labels = {"vhost": "", "application": "live", "variant": variant}
        assert told["rtmptwist_connections", frozenset(labels.items())] == count
    for name, count in watched.items():
        (value,) = (
            value
            for (metric, labels), value in told.items()
            if metric == "rtmptwist_stream_viewers" and ("stream", name) in labels
        )
        assert value == count


def check_page(browser: Browser, watched: dict[str, int], variants: dict[str, int]) -> None:
    """The same as an operator sees it."""

    def right() -> bool:
        shown = streams_shown(browser)
        return {name: int(cells[1]) for name, cells in shown.items()} == {
            f"live/{name}": count for name, count in watched.items()
        }

    browser.until(right, "all viewers")
    assert variants_shown(browser) == variants
    assert browser.text("[data-figure=viewers]") == str(VIEWERS)
    shown = streams_shown(browser)
    for name, sample in PUBLISHERS.items():
        truth = film(SAMPLES / sample)
        picture = shown[f"live/{name}"][2]
        width, height = truth.size
        assert f"{width}×{height}" in picture
        rate = re.search(r"([\d.]+) fps", picture)
        assert rate
        assert abs(float(rate[1]) / truth.frame_rate - 1) < 0.2


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for all tests here."""
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def test_all_tell_the_same(
    started: Programs, browser: Browser, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    site = serve(started, listeners="stream_metrics = 10\n" + LISTENERS + ADMIN)
    desk = Desk(site)
    for variant, sample in PUBLISHERS.items():
        unchecked = ["-tls_verify", "0"] if variant == "rtmps" else []
        started.start(
            *(ffmpeg9(), "-v", "error", "-nostdin", "-re", "-stream_loop", "-1"),
            *("-i", str(SAMPLES / sample), "-c", "copy", *unchecked, "-f", "flv"),
            url(site, variant, f"live/{variant}"),
        )
    site.wait_for("publishes live/", times=len(PUBLISHERS))
    variants = dict.fromkeys(VARIANTS, 0)
    watched = dict.fromkeys(PUBLISHERS, 0)

    @reactor_test
    async def watch() -> None:
        async with AsyncExitStack() as stack:
            guests = {
                variant: await stack.enter_async_context(
                    visiting(url(site, variant, "").rstrip("/"))
                )
                for variant in VARIANTS
            }
            viewers = []
            for number in range(VIEWERS):
                variant = VARIANTS[number % len(VARIANTS)]
                name = list(PUBLISHERS)[number % len(PUBLISHERS)]
                viewers.append(await guests[variant].play(name))
                variants[variant] += 1
                watched[name] += 1
            for viewer in viewers:
                await viewer.until(partial(seen, viewer))
            for name in PUBLISHERS:
                variants[name] += 1
            await deferToThread(check_streams, desk, watched)
            await deferToThread(check_kernel, site, desk)
            await deferToThread(check_metrics, desk, variants, watched)
            await deferToThread(open_page, browser, site)
            await deferToThread(check_page, browser, watched, variants)
            browser.keep(pictures(request, tmp_path) / "fifty-viewers.png")

    watch()
    assert any(map(tunnelled, variants))
