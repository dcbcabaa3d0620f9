"""Two hundred requests a second for figures and pages, while a stream runs: it must not notice."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack

import pytest

from tests.interop.test_operation import ADMIN, SAMPLE
from tests.support.programs import (
    IN_A_HURRY,
    LISTENER,
    PATIENCE,
    Programs,
    ffmpeg9,
    packets,
    parse_packets,
    player,
    publisher,
    serve,
)

pytestmark = pytest.mark.interop

PATHS = (
    "/metrics",
    "/api/v1/connections",
    "/api/v1/streams",
    "/api/v1/server",
    "/api/v1/applications/live",
    "/api/v1/connections/1",
    "/api/v1/openapi.json",
    "/healthz",
)
ASKING = 4
"Who ask at one time, each on a connection of its own,"

EACH = 50
"and so often in a second."


class Asking(threading.Thread):
    """Asks for one after the other, at a steady rate where the machine can."""

    def __init__(self, port: int, first: int) -> None:
        super().__init__()
        self.enough = threading.Event()
        self.statuses: Counter[int] = Counter()
        self.error: BaseException | None = None
        self._port = port
        self._first = first

    def run(self) -> None:
        try:
            self._ask()
        except BaseException as error:  # for the test, which is another thread
            self.error = error

    def _ask(self) -> None:
        wire = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        due, number = time.monotonic(), self._first
        while not self.enough.is_set():
            wire.request("GET", PATHS[number % len(PATHS)])
            answer = wire.getresponse()
            body = answer.read()
            self.statuses[answer.status] += 1
            if answer.headers["Content-Type"] == "application/json":
                json.loads(body)
            number += 1
            due += 1 / EACH
            self.enough.wait(max(0.0, due - time.monotonic()))
        wire.close()


def test_a_stream_does_not_notice_who_asks(started: Programs) -> None:
    site = serve(started, IN_A_HURRY, listeners=LISTENER + ADMIN)
    port = site.ports["admin"]
    viewer = started.start(*player(ffmpeg9(), site.url("live/show")))
    site.wait_for("plays live/show")
    askers = [Asking(port, number) for number in range(ASKING)]
    with ExitStack() as stack:
        for _ in range(5):  # who listen to events, and never read
            deaf = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            deaf.sendall(b"GET /api/v1/events?statistics=true HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for asker in askers:
            asker.start()
        try:
            source = publisher(ffmpeg9(), SAMPLE, site.url("live/show"), "-readrate", "2.5")
            assert started.start(*source).wait() == 0
            assert viewer.wait() == 0, viewer.words()
        finally:
            for asker in askers:
                asker.enough.set()
            for asker in askers:
                asker.join()
    assert parse_packets(viewer.output()) == packets(ffmpeg9(), SAMPLE)
    for asker in askers:
        assert asker.error is None
        assert set(asker.statuses) <= {200, 404}, asker.statuses  # the viewer was connection 1
        assert asker.statuses[200] > 10
    assert "failed" not in site.log()
