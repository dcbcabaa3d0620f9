"""Which streams a file stands in for, and how many."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from twisted.plugin import IPlugin
from zope.interface.verify import verifyObject

from rtmptwist.disk.chores import Chores
from rtmptwist.inlets import filler
from rtmptwist.inlets.file import FileMaker
from rtmptwist.inlets.filler import PAUSE, Filler, Slate
from rtmptwist.interfaces import BadDescription, House, IInletMaker
from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.media.container import Container
from rtmptwist.media.errors import MediaError
from rtmptwist.media.flvcontainer import FlvContainer
from rtmptwist.plugins import describe
from tests.inlets.test_feed import FILE
from tests.media.test_flvcontainer import Memory
from tests.support.disks import StillDisk
from tests.support.live import Settings, Stage, Viewer
from tests.support.logs import Logs

maker: Any = FileMaker()


class Studio:
    """An application with a filler."""

    def __init__(self, slate: Slate | None = None) -> None:
        self.stage = Stage(Settings(wait=0))
        self.clock = self.stage.clock
        self.disk = StillDisk(self.clock)
        self.opened: list[Path] = []
        self.broken = ""
        slate = slate or Slate(Path("slate.flv"), loop=True)
        self.filler = Filler(self.application, slate, self._open, self.disk, self.clock)
        self.filler.startService()

    @property
    def application(self) -> Application:
        return self.stage.application

    def _open(self, path: Path) -> Container:
        self.opened.append(path)
        if self.broken:
            raise MediaError(self.broken)
        return FlvContainer(Memory(FILE))

    def watch(self, name: str = "show") -> Viewer:
        viewer = Viewer()
        viewer.subscriber = self.application.subscribe(name, viewer.form, viewer.writer, viewer)
        viewer.resume()
        self.disk.pump()
        return viewer


def test_it_stands_in_and_says_so(logs: Logs) -> None:
    studio = Studio()
    viewer = studio.watch()
    assert viewer.payloads
    assert logs.lines() == ["slate.flv stands in for the publisher of show"]


def test_the_file_is_looked_at_before_it_is_needed(logs: Logs) -> None:
    studio = Studio()
    studio.disk.pump()
    assert studio.opened == [Path("slate.flv")]
    studio = Studio()
    studio.broken = "it is no film"
    studio.disk.pump()
    words = "slate.flv cannot stand in for publishers: it is no film; is not tried again for 10 s"
    assert logs.lines("error") == [words]


def test_a_file_that_is_not_there_is_named_once(logs: Logs, tmp_path: Path) -> None:
    stage, gone = Stage(Settings()), tmp_path / "gone.flv"

    def opened(path: Path) -> Container:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    disk = StillDisk(stage.clock)
    Filler(stage.application, Slate(gone), opened, disk, stage.clock).startService()
    disk.pump()
    (line,) = logs.lines("error")
    assert line.startswith(f"{gone} cannot stand in for publishers: No such file or directory;")


def test_a_broken_file_is_not_tried_for_every_viewer(logs: Logs) -> None:
    studio = Studio()
    studio.disk.pump()
    studio.broken = "it is no film"
    studio.watch()
    for _ in range(3):
        with pytest.raises(Refused):
            studio.watch()
    studio.clock.advance(PAUSE)
    studio.broken = ""
    assert studio.watch("other").payloads
    assert len(logs.lines("error")) == 1


def test_for_some_names_only() -> None:
    studio = Studio(Slate(Path("slate.flv"), names="studio[12]*"))
    assert studio.watch("studio1/a").payloads
    for name in ("studio3", "Studio1", "a/studio1"):
        with pytest.raises(Refused, match="Nobody publishes"):
            studio.watch(name)


def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch, logs: Logs) -> None:
    monkeypatch.setattr(filler, "MOST", 2)
    studio = Studio()
    first = studio.watch("one")
    studio.watch("two")
    for name in ("three", "four"):
        with pytest.raises(Refused):
            studio.watch(name)
    words = "slate.flv stands in for 2 streams already, which are the most: not for three"
    assert logs.lines("warn") == [words]
    first.subscriber.close()
    studio.clock.advance(PAUSE)
    assert studio.watch("three").payloads


def test_when_it_is_configured_away_viewers_wait() -> None:
    studio = Studio()
    viewer = studio.watch()
    studio.filler.stopService()
    assert viewer.told[-1] == "unpublished"
    assert studio.application.suppliers == []
    with pytest.raises(Refused):
        studio.watch("other")


# ----------------------------------------------------------------------- descriptions


def slate_of(text: str) -> Slate:
    clock = Stage().clock
    disk, chores = StillDisk(clock), Chores(StillDisk(clock), clock)
    house = House(clock, Path("/etc/rtmp"), Path("/state"), disk, chores, disk)
    service = maker.make(describe(text), Application("live", Settings(), clock), house)
    assert isinstance(service, Filler)
    return service._slate


def test_it_is_a_plugin() -> None:
    assert verifyObject(IInletMaker, maker)
    assert verifyObject(IPlugin, maker)


@pytest.mark.parametrize(
    ("text", "slate"),
    [
        ("file:slate.flv", Slate(Path("/etc/rtmp/slate.flv"))),
        ("file:slate.flv?loop", Slate(Path("/etc/rtmp/slate.flv"), loop=True)),
        ("file:/a/b.FLV?loop:names=x*", Slate(Path("/a/b.FLV"), loop=True, names="x*")),
    ],
)
def test_descriptions(text: str, slate: Slate) -> None:
    maker.check(describe(text))
    assert slate_of(text) == slate


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file", "expected file:PATH or file:PATH?loop"),
        ("file:", "expected file:PATH"),
        ("file:a.flv:b.flv", "expected file:PATH"),
        ("file:a.flv:names=", "expected file:PATH"),
        ("file:a.flv?lop", '"?lop"; expected ?loop or nothing'),
        ("file:a.txt?loop", '"a.txt"; expected a file .aac .f4v .flv .m4a'),
        ("file:a.flv:name=x", "unknown option name; expected names"),
    ],
)
def test_what_is_none(text: str, words: str) -> None:
    with pytest.raises(BadDescription, match=re.escape(words)):
        maker.check(describe(text))
