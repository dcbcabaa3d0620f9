"""What the server tells operators of itself, compared with what FFmpeg sends; and what they do."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.programs import (
    PATIENCE,
    SAMPLES,
    Programs,
    Site,
    ffmpeg9,
    packets,
    parse_packets,
    player,
    program,
    serve,
)
from tests.support.variants import LISTENERS, VARIANTS, url

pytestmark = pytest.mark.interop

ADMIN = """
[listener admin]
endpoint = tcp:0:interface=127.0.0.1:backlog=20
serve = http
api = loopback
"""


SAMPLE = SAMPLES / "h264-b-aac.flv"


class Desk:
    """An operator's place, on this machine."""

    def __init__(self, site: Site) -> None:
        self._address = site.url("", "http", "admin")

    def read(self, path: str, value: Any = None) -> str:
        """GET, or POST of a value."""
        body = None if value is None else json.dumps(value).encode()
        headers = {"Content-Type": "application/json", "X-Requested-With": "test"}
        asked = urllib.request.Request(self._address + path, body, headers)
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    def api(self, path: str, value: Any = None) -> Any:
        """The same of the API."""
        return json.loads(self.read(f"api/v1/{path}", value) or "null")

    def once(self, path: str, true: Callable[[Any], bool]) -> Any:
        """What the API says as soon as it is as wanted."""
        deadline = time.monotonic() + PATIENCE
        while not true(found := self.api(path)):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found


def forever(variant: str, target: str, source: Path = SAMPLE) -> list[str]:
    """A command that publishes a file in real time, again and again."""
    unchecked = ["-tls_verify", "0"] if variant == "rtmps" else []
    ffmpeg = program("ffmpeg") if variant == "rtmpts" else ffmpeg9()
    return [
        ffmpeg, "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(source),
        "-c", "copy", "-f", "flv", *unchecked, target,
    ]  # fmt: skip


def test_publishers_by_all_variants_and_a_viewer(started: Programs) -> None:
    site = serve(started, listeners=LISTENERS + ADMIN)
    desk = Desk(site)
    assert desk.read("readyz") == "ready\n"
    for variant in VARIANTS:
        started.start(*forever(variant, url(site, variant, f"live/{variant}")))
    site.wait_for("publishes live/", times=len(VARIANTS))
    viewer = started.start(*player(ffmpeg9(), site.url("live/rtmp")))
    site.wait_for("plays live/rtmp")
    site.wait_for("publishes", times=len(VARIANTS))
    page = desk.api("connections")
    assert page["total"] == len(VARIANTS) + 1
    publishers = {
        connection["variant"]: connection
        for connection in page["items"]
        if connection["uses"] and connection["uses"][0]["action"] == "publish"
    }
    assert set(publishers) == set(VARIANTS)
    for variant, connection in publishers.items():
        assert connection["handshake"] == ("rtmpe" if "e" in variant[4:] else "digest")
        assert connection["agent"].startswith("FMLE/3.0")
        assert (connection["round_trip"] is None) == ("t" in variant[4:])
    page = desk.once(
        "streams", lambda page: all(len(stream["tracks"]) == 2 for stream in page["items"])
    )
    streams = page["items"]
    assert {stream["name"] for stream in streams} == set(VARIANTS)
    for stream in streams:
        assert stream["publisher"] == publishers[stream["name"]]["id"]
        video, audio = stream["tracks"]
        # as README of the samples has it, by ffprobe
        assert (video["codec"], video["width"], video["height"]) == ("avc1", 320, 180)
        assert (video["profile"], audio["codec"], audio["profile"]) == ("High", "mp4a", "LC")
    server = desk.api("server")
    assert server["by_variant"] == {**dict.fromkeys(VARIANTS, 1), "rtmp": 2}
    samples = {
        (sample.name, sample.labels.get("variant")): sample.value
        for family in text_string_to_metric_families(desk.read("metrics"))
        for sample in family.samples
    }
    for variant in VARIANTS:
        assert samples["rtmptwist_connections", variant] == server["by_variant"][variant]
        assert samples["rtmptwist_received_bytes_total", variant] > 1000
    assert samples["rtmptwist_certificate_expiry_timestamp_seconds", None] > 1.7e9
    (watched,) = (stream for stream in streams if stream["name"] == "rtmp")
    desk.api(f"streams/{watched['id']}/close", {"reason": "Over."})
    assert viewer.wait() == 0
    desk.api(f"connections/{publishers['rtmps']['id']}/kick", {"reason": "Please leave."})
    site.wait_for(r"no longer publishes live/rtmps: Please leave")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        desk.api("connections/999999")


def test_ffmpeg_reads_a_stream_from_the_api(started: Programs) -> None:
    """As FLV over HTTP: packets are those that were published, key frame first."""
    site = serve(started, listeners=LISTENERS + ADMIN)
    started.start(*forever("rtmps", url(site, "rtmps", "live/show")))
    (stream,) = Desk(site).once("streams", lambda page: page["total"] == 1)["items"]
    address = site.url(f"api/v1/streams/{stream['id']}/flv", "http", "admin")
    viewer = started.start(*player(ffmpeg9(), address, "-t", "2"))
    assert viewer.wait() == 0, viewer.words()
    seen = [(each[0], each[-1]) for each in parse_packets(viewer.output())]
    published = [(each[0], each[-1]) for each in packets(ffmpeg9(), SAMPLE)]
    assert {number for number, _ in seen} == {"0", "1"}
    assert len(seen) > 30
    assert set(seen) <= set(published)
    assert seen[0] == next(each for each in published if each[0] == "0")
