"""
The express lane: tunnel requests as FFmpeg and librtmp write them, answered without twisted.web.

A viewer makes as many requests as its stream has batches, always in the same few words. Each costs
36 µs here and 200 by Klein (kernel included, 100 viewers at 1 Mbit/s; tests/bench/test_rtmpt.py
compares the two without sockets), so it is these that decide how many viewers a server bears.

The lane takes only a head that came in one piece and in which nothing is unusual. Every other
request on the same connection goes to `web.channel`'s parser and Klein's routes, with the same
result.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.server import Site

from rtmptwist.net.polls import Kind
from rtmptwist.net.tunnels import Tunnels
from rtmptwist.web.channel import BODY_SIZE, Channel
from rtmptwist.web.rtmpt import IDLE_SIZE

_HEAD: Final = re.compile(
    rb"POST /(send|idle)/([\w-]{22})/(\d{1,10}) HTTP/1\.1\r\n"
    rb"((?:[A-Za-z-]+: [ -~]*\r\n){0,40}?)"
    rb"[Cc]ontent-[Ll]ength: (\d{1,7})\r\n"
    rb"((?:[A-Za-z-]+: [ -~]*\r\n){0,40})"
    rb"\r\n"
)

_USUAL: Final = re.compile(
    rb"(?i:(?:(?:Accept(?:-[a-z]+)?|Cache-Control|Content-Type|Cookie|Host|Icy-MetaData|Origin"
    rb"|Pragma|Referer|User-Agent|Via|X-[a-z-]+): [ -~]*|Connection: keep-alive)\r\n)*"
)
"What says nothing about where the request ends, and nothing that we should do."

_IDLE: Final = b"POST /idle/"
"How a request begins behind which nothing is urgent."

_AHEAD: Final = 16 * 1024
"Bytes behind a request that is not answered, before we stop reading: as twisted.web has it."

_OK: Final = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: application/x-fcs\r\n"
    b"Content-Length: %d\r\n"
    b"Connection: Keep-Alive\r\n"
    b"Cache-Control: no-cache\r\n"
    b"\r\n"
)
"In these very letters: librtmp looks for `Content-Length: `."


class ExpressChannel(Channel):
    """An HTTP connection with an express lane."""

    def __init__(self, site: Site, clock: IReactorTime, tunnels: Tunnels) -> None:
        super().__init__(site, clock)
        self._tunnels = tunnels
        self._usual = (b"", b"")
        "The last headers that were found usual, before and after the length."

        self._head: tuple[Kind, str, int] | None = None
        self._body: list[bytes] = []
        self._missing = 0
        "Of that request, which is still coming."

        self._due = ""
        "The session whose request we have not answered."

        self._behind: list[bytes] = []
        self._behind_size = 0
        self._working = False
        self._choked = False

    # ------------------------------------------------------------- Twisted

    def bytes_received(self, data: bytes) -> None:
        """Bytes to be looked at; those behind an unanswered request wait."""
        if self._due:
            self._keep(data)
            self._hurry(b"".join(self._behind))
        elif self.requests:
            super().bytes_received(data)
        else:
            self._work(self.clearLineBuffer() + data)

    def pauseProducing(self) -> None:
        """Twisted: the client does not read its answers."""
        self._choked = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """Twisted: it has read them."""
        self._choked = False
        super().resumeProducing()
        if not self._due:
            self._go_on()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: the HTTP connection is lost; the session may go on by another."""
        if self._due:
            self._tunnels.leave(self._due, self._reply)
        super().connectionLost(reason)

    # ------------------------------------------------------------ the lane

    def _work(self, data: bytes) -> None:
        """Take one request after the other, as far as they are answered at once."""
        self._working = True
        while data and not self._due and not self._choked:
            if self._head is None:
                match = _HEAD.match(data)
                if match is None or not self._is_usual(match):
                    self._working = False
                    super().bytes_received(data)
                    return
                self._head = (Kind(match[1].decode()), match[2].decode(), int(match[3]))
                self._missing = int(match[5])
                data = data[match.end() :]
            part = data[: self._missing]
            data = data[len(part) :]
            self._missing -= len(part)
            self._body.append(part)
            if not self._missing:
                (kind, session_id, number), self._head = self._head, None
                body = b"".join(self._body)
                self._body.clear()
                self._due = session_id
                self._tunnels.enter(session_id, kind, number, body, self._reply)
                if self._due and data:
                    self._hurry(data)
        self._working = False
        if self._head is not None:
            self.acknowledge()
        if data:
            self._keep(data)

    def _is_usual(self, match: re.Match[bytes]) -> bool:
        """Whether twisted.web would see no more in it; a client's headers are always the same."""
        around = match[4], match[6]
        if around != self._usual:
            if not (_USUAL.fullmatch(around[0]) and _USUAL.fullmatch(around[1])):
                return False
            self._usual = around
        return int(match[5]) <= (BODY_SIZE if match[1] == b"send" else IDLE_SIZE)

    def _reply(self, status: int, body: bytes) -> None:
        self._due = ""
        if status == HTTPStatus.OK:
            self.transport.writeSequence((_OK % len(body), body))
        else:
            phrase = HTTPStatus(status).phrase.encode()
            self.transport.write(b"HTTP/1.1 %d %b\r\nContent-Length: 0\r\n\r\n" % (status, phrase))
        self.resetTimeout()
        if not self._working and not self._choked:
            self._go_on()

    def _hurry(self, behind: bytes) -> None:
        """Something waits behind the request that we have not answered; in part, perhaps."""
        urgent = not _IDLE.startswith(behind[: len(_IDLE)])
        self._tunnels.hurry(self._due, urgent)

    def _keep(self, data: bytes) -> None:
        self._behind.append(data)
        self._behind_size += len(data)
        if self._behind_size > _AHEAD:
            self.transport.pauseProducing()

    def _go_on(self) -> None:
        """With what came behind the request that is answered now."""
        if self._behind:
            data = b"".join(self._behind)
            self._behind.clear()
            if self._behind_size > _AHEAD:
                self.transport.resumeProducing()
            self._behind_size = 0
            self._work(data)
