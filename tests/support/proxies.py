"""
Real reverse proxies before a server, as README says how to set them up.

Their configuration is read from there; addresses and ports are all that is changed.
"""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path
from typing import Final

from tests.support.programs import PATIENCE, Programs, Run, free_port, program

README: Final = Path(__file__).parents[2] / "README.md"

NGINX_AS_IT_COMES: Final = """
upstream rtmptwist { server 127.0.0.1:1935; }
server { listen 80; keepalive_requests 1000; location / { proxy_pass http://rtmptwist; } }
"""
"Without anything for tunnels: HTTP/1.0, and a connection to the server for each request."

_NGINX_AROUND: Final = """
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
    {site}
}}
"""


def recipe(language: str, about: str = "") -> str:
    """The code of a language in README, in the one piece of it that mentions something."""
    pieces = re.findall(
        rf"^```{language}\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL
    )
    (code,) = (piece for piece in pieces if about in piece)
    return str(code)


def nginx(
    started: Programs, upstream: int, site: str, *, source: str = "", requests: int = 0
) -> tuple[Run, int]:
    """
    Start it with this `site`; return it with its port.

    `source` is its address as a client; `requests` how many a client may make on one connection.
    """
    port = free_port()
    if requests:
        site, count = re.subn(r"keepalive_requests \d+", f"keepalive_requests {requests}", site)
        assert count == 1
    site = _swap(site, "listen 80;", f"listen 127.0.0.1:{port};")
    site = _swap(site, "127.0.0.1:1935;", f"127.0.0.1:{upstream};")
    if source:
        site = _swap(site, "proxy_pass", f"proxy_bind {source}; proxy_pass")
    folder = started.folder()
    config = folder / "nginx.conf"
    config.write_text(_NGINX_AROUND.format(folder=folder, site=site))
    run = started.start(program("nginx"), "-c", config, "-e", "stderr")
    _wait(run, port)
    return run, port


def haproxy(
    started: Programs, upstream: dict[str, int], config: str, *, source: str = ""
) -> tuple[Run, dict[str, int]]:
    """
    Start it; return it with the ports of its frontends by name.

    `upstream` has our ports by the names of its backends. `source` is its address as a client.
    """
    ports = {name: free_port() for name in re.findall(r"(?m)^frontend (\S+)", config)}
    for name, port in ports.items():
        config = _swap_in("frontend", name, r"bind \S+", f"bind 127.0.0.1:{port}", config)
    ours = f" source {source}" if source else ""
    for name, port in upstream.items():
        server = f"server one 127.0.0.1:{port}{ours}"
        config = _swap_in("backend", name, r"server one 127\.0\.0\.1:\d+", server, config)
    file = started.file("cfg")
    file.write_text(config)
    run = started.start(program("haproxy"), "-db", "-f", file)
    for port in ports.values():
        _wait(run, port)
    return run, ports


def _swap(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, (old, text)
    return text.replace(old, new)


def _swap_in(kind: str, name: str, old: str, new: str, config: str) -> str:
    """Replace what a section says once."""
    text, count = re.subn(rf"(?m)(^{kind} {name}\n(?: .*\n)*? +){old}", rf"\1{new}", config)
    assert count == 1, (kind, name, config)
    return text


def _wait(run: Run, port: int) -> None:
    """Until it listens."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert run.process.poll() is None, run.words()
        assert time.monotonic() < deadline, run.words()
        time.sleep(0.02)
