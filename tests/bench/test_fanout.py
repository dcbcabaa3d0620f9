"""
What a message costs on its way from an inlet to its viewers, without sockets.

The writers do nothing, so that the figures are what this room adds to the sends: a send to a socket
costs 7 to 9 µs. Figures are from the development machine (CPython 3.11).
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from twisted.internet.task import Clock

from rtmptwist.live import audience
from rtmptwist.live.application import Application
from rtmptwist.live.formats import RtmpFormat
from rtmptwist.live.inlet import Inlet
from rtmptwist.live.interfaces import EndReason
from rtmptwist.live.subscriber import Subscriber
from rtmptwist.wire.message import Message
from tests.support.live import FakePublisher, Settings, aac_header, audio, avc_header, feed, video

ROUND = 100
"Pictures in a round, each with a piece of sound or more: some 3 seconds of a stream."


class NullWriter:
    """Takes everything, does nothing."""

    __slots__ = ("drained", "idle")

    def __init__(self) -> None:
        self.idle = True
        self.drained = self.close

    def write(self, data: bytes) -> bool:
        return True

    def close(self) -> None:
        pass


class NullPlayer:
    """Does not listen."""

    def published(self) -> None:
        pass

    def unpublished(self) -> None:
        pass

    def skipped(self, messages: int) -> None:
        pass

    def ended(self, reason: EndReason) -> None:
        pass


class Show:
    """A stream of 1 Mbit/s that does not end: 30 pictures and 47 pieces of sound a second."""

    def __init__(self, viewers: int) -> None:
        self.clock = Clock()
        self.application = Application("live", Settings(window_size=16 << 20), self.clock)
        self.inlet: Inlet = self.application.publish("show", FakePublisher(), 1)
        for _ in range(viewers):
            self.join()
        self.time = 0
        feed(self.inlet, avc_header(), aac_header())

    def join(self) -> Subscriber:
        form = RtmpFormat(65536)
        subscriber = self.application.subscribe("show", form, NullWriter(), NullPlayer())
        subscriber.resume()
        return subscriber

    def messages(self) -> list[Message]:
        """The next round; made outside of what is measured, as the session makes them."""
        made = []
        for number in range(ROUND):
            key = number % 60 == 0
            made.append(video(self.time, key=key, size=20_000 if key else 3_000))
            made.append(audio(self.time + 5, "a" * 160))
            if number % 2:
                made.append(audio(self.time + 26, "a" * 160))
            self.time += 33
        return made

    def run(self, messages: list[Message]) -> None:
        """Each message a read of its own."""
        inlet = self.inlet
        for message in messages:
            inlet.push(message)
            inlet.flush()


@pytest.mark.parametrize("viewers", [0, 1, 100, 1000])
def test_push_and_flush(
    benchmark: BenchmarkFixture, viewers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    250 messages, one sweep each.

    Per message: without viewers 0.8 µs, for one 3.6, for 100 13, for 1000 95: that is 0.09 µs for a
    viewer, beside a send of 7 to 9.
    """
    monkeypatch.setattr(audience, "SLICE", 1 << 20)
    show = Show(viewers)
    benchmark.pedantic(show.run, setup=lambda: ((show.messages(),), {}), rounds=20)  # type: ignore[no-untyped-call]


def test_a_thousand_join_in_the_same_second(benchmark: BenchmarkFixture) -> None:
    """A GOP of 2 s at 1 Mbit/s for each, encoded once: 7 µs to come and go."""
    show = Show(0)
    show.run(show.messages())

    def join() -> None:
        for subscriber in [show.join() for _ in range(1000)]:
            subscriber.close()

    benchmark.pedantic(join, rounds=5)  # type: ignore[no-untyped-call]


def test_encode(benchmark: BenchmarkFixture) -> None:
    """A batch of 40 ms: a picture and two pieces of sound."""
    batch = [video(0, size=3000), audio(5, "a" * 160), audio(26, "a" * 160)]
    benchmark(RtmpFormat(65536).encode, batch)
