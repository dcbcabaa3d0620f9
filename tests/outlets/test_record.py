"""What a configuration says of a recorder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import IService
from twisted.internet.task import Clock
from twisted.plugin import IPlugin
from zope.interface.verify import verifyObject

from rtmptwist.disk.chores import Chores
from rtmptwist.interfaces import BadDescription, House, IOutletMaker
from rtmptwist.live.application import Application
from rtmptwist.outlets import record
from rtmptwist.outlets.plan import Plan, When
from rtmptwist.outlets.record import RecordMaker
from rtmptwist.outlets.recorder import Recorder
from rtmptwist.outlets.tape import Take
from rtmptwist.plugins import describe
from tests.support.disks import StillDisk
from tests.support.live import Settings

maker: Any = RecordMaker()


def made(text: str, state: Path = Path("/state")) -> Plan:
    clock = Clock()
    application = Application("live", Settings(), clock, host="example.org")
    disk = StillDisk(clock)
    house = House(clock, state, state, disk, Chores(disk, clock), StillDisk(clock))
    service = maker.make(describe(text), application, house)
    assert verifyObject(IService, service)
    assert application.outlets == []
    service.startService()
    (recorder,) = application.outlets
    assert isinstance(recorder, Recorder)
    service.stopService()
    assert application.outlets == []
    return recorder.plan


def test_it_is_a_plugin() -> None:
    assert verifyObject(IOutletMaker, maker)
    assert verifyObject(IPlugin, maker)


def test_a_path_is_enough() -> None:
    plan = made("record:recordings/{vhost}/{app}/{name}.flv")
    assert plan.folder.root == Path("/state/recordings/example.org/live")
    assert plan.pattern.names("show", 0.0, 1) == ("show.flv",)
    assert plan == Plan(
        description="record:recordings/{vhost}/{app}/{name}.flv",
        folder=plan.folder,
        pattern=plan.pattern,
    )
    assert (plan.when, plan.take) == (When.ALWAYS, Take.ALL)


def test_all_options() -> None:
    plan = made(
        "record:/srv/{name}/{date}.flv:when=asked:take=keys:segment=1h:segment_size=1G:keep=30d"
        ":keep_size=500G"
    )
    assert plan.folder.root == Path("/srv")
    date = time.strftime("%Y-%m-%d", time.localtime(1e9))
    assert plan.pattern.names("show", 1e9, 1) == ("show", f"{date}.flv")
    assert (plan.when, plan.take) == (When.ASKED, Take.KEYS)
    assert (plan.segment, plan.segment_size) == (3600.0, 1 << 30)
    assert (plan.keep, plan.keep_size) == (30 * 86_400.0, 500 << 30)


def test_a_colon_in_a_path() -> None:
    assert made(r"record:/srv/a\:b/{name}.flv").folder.root == Path("/srv/a:b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("record", "expected record:PATH, such as record:recordings/"),
        ("record:a.flv:b.flv", "expected record:PATH"),
        ("record:a.mkv", r"expected a path that ends in \.flv or \.mp4"),
        ("record:{nme}.flv", r"\{nme\} in .*expected \{app\}"),
        ("record:a.flv:segmnet=1h", 'unknown option segmnet; .*did you mean "segment"'),
        ("record:a.flv:when=never", "when: 'never'; expected always, asked or command"),
        ("record:a.flv:take=some", "take: 'some'; expected all, audio, video or keys"),
        ("record:a.flv:segment=1", "segment: '1'; expected a duration"),
        ("record:a.flv:keep=1s", "keep: '1s'; expected 1m to "),
    ],
)
def test_what_is_wrong_is_said(text: str, words: str) -> None:
    for what in maker.check, lambda description: made(description.text):
        with pytest.raises(BadDescription, match=words):
            what(describe(text))


def test_mp4_needs_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    maker.check(describe("record:{name}.mp4"))
    monkeypatch.setattr(record, "find_spec", lambda _: None)
    with pytest.raises(BadDescription, match=r"pip install 'rtmptwist\[media\]'; or"):
        maker.check(describe("record:{name}.mp4"))
    maker.check(describe("record:{name}.flv"))


def test_what_may_hang_as_a_whole_is_what_applications_share() -> None:
    for text in ("record:rec/{app}/{name}.flv", "record:rec/{name}.flv", "record:rec/a-{app}.flv"):
        assert made(text).place == Path("/state/rec")
    assert made("record:{vhost}/{app}/{name}.flv").place == Path("/state")
