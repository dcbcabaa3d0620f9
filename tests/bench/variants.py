"""
What each variant costs beside plain RTMP, in one run: `python -m tests.bench.variants`.

One publisher at 1 Mbit/s, viewers by each variant in turn, several rounds; the server on one core
(Linux), this program on another. CPU is the server's own by the kernel's account. Viewers of a
tunnel poll as librtmp does: an answer read, the next request made.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import socket
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rtmptwist.wire.client import ClientSession
from rtmptwist.wire.events import Event, Handshaken, Result, StatusChange
from rtmptwist.wire.handshake import ClientHandshake, HandshakeKind
from tests.support.programs import Programs, Site, ffmpeg9, programs, serve

VARIANTS = ("rtmp", "rtmps", "rtmpe", "rtmpt", "rtmpte", "rtmpts")
APPLICATIONS = {"live": "merge = 0", "gathered": "merge = 100 ms"}

LISTENERS = """
[listener main]
endpoint = tcp:0:interface=127.0.0.1:backlog=1024
serve = rtmp, rtmpe, rtmpt, rtmpte
[listener secure]
endpoint = tcp:0:backlog=1024:interface=127.0.0.1
serve = rtmps, rtmpts
[limits]
tunnels_per_address = 10000
"""

TICKS = os.sysconf("SC_CLK_TCK")
_LENGTH = re.compile(rb"Content-Length: (\d+)")


class Viewer:
    """One viewer, whose media is dropped as it comes."""

    def __init__(self, variant: str, port: int, url: str, app: str) -> None:
        self.tunnelled = variant.startswith("rtmpt")
        self._url, self._app = url, app
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if variant in ("rtmps", "rtmpts"):
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        kind = HandshakeKind.RTMPE if variant in ("rtmpe", "rtmpte") else HandshakeKind.DIGEST
        self._session = ClientSession(
            random=os.urandom, handshake=ClientHandshake(kind, random=os.urandom)
        )
        self._encrypt: Callable[[bytes], bytes] = bytes
        self._id = ""
        self._number = 0
        self._input = b""
        self._output = b""
        self._stream_id = 0
        self._ready = False
        self.bytes = 0
        "Received since it plays."
        self.answers = 0

    def begin(self, name: str | None) -> None:
        """Play, or with no name only make a NetStream, and be idle."""
        if self.tunnelled:
            self._post("/open/1", b"\x00")
            self._id = self._answer().decode().strip()
        while not self._ready:
            self._send()
            for event in self._session.receive(self._receive()):
                self._heard(event, name)
        self._send()
        self.socket.setblocking(False)

    def _heard(self, event: Event, name: str | None) -> None:
        session = self._session
        if isinstance(event, Handshaken):
            self._output += session.data_to_send()
            if event.ciphers is not None:
                self._encrypt = event.ciphers.encrypt
            session.connect(self._app, self._url)
            session.create_stream()
        elif isinstance(event, Result) and event.values and isinstance(event.values[0], float):
            self._stream_id = int(event.values[0])
            if name is None:
                self._ready = True
            else:
                self._play(name)
        elif isinstance(event, StatusChange) and str(event.info.get("code")).endswith("Play.Start"):
            self._ready = True

    def _play(self, name: str) -> None:
        self._session.play(self._stream_id, name)

    def _send(self) -> None:
        data = self._output + self._encrypt(self._session.data_to_send())
        self._output = b""
        if self.tunnelled:
            self._poll(data or b"\x00", "send" if data else "idle")
        elif data:
            self.socket.sendall(data)

    def _receive(self) -> bytes:
        return self._answer()[1:] if self.tunnelled else self.socket.recv(1 << 17)

    def _poll(self, body: bytes, kind: str = "idle") -> None:
        self._post(f"/{kind}/{self._id}/{self._number}", body)
        self._number += 1

    def _post(self, path: str, body: bytes) -> None:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n"
            "User-Agent: Shockwave Flash\r\nConnection: Keep-Alive\r\nCache-Control: no-cache\r\n"
            f"Content-Type: application/x-fcs\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.socket.sendall(head.encode() + body)

    def _answer(self) -> bytes:
        while (answer := self._whole()) is None:
            data = self.socket.recv(1 << 17)
            assert data, "the server closed the connection"
            self._input += data
        return answer

    def _whole(self) -> bytes | None:
        """The next answer, if all of it is there."""
        end = self._input.find(b"\r\n\r\n") + 4
        length = _LENGTH.search(self._input, 0, end) if end > 3 else None
        if length is None or len(self._input) < end + int(length[1]):
            return None
        answer = self._input[end : end + int(length[1])]
        self._input = self._input[end + int(length[1]) :]
        return answer

    def readable(self) -> None:
        """Take what is there; through a tunnel, ask for more."""
        try:
            data = self.socket.recv(1 << 17)
        except ssl.SSLWantReadError:
            return
        assert data, "the server closed the connection"
        self.bytes += len(data)
        if self.tunnelled:
            self._input += data
            while self._whole() is not None:
                self.answers += 1
                self._poll(b"\x00")


@contextmanager
def crowd(
    site: Site, variant: str, app: str, name: str | None, count: int
) -> Iterator[list[Viewer]]:
    """So many viewers, who leave with the block."""
    listener = "secure" if variant in ("rtmps", "rtmpts") else "main"
    url = site.url(app, variant, listener)
    viewers: list[Viewer] = []
    with ExitStack() as stack:
        for _ in range(count):
            viewer = Viewer(variant, site.ports[listener], url, app)
            stack.callback(viewer.socket.close)
            viewer.begin(name)
            viewers.append(viewer)
        yield viewers


def run(viewers: list[Viewer], seconds: float) -> None:
    """Let them watch."""
    poll = select.epoll()
    by_number = {viewer.socket.fileno(): viewer for viewer in viewers}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for number, _ in poll.poll(0.05):
            by_number[number].readable()
    poll.close()


def cpu(site: Site) -> float:
    """Seconds that the server has used."""
    stat = Path(f"/proc/{site.run.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / TICKS


def memory(site: Site) -> float:
    """KB that the server has in memory, its buffers for sockets not counted."""
    status = Path(f"/proc/{site.run.process.pid}/status").read_text()
    return float(status.partition("VmRSS:")[2].split()[0])


def sample(started: Programs) -> Path:
    """30 pictures a second and sound, 1 Mbit/s."""
    path = started.file("flv")
    picture = "testsrc2=size=320x180:rate=30"
    coding = "-profile:v baseline -preset veryfast -tune zerolatency -g 60 -b:v 1000k"
    steady = "-minrate 1000k -maxrate 1000k -bufsize 250k -x264-params nal-hrd=cbr"
    command = (
        f"{ffmpeg9()} -v error -f lavfi -i {picture} -f lavfi -i sine=sample_rate=48000 -t 10"
        f" -pix_fmt yuv420p -c:v libx264 {coding} {steady} -c:a aac -b:a 64k -f flv {path}"
    )
    subprocess.run(command.split(), check=True)
    return path


def measure(site: Site, variant: str, app: str, count: int, seconds: float) -> tuple[float, float]:
    """The server's CPU in percent of a core, and answers a second for each viewer."""
    with crowd(site, variant, app, "show", count) as viewers:
        run(viewers, 2)
        for viewer in viewers:
            viewer.bytes = viewer.answers = 0
        before, begin = cpu(site), time.monotonic()
        run(viewers, seconds)
        passed = time.monotonic() - begin
        rate = sum(viewer.bytes for viewer in viewers) * 8 / passed / count
        assert 0.9e6 < rate < 1.4e6, f"{variant}: {rate:.0f} bit/s for each viewer"
        answers = sum(viewer.answers for viewer in viewers) / passed / count
        return 100 * (cpu(site) - before) / passed, answers


def idle(site: Site, variant: str, count: int) -> float:
    """KB for each session that does nothing; of two crowds the second, to leave caches out."""
    before = memory(site)
    with crowd(site, variant, "live", None, count):
        after = memory(site)
    return (after - before) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--viewers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle", type=int, default=200, help="sessions; 0: do not measure")
    wanted = parser.parse_args()
    extra = "\n[app gathered]\npublish = anyone\nmerge = 100ms\n"
    with programs() as started:
        source = sample(started)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {0})
        site = serve(started, extra, LISTENERS)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {1})
        for app in APPLICATIONS:
            forever = ("-re", "-stream_loop", "-1", "-i", source, "-c", "copy", "-f", "flv")
            started.start(ffmpeg9(), "-v", "error", *forever, site.url(f"{app}/show"))
            site.wait_for(f"publishes {app}/show")
        found: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for _ in range(wanted.rounds):
            for app in APPLICATIONS:
                for variant in VARIANTS:
                    figures = measure(site, variant, app, wanted.viewers, wanted.seconds)
                    found.setdefault((app, variant), []).append(figures)
                    print(".", end="", flush=True, file=sys.stderr)
        print(file=sys.stderr)
        print(f"{wanted.viewers} viewers at 1 Mbit/s, medians of {wanted.rounds}")
        print(f"{'variant':8}" + "".join(f"{words:>38}" for words in APPLICATIONS.values()))
        for variant in VARIANTS:
            line = f"{variant:8}"
            for app in APPLICATIONS:
                used = statistics.median(figure for figure, _ in found[app, variant])
                plain = statistics.median(figure for figure, _ in found[app, "rtmp"])
                asked = statistics.median(answers for _, answers in found[app, variant])
                line += f"{used:9.1f} % CPU {used / plain:6.2f} x {asked:6.1f} req/s"
            print(line)
    if wanted.idle:
        print(f"KB for each of {wanted.idle} idle sessions (a server of its own for each variant)")
        for variant in VARIANTS:
            with programs() as started:
                print(
                    f"{variant:8}{idle(serve(started, '', LISTENERS), variant, wanted.idle):8.1f}"
                )


if __name__ == "__main__":
    main()
