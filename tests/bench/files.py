"""
What playing files costs, in one run: `python -m tests.bench.files`.

Viewers of one file at 1 Mbit/s, who began together or each somewhere else, beside the same viewers
of the same file live (`merge = 0`) and of nginx-rtmp's VOD, which is left out if it is not there.
The server has one core (Linux), this program another. CPU is the server's own by the kernel's
account, for each GB that viewers received, once they have what they keep.

Then the first picture of films of two hours, alone with `--pictures`: of servers that have just
started, of files that nobody has open (dated anew, while they stay open as what they were: the
memory of those is not there to be used again), and of files that are open.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rtmptwist.media.flv import AUDIO, VIDEO, flv_header, flv_tag
from rtmptwist.wire.events import Event
from rtmptwist.wire.message import Message
from tests.bench.variants import Viewer, run, sample
from tests.support.programs import (
    SAMPLES,
    Programs,
    Site,
    ffmpeg9,
    free_port,
    looped,
    programs,
    serve,
)

KEEPS = 3000
"Milliseconds that each viewer keeps; FFmpeg's."

AAC = flv_tag(AUDIO, 0, b"\xaf\x00\x12\x10")
AVC = flv_tag(VIDEO, 0, bytes.fromhex("1700000000 0142c01effe1000467 42c01e 01000468ce3c80"))


FILMS = {
    "FLV": "flv:long",
    "MP4 in fragments": "mp4:fragments.mp4",
    "MP4, its table in front": "mp4:front.mp4",
}
"What is played of two hours, by what it is."

MOVE_FLAGS = {"fragments": "frag_keyframe+empty_moov+default_base_moof", "front": "faststart"}

STARTS = (0.0, 3600.0)


def long_film(path: Path, hours: int = 2) -> Path:
    """Sparse: large tags, of which only the ends are written."""
    with path.open("wb") as file:
        file.write(flv_header(audio=True, video=True) + AVC + AAC)
        for number in range(5 * 3600 * hours):
            head = b"\x17\x01\0\0\0" if number % 10 == 0 else b"\x27\x01\0\0\0"
            tag = flv_tag(VIDEO, number * 200, head + bytes(50_000))
            file.write(tag[:16])
            file.seek(len(tag) - 20, os.SEEK_CUR)
            file.write(tag[-4:])
            file.write(flv_tag(AUDIO, number * 200, b"\xaf\x01" + bytes(300)))
    return path


class Watching(Viewer):
    """A viewer who begins somewhere, or goes there at once."""

    def __init__(self, port: int, url: str, app: str, start: float, to: float = 0.0) -> None:
        """Seconds, both."""
        super().__init__("rtmp", port, url, app)
        self._start = start
        self._to = to
        self.asked = 0.0
        self.seen: float | None = None
        "When it had all of a key frame."

    def _play(self, name: str) -> None:
        self._session.play(self._stream_id, name, self._start)
        self._session.set_buffer_length(self._stream_id, KEEPS)
        if self._to:
            self._session.seek(self._stream_id, self._to * 1000)
        self.asked = time.monotonic()

    def _heard(self, event: Event, name: str | None) -> None:
        if isinstance(event, Message) and event.payload[:2] == b"\x17\x01" and self.seen is None:
            self.seen = time.monotonic()
        super()._heard(event, name)

    def look(self, name: str) -> float:
        """Milliseconds from `play` to the first picture."""
        self.begin(name)
        self.socket.setblocking(True)
        while self.seen is None:
            for event in self._session.receive(self._receive()):
                self._heard(event, name)
        self.socket.close()
        return (self.seen - self.asked) * 1000


@contextmanager
def crowd(
    port: int, app: str, name: str, starts: list[tuple[float, float]]
) -> Iterator[list[Viewer]]:
    """Viewers who leave with the block: where each begins, and where it goes."""
    with ExitStack() as stack:
        viewers: list[Viewer] = []
        for start, to in starts:
            viewer = Watching(port, f"rtmp://127.0.0.1:{port}/{app}", app, start, to)
            stack.callback(viewer.socket.close)
            viewer.begin(name)
            viewers.append(viewer)
        yield viewers


def cpu(process: int) -> float:
    """Seconds that a process has used, in all of its threads."""
    tasks = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def measure(process: int, viewers: list[Viewer], seconds: float) -> tuple[float, float]:
    """Seconds of CPU for each GB, and Mbit/s of each viewer."""
    run(viewers, KEEPS / 1000 + 1)
    for viewer in viewers:
        viewer.bytes = 0
    before, begin = cpu(process), time.monotonic()
    run(viewers, seconds)
    used, passed = cpu(process) - before, time.monotonic() - begin
    size = sum(viewer.bytes for viewer in viewers)
    return used / size * 1e9, size * 8 / passed / len(viewers) / 1e6


def nginx(started: Programs, folder: Path) -> tuple[int, int]:
    """Start nginx-rtmp with the same folder; its port, and its worker's process."""
    port = free_port()
    config = started.file("conf")
    module = next(
        (f"load_module {path};" for path in Path("/").glob("usr/lib/nginx/modules/*rtmp*.so")), ""
    )
    config.write_text(
        f"{module} daemon off; worker_processes 1; pid {config}.pid; error_log {config}.log;"
        f" user root; events {{ worker_connections 4096; }} rtmp {{ access_log off; server {{"
        f" listen 127.0.0.1:{port}; application vod {{ play {folder}; }} }} }}"
    )
    parent = started.start(str(shutil.which("nginx")), "-c", config).process.pid
    while True:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        if children:
            return port, int(children[0])
        time.sleep(0.1)


def long_films(folder: Path) -> None:
    """Of two hours: 30 pictures and 47 frames of sound in a second, with B-frames and edits."""
    long_film(folder / "long.flv")
    for name, flags in MOVE_FLAGS.items():
        command = (
            f"{ffmpeg9()} -v error -nostdin -stream_loop 719 -i {SAMPLES / 'h264-b-aac.flv'}"
            f" -c copy -movflags {flags} {folder / name}.mp4"
        )
        subprocess.run(command.split(), check=True)


def first_pictures(folder: Path, rounds: int) -> None:
    """Print how long it takes from `play` to a picture."""
    kinds = [(film, start) for film in FILMS for start in STARTS]
    first: dict[tuple[str, float], list[float]] = {kind: [] for kind in kinds}
    anew: dict[tuple[str, float], list[float]] = {kind: [] for kind in kinds}
    opened: dict[tuple[str, float], list[float]] = {kind: [] for kind in kinds}

    def look(site: Site, film: str, start: float) -> float:
        return Watching(site.ports["main"], site.url("live"), "live", start).look(FILMS[film])

    for _ in range(rounds):
        for film, start in kinds:
            with programs() as started:
                site = serve(started, f"files = {folder}\n")
                time.sleep(1)  # it loads PyAV
                first[film, start].append(look(site, film, start))
                for _ in range(3):
                    for file in folder.iterdir():
                        os.utime(file)
                    anew[film, start].append(look(site, film, start))
                    opened[film, start].append(look(site, film, start))
            print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    print("ms to the first picture of two hours, median and worst:")
    print(f"{'':34}{'the very first':>18}{'opened anew':>18}{'while open':>18}")
    for film, start in kinds:
        line = f"{film:24}{start:8.0f} s"
        for found in (first, anew, opened):
            figures = found[film, start]
            line += f"{statistics.median(figures):11.1f}{max(figures):7.1f}"
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", action="store_true", help="only the first pictures")
    wanted = parser.parse_args()
    if not wanted.pictures:
        compare(wanted.viewers, wanted.seconds, wanted.rounds)
    with programs() as started:
        folder = started.folder()
        long_films(folder)
        first_pictures(folder, wanted.rounds)


def compare(viewers: int, seconds: float, rounds: int) -> None:
    """Print what viewers of files cost."""
    with programs() as started:
        folder = started.folder()
        folder.chmod(0o755)
        looped(sample(started), folder / "show.flv", 12)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {0})
        site = serve(started, f"merge = 0\nfiles = {folder}\n")
        other = nginx(started, folder) if shutil.which("nginx") else None
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {1})
        send = ("-re", "-stream_loop", "-1", "-i", folder / "show.flv", "-c", "copy", "-f", "flv")
        started.start(ffmpeg9(), "-v", "error", *send, site.url("live/now"))
        site.wait_for("publishes live/now")
        port, process = site.ports["main"], site.run.process.pid
        together = [(-2.0, 0.0)] * viewers
        apart = [(-2.0, 0.4 * number) for number in range(viewers)]
        # whose timestamps are their own, so that nothing can be shared
        offsets = [(0.4 * number, 0.0) for number in range(viewers)]
        ways = {
            "live": (port, process, "live", "now", together),
            "a file, together": (port, process, "live", "show", together),
            "a file, apart": (port, process, "live", "show", apart),
            "a file, from offsets": (port, process, "live", "show", offsets),
        }
        if other is not None:
            ways["nginx-rtmp, together"] = (*other, "vod", "show.flv", together)
            ways["nginx-rtmp, apart"] = (*other, "vod", "show.flv", apart)
        found: dict[str, list[tuple[float, float]]] = {}
        for _ in range(rounds):
            for way, (door, server, app, name, starts) in ways.items():
                with crowd(door, app, name, starts) as watching:
                    found.setdefault(way, []).append(measure(server, watching, seconds))
                print(".", end="", flush=True, file=sys.stderr)
        print(file=sys.stderr)
        print(f"{viewers} viewers, medians of {rounds}")
        live = statistics.median(used for used, _ in found["live"])
        for way, figures in found.items():
            used = statistics.median(used for used, _ in figures)
            rate = statistics.median(rate for _, rate in figures)
            print(f"{way:22}{used:7.2f} s/GB{used / live:7.2f} x{rate:7.2f} Mbit/s for each")


if __name__ == "__main__":
    main()
