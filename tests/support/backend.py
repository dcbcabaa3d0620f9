"""A real web server for hooks, by twisted.web, which answers as a test wants it to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from twisted.internet import reactor as _reactor
from twisted.internet.task import LoopingCall
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from rtmptwist.net.certificates import Certificates, Folder
from rtmptwist.net.tls import ServerTls
from tests.support.pki import Signed
from tests.support.tls import ca_file, put, server_tls

reactor: Any = _reactor


@dataclass(frozen=True)
class Heard:
    """A question as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def fields(self) -> dict[str, Any]:
        """What it says."""
        if self.headers["content-type"] == "application/json":
            said = json.loads(self.body)
            assert isinstance(said, dict)
            return said
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True))


Reply = Callable[[Any], object]
"Does something with a request; what it returns is as of `Resource.render`."


def says(body: bytes | dict[str, Any] = b"", status: int = 200, **headers: str) -> Reply:
    """An answer."""

    def reply(request: Any) -> bytes:
        request.setResponseCode(status)
        kind = "application/json" if isinstance(body, dict) else "text/plain; charset=utf-8"
        request.setHeader("Content-Type", kind)
        for name, value in headers.items():
            request.setHeader(name.replace("_", "-"), value)
        return json.dumps(body).encode() if isinstance(body, dict) else body

    return reply


def raw(data: bytes, *, close: bool = True) -> Reply:
    """Bytes instead of an answer."""

    def reply(request: Any) -> int:
        transport = request.channel.transport
        transport.write(data)
        if close:
            transport.unregisterProducer()
            transport.loseConnection()
        return NOT_DONE_YET

    return reply


def never(request: Any) -> int:
    """No answer."""
    return NOT_DONE_YET


class Backend(Resource):
    """Answers every path; `replies` by what is asked, else `reply`."""

    isLeaf = True

    def __init__(self, address: str, ca: Path | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self.address = address
        self.ca = ca
        "Of who signed its certificate."
        self.heard: list[Heard] = []
        self.reply: Reply = says()
        self.replies: dict[str, Reply] = {}
        self.hung_up = 0
        "Askers who did not wait for the end of an answer."
        self.drips: list[LoopingCall] = []

    @property
    def url(self) -> str:
        """Where to ask."""
        return f"{self.address}/hook"

    def calls(self) -> list[str]:
        """What was asked, in short."""
        return [heard.fields["call"] for heard in self.heard]

    def of(self, call: str) -> list[dict[str, Any]]:
        """What was said at every such event."""
        return [heard.fields for heard in self.heard if heard.fields["call"] == call]

    def render(self, request: Any) -> Any:
        heard = Heard(
            request.path.decode(),
            {
                name.decode().lower(): values[-1].decode()
                for name, values in request.requestHeaders.getAllRawHeaders()
            },
            request.content.read(),
        )
        self.heard.append(heard)
        request.notifyFinish().addErrback(lambda _: self._lost())
        return self.replies.get(heard.fields.get("call", ""), self.reply)(request)

    def _lost(self) -> None:
        self.hung_up += 1

    def drip(self, request: Any) -> int:
        """An answer that comes in drops, and never ends."""
        request.setHeader("Content-Type", "application/json")
        dripping = LoopingCall(request.write, b" ")
        self.drips.append(dripping)
        dripping.start(0.02)
        request.notifyFinish().addErrback(lambda _: dripping.running and dripping.stop())  # type: ignore[func-returns-value]
        return NOT_DONE_YET


@asynccontextmanager
async def backend(
    folder: Path | None = None, *, signed: Signed | None = None
) -> AsyncIterator[Backend]:
    """
    Serve on a port of its own, as long as the block lasts.

    With TLS if there is a `folder` for its files; `signed`: with this certificate.
    """
    site = Site(Backend("", None))
    site.noisy = False
    site.log = lambda request: None  # type: ignore[method-assign]  # the log is about ours
    if folder is None:
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
        made = Backend(f"http://127.0.0.1:{port.getHost().port}", None)
    else:
        tls = server_tls(folder)
        if signed is not None:
            put(folder, "localhost", signed)
            tls = ServerTls(Certificates(Folder(folder), lambda: 0.0))
        port = reactor.listenTCP(0, TLSMemoryBIOFactory(tls, False, site), interface="127.0.0.1")
        made = Backend(f"https://localhost:{port.getHost().port}", ca_file(folder))
    site.resource = made
    try:
        yield made
    finally:
        for drip in made.drips:
            if drip.running:
                drip.stop()
        await port.stopListening()
