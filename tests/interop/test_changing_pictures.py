"""A recording whose pictures become others amid it: players that begin behind that see them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtmptwist.media.flv import SCRIPT, FlvReader, FlvTag, flv_header, flv_tag
from tests.support.programs import (
    Programs,
    ffmpeg9,
    parse_packets,
    program,
    publishing,
    serve,
)
from tests.support.recordings import metadata_of

pytestmark = pytest.mark.interop

SECONDS = 10
"Of each half."


def half(started: Programs, size: str) -> list[FlvTag]:
    """Some pictures of that size, with a key frame every second."""
    made = started.file("flv")
    source = ("-f", "lavfi", "-i", f"testsrc=size={size}:rate=10:duration={SECONDS}")
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-pix_fmt", "yuv420p")
    run = started.start(ffmpeg9(), "-v", "error", *source, *coding, made)
    assert run.wait() == 0, run.words()
    return [tag for tag in FlvReader().feed(made.read_bytes()) if tag.type != SCRIPT]


def written(path: Path, *halves: list[FlvTag]) -> Path:
    """One after the other in a file."""
    parts = [
        flv_tag(tag.type, tag.timestamp + number * SECONDS * 1000, tag.payload)
        for number, tags in enumerate(halves)
        for tag in tags
    ]
    path.write_bytes(flv_header(audio=False, video=True) + b"".join(parts))
    return path


def seen(started: Programs, source: str | Path, *options: str) -> list[str]:
    """The hashes of pictures as FFmpeg 9 decodes them."""
    decoding = ("-noautoscale", "-f", "framemd5", "-")
    run = started.start(ffmpeg9(), "-v", "error", "-nostdin", *options, "-i", source, *decoding)
    assert run.wait() == 0, run.words()
    assert run.words() == ""
    return [packet[-1] for packet in parse_packets(run.output())]


def test_who_begins_behind_a_change_sees_what_is_there(started: Programs) -> None:
    folder = started.folder()
    large, small = half(started, "320x240"), half(started, "160x120")
    both = written(folder / "both.flv", large, small)
    wanted = seen(started, written(folder / "small.flv", small))
    assert len(wanted) == SECONDS * 10
    recording = f"outlets = record:{folder}/{{name}}.flv\n"
    site = serve(started, f"files = {folder}\nfiles_ahead = 1h\n{recording}")
    assert publishing(started, both, site.url("live/show"), 40).wait() == 0
    site.wait_for(r"recorded \S*show\.flv: ")
    places = metadata_of(folder / "show.flv")["sequenceheaders"]
    assert len(places) == 2
    for name in ("show", "both"):  # ours tells where, the other is looked through
        got = seen(started, site.url(f"live/{name}"), "-ss", "16")
        assert 0 < len(got) <= 41
        assert got == wanted[-len(got) :]
        dumped = started.file("flv")
        command = ("-q", "-r", site.url(f"live/{name}"), "--start", "16", "-o", dumped)
        run = started.start(program("rtmpdump"), *command)
        assert run.wait() in (0, 2), run.words()
        got = seen(started, dumped)
        assert got == wanted[-len(got) :]
