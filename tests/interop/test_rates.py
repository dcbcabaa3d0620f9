"""What one address may ask for in a second, at the real server, and what its log says of it."""

from __future__ import annotations

import re

import pytest
from twisted.internet.error import ConnectionClosed

from rtmptwist.net.client import connect
from rtmptwist.net.tls import client_tls
from tests.support.guests import reactor
from tests.support.programs import Programs, serve
from tests.support.reactor import reactor_test
from tests.support.variants import LISTENERS, url

pytestmark = pytest.mark.interop

ENOUGH = 100
"Connections in a row, of which each takes milliseconds; four of them, and one a second, may be."


@pytest.mark.parametrize(("straight", "tunnelled"), [("rtmpe", "rtmpte"), ("rtmps", "rtmpts")])
def test_one_address_may_not_have_all_our_time(
    started: Programs, straight: str, tunnelled: str
) -> None:
    """A tunnel is no way around it; who speaks what costs little is not concerned."""
    limits = "[limits]\ntrusted = none\nrtmpe_handshakes = 1\ntls_handshakes = 1\n"
    site = serve(started, listeners=limits + LISTENERS)
    tls = client_tls("localhost", verify=False)

    async def accepted(variant: str) -> int:
        """How many are let in before one is refused."""
        for count in range(ENOUGH):
            try:
                connection = await connect(reactor, url(site, variant, "live"), tls=tls)
            except ConnectionClosed:
                return count
            connection.abort()
            await connection.when_closed()
        raise AssertionError(f"{ENOUGH} times {variant}")

    @reactor_test
    async def ask() -> None:
        assert await accepted(straight) >= 4
        assert await accepted(tunnelled) <= ENOUGH // 2
        for _ in range(10):
            connection = await connect(reactor, url(site, "rtmp", "live"))
            connection.abort()
            await connection.when_closed()

    ask()
    what = {"rtmpe": "RTMPE", "rtmps": "TLS"}[straight]
    assert re.search(rf"127\.0\.0\.1 refused: more than 1 {what} handshakes a second", site.log())
