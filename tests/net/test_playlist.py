"""What is queued: files over real sockets, live streams in memory, one after the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtmptwist.amf import amf0
from rtmptwist.live.errors import Refused
from rtmptwist.vod.folderfilms import FolderFilms
from rtmptwist.vod.library import Library
from rtmptwist.vod.playbacks import FilePlaybacks
from rtmptwist.wire.status import StatusCode
from tests.net.test_files import Slow, film, folder, status_of, vod, watch, whole
from tests.support.disks import StillDisk
from tests.support.guests import Guest, Host, eventually, serving
from tests.support.live import Settings, gop, headers, payloads
from tests.support.logs import Logs
from tests.support.memory import (
    MemorySite,
    OpenGate,
    SlowGate,
    Spectator,
    StrictGate,
    serve_in_memory,
)
from tests.support.reactor import reactor_test

__all__ = ["folder"]  # a fixture


# ------------------------------------------------------------------------- files


@reactor_test
async def test_several_in_a_row(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host)
        await viewer.settle()
        session = viewer.connection.session
        for name, start, duration in (
            ("below/two", -2.0, -1.0),
            ("no", 0.0, -1.0),
            ("show", 6.0, 1.0),
        ):
            session.play(viewer.stream.stream_id, name, start, duration, reset=False)
        viewer.connection.send()
        await viewer.until_told("Play.StreamNotFound")
        heard = await whole(viewer)
        assert [time for _, time, _ in heard] == [
            *(0, 0, *film()),
            *(0, *film(0, 2000)),
            *(0, 0, *film(0, 1000)),
        ]
        assert status_of(viewer) == ["Switch", "Switch", "Switch", "Complete"]
        # one more after the end begins at once
        session.play(viewer.stream.stream_id, "below/two", reset=False)
        viewer.messages.clear()
        assert len(await whole(viewer)) == len(film(0, 2000)) + 1
        # and one that is not queued drops all that was
        for _ in range(3):
            session.play(viewer.stream.stream_id, "show", reset=False)
        session.play(viewer.stream.stream_id, "below/two", 1.0)
        viewer.connection.send()
        await viewer.until_told("Play.Reset")
        viewer.messages.clear()
        assert [time for _, time, _ in await whole(viewer)][1:] == film(0, 1000)
        assert host.application().film_viewers == 1


@reactor_test
async def test_what_is_live_may_follow_a_file(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        publisher = await host.publish("now")
        await publisher.feed(*headers(), *gop(0))
        viewer = await watch(host, "below/two")
        viewer.connection.session.play(viewer.stream.stream_id, "now", reset=False)
        await viewer.until(lambda: len(viewer.media) >= len(film(0, 2000)) + 1 + 4)
        assert host.stream("now").audience.subscribers
        await publisher.leave()


@reactor_test
async def test_a_queue_has_an_end(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host, ahead=500)
        for _ in range(101):
            viewer.connection.session.play(viewer.stream.stream_id, "show", reset=False)
        viewer.connection.send()
        info = await viewer.until_told("Play.Failed")
        assert info["description"] == "100 plays wait for their turn here."
        viewer.connection.session.play(viewer.stream.stream_id, "x" * 9000, reset=False)
        viewer.connection.send()
        info = await viewer.until_told("Play.StreamNotFound")
        assert info["description"] == "A name of 9000 characters (expected 8192 at most)."
        await viewer.leave()


async def queue(host: Host, viewer: Guest) -> Slow:
    """Let a viewer wait for what it has queued."""
    application = host.application()
    slow = Slow(application.films)
    application.films = slow
    viewer.connection.session.play(viewer.stream.stream_id, "below/two", reset=False)
    viewer.connection.send()
    await viewer.until(lambda: "Switch" in status_of(viewer))
    return slow


@reactor_test
async def test_who_leaves_before_the_next_one_begins(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host)
        await whole(viewer)
        slow = await queue(host, viewer)
        await viewer.leave()
        await eventually(lambda: not host.connections)
        assert host.application().film_viewers == 0
        slow.opened[0].callback(None)


@reactor_test
async def test_what_is_played_instead_of_what_was_queued(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host)
        await whole(viewer)
        slow = await queue(host, viewer)
        application = host.application()
        application.films = slow.films
        viewer.messages.clear()
        await viewer.stream.play("show")
        assert len(await whole(viewer)) == len(film()) + 2
        assert application.film_viewers == 1


@reactor_test
async def test_what_is_queued_may_take_too_long(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host)
        await whole(viewer)
        (connection,) = host.connections
        connection.care = replace(connection.care, decision_timeout=0.2)
        await queue(host, viewer)
        info = await viewer.until_told("Play.Failed")
        assert info["description"] == "It took too long to decide."
        assert host.application().film_viewers == 0


def test_a_bug_with_what_is_queued(folder: Path, logs: Logs) -> None:
    site = serve_in_memory()
    disk = StillDisk(site.clock)
    library = Library(site.clock, disk, 1 << 20)
    films = FolderFilms(library)
    films.serve(folder, public=True)
    playbacks = FilePlaybacks(library.pacer)
    playbacks.send_ahead(60.0)
    site.application.films, site.application.playbacks = films, playbacks
    viewer = site.stream()
    viewer.keep(60_000)
    playing = viewer.play("show")
    for _ in range(3):
        site.pump()
        disk.pump()
    site.result(playing)
    slow = Slow(films)
    slow.fail = ZeroDivisionError("a bug")
    site.application.films = slow
    viewer.connection.session.play(viewer.stream_id, "show", reset=False)
    viewer.connection.send()
    site.pump()
    disk.pump()
    site.pump()
    assert viewer.connection.closed
    (bug,) = logs.forgive()
    assert isinstance(bug, ZeroDivisionError)


# -------------------------------------------------------------------------- live


class Evening:
    """A viewer who watches `one`, and then wants to see `two`."""

    def __init__(self, settings: Settings | None = None, gate: OpenGate | None = None) -> None:
        self.site: MemorySite = serve_in_memory(settings or Settings(grace=0.0), gate=gate)
        self.one = self.site.publish("one")
        self.two = self.site.publish("two")
        self.feed(self.two, 7000)
        self.feed(self.one, 0)
        self.viewer: Spectator = self.site.play("one")

    def feed(self, publisher: Any, since: int) -> None:
        for message in [*headers(), *gop(since)]:
            publisher.send(message)
        self.site.pump()

    def enlist(self, *names: str, duration: float = -1.0) -> None:
        session = self.viewer.connection.session
        for name in names:
            session.play(self.viewer.stream.stream_id, name, -2.0, duration, reset=False)
        self.viewer.connection.send()
        self.site.pump()

    def end(self, publisher: Any) -> None:
        publisher.close()
        self.site.pump()

    @property
    def told(self) -> list[str]:
        """Statuses since the first start."""
        return self.viewer.told[2:]

    @property
    def switched(self) -> list[Any]:
        """What it was told with the media: to which, or that it is complete."""
        found: list[Any] = [
            amf0.decode(payload)[1]
            for payload in self.viewer.payloads
            if payload.startswith(b"\x02\0\x0conPlayStatus")
        ]
        return [info.get("details", info["code"]) for info in found]

    def sees(self, since: int) -> bool:
        wanted = payloads(gop(since))
        return self.viewer.payloads[-len(wanted) :] == wanted


@pytest.mark.parametrize("after_end", ["stay", "close"])
def test_when_a_publication_ends_the_next_one_begins(after_end: str, logs: Logs) -> None:
    evening = Evening(Settings(grace=5.0, after_end=after_end))
    evening.enlist("two")
    evening.feed(evening.one, 1000)
    assert evening.sees(1000)
    assert evening.told == evening.switched == []
    evening.one.connection.abort()
    evening.site.pump()
    evening.site.pass_time(4)
    assert evening.switched == []  # it may come back
    evening.site.pass_time(2)
    assert evening.switched == ["two"]
    assert evening.told == ["Play.Start"]  # and no end: FFmpeg and librtmp would leave
    assert evening.sees(7000)
    (line,) = logs.about("no longer plays live/one")
    assert ": the next one begins, after " in line
    evening.end(evening.two)
    evening.site.pass_time(6)
    assert evening.told == ["Play.Start", "Play.UnpublishNotify"]


def test_what_is_queued_after_the_end_begins_at_once() -> None:
    evening = Evening()
    evening.end(evening.one)
    assert evening.told == ["Play.UnpublishNotify"]
    evening.enlist("two")
    assert evening.switched == ["two"]
    assert evening.sees(7000)


def test_what_is_queued_after_the_end_waits_if_it_was_not_the_end() -> None:
    evening = Evening()
    evening.end(evening.one)
    again = evening.site.publish("one")
    evening.feed(again, 1000)
    evening.enlist("two")
    assert evening.told == ["Play.UnpublishNotify", "Play.PublishNotify"]
    assert evening.switched == []
    assert evening.sees(1000)
    evening.end(again)
    assert evening.switched == ["two"]


def test_so_long_of_each() -> None:
    evening = Evening()
    evening.viewer = evening.site.play("one", duration=0.1)
    evening.enlist("two", duration=0.1)
    evening.feed(evening.one, 1000)
    assert evening.switched == ["two"]
    evening.feed(evening.two, 8000)
    assert evening.switched == ["two", "NetStream.Play.Complete"]
    assert evening.told == ["Play.Start", "Play.Stop"]


def test_nobody_comes_and_the_next_one_begins() -> None:
    evening = Evening(Settings(wait=5.0))
    evening.viewer = evening.site.play("nothing")
    evening.enlist("two")
    assert evening.switched == []
    evening.site.pass_time(6)
    assert evening.switched == ["two"]
    assert evening.told == ["Play.Start"]


@pytest.mark.parametrize("after_end", ["stay", "close"])
def test_nothing_of_what_was_queued_can_be_played(after_end: str) -> None:
    gate = StrictGate()
    evening = Evening(Settings(grace=0.0, after_end=after_end), gate)
    evening.enlist("two", "two")
    gate.answers["play"] = Refused(StatusCode.PLAY_FAILED, "no")
    evening.end(evening.one)
    assert evening.switched == ["two", "two"]
    assert evening.told == ["Play.Failed", "Play.Failed", "Play.UnpublishNotify"]
    gate.answers.clear()
    again = evening.site.publish("one")
    evening.feed(again, 1000)
    assert evening.sees(1000) is (after_end == "stay")


def test_the_publisher_comes_back_while_the_next_one_is_decided_about() -> None:
    """And that is refused: so the viewer has not seen the last of it."""
    gate = SlowGate("play live/two")
    evening = Evening(Settings(grace=0.0, wait=60.0), gate)
    evening.enlist("two")
    evening.end(evening.one)
    again = evening.site.publish("one")
    evening.feed(again, 500)
    evening.end(again)  # a second time: there is still but one that follows
    again = evening.site.publish("one")
    evening.feed(again, 1000)
    assert evening.switched == ["two"]
    gate.decide(Refused(StatusCode.PLAY_FAILED, "no"))
    evening.site.pump()
    assert evening.told == ["Play.PublishNotify", "Play.PublishNotify", "Play.Failed"]
    evening.feed(again, 2000)
    assert evening.sees(2000)


def test_what_follows_is_dropped_when_the_server_ends_a_stream() -> None:
    evening = Evening()
    evening.enlist("two")
    evening.site.application.streams["one"].close("enough")
    evening.site.pump()
    assert evening.told == ["Play.Stop"]
    assert evening.switched == []


def test_who_leaves_while_the_next_one_is_decided_about_is_gone() -> None:
    gate = SlowGate("play live/two")
    evening = Evening(gate=gate)
    evening.enlist("two")
    evening.end(evening.one)
    evening.viewer.connection.abort()
    evening.site.pump()
    assert gate.cancelled == ["play live/two"]
    assert evening.site.application.streams["two"].meter.viewers == 0
