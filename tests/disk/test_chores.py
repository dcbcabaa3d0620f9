"""Work that is in no hurry: one thing after the other, unless it hangs."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred

from rtmptwist.disk.chores import PATIENCE, Chores
from tests.support.disks import StillDisk
from tests.support.memory import failure_of, result_of


class Shed:
    """Chores, and what was done."""

    def __init__(self) -> None:
        self.disk = StillDisk()
        self.chores = Chores(self.disk, self.disk.clock)
        self.done: list[str] = []

    def call(self, what: str, folder: str = "a") -> Deferred[None]:
        return self.chores.call(lambda: self.done.append(what), Path(folder))


def test_one_after_the_other() -> None:
    shed = Shed()
    results = [shed.call("one"), shed.call("two", "b"), shed.call("three")]
    assert sum(len(place.ready) for place in shed.disk._places.values()) == 1
    shed.disk.pump()
    assert shed.done == ["one", "two", "three"]
    assert [result_of(each) for each in results] == [None] * 3
    shed.disk.clock.advance(PATIENCE)
    assert shed.disk.clock.getDelayedCalls() == []


def test_what_raises_is_told_and_the_next_is_done() -> None:
    shed = Shed()

    def wrong() -> None:
        raise ValueError("wrong")

    result = shed.chores.call(wrong, Path("a"))
    shed.call("two")
    shed.disk.pump()
    assert str(failure_of(result)) == "wrong"
    assert shed.done == ["two"]


def test_what_hangs_keeps_nobody_for_ever_and_may_still_come() -> None:
    shed = Shed()
    late = shed.call("late", "slow")
    place = shed.disk._places[Path("slow")]
    lane = place.ready.popleft()  # a thread has it, and hangs
    shed.call("two", "b")
    shed.call("three", "b")
    shed.disk.clock.advance(0)
    shed.disk.do()
    assert shed.done == []
    shed.disk.clock.advance(PATIENCE)
    for _ in range(2):
        shed.disk.clock.advance(0)
        shed.disk.do()
    assert shed.done == ["two", "three"]
    place.ready.append(lane)
    four = shed.call("four", "b")
    shed.disk.pump()
    assert sorted(shed.done[2:]) == ["four", "late"]
    assert result_of(late) is result_of(four) is None


def test_at_the_end_nothing_is_begun() -> None:
    shed = Shed()
    shed.call("one")
    shed.call("two")
    shed.chores.close()
    shed.disk.pump()
    assert shed.done == ["one"]
    shed.chores.close()
