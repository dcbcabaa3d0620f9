"""Work in threads: order, bounds, failures."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred

from rtmptwist.disk import threads
from rtmptwist.disk.threads import Disk, Lane, TooSlow
from tests.support.disks import StillDisk
from tests.support.logs import Logs
from tests.support.memory import failure_of, result_of
from tests.support.reactor import reactor_test

reactor: Any = _reactor


class Told:
    """What a lane and its jobs tell."""

    def __init__(self, disk: Disk, folder: Path | None = None) -> None:
        self.results: list[object] = []
        self.errors: list[Exception] = []
        self.lane = disk.lane(self.errors.append, folder)

    def put(self, result: object, size: int = 0) -> None:
        self.lane.put(lambda: result, self.results.append, size)


def raising(error: Exception) -> Callable[[], object]:
    def work() -> object:
        raise error

    return work


# ------------------------------------------------------------------------- with real threads


async def finish(disk: Disk) -> None:
    await disk.idle()
    disk.close()


@reactor_test
async def test_jobs_of_a_lane_are_done_in_order_and_told_in_the_reactor_s_thread() -> None:
    disk = Disk(reactor, 3, 1 << 20)
    here = threading.get_ident()
    done: list[tuple[int, int]] = []
    told: list[tuple[int, int]] = []
    lanes = [disk.lane(raising) for _ in range(50)]

    def work(lane: int, number: int) -> int:
        assert threading.get_ident() != here
        done.append((lane, number))
        return number

    for number in range(20):
        for index, lane in enumerate(lanes):

            def say(result: int, index: int = index) -> None:
                assert threading.get_ident() == here
                told.append((index, result))

            lane.put(partial(work, index, number), say)
    await disk.idle()
    for index in range(50):
        assert [number for lane, number in done if lane == index] == list(range(20))
        assert [number for lane, number in told if lane == index] == list(range(20))
    assert disk._threads <= 3
    await finish(disk)


@reactor_test
async def test_a_file_that_hangs_does_not_keep_its_neighbours_waiting() -> None:
    disk = Disk(reactor, 3, 1 << 20)
    free, hangs = threading.Event(), threading.Event()

    def hang() -> str:
        hangs.set()
        assert free.wait(30)
        return "slow"

    slow = disk.lane(raising).call(hang)
    assert await disk.lane(raising).call(lambda: hangs.wait(30))
    assert not slow.called
    free.set()
    assert await slow == "slow"
    await finish(disk)


@reactor_test
async def test_a_folder_that_hangs_leaves_a_thread_to_the_others() -> None:
    disk = Disk(reactor, 3, 1 << 20)
    free = threading.Event()
    slow = [disk.lane(raising, Path("slow")).call(lambda: free.wait(30)) for _ in range(9)]
    for number in range(3):
        assert await disk.lane(raising, Path(f"{number}")).call(lambda: "quick") == "quick"
    assert not any(deferred.called for deferred in slow)
    free.set()
    for deferred in slow:
        assert await deferred
    await finish(disk)


@reactor_test
async def test_threads_end() -> None:
    before = threading.active_count()
    disk = Disk(reactor, 4, 1 << 20)
    for _ in range(3):
        await disk.lane(raising).call(lambda: None)
    await finish(disk)
    for thread in threading.enumerate():
        if thread.name == "disk":
            thread.join(30)
    assert threading.active_count() <= before


@reactor_test
async def test_what_raises_is_told_where_it_is_waited_for() -> None:
    disk = Disk(reactor, 1, 1 << 20)
    lane = disk.lane(raising)
    bad, good = lane.call(raising(OSError("no"))), lane.call(lambda: "yes")
    assert str(failure_of_later(bad, await good)) == "no"
    await finish(disk)


def failure_of_later(deferred: Deferred[object], after: object) -> BaseException:
    assert after == "yes"
    return failure_of(deferred)


# ------------------------------------------------------------------------ without any thread


def test_nothing_is_done_in_the_turn_that_asks_for_it() -> None:
    """Jobs that are put in one turn go to the threads together."""
    disk = StillDisk()
    told = Told(disk)
    told.put("a")
    told.put("b")
    assert disk.working == 0
    disk.clock.advance(0)
    assert (disk.working, disk.began, told.results) == (1, 1, [])
    disk.do()
    assert (disk.working, disk.began, told.results) == (0, 1, ["a", "b"])


def test_what_is_put_while_a_thread_works_is_done_as_well() -> None:
    disk = StillDisk()
    told = Told(disk)
    told.lane.put(lambda: told.put("second"), told.results.append)
    disk.pump()
    assert told.results == [None, "second"]


def test_a_lane_that_gets_something_just_when_it_is_left() -> None:
    disk = StillDisk()
    told = Told(disk)
    told.lane.put(lambda: None, lambda _: told.put("later"))
    disk.clock.advance(0)
    disk.do()
    assert (told.results, disk.working) == ([], 1)
    disk.pump()
    assert told.results == ["later"]


def test_what_is_left_where_a_disk_hangs_gets_another_thread() -> None:
    disk = StillDisk(threads=3)
    one, other = Told(disk), Told(disk)
    one.put(1)
    other.put(2)
    disk.clock.advance(0)
    hangs = disk._lanes()
    next(hangs)
    for expected in 2, 3, 3:
        disk.clock.advance(threads.PATIENCE)
        assert disk.working == expected
    disk.do()
    assert (one.results, other.results) == ([], [2])
    disk.clock.advance(threads.PATIENCE)
    assert disk.clock.getDelayedCalls() == []


def test_a_folder_that_hangs_takes_all_threads_but_one_and_nobody_tries_in_vain() -> None:
    disk = StillDisk(threads=3)
    slow = [Told(disk, Path("slow")) for _ in range(5)]
    for told in slow:
        told.put(1)
    hangs = [disk._lanes(), disk._lanes()]
    for thread in hangs:
        next(thread)
    disk.clock.advance(0)
    disk.clock.advance(threads.PATIENCE)
    assert (disk.working, disk.clock.getDelayedCalls()) == (0, [])
    other = Told(disk, Path("quick"))
    other.put(2)
    disk.clock.advance(0)
    assert disk.working == 1
    disk.do()
    assert (disk.working, other.results) == (0, [2])
    for thread in hangs:
        thread.close()
    disk.do()
    assert [told.results for told in slow] == [[], [], [1], [1], [1]]


def test_several_folders_that_hang_leave_a_thread_to_the_others() -> None:
    """Two applications may record to one disk, or one may play what the other records."""
    disk = StillDisk(threads=4)
    slow = [Told(disk, Path(name)) for name in ("one", "one", "one", "two", "two", "two")]
    for told in slow:
        told.put(1)
    hangs = [disk._lanes() for _ in range(3)]
    for thread in hangs:
        next(thread)
    places = [disk._places[Path(name)] for name in ("one", "two")]
    assert [(place.threads, len(place.ready)) for place in places] == [(2, 1), (1, 2)]
    other = Told(disk, Path("quick"))
    other.put(2)
    disk.do()
    assert (other.results, [told.results for told in slow]) == ([2], [[]] * 6)


def test_who_may_go_where_others_have_left_is_woken() -> None:
    disk = StillDisk(threads=4)
    slow = [Told(disk, Path("slow")) for _ in range(4)]
    other = Told(disk, Path("quick"))
    for told in (*slow, other):
        told.put(1)
    hangs = [disk._lanes() for _ in range(3)]
    for thread in hangs:
        next(thread)
    disk._wake()
    assert disk.working == 0  # two of four are there, and one is elsewhere
    hangs[2].close()
    disk._wake()
    assert disk.working == 0
    hangs[0].close()
    disk._wake()
    assert disk.working == 1
    disk.clock.advance(threads.PATIENCE)
    assert disk.working == 3  # one more at once, and one because that did not help


def test_many_lanes_get_several_threads_but_never_too_many() -> None:
    disk = StillDisk(threads=3)
    lanes = [Told(disk) for _ in range(threads.SHARE * 10)]
    for told in lanes:
        told.put(1)
    disk.clock.advance(0)
    assert disk.began == disk.working == 3
    disk.pump()
    assert [told.results for told in lanes] == [[1]] * len(lanes)


def test_a_failure_is_told_and_drops_what_follows() -> None:
    disk = StillDisk()
    told = Told(disk)
    told.put("before", 10)
    told.lane.put(raising(OSError("disk full")), told.results.append, 20)
    told.put("after", 30)
    assert disk.waiting == told.lane.waiting == 60
    disk.pump()
    assert told.results == ["before"]
    assert [str(error) for error in told.errors] == ["disk full"]
    assert disk.waiting == told.lane.waiting == 0
    told.put("again")
    disk.pump()
    assert told.results == ["before", "again"]


def test_what_is_put_before_a_failure_was_told_is_dropped_too() -> None:
    disk = StillDisk()
    told = Told(disk)
    told.lane.put(raising(OSError("disk full")))
    disk.clock.advance(0)

    def later(call: Callable[..., None], *arguments: object) -> None:
        told.put("does not know", 10)
        call(*arguments)

    disk._reactor.callFromThread = later
    disk.do()
    assert (told.results, disk.waiting, len(told.errors)) == ([], 0, 1)


def test_beyond_the_bound_the_fullest_lane_fails() -> None:
    disk = StillDisk(bound=100)
    small, large = Told(disk), Told(disk)
    small.put("small", 20)
    large.put("large", 60)
    small.put("small", 20)
    assert small.errors == large.errors == []
    small.put("small", 10)
    (error,) = large.errors
    assert isinstance(error, TooSlow)
    assert str(error) == "the disk is too slow: 60 bytes waited for it"
    assert disk.waiting == 50
    disk.pump()
    assert (small.results, large.results) == (["small"] * 3, [])
    assert disk.waiting == 0


def test_a_lane_may_put_something_when_it_fails_for_being_slow() -> None:
    """What closes its file, for example."""
    disk = StillDisk(bound=100)
    results: list[str] = []

    def failed(_: Exception) -> None:
        lane.put(lambda: "closed", results.append)

    lane: Lane = disk.lane(failed)
    lane.put(lambda: "written", results.append, 200)
    disk.pump()
    assert results == ["closed"]


def test_what_is_held_counts_as_waiting() -> None:
    disk = StillDisk(bound=100)
    one, other = Told(disk), Told(disk)
    one.lane.hold(60)
    other.put(1, size=30)
    one.lane.hold(50)
    assert (disk.waiting, one.lane.waiting, one.errors) == (80, 50, [])
    other.put(2, size=40)
    assert [str(error) for error in other.errors] == [
        "the disk is too slow: 70 bytes waited for it"
    ]
    assert disk.waiting == 50
    one.lane.hold(0)
    assert disk.waiting == 0


def test_what_hangs_cannot_be_dropped_and_nobody_else_has_to_go() -> None:
    disk = StillDisk(bound=100)
    slow, other = Told(disk), Told(disk)
    disk.pump()
    other.put(1)
    slow.put(1, size=90)
    slow.lane.jobs.clear()  # a thread has begun it, and hangs
    other.lane.hold(5)
    other.lane.hold(0)
    other.lane.release(-20)
    disk._check()
    assert slow.errors == other.errors == []


def test_long_work_is_told_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "REPORT", -1.0)
    disk = StillDisk()
    told = Told(disk)
    seen: list[int] = []
    for number in range(3):
        told.put(number, 10)
        told.lane.put(lambda: seen.append(disk.waiting))
    disk.pump()
    assert told.results == [0, 1, 2]
    assert seen == [20, 10, 0]


def test_what_follows_may_fail(logs: Logs) -> None:
    disk = StillDisk()
    told = Told(disk)

    def broken(_: object) -> None:
        raise ValueError("broken")

    told.lane.put(lambda: None, broken)
    told.put("next")
    disk.pump()
    assert told.results == ["next"]
    assert [str(failure) for failure in logs.forgive()] == ["broken"]


def test_a_lane_can_be_emptied() -> None:
    disk = StillDisk()
    told = Told(disk)
    told.put("a", 10)
    told.lane.clear()
    disk.pump()
    assert (told.results, told.errors, disk.waiting) == ([], [], 0)


def test_idle() -> None:
    disk = StillDisk()
    assert result_of(disk.idle()) is None
    told = Told(disk)
    told.put("a")
    waits = disk.idle()
    assert not waits.called
    disk.pump()
    assert result_of(waits) is None


def test_closing_forgets_what_nobody_has_begun() -> None:
    disk = StillDisk()
    told = Told(disk)
    told.put("a")
    disk.close()
    disk.clock.advance(1)
    assert (disk.began, told.results) == (0, [])
