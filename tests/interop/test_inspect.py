"""`rtmptwist inspect` with real encoders: their captures, and their connections while they send."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.support.programs import (
    LISTENER,
    SAMPLES,
    Programs,
    Run,
    ffmpeg9,
    looped,
    player,
    publishing,
    serve,
)

pytestmark = pytest.mark.interop

ADMIN = """
[listener admin]
endpoint = tcp:0:interface=127.0.0.1:backlog=20
serve = http
api = loopback
"""


def inspect(started: Programs, *words: str | Path) -> Run:
    return started.start(sys.executable, "-m", "rtmptwist", "inspect", *words)


def wait_for(run: Run, words: str) -> str:
    deadline = time.monotonic() + 60
    while not re.search(words, text := run.output().decode()):
        assert time.monotonic() < deadline, f"{words!r} not in {text[-3000:]} {run.words()}"
        time.sleep(0.05)
    return text


@pytest.mark.parametrize("scheme", ["rtmp", "rtmpe", "rtmpt"])
def test_a_running_publisher_and_its_viewer(started: Programs, scheme: str) -> None:
    listener = LISTENER.replace("serve = rtmp", "serve = rtmp, rtmpe, rtmpt")
    site = serve(started, listeners=listener + ADMIN)
    source = looped(SAMPLES / "h264-b-aac.flv", started.file("flv"), 20)
    url = site.url("live/secret-stream-key?token=hidden", scheme)
    publisher = publishing(started, source, url, 1.0)
    viewer = started.start(*player(ffmpeg9(), site.url("live/secret-stream-key")))
    site.wait_for(r"#\d+ \S+ plays")
    (number,) = re.findall(r"#(\d+) \S+ publishes", site.log())
    (watcher,) = re.findall(r"#(\d+) \S+ plays", site.log())
    api = f"http://127.0.0.1:{site.ports['admin']}"

    past = inspect(started, api, number, "--once")
    assert past.wait() == 0, past.words()
    words = past.output().decode()
    assert f", {scheme}, FMLE/3.0 (compatible; Lavf" in words
    kind = "rtmpe" if scheme == "rtmpe" else "digest"
    assert f"handshake {kind}\n" in words
    assert re.search(r"client publish sec…\w{4}\?…\n", words)
    assert "server NetStream.Publish.Start\n" in words

    traced = inspect(started, api, number, "--trace", "60")
    text = wait_for(traced, r"client \d+ audio frames, .* video frames")
    following = inspect(started, api, watcher, "--trace", "60", "--media", "all", "--json")
    wait_for(following, "video key frame, avc1")
    publisher.stop()
    text = wait_for(traced, "the connection has ended")
    assert traced.wait() == 0, traced.words()
    assert "FCUnpublish" in text or scheme == "rtmpt"  # FFmpeg does not say it there
    viewer.wait()
    assert following.wait() == 0
    lines = [json.loads(line) for line in following.output().splitlines()]
    sent = [line for line in lines if line.get("way") == "sent"]
    assert {"audio", "video", "command"} <= {line["kind"] for line in sent}
    assert any("NetStream.Play.UnpublishNotify" in line["words"] for line in sent)
    for run in (past, traced, following):
        assert b"secret" not in run.output()
        assert b"hidden" not in run.output()


def test_a_capture_of_now(started: Programs) -> None:
    """By tcpdump, where it is there and may listen."""
    tcpdump = shutil.which("tcpdump")
    if tcpdump is None:
        pytest.skip("tcpdump is not installed")
    site = serve(started)
    file = started.file("pcap")
    port = site.ports["main"]
    # with -Z it would have to be able to write as somebody else
    capture = started.start(
        tcpdump, "-i", "any", "-U", "-s", "0", "-Z", "root", "-w", str(file), f"tcp port {port}"
    )
    deadline = time.monotonic() + 30
    while "listening on" not in capture.words():
        if capture.process.poll() is not None or time.monotonic() > deadline:
            pytest.skip(f"tcpdump may not listen here: {capture.words()}")
        time.sleep(0.05)
    publishing(started, SAMPLES / "h264-b-aac.flv", site.url("live/show"), 20.0).wait()
    site.wait_for("no longer publishes")
    site.wait_for(r"#\d+ \S+ left")
    deadline = time.monotonic() + 60
    while True:
        shown = inspect(started, file)
        assert shown.wait() == 0, shown.words()
        text = shown.output().decode()
        if "no longer publishing" in text.lower() or time.monotonic() > deadline:
            break
    capture.process.send_signal(signal.SIGINT)
    capture.wait()
    assert "!!!" not in text, text
    assert 'publish 5 null "show" "live"' in text
    assert "video sequence header, avc1.64000d High 1.3 320x180" in text
    frames = sum(map(int, re.findall(r"(\d+) video frames", text)))
    assert frames > 50
