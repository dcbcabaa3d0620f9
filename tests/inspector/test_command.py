"""`rtmptwist inspect` as it is typed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rtmptwist.cli import main

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests/vectors"
CAPTURE = VECTORS / "captures/ffmpeg9-rtmp-publish.pcap"
PUBLISH = VECTORS / "vectors-sessions/ffmpeg9-publish.c2s.bin"


def run(capsys: pytest.CaptureFixture[str], *words: str | Path, status: int = 0) -> str:
    assert main(["inspect", *map(str, words)]) == status
    out, err = capsys.readouterr()
    return err if status else out


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, CAPTURE)
    lines = out.splitlines()
    assert lines[0] == "#1   0.000000                 127.0.0.1:57172 to 127.0.0.1:29351: RTMP"
    assert lines[4] == "#1   0.001579 client     1537 C2: an echo of S1"
    assert lines[7] == (
        "#1   0.004545 server     3089 cs2/0   s0      0 ms set peer bandwidth: size 2500000,"
        " kind dynamic"
    )
    assert "media" not in out
    assert "secret" not in out
    assert " video frames (2 key), " in out
    assert " video frames " not in run(capsys, "--media", "none", CAPTURE)
    assert out.count("video key frame") == 0
    assert run(capsys, "--media", "all", CAPTURE).count("video key frame, avc1") == 2
    assert "secret-stream-key?token=hidden" in run(capsys, "--secrets", CAPTURE)
    assert run(capsys, "--connection", "2", CAPTURE) == ""
    assert run(capsys, "--port", "80", CAPTURE) == ""
    assert run(capsys, "--port", "29351", CAPTURE) == out


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [json.loads(line) for line in run(capsys, "--json", CAPTURE).splitlines()]
    connect = next(line for line in lines if line["kind"] == "command")
    assert connect["command"]["object"]["app"] == "live"
    assert (connect["connection"], connect["way"], connect["offset"]) == (1, "client", 3073)
    assert (connect["chunk_stream"], connect["format"], connect["chunks"]) == (3, 0, 2)
    assert connect["time"].startswith("2026-")
    assert lines[0]["way"] is None
    header = next(line for line in lines if line["kind"] == "video")
    (track,) = header["video"]["tracks"]
    assert (track["parameters"], track["width"]) == ("avc1.42d00b", 160)


def test_bare_bytes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "client     3073 cs3/0x2 s0      0 ms connect 1 " in run(capsys, PUBLISH)
    server = tmp_path / "s2c.bin"
    server.write_bytes(b"\x03" + bytes(3072))
    both = run(capsys, server, PUBLISH)
    assert "server        0 S0 S1: plain" in both
    assert "C2: neither an echo of S1 nor its signature" in both
    assert "server        0 S0 S1" in run(capsys, server)
    assert "client        0 C0 C1" in run(capsys, server, "--side", "client")
    chunks = VECTORS / "chunks/own-csid-forms.bin"
    assert "!!! first byte 0x00" in run(capsys, chunks)
    assert "cs64/0" in run(capsys, "--chunks", chunks)


def test_standard_input() -> None:
    with CAPTURE.open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-m", "rtmptwist", "inspect", "-"],
            cwd=ROOT,
            stdin=file,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert "publish 5 null" in done.stdout


def test_a_reader_who_leaves() -> None:
    command = f"{sys.executable} -m rtmptwist inspect --json --media all {CAPTURE} | head -1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_pipes_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            if text:
                written.append(text)
                raise BrokenPipeError
            return 0

    with CAPTURE.open("rb") as file:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(file.raw)))
        monkeypatch.setattr("sys.stdout", Broken())
        monkeypatch.setattr("sys.stderr", io.StringIO())
        assert main(["inspect", "-"]) == 0
    assert len(written) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["/nowhere/at.all"], "rtmptwist: /nowhere/at.all: No such file or directory\n"),
        (["/"], "rtmptwist: /: Is a directory\n"),
        ([str(CAPTURE), str(PUBLISH)], "one capture at a time"),
        ([str(PUBLISH)] * 3, "a connection has two sides"),
    ],
)
def test_what_cannot_be_shown(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in run(capsys, *words, status=1)


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["inspect", "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    for option in ("--json", "--media", "--secrets", "--port", "--side", "--chunks"):
        assert option in out
    assert "tcpdump -i any -w show.pcap tcp port 1935" in out


def test_a_file_that_cannot_look_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    from rtmptwist.inspector.files import looks_like_capture

    plain: Any = io.BytesIO(CAPTURE.read_bytes())
    assert not looks_like_capture(plain)
    assert looks_like_capture(io.BufferedReader(plain))
