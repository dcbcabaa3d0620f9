"""Reading many publishers together."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from rtmptwist.net.beat import FEW, MERGE, READ_SIZE, READS, SLICE, TURN, Beat, Reader


class FakeSource:
    """A transport whose reading is taken over."""

    def __init__(self) -> None:
        self.by_reactor = True
        self.aborted = False

    def pauseProducing(self) -> None:
        self.by_reactor = False

    def resumeProducing(self) -> None:
        self.by_reactor = True

    def abortConnection(self) -> None:
        self.aborted = True


class Publisher:
    """Both ends of a publisher's socket."""

    def __init__(self) -> None:
        self.far, self.near = socket.socketpair()
        self.near.setblocking(False)
        self.source = FakeSource()
        self.got: list[bytes] = []
        self.reader = Reader(self.source, self.near, self.receive)

    def receive(self, data: bytes) -> None:
        self.got.append(data)

    def close(self) -> None:
        self.far.close()
        self.near.close()


class House:
    """A beat and as many publishers as a test wants."""

    def __init__(self, longest: float = 0.025) -> None:
        self.clock = Clock()
        self.beat = Beat(self.clock, longest)
        self.publishers: list[Publisher] = []

    def join(self, count: int) -> list[Publisher]:
        new = [Publisher() for _ in range(count)]
        self.publishers += new
        for publisher in new:
            self.beat.join(publisher.reader)
        return new

    def pass_time(self) -> None:
        self.clock.advance(0.025)
        self.clock.advance(0)

    def by_reactor(self) -> set[bool]:
        return {publisher.source.by_reactor for publisher in self.publishers}


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    for publisher in made.publishers:
        publisher.close()


def test_few_publishers_are_left_to_the_reactor(house: House) -> None:
    house.join(FEW)
    assert house.by_reactor() == {True}
    assert house.clock.getDelayedCalls() == []


def test_many_are_read_together(house: House) -> None:
    house.join(FEW + 1)
    assert house.by_reactor() == {False}
    first, *_, last = house.publishers
    first.far.send(b"one")
    first.far.send(b"two")
    last.far.send(b"three")
    house.pass_time()
    assert (first.got, last.got) == ([b"onetwo"], [b"three"])
    house.pass_time()
    assert len(first.got) == 1, "nothing more came"


def test_a_fast_publisher_is_read_whole(house: House) -> None:
    """One read in a beat would hold every publisher at 64 KiB in 25 or 100 ms."""
    first, *_ = house.join(FEW + 1)
    first.far.setblocking(False)
    sent = first.far.send(bytes(150_000))
    assert sent > 2 * READ_SIZE
    house.pass_time()
    assert sum(map(len, first.got)) == sent
    first.far.send(bytes(READ_SIZE))
    house.pass_time()
    assert sum(map(len, first.got)) == sent + READ_SIZE


def test_one_publisher_does_not_keep_the_others_waiting(house: House) -> None:
    first, *_ = house.join(FEW + 1)

    def more(data: bytes) -> None:
        first.got.append(data)
        first.far.send(bytes(READ_SIZE))

    first.reader._receive = more
    first.far.send(bytes(READ_SIZE))
    house.pass_time()
    assert len(first.got) == READS


def test_who_leaves_while_it_is_read_is_read_no_further(house: House) -> None:
    """It waits for a decision, say."""
    first, *_ = house.join(FEW + 1)

    def leave(data: bytes) -> None:
        first.got.append(data)
        house.beat.leave(first.reader)

    first.reader._receive = leave
    first.far.send(bytes(READ_SIZE + 10))
    house.pass_time()
    assert [len(data) for data in first.got] == [READ_SIZE]
    assert first.source.by_reactor


def test_more_than_a_slice_lets_others_be_heard_between(house: House) -> None:
    house.join(SLICE + 1)
    for publisher in house.publishers:
        publisher.far.send(b"x")
    read: list[int] = []
    later = house.clock.callLater

    def call_later(delay: float, what: Callable[[], None]) -> IDelayedCall:
        if not delay:
            read.append([len(p.got) for p in house.publishers].count(1))
        return later(delay, what)

    house.clock.callLater = call_later  # type: ignore[method-assign, assignment]
    house.pass_time()
    assert read == [SLICE]
    assert [len(p.got) for p in house.publishers].count(1) == SLICE + 1


def test_a_turn_ends_when_what_was_read_was_costly(house: House) -> None:
    """A flood of tiny messages from a few must not keep everybody else waiting."""
    house.join(FEW)
    order: list[str] = []

    def receive(_: bytes) -> None:
        order.append("costly")
        house.clock.rightNow += TURN * 2
        house.clock.callLater(0, order.append, "others")

    costly = [Publisher() for _ in range(2)]
    for publisher in costly:
        house.publishers.append(publisher)
        house.beat.join(Reader(publisher.source, publisher.near, receive))
        publisher.far.send(b"x")
    house.pass_time()
    assert order == ["costly", "others", "costly", "others"]


def test_the_reactor_finds_the_end_itself(house: House) -> None:
    """So that a loss is reported in the usual way, once."""
    house.join(FEW + 1)
    gone, broken, *_ = house.publishers
    gone.far.close()
    broken.near.close()
    house.pass_time()
    assert gone.source.by_reactor
    assert broken.source.by_reactor
    assert house.publishers[-1].source.by_reactor is False


def test_when_most_have_left_the_reactor_reads_again(house: House) -> None:
    house.join(FEW + 1)
    for publisher in house.publishers[: FEW // 2]:
        house.beat.leave(publisher.reader)
    assert house.publishers[-1].source.by_reactor is False
    house.beat.leave(house.publishers[FEW // 2].reader)
    assert house.by_reactor() == {True}
    assert house.clock.getDelayedCalls() == []


def test_leaving_twice_is_harmless(house: House) -> None:
    (publisher,) = house.join(1)
    house.beat.leave(publisher.reader)
    house.beat.leave(publisher.reader)
    assert house.by_reactor() == {True}


def test_one_that_is_read_may_end_the_beat(house: House) -> None:
    """A takeover ends another publisher in the middle of the round."""
    house.join(FEW + 1)
    first = house.publishers[0]

    def receive(_: bytes) -> None:
        for publisher in house.publishers[1:]:
            house.beat.leave(publisher.reader)

    reader = Reader(first.source, first.near, receive)
    house.beat.leave(first.reader)
    house.beat.join(reader)
    house.publishers[1].far.send(b"late")
    house.pass_time()
    house.publishers[0].far.send(b"x")
    house.pass_time()
    assert house.by_reactor() == {True}
    assert house.clock.getDelayedCalls() == []


def test_a_bug_in_one_ends_that_one(house: House) -> None:
    house.join(FEW)
    bad = Publisher()
    house.publishers.append(bad)

    def receive(_: bytes) -> None:
        raise RuntimeError("a bug")

    house.beat.join(Reader(bad.source, bad.near, receive))
    bad.far.send(b"x")
    other = house.publishers[0]
    other.far.send(b"y")
    logged: list[str] = []

    def observe(event: dict[str, object]) -> None:
        logged.append(str(event.get("log_format")))

    globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]  # takes any mapping
    house.pass_time()
    globalLogPublisher.removeObserver(observe)  # type: ignore[arg-type]
    assert bad.source.aborted
    assert other.got == [b"y"]
    assert "reading a publisher failed" in logged


def test_a_stream_that_gathers_is_read_as_often(house: House) -> None:
    """Even alone: what it sent need not be here before it goes out."""
    slow, slower, fast = house.publishers = [Publisher() for _ in range(3)]
    house.beat.join(slow.reader, 0.05)
    house.beat.join(slower.reader, 7.0)
    house.beat.join(fast.reader)
    assert (slow.source.by_reactor, fast.source.by_reactor) == (False, True)
    for publisher in house.publishers:
        publisher.far.send(b"x")
    house.clock.advance(0.05)
    assert (slow.got, slower.got) == ([b"x"], [])
    house.clock.advance(MERGE - 0.05)
    assert slower.got == [b"x"]
    house.beat.leave(slow.reader)
    house.beat.leave(slower.reader)
    assert house.by_reactor() == {True}
    assert house.clock.getDelayedCalls() == []


def test_who_comes_while_many_are_there_is_read_with_them(house: House) -> None:
    house.join(FEW + 1)
    (late,) = house.join(1)
    assert not late.source.by_reactor


def test_one_that_is_read_may_bring_another(house: House) -> None:
    first, second = house.publishers = [Publisher() for _ in range(2)]

    def receive(_: bytes) -> None:
        house.beat.leave(reader)
        house.beat.join(second.reader, 0.05)

    reader = Reader(first.source, first.near, receive)
    house.beat.join(reader, 0.05)
    first.far.send(b"x")
    second.far.send(b"y")
    house.clock.advance(0.05)
    house.clock.advance(0.05)
    assert second.got == [b"y"]


def test_it_can_be_switched_off() -> None:
    house = House(longest=0)
    house.join(FEW + 1)
    assert house.by_reactor() == {True}
    for publisher in house.publishers:
        publisher.close()
