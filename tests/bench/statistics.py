"""
What it costs to be watched by operators: `python -m tests.bench.statistics`.

A thousand connections, a fifth of them viewers of one stream, the others idle. `/metrics` and the
API's first page of connections are asked for each second, or not, in turns; a publisher sends
pictures with their time in them, and one viewer measures how late they come. The server has one
core (Linux), this program the other. What counts: the time for which the server's loop is busy with
an answer (50 ms at most; by its own CPU, nobody else there), and the 99th percentile of the delays
with and without the questions (less than 1.5 times).
"""

from __future__ import annotations

import argparse
import http.client
import socket
import statistics
import sys
import threading
import time
from contextlib import ExitStack, suppress

from rtmptwist.wire.chunk import ChunkDecoder, encode_full
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message, MessageType
from tests.bench.connecting import STEPS, Client, Publisher, Server, core
from tests.support.programs import programs

CONFIGURATION = """\
[server]
state = {folder}
[limits]
connections = 5000
connections_per_address = 5000
[listener main]
endpoint = tcp:{port}:interface=127.0.0.1:backlog=4096
serve = rtmp
[listener admin]
endpoint = tcp:{admin}:interface=127.0.0.1
serve = http
api = loopback
[app live]
publish = anyone
play = anyone
grace = 0
"""

PATHS = ("/metrics", "/api/v1/connections?limit=500", "/api/v1/connections")
RATE = 30
"Pictures in a second."


def viewer(port: int, *, plays: bool) -> Client:
    """A connection, which plays or only stands there."""
    client = Client(port)
    for name, (words, answer) in STEPS.items():
        if name != "play" or plays:
            client.socket.sendall(words)
            client.hear(answer)
    return client


class Delays(threading.Thread):
    """Measures how late pictures come."""

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self._client = client
        self.found: list[float] = []
        self.ready = threading.Event()

    def run(self) -> None:
        self._client.socket.setblocking(False)
        with suppress(BlockingIOError):  # what came before begins somewhere in a message
            while self._client.socket.recv(1 << 16):
                pass
        self._client.socket.setblocking(True)
        self.ready.set()
        decoder = ChunkDecoder(Limits())
        decoder.chunk_size = 65536
        while data := self._client.socket.recv(1 << 16):
            for message in decoder.feed(data):
                if message.type == MessageType.VIDEO and message.payload[5:13].strip(b"\0"):
                    sent = int.from_bytes(message.payload[5:13]) / 1e9
                    self.found.append((time.monotonic() - sent) * 1000)


class Drain(threading.Thread):
    """Reads for all others."""

    def __init__(self, clients: list[Client]) -> None:
        super().__init__(daemon=True)
        self._clients = clients
        self.enough = False

    def run(self) -> None:
        for client in self._clients:
            client.socket.setblocking(False)
        while not self.enough:
            for client in self._clients:
                with suppress(BlockingIOError):
                    client.socket.recv(1 << 18)
            time.sleep(0.5)


def send(publisher: Publisher, seconds: float) -> None:
    """Pictures with their time in them."""
    number = 32
    end = due = time.monotonic()
    end += seconds
    while due < end:
        stamp = time.monotonic_ns().to_bytes(8)
        key = b"\x17" if number % RATE == 0 else b"\x27"
        picture = Message(
            MessageType.VIDEO, 33 * number, 1, key + b"\1\0\0\0" + stamp + bytes(2000)
        )
        publisher.socket.sendall(encode_full(picture, 6, 4096))
        number += 1
        due += 1 / RATE
        time.sleep(max(0.0, due - time.monotonic()))


def ask(port: int, path: str) -> int:
    """One answer; how long it is."""
    wire = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    wire.request("GET", path)
    answer = wire.getresponse()
    assert answer.status == 200, path
    size = len(answer.read())
    wire.close()
    return size


class Polls(threading.Thread):
    """Asks each second."""

    def __init__(self, port: int, seconds: float) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._end = time.monotonic() + seconds

    def run(self) -> None:
        while time.monotonic() < self._end:
            for path in ("/metrics", "/api/v1/connections"):
                ask(self._port, path)
            time.sleep(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with programs() as started, ExitStack() as stack:
        folder = started.folder()
        ports = []
        for _ in range(2):
            free = socket.create_server(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
            free.close()
        port, admin = ports
        config = folder / "site.ini"
        config.write_text(CONFIGURATION.format(folder=folder, port=port, admin=admin))
        twistd = started_by(sys.executable)
        core(0)
        run = started.start(twistd, "--nodaemon", "--pidfile=", "rtmp", "--config", config)
        core(1)
        server = Server(run, port)
        server.wait()
        publisher = Publisher(port)
        watched = viewer(port, plays=True)
        others = [viewer(port, plays=n % 5 == 0) for n in range(arguments.count - 2)]
        for client in (publisher, watched, *others):
            stack.callback(client.socket.close)
        server.rest()
        for path in PATHS:
            spent = []
            for _ in range(5):
                before = server.cpu
                size = ask(admin, path)
                server.rest()
                spent.append((server.cpu - before) * 1000)
            print(f"{path:32}{statistics.median(spent):7.1f} ms of CPU, {size} bytes")
        drain, delays = Drain(others[::5]), Delays(watched)
        drain.start()
        delays.start()
        delays.ready.wait()
        rows: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(arguments.rounds):
            for polled in rows:
                delays.found.clear()
                polls = Polls(admin, arguments.seconds if polled else 0)
                polls.start()
                send(publisher, arguments.seconds)
                polls.join()
                rows[polled].append(statistics.quantiles(delays.found, n=100)[98])
        drain.enough = True
        drain.join()
        quiet, watched_by = (statistics.median(rows[polled]) for polled in rows)
        print(
            f"p99 {quiet:.2f} ms, while asked {watched_by:.2f} ms: {watched_by / quiet:.2f} times"
        )


def started_by(python: str) -> str:
    """Twisted's program beside it."""
    return python.rpartition("/")[0] + "/twistd"


if __name__ == "__main__":
    main()
