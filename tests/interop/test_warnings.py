"""What is wrong with what real encoders send is told, and harms none of them."""

from __future__ import annotations

import re

import pytest

from tests.interop.test_events import Curl
from tests.interop.test_operation import ADMIN, Desk
from tests.support.programs import LISTENER, SAMPLES, Programs, ffmpeg9, program, publisher, serve
from tests.support.publishers import RTMP2SINK, RTMPSINK

pytestmark = pytest.mark.interop

LONG = SAMPLES / "h264-longgop-aac.flv"
"One key frame in ten seconds."

WELL = ("h264-b-aac", "h264-base-aac-25", "hevc-aac-ertmp", "av1-opus-ertmp", "audio-only-aac")

SETTINGS = """publish = anyone

[app tight]
publish = anyone
warn_gop = 500ms
"""


def test_who_is_warned_goes_on_and_who_is_well_is_not(started: Programs) -> None:
    site = serve(started, SETTINGS, LISTENER + ADMIN)
    desk = Desk(site)
    curl = Curl(started, site, "?kinds=warning").ready()
    real_time = ("-re", "-stream_loop", "-1", "-t", "11")
    sending = [
        started.start(*publisher(ffmpeg9(), SAMPLES / f"{name}.flv", url, *real_time))
        for name in WELL
        for url in [site.url(f"live/{name[:8]}")]
    ]
    sending.append(started.start(*publisher(ffmpeg9(), LONG, site.url("live/long"), *real_time)))
    encoding = (
        *("-f", "lavfi", "-re", "-i", "testsrc2=size=160x90:rate=10", "-f", "lavfi", "-i", "sine"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "20"),
        *("-c:a", "aac", "-t", "11", "-f", "flv", site.url("live/encoded")),
    )
    sending.append(started.start(ffmpeg9(), "-v", "error", "-nostdin", *encoding))
    sample = SAMPLES / "h264-b-aac.flv"
    for name, ffmpeg in (("nine", ffmpeg9()), ("five", program("ffmpeg"))):
        url = site.url(f"tight/{name}")
        sending.append(started.start(*publisher(ffmpeg, sample, url, *real_time)))
    gstreamer = {
        name: started.start(
            *(program("gst-launch-1.0"), "-q", "filesrc", f"location={sample}"),
            *("!", "flvdemux", "name=from", "flvmux", "streamable=true", "name=to"),
            *("from.video", "!", "queue", "!", "h264parse", "!", "to."),
            *("from.audio", "!", "queue", "!", "aacparse", "!", "to."),
            *("to.", "!", *sink, "sync=true"),
        )
        for name, sink in {
            "old": (RTMPSINK, f"location={site.url('tight/old')} live=1"),
            "new": (RTMP2SINK, f"location={site.url('tight/new')}"),
        }.items()
    }
    for name in ("nine", "five", *gstreamer):
        site.wait_for(rf"publishes tight/{name}: \d\.\d s without a key frame: viewers wait")
    stream = next(s for s in desk.api("streams")["items"] if s["name"] == "nine")
    (warning,) = stream["warnings"]
    assert warning["code"] == "long_gop"
    for run in sending:
        assert run.wait() == 0, run.words()
        assert "key frame" not in run.words()
    for run in gstreamer.values():
        assert run.wait() == 0, run.words()
    told = curl.until(lambda events: len(events) >= 5)
    begun = {(event.data["name"], event.data["code"], event.data["turn"]) for event in told}
    warned = {"nine", "five", "old", "new", "long"}
    assert begun == {(name, "long_gop", "begin") for name in warned}
    assert len(told) == len(warned), "each once"
    assert re.search(r'stream_warnings_total{code="long_gop"} 5\.0', desk.read("metrics"))
    assert 'stream_warnings_total{code="no_audio"} 0.0' in desk.read("metrics")
    log = site.log()
    assert len(re.findall(r"(?<!longer) publishes \S+: ", log)) == len(warned), log
