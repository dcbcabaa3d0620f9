"""Server-Sent Events as a client reads them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IAddress

from tests.support.manned import HERE, Manned
from tests.support.web import Wire, request


@dataclass(frozen=True)
class Told:
    """One event."""

    kind: str
    number: int | None
    data: Any


class Reader:
    """Takes a stream of events apart, however it is cut."""

    def __init__(self) -> None:
        self.events: list[Told] = []
        self.last = ""
        "What a browser would send as Last-Event-ID."

        self.comments = 0
        self._rest = ""

    def feed(self, text: str) -> None:
        *blocks, self._rest = (self._rest + text).split("\n\n")
        for block in blocks:
            fields: dict[str, str] = {}
            for line in block.split("\n"):
                name, _, value = line.partition(":")
                assert name not in fields, block
                fields[name] = value.removeprefix(" ")
            assert fields.keys() <= {"", "id", "event", "data", "retry"}, block
            self.comments += "" in fields
            self.last = fields.get("id", self.last)
            if "data" in fields:
                number = int(fields["id"]) if "id" in fields else None
                self.events.append(Told(fields["event"], number, json.loads(fields["data"])))

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


class Listener(Reader):
    """A client in memory, which may stop reading."""

    def __init__(
        self,
        manned: Manned,
        query: str = "",
        *lines: str,
        peer: IAddress = HERE,
        method: str = "GET",
    ) -> None:
        super().__init__()
        self._manned = manned
        self._left = False
        self.wire = Wire(manned.listeners[1].factory, peer)  # type: ignore[arg-type]
        ask = request(f"/api/v1/events{query}", b"", *lines, method=method, length=False)
        self.wire.say(ask.replace(b"example.org", b"localhost"))
        self._body = b""
        self.head, _, body = self.wire.raw().partition(b"\r\n\r\n")
        self.ended = False
        self._read(body)

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    def hear(self, seconds: float = 0.1) -> list[Told]:
        """What comes within so many seconds."""
        before = len(self.events)
        self._manned.reactor.advance(seconds)
        self._manned.site.pump()
        self._manned.reactor.advance(0)
        self._read(self.wire.raw())
        return self.events[before:]

    def seconds(self, count: int) -> list[Told]:
        """What comes in so many seconds, one after the other."""
        return [told for _ in range(count) for told in self.hear(1)]

    def stop_reading(self) -> None:
        """The kernel takes nothing any more."""
        self.wire.transport.producer.pauseProducing()

    def read_on(self) -> None:
        self.wire.transport.producer.resumeProducing()

    def leave(self) -> None:
        """Harmless if it has left."""
        if not self._left:
            self._left = True
            self.wire.lose()

    def _read(self, data: bytes) -> None:
        if self.status != 200:
            return
        self._body += data
        while b"\r\n" in self._body:
            size, _, rest = self._body.partition(b"\r\n")
            length = int(size, 16)
            assert len(rest) >= length + 2
            self.ended = self.ended or not length
            self.feed(rest[:length].decode())
            self._body = rest[length + 2 :]
