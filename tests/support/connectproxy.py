"""
An HTTP proxy that knows one server only: whatever name a client asks for, it is taken there.

So real programs can be given URLs with any host name, and ask TLS for that name.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class _Visit(socketserver.StreamRequestHandler):
    rbufsize = 0

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass  # CONNECT name:port and its headers
        server: Any = self.server
        with socket.create_connection(("127.0.0.1", server.target)) as there:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_pass_on, args=(there, self.connection))
            back.start()
            _pass_on(self.connection, there)
            back.join()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(1 << 16):
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    target: int


@contextmanager
def connect_proxy(target: int) -> Iterator[str]:
    """Lead to this port of loopback as long as the block lasts; gives the URL of the proxy."""
    with _Server(("127.0.0.1", 0), _Visit) as server:
        server.target = target
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
