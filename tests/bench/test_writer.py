"""
What one batch for one viewer costs: the bare `send`, our writer, Twisted's transport.

Each round writes to a socket of its own on loopback and reads at the other end, in this process:
the reading costs the same in all three, the differences are what counts.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from twisted.internet import reactor as global_reactor
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection

from rtmptwist.net.writer import writer_for

ROUNDS = 400


class Viewer:
    """A connection, and its other end that reads at once."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.end = socket.create_connection(listener.getsockname())
            accepted, _ = listener.accept()
        reactor: Any = global_reactor
        self.transport = Connection(accepted, Protocol(), reactor)
        self.transport.connected = 1
        self.room = bytearray(1 << 20)

    def read(self, size: int) -> None:
        while size:
            size -= self.end.recv_into(self.room)

    def close(self) -> None:
        self.transport.stopWriting()
        self.transport.getHandle().close()
        self.end.close()


@pytest.fixture
def viewer() -> Iterator[Viewer]:
    viewer = Viewer()
    yield viewer
    viewer.close()


def bare(viewer: Viewer) -> Callable[[bytes], object]:
    send = viewer.transport.getHandle().send
    viewer.transport.setTcpNoDelay(True)
    return send


def ours(viewer: Viewer) -> Callable[[bytes], object]:
    return writer_for(viewer.transport).write


def twisted(viewer: Viewer) -> Callable[[bytes], object]:
    """Without the reactor's own turn, which comes on top."""
    transport = viewer.transport
    transport.setTcpNoDelay(True)

    def write(data: bytes) -> None:
        transport.write(data)
        transport.doWrite()

    return write


@pytest.mark.parametrize("size", [5_000, 20_800])
@pytest.mark.parametrize("kind", [bare, ours, twisted])
def test_write(
    benchmark: BenchmarkFixture,
    viewer: Viewer,
    kind: Callable[[Viewer], Callable[[bytes], object]],
    size: int,
) -> None:
    """One immutable batch, as the fan-out writes it."""
    benchmark.group = f"write {size} bytes"
    write = kind(viewer)
    batch = bytes(size)

    def write_and_read() -> None:
        write(batch)
        viewer.read(size)

    untyped: Any = benchmark
    untyped.pedantic(write_and_read, rounds=ROUNDS, iterations=5, warmup_rounds=20)
