"""
What recording costs beside ingest, in one run: `python -m tests.bench.recording`.

Many publishers at 1 Mbit/s and no viewer, at a server that records and at one that does not, at the
same time: what else the machine does falls on both alike. They share one core (Linux), this program
has another. CPU is each server's own by the kernel's account.

Beside it stands the floor: a bare loop that writes as many bytes, a second at once, to as many
files on the same disk. A virtual machine pays dearly, on behalf of whoever writes, for memory that
it has never used, so some is used before.
"""

from __future__ import annotations

import argparse
import mmap
import os
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rtmptwist.wire.chunk import append_full
from rtmptwist.wire.client import CHUNK_SIZE, ClientSession
from rtmptwist.wire.events import Handshaken, Result, StatusChange
from rtmptwist.wire.message import Message, MessageType
from tests.bench.variants import LISTENERS
from tests.support.live import aac_header, avc_header, metadata, video
from tests.support.programs import AT_ONCE, Site, programs, serve


def script(seconds: int) -> list[tuple[int, bytes]]:
    """What a publisher sends and when, in milliseconds: 30 pictures and 47 sounds a second."""
    found = [(0, message) for message in (metadata(), avc_header(), aac_header())]
    found += [
        (
            n * 1000 // 30,
            video(n * 1000 // 30, key=n % 60 == 0, size=24_000 if n % 60 == 0 else 3500),
        )
        for n in range(30 * seconds)
    ]
    sound = b"\xaf\x01" + bytes(170)
    found += [
        (time, Message(MessageType.AUDIO, time, 1, sound))
        for time in (n * 1024 // 48 for n in range(47 * seconds))
    ]
    encoded = []
    for when, message in sorted(found, key=lambda pair: pair[0]):
        parts: list[bytes | memoryview] = []
        append_full(parts, message, 4 if message.type == MessageType.AUDIO else 6, CHUNK_SIZE, 1)
        encoded.append((when, b"".join(parts)))
    return encoded


def cpu(site: Site) -> float:
    """Seconds that the server has used, in all of its threads."""
    tasks = Path(f"/proc/{site.run.process.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


class Publisher:
    """Sends what the script says."""

    def __init__(self, site: Site, app: str, name: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", site.ports["main"]), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = ClientSession(random=os.urandom)
        ready = False
        while not ready:
            self.socket.sendall(session.data_to_send())
            for event in session.receive(self.socket.recv(1 << 16)):
                match event:
                    case Handshaken():
                        session.connect(app, site.url(app))
                        session.create_stream()
                    case Result(values=(float(), *_)):
                        session.publish(1, name)
                    case StatusChange():
                        ready = True
        self.socket.sendall(session.data_to_send())
        self._next = 0
        self._begin = 0.0

    def begin(self, at: float) -> None:
        """Start the clock."""
        self._begin = at

    def go_on(self, lines: list[tuple[int, bytes]], now: float) -> None:
        """Send what is due, message by message, as encoders do."""
        due = (now - self._begin) * 1000
        while self._next < len(lines) and lines[self._next][0] <= due:
            self.socket.sendall(lines[self._next][1])
            self._next += 1


@contextmanager
def crowd(site: Site, count: int) -> Iterator[list[Publisher]]:
    """So many publishers, who leave with the block."""
    with ExitStack() as stack:
        publishers = []
        for number in range(count):
            publisher = Publisher(site, "live", f"p{number}")
            stack.callback(publisher.socket.close)
            publishers.append(publisher)
        yield publishers


def run(publishers: list[Publisher], lines: list[tuple[int, bytes]], until: float) -> None:
    """Let them publish."""
    while (now := time.monotonic()) < until:
        for publisher in publishers:
            publisher.go_on(lines, now)
        time.sleep(0.004)


def warm(size: int = 2 << 30) -> None:
    """Have the machine use memory that files will lie in."""
    with mmap.mmap(-1, size) as memory:
        for page in range(0, size, mmap.PAGESIZE):
            memory[page] = 1


def floor(folder: Path, count: int, size: int, rounds: int = 10) -> float:
    """CPU in percent of a core for so many bytes a second into so many files."""
    data = [os.urandom(size) for _ in range(count)]
    used = []
    with ExitStack() as stack:
        files = [
            stack.enter_context((folder / f"{number}").open("wb", buffering=0))
            for number in range(count)
        ]
        for _ in range(rounds):
            before = time.thread_time()
            for file, second in zip(files, data, strict=True):
                os.write(file.fileno(), second)
            used.append(time.thread_time() - before)
    return 100 * statistics.median(used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--publishers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    warm()
    with programs() as started:
        folder = started.file("folder")
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {0})
        sites = [
            serve(started, AT_ONCE + keys, LISTENERS)
            for keys in ("", f"outlets = record:{folder}/{{name}}.flv\n")
        ]
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {1})
        lines = script(round(wanted.seconds * wanted.rounds) + 8)
        with crowd(sites[0], wanted.publishers) as one, crowd(sites[1], wanted.publishers) as two:
            now = time.monotonic()
            for number, pair in enumerate(zip(one, two, strict=True)):
                for publisher in pair:
                    publisher.begin(now + number / wanted.publishers)
            run([*one, *two], lines, now + 4)  # files are open by then
            found = []
            for _ in range(wanted.rounds):
                begin, before = time.monotonic(), [cpu(site) for site in sites]
                run([*one, *two], lines, begin + wanted.seconds)
                seconds = time.monotonic() - begin
                used = [
                    100 * (cpu(site) - earlier) / seconds
                    for site, earlier in zip(sites, before, strict=True)
                ]
                found.append(used)
                print(f"{used[0]:.2f} % CPU, recorded {used[1]:.2f} %", file=sys.stderr)
        least = floor(
            folder, wanted.publishers, sum(len(data) for when, data in lines if when < 1000)
        )
        plain, recorded = (statistics.median(used) for used in zip(*found, strict=True))
        print(
            f"{wanted.publishers} publishers at 1 Mbit/s, medians of {wanted.rounds}:"
            f" {plain:.2f} % CPU, recorded {recorded:.2f} %: {100 * (recorded / plain - 1):+.1f} %"
            f" (a bare loop that writes as much: {100 * least / plain:.1f} %)"
        )


if __name__ == "__main__":
    main()
