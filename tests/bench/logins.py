"""
What wrong logins do to a stream that runs: `python -m tests.bench.logins --rate 1000`.

A publisher sends a small picture a hundred times a second, a viewer notes how late each comes.
Phases without and with an attack take turns: so many connections a second, each with a wrong
password in its URL, all from one address. The server has one core (Linux); the attack, which is a
process of its own, and this program share the other. What counts is the 99th percentile of the
lateness under attack against that without.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater

from rtmptwist.amf import amf0
from rtmptwist.net.client import connect
from rtmptwist.wire.chunk import encode_full
from rtmptwist.wire.message import Message, MessageType
from tests.support.logins import password_file, user
from tests.support.programs import Site, programs, serve

reactor: Any = _reactor

EVERY = 0.01
"Seconds between two pictures."

SIZE = 1000
"Bytes of a picture."

APPLICATION = """\
publish = anyone
play = anyone
grace = 0
logins = file:{folder}/passwd
"""
"A wrong login is refused where anyone may come, too."

LISTENER = """
[listener main]
endpoint = tcp:0:interface=127.0.0.1:backlog=1024
[limits]
trusted = none
connections_per_address = 10000
"""

WRONG = "live?user=anna&password=wrong"

TICKS = os.sysconf("SC_CLK_TCK")


def core(number: int) -> None:
    """Stay on one, where that can be said."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {number})


# ---- the attack


def knock(app: str) -> bytes:
    """A handshake without waiting for the other side of it, and a connect."""
    properties = {"app": app, "type": "nonprivate", "tcUrl": f"rtmp://127.0.0.1/{app}"}
    payload = amf0.encode("connect", 1.0, properties)
    command = Message(MessageType.COMMAND, 0, 0, payload)
    return b"\x03" + bytes(2 * 1536) + encode_full(command, 3, 128)


class Attacker:
    """One connection: it says everything at once, and listens until it is sent away."""

    def __init__(self, port: int, said: bytes) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", port))
        self._said = said

    def step(self) -> bool:
        """Go on; False at the end."""
        try:
            if self._said:
                self._said = self._said[self.socket.send(self._said) :]
                return True
            return bool(self.socket.recv(1 << 16))
        except BlockingIOError:
            return True
        except OSError:
            return False


def attack(port: int, rate: float, seconds: float) -> float:
    """Log in wrongly, so many times a second; how many times it was."""
    said, done, begun = knock(WRONG), 0, 0
    poll = select.epoll()
    waiting: dict[int, Attacker] = {}
    began = time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        while begun < now * rate and len(waiting) < 1000:
            begun += 1
            each = Attacker(port, said)
            waiting[each.socket.fileno()] = each
            poll.register(each.socket, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        for number, _ in poll.poll(0.001):
            each = waiting[number]
            if not each.step():
                del waiting[number]
                each.socket.close()
                done += 1
    return done / seconds


# ---- the stream


class Probe:
    """A publisher and a viewer in this process, on one clock."""

    def __init__(self) -> None:
        self.late: list[float] = []
        "Milliseconds."

    async def begin(self, url: str) -> None:
        publisher, viewer = await connect(reactor, url), await connect(reactor, url)
        self._out = await publisher.create_stream()
        watching = await viewer.create_stream()
        watching.on_message = self._came
        await self._out.publish("probe")
        await watching.play("probe")
        self._loop = LoopingCall(self._send)
        self._loop.start(EVERY)

    def _send(self) -> None:
        stamp = f"{time.perf_counter():020.9f}".encode()
        timestamp = int(time.monotonic() * 1000) & 0x7FFFFFFF
        payload = b"\x27\x01\0\0\0" + stamp + bytes(SIZE)
        self._out.send(Message(MessageType.VIDEO, timestamp, self._out.stream_id, payload))

    def _came(self, message: Message) -> None:
        if message.type == MessageType.VIDEO and message.payload[:2] == b"\x27\x01":
            self.late.append(1000 * (time.perf_counter() - float(message.payload[5:25])))

    async def measure(self, seconds: float) -> dict[str, float]:
        """Percentiles of so many seconds."""
        self.late = []
        await deferLater(reactor, seconds)
        found = statistics.quantiles(self.late, n=1000)
        return {"p50": found[499], "p99": found[989], "p99.9": found[998], "max": max(self.late)}


def cpu(site: Site) -> float:
    """Seconds of processor that the server took."""
    fields = Path(f"/proc/{site.run.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def attacker(site: Site, arguments: argparse.Namespace) -> subprocess.Popen[bytes]:
    """The attack, which begins before it counts and ends after."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.bench.logins", "--attack", str(site.ports["main"])),
            *("--rate", str(arguments.rate), "--seconds", str(arguments.seconds + 3)),
        ],
        stdout=subprocess.PIPE,
    )


async def compare(site: Site, arguments: argparse.Namespace) -> None:
    """Measure, and print."""
    probe = Probe()
    await probe.begin(site.url("live"))
    await deferLater(reactor, 1)
    rows: dict[str, list[dict[str, float]]] = {"quiet": [], "attacked": []}
    for _ in range(arguments.rounds):
        for phase, found in rows.items():
            attacking = None
            if phase == "attacked":
                attacking = attacker(site, arguments)
                await deferLater(reactor, 2)
            before, began = cpu(site), time.monotonic()
            row = await probe.measure(arguments.seconds)
            row["cpu %"] = 100 * (cpu(site) - before) / (time.monotonic() - began)
            if attacking is not None and attacking.stdout is not None:
                while attacking.poll() is None:
                    await deferLater(reactor, 0.05)
                row["a second"] = float(attacking.stdout.read())
            found.append(row)
            print(phase, {key: round(value, 2) for key, value in row.items()}, flush=True)
    for name, choose in (("median", statistics.median), ("best", min)):
        quiet, attacked = (choose([row["p99"] for row in found]) for found in rows.values())
        print(f"{name} p99: {quiet:.2f} and {attacked:.2f} ms, {attacked / quiet:.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--attack", type=int, metavar="PORT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    core(1)
    if arguments.attack:
        os.nice(10)  # or it would delay whoever measures
        print(attack(arguments.attack, arguments.rate, arguments.seconds))
        return
    with programs() as started, tempfile.TemporaryDirectory() as name:
        password_file(Path(name) / "passwd", user("anna"))
        core(0)
        site = serve(started, APPLICATION.format(folder=name), LISTENER)
        core(1)
        done = Deferred.fromCoroutine(compare(site, arguments))
        done.addErrback(lambda failure: failure.printTraceback())
        done.addBoth(lambda _: reactor.stop())
        reactor.run()


if __name__ == "__main__":
    main()
