"""
What recording costs beside ingest, in one run: `python -m tests.bench.recording`.

Many publishers at 1 Mbit/s and no viewer, in turn to an application that records and to one that
does not; the server on one core (Linux), this program on another. CPU is the server's own by the
kernel's account.
"""

from __future__ import annotations

import argparse
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
from tests.support.programs import Site, programs, serve

APPLICATIONS = {"live": "", "recorded": "outlets = record:{folder}/{{name}}.flv\n"}


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
def crowd(site: Site, app: str, count: int, name: str) -> Iterator[list[Publisher]]:
    """So many publishers, who leave with the block."""
    with ExitStack() as stack:
        publishers = []
        for number in range(count):
            publisher = Publisher(site, app, f"{name}{number}")
            stack.callback(publisher.socket.close)
            publishers.append(publisher)
        yield publishers


def run(publishers: list[Publisher], lines: list[tuple[int, bytes]], until: float) -> None:
    """Let them publish."""
    while (now := time.monotonic()) < until:
        for publisher in publishers:
            publisher.go_on(lines, now)
        time.sleep(0.004)


def measure(site: Site, app: str, count: int, seconds: float, name: str) -> float:
    """The server's CPU in percent of a core, some seconds after files were opened."""
    lines = script(round(seconds) + 8)
    with crowd(site, app, count, name) as publishers:
        now = time.monotonic()
        for number, publisher in enumerate(publishers):
            publisher.begin(now + number / count)
        run(publishers, lines, now + 4)
        before, begin = cpu(site), time.monotonic()
        run(publishers, lines, begin + seconds)
        return 100 * (cpu(site) - before) / (time.monotonic() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--publishers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    with programs() as started:
        folder = started.file("folder")
        extra = "".join(
            f"\n[app {app}]\npublish = anyone\n{keys.format(folder=folder)}"
            for app, keys in APPLICATIONS.items()
            if app != "live"
        )
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {0})
        site = serve(started, extra, LISTENERS)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {1})
        found: dict[str, list[float]] = {}
        for number in range(wanted.rounds):
            for app in APPLICATIONS:
                used = measure(site, app, wanted.publishers, wanted.seconds, f"{number}-")
                found.setdefault(app, []).append(used)
                print(f"{app}: {used:.2f}", file=sys.stderr)
        plain, recorded = (statistics.median(found[app]) for app in APPLICATIONS)
        print(
            f"{wanted.publishers} publishers at 1 Mbit/s, medians of {wanted.rounds}:"
            f" {plain:.1f} % CPU, recorded {recorded:.1f} %: {100 * (recorded / plain - 1):+.1f} %"
        )


if __name__ == "__main__":
    main()
