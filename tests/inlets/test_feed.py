"""A file as a publisher: its tags at their times, over and over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from rtmptwist.amf import amf0
from rtmptwist.amf.values import EcmaArray
from rtmptwist.inlets.feed import LATE, Feed
from rtmptwist.live.health import Sign, Trouble
from rtmptwist.live.stream import LiveStream
from rtmptwist.media.container import SIZE, SPAN, Block, Container, Place
from rtmptwist.media.errors import MediaError
from rtmptwist.media.flv import SCRIPT, flv_header, flv_tag
from rtmptwist.media.flvcontainer import FlvContainer
from rtmptwist.wire.message import Message
from tests.media.test_flvcontainer import Memory
from tests.support.disks import StillDisk
from tests.support.live import Stage, Viewer, aac_header, audio, avc_header, gop, payloads, video
from tests.support.logs import Logs


def flv(*messages: Message, **values: float) -> bytes:
    """A file of these."""
    tags = [flv_tag(m.type, m.timestamp, m.payload) for m in messages]
    if values:
        tags.insert(0, flv_tag(SCRIPT, 0, amf0.encode("onMetaData", EcmaArray(values))))
    return b"".join([flv_header(True, True), *tags])


HEADERS = (avc_header(), aac_header())
FILE = flv(*HEADERS, *gop(0, 25), *gop(1000, 25), width=640.0, duration=2.0)


class Counting(FlvContainer):
    """A container that knows whether it was closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


class House:
    """A stage, a disk and a file that stands in for whatever is watched."""

    def __init__(
        self,
        data: bytes = FILE,
        *,
        loop: bool = False,
        opener: Callable[[], Container] | None = None,
    ) -> None:
        self.stage = Stage()
        self.disk = StillDisk(self.stage.clock)
        self.data = data
        self.loop = loop
        self.opener = opener or self.open
        self.opened: list[Counting] = []
        self.over: list[str] = []
        self.feed: Feed
        self.stage.application.suppliers.append(self)

    def open(self) -> Container:
        self.opened.append(Counting(Memory(self.data)))
        return self.opened[-1]

    def supply(self, stream: LiveStream) -> bool:
        clock = self.stage.clock
        self.feed = Feed(
            stream, self.opener, self.disk, clock, self._over, folder=Path(), loop=self.loop
        )
        return True

    def _over(self, feed: Feed, problem: str) -> None:
        assert feed is self.feed
        self.over.append(problem)

    def run(self, seconds: float) -> None:
        """Time passes, and threads work."""
        self.disk.pump()
        for _ in range(round(seconds * 50)):
            self.stage.clock.advance(0.02)
            self.disk.pump()


def pictures(viewer: Viewer) -> list[bytes]:
    return [payload for payload in viewer.payloads if b"picture" in payload or b"key" in payload]


def test_it_comes_as_if_it_were_live() -> None:
    house = House()
    viewer = house.stage.watch()
    house.run(0.5)
    assert 12 <= len(payloads(gop(0, 25))[: len(viewer.payloads)]) <= 30
    assert max(viewer.times) <= 520
    house.run(2)
    assert viewer.payloads[1:] == payloads([*HEADERS, *gop(0, 25), *gop(1000, 25)])
    assert viewer.times[3:] == [m.timestamp for m in [*gop(0, 25), *gop(1000, 25)]]
    assert viewer.told == ["published", "unpublished"]
    assert house.over == [""]
    assert house.opened[0].closed == 1
    assert house.stage.clock.getDelayedCalls() == []


def test_metadata_tells_of_the_picture_and_not_of_the_file() -> None:
    house = House()
    viewer = house.stage.watch()
    house.run(0.1)
    assert amf0.decode(viewer.payloads[0]) == ["onMetaData", EcmaArray({"width": 640.0})]


def test_round_after_round_time_goes_on() -> None:
    house = House(loop=True)
    viewer = house.stage.watch()
    house.run(5)
    assert house.over == []
    assert len(house.opened) == 1
    times = viewer.times[3:]
    assert times == sorted(times)
    assert 4900 <= times[-1] <= 5060
    assert viewer.payloads[1:].count(HEADERS[0].payload) == 3
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert set(steps) == {0, 40}


def test_it_ends_when_its_viewer_leaves() -> None:
    house = House(loop=True)
    viewer = house.stage.watch()
    house.run(0.5)
    viewer.subscriber.close()
    house.run(0.1)
    assert house.over == [""]
    assert house.opened[0].closed == 1
    assert house.stage.clock.getDelayedCalls() == []


def test_a_viewer_that_leaves_before_the_file_is_open() -> None:
    house = House()
    house.stage.watch().subscriber.close()
    house.run(0.1)
    assert house.over == [""]
    assert house.stage.application.streams == {}
    assert [container.closed for container in house.opened] in ([], [1])


def test_it_makes_room_for_a_publisher() -> None:
    house = House(loop=True)
    viewer = house.stage.watch()
    house.run(0.5)
    inlet = house.stage.publish()
    house.run(0.5)
    assert house.over == [""]
    for message in (*HEADERS, *gop(0)):
        inlet.push(message)
    inlet.flush()
    assert viewer.payloads[-6:] == payloads(gop(0))
    assert viewer.times == sorted(viewer.times)
    house.feed.stop()
    assert house.over == [""]


def test_a_file_that_cannot_be_opened() -> None:
    def broken() -> Container:
        raise MediaError("it is no film")

    house = House(opener=broken)
    viewer = house.stage.watch()
    house.run(0.1)
    assert house.over == ["it is no film"]
    assert viewer.told == []
    assert house.stage.stream.state == "idle"


def test_a_file_without_anything_to_show_is_not_tried_for_ever() -> None:
    class Empty(Counting):
        def read(self, place: Place, size: int = SIZE, span: int = SPAN) -> Block:
            block = super().read(place, size, span)
            return Block([tag for tag in block.tags if tag.type == SCRIPT], block.next)

    house = House(loop=True, opener=lambda: Empty(Memory(FILE)))
    house.stage.watch()
    house.run(0.1)
    assert house.over == ["it has neither sound nor pictures"]


def test_a_file_that_shrinks_while_it_is_played() -> None:
    """Somebody replaces it in place."""

    class Shrinking(Memory):
        def read(self, position: int, size: int) -> bytes:
            return b"" if self.taken > 2 * len(FILE) else super().read(position, size)

    house = House(loop=True, opener=lambda: FlvContainer(Shrinking(FILE)))
    house.stage.watch()
    house.run(6)
    assert house.over == ["it has neither sound nor pictures"]


def test_a_still_picture_costs_next_to_nothing() -> None:
    house = House(flv(avc_header(), video(0, key=True)), loop=True)
    viewer = house.stage.watch()
    house.run(1)
    assert viewer.payloads.count(video(0, key=True).payload) <= 26


def test_after_a_standstill_it_does_not_hurry() -> None:
    """The machine slept: nobody wants what was missed."""
    house = House(flv(*HEADERS, *gop(0, 2000)))
    viewer = house.stage.watch()
    house.run(0.5)
    before = max(viewer.times)
    house.stage.clock.advance(LATE + 10)
    house.run(0.5)
    assert max(viewer.times) - before < 1100


def test_sound_alone() -> None:
    house = House(flv(aac_header(), *(audio(20 * n) for n in range(50))), loop=True)
    viewer = house.stage.watch()
    house.run(2.5)
    assert viewer.times == sorted(viewer.times)
    assert viewer.times[-1] >= 2400


def test_what_is_wrong_with_a_file_is_told_once(logs: Logs) -> None:
    house = House()
    house.stage.watch()
    house.run(0.1)
    trouble = Trouble(Sign.LONG_GOP, "9.5 s without a key frame", 1.0, again=False)
    house.feed.troubled(trouble, begins=True)
    house.feed.troubled(trouble, begins=False)
    house.feed.troubled(replace(trouble, again=True), begins=True)
    assert logs.about("the file on air as") == [
        "the file on air as show: 9.5 s without a key frame"
    ]
