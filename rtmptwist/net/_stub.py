from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.application.internet import StreamServerEndpointService
from twisted.internet.endpoints import serverFromString

from rtmptwist.net.writer import tcp_socket


def quick_ack(transport: Any) -> Callable[[], None] | None:
    s = tcp_socket(transport)
    if s is None:
        return None
    setsockopt = s.setsockopt

    def ack() -> None:
        setsockopt(socket.IPPROTO_TCP, 12, 1)

    ack()
    return ack


class L(StreamServerEndpointService):
    name_: str

    def privilegedStartService(self):
        super().privilegedStartService()
        self._waitingForPort.addCallback(self._say)

    def _say(self, port):
        print(f"listener {self.name_}: {port.getHost().host}:{port.getHost().port}", flush=True)
        return port


def listener(reactor: Any, endpoint: str, factory: Any, name: str) -> Any:
    l = L(serverFromString(reactor, endpoint), factory)
    l.name_ = name
    return l
