"""Which files a client may mean, whatever it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtmptwist.live.names import parse_connect, stream_name
from rtmptwist.media.pyav import NotInstalled
from rtmptwist.vod import kinds
from rtmptwist.vod.kinds import candidates

TARGET = parse_connect("live", "rtmp://host/live")


def meant(name: str) -> list[str]:
    """The files, in the order in which they are tried."""
    found = stream_name(TARGET, name)
    path = found.path.removeprefix("live/")
    return ["/".join(each.names) for each in candidates(path, found.kind, found.extension)]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("show", ["show.flv"]),
        ("flv:show", ["show.flv"]),
        ("show.flv", ["show.flv"]),
        ("a/b/show", ["a/b/show.flv"]),
        ("mp4:show.mp4", ["show.mp4", "show.f4v", "show.m4v", "show.mov", "show.m4a"]),
        ("mp4:show", ["show.mp4", "show.f4v", "show.m4v", "show.mov", "show.m4a"]),
        ("mp4:a/show.f4v", ["a/show.f4v", "a/show.mp4", "a/show.m4v", "a/show.mov", "a/show.m4a"]),
        ("show.mov", ["show.mov", "show.mov.flv"]),
        ("show.MOV", ["show.MOV", "show.MOV.flv"]),
        (
            "mp4:show.mov",
            ["show.mov", *(f"show.mov.{x}" for x in ["mp4", "f4v", "m4v", "mov", "m4a"])],
        ),
        ("mp3:song", ["song.mp3", "song.m4a", "song.aac"]),
        ("id3:song.mp3", ["song.mp3", "song.m4a", "song.aac"]),
        ("song.aac", ["song.aac", "song.aac.flv"]),
        ("show.txt", ["show.txt.flv"]),
        # a recording of that name is called otherwise, and played by what it is called
        ("a:b*c", []),
        (".hidden/-x", []),
        ("~/con", []),
    ],
)
def test_names(name: str, files: list[str]) -> None:
    assert meant(name) == files


def test_long_names_and_other_letters() -> None:
    (file,) = meant("x" * 200)
    assert file == "x" * 200 + ".flv"
    assert meant("e\N{COMBINING ACUTE ACCENT}") == ["\N{LATIN SMALL LETTER E WITH ACUTE}.flv"]


@pytest.mark.parametrize(("name", "loaded"), [("a.flv", 0), ("below/b.MP4", 1), ("c.txt", 0)])
def test_what_is_needed_is_loaded_before_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, loaded: int
) -> None:
    calls: list[None] = []

    def load() -> None:
        calls.append(None)
        raise NotInstalled("it is not there")

    monkeypatch.setattr(kinds, "load", load)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert kinds.prepare(tmp_path)
    assert len(calls) == loaded
    assert not kinds.prepare(tmp_path / "nowhere")
