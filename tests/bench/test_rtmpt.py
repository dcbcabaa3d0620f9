"""What a viewer's request costs: by the express lane, and as twisted.web and Klein have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rtmptwist.net.tunnel import Use
from tests.support.web import Web, request

HEADERS = (
    "Accept: */*",
    "Connection: keep-alive",
    "Icy-MetaData: 1",
    "Cache-Control: no-cache",
    "Content-type: application/x-fcs",
    "User-Agent: Shockwave Flash",
)


def polling(express: bool) -> Callable[[], None]:
    """A viewer at 1 Mbit/s, 25 frames a second: ask, be held, get 5 kB."""
    web = Web(express=express)
    wire, session_id, listener = web.open()
    listener.tunnel.use = Use.PLAYING
    frame = bytes(5000)
    number = -1

    def poll() -> None:
        nonlocal number
        number += 1
        wire.say(request(f"/idle/{session_id}/{number}", b"\x00", *HEADERS))
        listener.tunnel.write(frame)
        web.turn(0.04)
        assert len(wire.raw()) > 5000

    return poll


@pytest.mark.parametrize("express", [True, False], ids=["express", "klein"])
def test_a_poll(benchmark: Any, express: bool) -> None:
    benchmark(polling(express))
