"""
One HTTP connection: twisted.web's, with the bounds and the haste that we want.

Refused beyond twisted.web's own checks (two lengths, odd lengths, odd names, heads above 16 KiB):
bodies that are too long, requests that take too long, and every shape in which a proxy and we could
disagree where a request ends.

Requests may follow each other without waiting for answers. One is served in a turn of the reactor,
so that a flood of them delays nobody else, and those that lead nowhere are soon served slowly.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from io import BytesIO
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from twisted.internet.interfaces import IDelayedCall, IReactorTime, ITransport
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request as WebRequest
from twisted.web.server import Site

from rtmptwist.net.listen import quick_ack
from rtmptwist.web.eager import EagerTransport, eager

BODY_SIZE: Final = 1 << 20
"Bytes of a request's body: FFmpeg sends ten packets in one, librtmp one message."

HEADERS: Final = 100
"In a request; browsers send about twenty, proxies add some."

REQUEST_TIME: Final = 60.0
"""
Seconds from the end of an answer until the next request must have come whole.

As long as proxies keep idle connections, and twice as long as a publisher may be silent.
"""

RATE: Final = 200
"""
Requests that one connection may make in a second; a second's worth of them at once.

Each costs 80 µs at the least, of 27 bytes: without a bound 3 Mbit/s of them would take all of a
core. Those of tunnels, whom it does not concern, go by `web.express`, and have their own.
"""

ERROR: Final = 10
"What a request costs of those that is answered with an error."

LINGER: Final = 2.0
"Seconds for a client to read why it is refused before it is cut off in the middle of its body."


class Request(WebRequest):
    """A request whose body stays in memory and within its bound."""

    channel: Channel

    def gotLength(self, length: int | None) -> None:  # noqa: ARG002 - the channel has checked it
        """Twisted: the head is complete. (Its own way is a file on disk from 100 KB on.)"""
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """Twisted: a part of the body."""
        assert self.content is not None
        if self.content.tell() + len(data) <= BODY_SIZE:
            self.content.write(data)
        elif not self.channel.refused:
            self.channel.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    def getRequestHostname(self) -> bytes:
        """Klein: for its routes, none of which are one host's; it logs bad names as failures."""
        return b"localhost"

    def process(self) -> None:
        """Twisted: the request is complete."""
        try:
            unquote_to_bytes(self.path).decode()
        except UnicodeDecodeError:
            self.channel.refuse(HTTPStatus.BAD_REQUEST)  # Klein would write a traceback to the log
        else:
            super().process()


class Channel(HTTPChannel):
    """An HTTP/1 connection."""

    maxHeaders = HEADERS
    timeOut = REQUEST_TIME  # type: ignore[assignment]  # any number will do
    requestFactory = Request
    transport: Any

    def __init__(self, site: Site, clock: IReactorTime) -> None:
        super().__init__()
        self.site = self.factory = site
        self._clock = clock
        self.refused = False
        "The last answer is given; whatever comes is thrown away."

        self._quick_ack: Callable[[], None] | None = None
        self._spent = 0.0  # requests served, in seconds at RATE
        self._next: IDelayedCall | None = None  # when to look at what is behind the last one

    def makeConnection(self, transport: ITransport) -> None:
        """Twisted: a client is there."""
        self._quick_ack = quick_ack(transport)
        super().makeConnection(eager(transport))

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came."""
        if not self.refused and not self.transport.disconnecting:
            self.bytes_received(data)

    def bytes_received(self, data: bytes) -> None:
        """Bytes to be looked at. Unlike HTTPChannel we do not start the time limit anew."""
        self.acknowledge()
        LineReceiver.dataReceived(self, data)

    def acknowledge(self) -> None:
        """
        Have what was received acknowledged at once, when a part of a request is still to come.

        FFmpeg sends head and body apart, with Nagle's algorithm on: until the head is acknowledged,
        which Linux delays by 40 ms, the body waits. (A whole request is acknowledged by its
        answer.)
        """
        if self._quick_ack is not None:
            self._quick_ack()

    def lineReceived(self, line: bytes) -> None:
        """Twisted: a line of a head."""
        if line[:1] in (b" ", b"\t"):
            self.refuse(HTTPStatus.BAD_REQUEST)  # one header on two lines, or is it two?
        else:
            super().lineReceived(line)

    def allHeadersReceived(self) -> None:
        """Twisted: the head is complete."""
        headers = self.requests[-1].requestHeaders
        codings = [coding.lower() for coding in headers.getRawHeaders(b"Transfer-Encoding", [])]
        if codings and (codings != [b"chunked"] or headers.hasHeader(b"Content-Length")):
            self.refuse(HTTPStatus.BAD_REQUEST)  # twisted.web takes `identity`; proxies may not
        elif self.length is not None and self.length > BODY_SIZE:
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            super().allHeadersReceived()

    def allContentReceived(self) -> None:
        """Twisted: the request is complete."""
        if not self.refused:
            super().allContentReceived()

    def requestDone(self, request: WebRequest) -> None:
        """Twisted: a request is answered. The next one waits for a turn of the reactor at least."""
        wait = self._spend(ERROR if request.code >= HTTPStatus.BAD_REQUEST else 1)
        self.rawDataReceived(self.clearLineBuffer())  # keeps it, and reads no more if it is much
        if self.persistent and (wait or any(self._dataBuffer)):
            self._next = self._clock.callLater(wait, super().requestDone, request)
        else:
            super().requestDone(request)

    def _spend(self, requests: int) -> float:
        """Count requests; return how long the next one has to wait. The clock may be set back."""
        now = self._clock.seconds()
        spent = min(max(self._spent, now), now + 1) + requests / RATE
        self._spent = spent
        return max(spent - now - 1, 0)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: ARG002 - Twisted's
        """Twisted: a line of the head is longer than heads may be."""
        self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Twisted, though it does not say so: this is no HTTP. (Its own answer often gets lost.)"""
        self.refuse(HTTPStatus.BAD_REQUEST)

    def refuse(self, status: HTTPStatus) -> None:
        """Answer, and read no further."""
        self.refused = True
        self.clearLineBuffer()
        self.transport.write(
            b"HTTP/1.1 %d %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            % (status, status.phrase.encode())
        )
        # were it closed now, with bytes unread, the kernel would take the answer back
        self.setTimeout(LINGER)

    def callLater(self, period: float, func: Callable[[], None]) -> IDelayedCall:
        """Twisted: how time limits are measured."""
        return self._clock.callLater(period, func)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: the connection is lost."""
        if self._next is not None and self._next.active():
            self._next.cancel()
        if isinstance(self.transport, EagerTransport):
            self.stopProducing()  # other transports say so themselves to who writes an answer
        super().connectionLost(reason)

    def timeoutConnection(self) -> None:
        """Twisted: no (whole) request came in time."""
        self.transport.abortConnection()
