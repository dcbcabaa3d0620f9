"""
What a connection costs, from accept to play and close: `python -m tests.bench.connecting`.

So many viewers come at once and go on together, step by step: handshake, connect, createStream,
play of a stream that is live. The server has one core (Linux), this program the other. What counts
is the server's own CPU for each viewer and step, by the kernel's account, and the memory that it
takes while all wait after createStream. `--profile FILE` has it make a profile by cProfile, with
which it is three times slower.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from rtmptwist.amf import amf0
from rtmptwist.wire.chunk import encode_full
from rtmptwist.wire.message import Message, MessageType
from tests.support.programs import Run, programs

CONFIGURATION = """\
[server]
state = {folder}
[listener main]
endpoint = tcp:{port}:interface=127.0.0.1:backlog=4096
serve = rtmp
[app live]
publish = anyone
play = anyone
"""

PICTURE = 4000
"Bytes of each."


def core(number: int) -> None:
    """Stay on one, where that can be said."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {number})


def said(name: str, transaction: float, *values: object, stream: int = 0) -> bytes:
    """A command."""
    payload = amf0.encode(name, transaction, *values)
    return encode_full(Message(MessageType.COMMAND, 0, stream, payload), 3, 4096)


CONNECT = said(
    "connect",
    1.0,
    {"app": "live", "flashVer": "LNX 9,0,124,2", "tcUrl": "rtmp://127.0.0.1/live"},
)
CHUNKS = encode_full(Message(MessageType.SET_CHUNK_SIZE, 0, 0, (4096).to_bytes(4)), 2, 128)

STEPS = {
    "handshake": (b"\x03" + bytes(1536), b""),
    "connect": (bytes(1536) + CHUNKS + CONNECT, b"NetConnection.Connect.Success"),
    "createStream": (said("createStream", 2.0, None), b"_result"),
    "play": (said("play", 3.0, None, "test", stream=1), b"NetStream.Play.Start"),
}
"What is said, and what is waited for; of the handshake, the 3073 bytes of S0, S1 and S2."


class Client:
    """One connection, which waits for every answer."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def hear(self, words: bytes) -> None:
        """Wait for these, or for the end of the handshake."""
        heard = b""
        while words not in heard if words else len(heard) < 3073:
            data = self.socket.recv(1 << 16)
            assert data, "the server closed the connection"
            heard += data


class Publisher(Client):
    """Of the stream that all watch."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        for name in ("handshake", "connect", "createStream"):
            words, answer = STEPS[name]
            self.socket.sendall(words)
            self.hear(answer)
        self.socket.sendall(said("publish", 3.0, None, "test", "live", stream=1))
        self.hear(b"NetStream.Publish.Start")
        body = b"\1\0\0\0" + bytes(PICTURE)
        pictures = (b"\x17\0\0\0\0" + bytes(40), b"\x17" + body, *[b"\x27" + body] * 30)
        for number, picture in enumerate(pictures):
            message = Message(MessageType.VIDEO, 33 * number, 1, picture)
            self.socket.sendall(encode_full(message, 6, 4096))


class Server:
    """Runs while it is measured."""

    def __init__(self, run: Run, port: int) -> None:
        self.run = run
        self.port = port
        self._clock = (~run.process.pid << 3) | 2  # as clock_getcpuclockid() makes it

    def wait(self) -> None:
        """Until it listens."""
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                time.sleep(0.05)
            else:
                break
        time.sleep(1)

    def rest(self) -> None:
        """Until it has nothing more to do."""
        before = -1.0
        while self.cpu - before > 0.002:
            before = self.cpu
            time.sleep(0.05)

    @property
    def cpu(self) -> float:
        """Seconds that it has used."""
        return time.clock_gettime(self._clock)

    @property
    def memory(self) -> float:
        """KB that it has in memory, the kernel's for its sockets not counted."""
        status = Path(f"/proc/{self.run.process.pid}/status").read_text()
        return float(status.partition("VmRSS:")[2].split()[0])


def storm(server: Server, count: int) -> dict[str, float]:
    """One crowd: µs a viewer for each step, and KB."""
    found: dict[str, float] = {}
    with ExitStack() as stack:
        publisher = Publisher(server.port)
        stack.callback(publisher.socket.close)
        server.rest()
        memory, before = server.memory, server.cpu

        def step(name: str) -> None:
            nonlocal before
            server.rest()
            now = server.cpu
            found[name] = (now - before) / count * 1e6
            before = now

        clients = [Client(server.port) for _ in range(count)]
        step("accept")
        for name, (words, answer) in STEPS.items():
            for client in clients:
                client.socket.sendall(words)
            for client in clients:
                client.hear(answer)
            step(name)
            if name == "createStream":
                found["KB"] = (server.memory - memory) / count
                before = server.cpu
        for client in clients:
            client.socket.close()
        step("close")
    found["to play"] = sum(found[name] for name in ("accept", *STEPS))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    with programs() as started:
        folder = started.folder()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        config = folder / "site.ini"
        config.write_text(CONFIGURATION.format(folder=folder, port=port))
        profiling: list[str | Path] = []
        if arguments.profile:
            profiling = ["--profile", arguments.profile.absolute(), "--savestats"]
        twistd = Path(sys.executable).with_name("twistd")
        core(0)
        run = started.start(
            twistd, "--nodaemon", "--pidfile=", *profiling, "rtmp", "--config", config
        )
        core(1)
        server = Server(run, port)
        server.wait()
        rows = [storm(server, arguments.count) for _ in range(arguments.rounds)]
        run.process.send_signal(signal.SIGTERM)
        run.wait()
    # the memory of the first round: later ones find that of the ones before
    print("KB", round(rows[0].pop("KB"), 2))
    for name in ("accept", *STEPS, "close", "to play"):
        values = [row[name] for row in rows]
        print(f"{name:14}{statistics.median(values):8.1f} µs  (best {min(values):.1f})")


if __name__ == "__main__":
    main()
