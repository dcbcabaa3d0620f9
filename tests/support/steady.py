"""Streams that run through a real server whatever others do, and are exact to their ends."""

from __future__ import annotations

import itertools
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from twisted.internet.task import LoopingCall

from rtmptwist.wire.message import Message, MessageType
from tests.support.guests import Guest, Guests, visiting
from tests.support.live import headers, payloads
from tests.support.programs import (
    SAMPLES,
    Programs,
    Site,
    ffmpeg9,
    packets,
    parse_packets,
    player,
    publishing,
)
from tests.support.watchers import payloads as payloads_of

KEY, BETWEEN, SOUND = b"\x17\x01\0\0\0", b"\x27\x01\0\0\0", b"\xaf\x01"

_numbers = itertools.count()


class Steady:
    """A stream of 50 pictures and sounds a second, and its viewer."""

    def __init__(self, publisher: Guest, viewer: Guest) -> None:
        self.viewer = viewer
        self._publisher = publisher
        self._sent = [*headers()]
        self._bits = random.Random(1)
        self._loop = LoopingCall(self._tick)
        publisher.send(*self._sent)
        self._loop.start(0.02)

    def _tick(self) -> None:
        number = len(self._sent)
        time = 10 * number
        head = BETWEEN if number % 50 != 3 else KEY
        frames = [
            Message(MessageType.VIDEO, time, 0, head + self._bits.randbytes(3000)),
            Message(MessageType.AUDIO, time, 0, SOUND + self._bits.randbytes(300)),
        ]
        self._publisher.send(*frames)
        self._sent += frames

    async def more(self, count: int = 10) -> None:
        """Wait until so many further messages have arrived."""
        wanted = len(self.viewer.media) + count
        await self.viewer.until(lambda: len(self.viewer.media) >= wanted)

    async def end(self) -> None:
        """Every bit has to be there."""
        self._loop.stop()
        await self._publisher.settle()
        await self.viewer.settle()
        assert self.viewer.payloads == payloads(self._sent[1:])
        assert self.viewer.told == ["Play.PublishNotify"]


@asynccontextmanager
async def steady(
    site: Site, scheme: str = "rtmp", listener: str = "main"
) -> AsyncIterator[tuple[Steady, Guests]]:
    """A stream of our own client that runs while the block does."""
    async with visiting(site.url("", scheme, listener).rstrip("/")) as guests:
        name = f"steady{next(_numbers)}"
        viewer = await guests.play(name)
        stream = Steady(await guests.publish(name), viewer)
        await stream.more()
        yield stream, guests
        await stream.more()
        await stream.end()


@contextmanager
def steady_ffmpeg(started: Programs, site: Site) -> Iterator[None]:
    """A stream from FFmpeg to FFmpeg that runs while the block does: a file, again and again."""
    sample = SAMPLES / "h264-base-aac-25.flv"
    url = site.url("live/ffmpeg")
    watching = started.start(*player(ffmpeg9(), url))
    site.wait_for("plays live/ffmpeg ")
    sending = publishing(started, sample, url, 1.0, "-stream_loop", "-1")
    yield
    sending.process.send_signal(signal.SIGINT)
    sending.wait()
    watching.wait()
    once = payloads_of(packets(ffmpeg9(), sample))
    got = payloads_of(parse_packets(watching.output()))
    assert got.keys() == once.keys()
    for stream, theirs in got.items():
        again = itertools.islice(itertools.cycle(once[stream]), len(theirs))
        assert theirs == list(again)


def rss(site: Site) -> int:
    """Bytes of memory that the server has."""
    status = Path(f"/proc/{site.run.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024
