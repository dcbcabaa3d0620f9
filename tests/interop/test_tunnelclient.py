"""Our client's tunnels through a real nginx, which forgets connections as it likes."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from twisted.internet.endpoints import TCP4ClientEndpoint

from tests.support.guests import reactor
from tests.support.programs import Programs, Run, free_port, program
from tests.support.reactor import reactor_test
from tests.support.tunnelled import exact, pair, pictures, serving

pytestmark = pytest.mark.interop

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream rtmptwist {{ server 127.0.0.1:{upstream}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{port};
        keepalive_requests {requests};
        location / {{ proxy_pass http://rtmptwist; {tuning} }}
    }}
}}
"""

TUNED = (
    'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;'
    " proxy_request_buffering off;"
)


def nginx(
    started: Programs, folder: Path, upstream: int, requests: int, tuning: str
) -> tuple[Run, int]:
    """Start it before a server; return it with its port."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(
        NGINX.format(folder=folder, upstream=upstream, port=port, requests=requests, tuning=tuning)
    )
    run = started.start(program("nginx"), "-c", config, "-e", "stderr")
    while not _listens(port):
        assert run.process.poll() is None, run.words()
        time.sleep(0.02)
    return run, port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("tuning", ["", TUNED], ids=["as it comes", "tuned"])
@pytest.mark.parametrize("requests", [1, 5, 1000])
@reactor_test
async def test_through_nginx(started: Programs, tmp_path: Path, tuning: str, requests: int) -> None:
    """Which closes the client's connections after so many requests, and ours after each."""
    async with serving() as host:
        run, port = nginx(started, tmp_path, host.port, requests, tuning)
        way = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        publisher, viewer = await pair(host, way, way)
        for number in range(20):
            await exact(publisher, viewer, pictures(1000 * number, 10))
        await publisher.connection.close()
        await viewer.until_told("Play.UnpublishNotify")
        await viewer.connection.close()
        run.kill()  # it keeps its connections
