"""Our client's tunnels through a real nginx, which forgets connections as it likes."""

from __future__ import annotations

import pytest
from twisted.internet.endpoints import TCP4ClientEndpoint

from tests.support.guests import reactor
from tests.support.programs import Programs
from tests.support.proxies import NGINX_AS_IT_COMES, nginx, recipe
from tests.support.reactor import reactor_test
from tests.support.tunnelled import exact, pair, pictures, serving

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("config", [NGINX_AS_IT_COMES, recipe("nginx")], ids=["default", "ours"])
@pytest.mark.parametrize("requests", [1, 5, 1000])
@reactor_test
async def test_through_nginx(started: Programs, config: str, requests: int) -> None:
    """Which closes the client's connections after so many requests; by default ours after each."""
    async with serving() as host:
        run, port = nginx(started, host.port, config, requests=requests)
        way = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        publisher, viewer = await pair(host, way, way)
        for number in range(20):
            await exact(publisher, viewer, pictures(1000 * number, 10))
        await publisher.connection.close()
        await viewer.until_told("Play.UnpublishNotify")
        await viewer.connection.close()
        run.kill()  # it keeps its connections
