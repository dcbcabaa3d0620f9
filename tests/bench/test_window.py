"""What it costs to keep the past of a stream."""

from __future__ import annotations

from pytest_benchmark.fixture import BenchmarkFixture

from rtmptwist.live.timeline import Timeline
from rtmptwist.live.window import Window
from rtmptwist.wire.message import Message
from tests.support.live import audio, video


def stream(pictures: int) -> list[Message]:
    """Pictures and sound, a key frame every 2 s."""
    return [
        message
        for number in range(pictures)
        for message in (
            video(number * 33, key=number % 60 == 0, size=3000),
            audio(number * 33 + 5),
        )
    ]


def test_append(benchmark: BenchmarkFixture) -> None:
    """2000 messages, of which 10 s are kept."""
    messages = stream(1000)

    def fill() -> None:
        window = Window(10_000, 32 << 20, 3000)
        for message in messages:
            window.append(message)
            window.edge = window.head

    benchmark(fill)


def test_append_beyond_the_size(benchmark: BenchmarkFixture) -> None:
    """The same, where the bound in bytes is what counts."""
    messages = stream(1000)

    def fill() -> None:
        window = Window(10_000, 100_000, 3000)
        for message in messages:
            window.append(message)

    benchmark(fill)


def test_part(benchmark: BenchmarkFixture) -> None:
    """A burst of 64 KiB out of the middle."""
    window = Window(60_000, 32 << 20, 3000)
    for message in stream(1000):
        window.append(message)
    benchmark(window.part, 1000, 2000, 64 * 1024)


def test_timeline(benchmark: BenchmarkFixture) -> None:
    """2000 timestamps that need no mending."""
    times = [message.timestamp for message in stream(1000)]

    def run() -> None:
        line = Timeline(lambda: 40)
        for time in times:
            line.media(time)

    benchmark(run)
