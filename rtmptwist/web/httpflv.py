"""
A live stream as FLV in an HTTP answer that goes on: for operators, whose page shows the picture.

Each is a viewer as any other, and counts as one; what a browser does not read in time is left out.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Request

from rtmptwist.auth.operators import Operator
from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.live.formats import FlvFormat
from rtmptwist.live.interfaces import EndReason
from rtmptwist.live.stream import LiveStream
from rtmptwist.media.flv import flv_header
from rtmptwist.net.writer import Pipe, TransportWriter
from rtmptwist.web.admission import watched
from rtmptwist.web.answers import Problem, headers

CONTENT_TYPE: Final = "video/x-flv"

MOST: Final = 8
"At once, by all ports. Operators have an eye on a stream; who watches it speaks RTMP."


class Screens:
    """Those who watch, by whichever port."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._open = 0

    async def show(
        self, request: Request, operator: Operator, application: Application, stream: LiveStream
    ) -> None:
        """
        Send it, until either leaves, or the operator is none any more.

        Raises:
            Problem: too many watch already, or nobody may any more.
        """
        if self._open >= MOST:
            words = f"{MOST} operators watch already, which is as many as may."
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, words, {"Retry-After": ["10"]})
        headers(request, CONTENT_TYPE)
        request.responseHeaders.setRawHeaders("X-Accel-Buffering", ["no"])  # nginx keeps it else
        if request.method == b"HEAD":
            request.write(b"")
            return
        self._open += 1
        try:
            screen = Screen(request)
            with watched(operator, self._clock, screen.writer.close):
                await self._watch(screen, application, stream)
        finally:
            self._open -= 1

    async def _watch(self, screen: Screen, application: Application, stream: LiveStream) -> None:
        writer = screen.writer
        try:
            subscriber = application.subscribe(stream.name, FlvFormat(), writer, screen)
        except Refused as refused:
            writer.close()
            raise Problem(HTTPStatus.NOT_FOUND, refused.status.description) from refused
        writer.drained = subscriber.resume
        writer.write(flv_header(audio=True, video=True))
        subscriber.resume()
        try:
            await screen.over
        except CancelledError:  # the connection is lost
            pass
        finally:
            subscriber.close()


class Screen:
    """One of them. Is `live.Player`."""

    def __init__(self, request: Request) -> None:
        self.over: Deferred[None] = Deferred()
        self._request = request
        self.writer = TransportWriter(cast("Pipe", request), self._end)

    def published(self) -> None:
        """What follows begins with headers of its own."""

    def unpublished(self) -> None:
        """It waits for the next one."""

    def skipped(self, messages: int) -> None:
        """It is seen."""

    def ended(self, reason: EndReason) -> None:
        """There is nothing more to come; who does not read would not hear of it."""
        self.writer.close()
        if reason is EndReason.STALLED:
            transport: Any = self._request.transport
            transport.abortConnection()

    def _end(self) -> None:
        if not self.over.called:
            self.over.callback(None)
