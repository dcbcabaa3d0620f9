"""Events over real sockets: a client that never reads."""

from __future__ import annotations

import socket

import pytest

from rtmptwist.live.journal import EventKind
from tests.support.guests import eventually, serving
from tests.support.logs import Logs
from tests.support.reactor import reactor_test

REQUEST = b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
EVENTS = 1000
WORDS = "x" * 10_000
"Ten megabytes in all: more than the kernel takes for anybody."


@reactor_test
async def test_a_thousand_events_and_a_client_that_never_reads(
    monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    monkeypatch.setattr("rtmptwist.web.broadcast.STALL", 0.5)
    monkeypatch.setattr("rtmptwist.web.broadcast.LOOK", 0.1)
    async with serving(serve=("http", "rtmp"), api=True) as host:
        broadcast, journal = host.site.events, host.registry.journal
        with socket.create_connection(("127.0.0.1", host.port)) as lazy:
            lazy.sendall(REQUEST)
            await eventually(lambda: broadcast.clients)
            (client,) = broadcast.clients
            for _ in range(EVENTS // 10):
                for _ in range(10):
                    journal.note(EventKind.WARNING, WORDS)
                await eventually(lambda: client.cursor == journal.last or client.paused is not None)
            assert client.paused is not None
            assert client.cursor < journal.last
            await eventually(lambda: not broadcast.clients)
            assert broadcast.cut == 1
            await eventually(lambda: not host.registry.connections)
    assert logs.about("has not read for")
