"""Operators who watch a stream as FLV over HTTP."""

from __future__ import annotations

from rtmptwist.media.flv import FlvReader, FlvTag
from rtmptwist.net.netstream import NetStream
from tests.support.live import gop, headers
from tests.support.manned import HERE, Manned
from tests.support.web import Wire, request


class Screen:
    """Somebody who watches, and may stop reading."""

    def __init__(self, manned: Manned, stream: str, *lines: str, method: str = "GET") -> None:
        self._manned = manned
        self.wire = Wire(manned.listeners[1].factory, HERE)  # type: ignore[arg-type]
        ask = request(f"/api/v1/streams/{stream}/flv", b"", *lines, method=method, length=False)
        self.wire.say(ask.replace(b"example.org", b"localhost"))
        manned.reactor.advance(0)
        self.head, _, self._body = self.wire.raw().partition(b"\r\n\r\n")
        self._reader = FlvReader()
        self.ended = False

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    def see(self) -> list[FlvTag]:
        """What came since the last look."""
        self._manned.site.pump()
        self._body += self.wire.raw()
        tags: list[FlvTag] = []
        while b"\r\n" in self._body:
            size, _, rest = self._body.partition(b"\r\n")
            length = int(size, 16)
            self.ended = self.ended or not length
            tags += self._reader.feed(rest[:length])
            self._body = rest[length + 2 :]
        return tags


def on_air(manned: Manned) -> tuple[NetStream, str]:
    """A publisher, and its stream as the API calls it."""
    publisher = manned.site.publish("a-secret-that-is-a-name")
    for message in [*headers(), *gop(0)]:
        publisher.send(message)
    manned.site.pump()
    application = manned.site.application
    (name,) = application.streams
    return publisher, manned.whole.census.stream_id(application, name)
