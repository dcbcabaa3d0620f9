"""A server with a port for operators, without sockets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress

from rtmptwist.media.flv import SCRIPT
from rtmptwist.wire.message import Message, MessageType
from tests.media.samples import tags
from tests.support.memory import Spectator
from tests.support.web import Answer, Wire, request
from tests.test_service import House

HERE = IPv4Address("TCP", "127.0.0.1", 50_000)
STRANGER = IPv4Address("TCP", "192.0.2.9", 1)
JSON = "Content-Type: application/json"
MEANT = "X-Requested-With: test"

FILE = """
[server]
state = {0}/state
stream_metrics = 1

[listener main]
endpoint = tcp:1935:interface=127.0.0.1

[listener admin]
endpoint = tcp:8080:interface=127.0.0.1
serve = http
api = loopback

[listener outside]
endpoint = tcp:8081
serve = http, rtmpt

[app live]
publish = anyone
grace = 0

[vhost a.example]
"""


class Manned(House):
    """A server with a port for operators."""

    def __init__(self, folder: Path, text: str = FILE) -> None:
        super().__init__(folder, text.format(folder))
        self.start()

    def wire(self, listener: int = 1, peer: IAddress = HERE) -> Wire:
        return Wire(self.listeners[listener].factory, peer)  # type: ignore[arg-type]

    def get(
        self,
        path: str,
        *lines: str,
        listener: int = 1,
        peer: IAddress = HERE,
        method: str = "GET",
        body: bytes = b"",
        host: str = "localhost:8080",
    ) -> Answer:
        wire = self.wire(listener, peer)
        data = request(path, body, *lines, method=method)
        wire.say(data.replace(b"Host: example.org", f"Host: {host}".encode()))
        self.reactor.advance(0)
        head, _, rest = wire.raw().partition(b"\r\n\r\n")
        wire.lose()
        status, *lines_ = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines_)
        assert len(rest) == int(headers.get("Content-Length", 0))
        return Answer(int(status.split()[1]), headers, rest)

    def ask(self, method: str, path: str, value: Any = None, *lines: str) -> Any:
        """A JSON request of an operator: status and what is answered."""
        body = json.dumps(value).encode() if value is not None else b""
        more = (JSON, MEANT, *lines)
        answer = self.get(f"/api/v1/{path}", *more, method=method, body=body)
        return answer.status, json.loads(answer.body) if answer.body else None

    def only(self, path: str) -> Any:
        """The one item of a list."""
        status, page = self.ask("GET", path)
        assert status == 200, page
        (item,) = page["items"]
        assert page["total"] == 1
        return item

    def close(self) -> None:
        self.stop()
        self.pass_time(5)
        assert self.reactor.calls == []


def watched(manned: Manned) -> tuple[Any, Spectator]:
    """A publisher of a real stream and a viewer."""
    publisher = manned.site.publish()
    viewer = manned.site.play()
    for tag in tags("h264-b-aac"):
        if tag.type != SCRIPT:
            publisher.send(Message(MessageType(tag.type), tag.timestamp, 1, tag.payload))
    manned.site.pump()
    manned.pass_time(1)
    return publisher, viewer
