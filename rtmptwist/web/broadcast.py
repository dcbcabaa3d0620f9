"""
Tells what happens to those who keep `GET /api/v1/events` open.

A client is a cursor into the journal, and costs nothing while it does not read: nothing is written
for it until the kernel has taken all that was. So no more than one `PART` and one `statistics` wait
for any of them, 200 KB, and who goes on not reading is cut off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request
from zope.interface import implementer

from rtmptwist.auth.operators import Operator
from rtmptwist.live.journal import Event
from rtmptwist.net.listen import host_of
from rtmptwist.web.admission import watched
from rtmptwist.web.answers import Problem, header, headers
from rtmptwist.web.api.events import Filter, GapView, event_view, frame
from rtmptwist.web.statistics import statistics

if TYPE_CHECKING:
    from rtmptwist.web.house import House

MOST: Final = 50
"Clients at once: operators and their programs. All of them together take 5 % of a core in a storm."

GATHER: Final = 0.05
"Seconds that events wait for others, so that a storm of them is not a storm of writes."

PART: Final = 100
"Events in one write: 1.5 ms of work, at most 120 KB."

LOOK: Final = 1.0
"Seconds between two looks at all clients, and two statistics."

HEARTBEAT: Final = 15.0
"Seconds of silence at most: proxies and browsers give up after 30 or 60."

STALL: Final = 30.0
"Seconds after which a client that takes nothing is cut off: it has lost 20 to 30 statistics."

_HEAD: Final = b"retry: 1000\nid: %d\n\n"
_STILL_HERE: Final = b": nothing new\nid: %d\n\n"


@implementer(IPushProducer)
class Client:
    """Somebody who listens."""

    def __init__(
        self,
        request: Request,
        wanted: Filter,
        cursor: int,
        now: float,
        awake: Callable[[], None],
    ) -> None:
        """`awake` is called when it reads on."""
        self.wanted = wanted
        self.cursor = cursor
        "Number of the last event that it was told, or did not want."

        self.statistics = False
        self.told = now
        "When something was last written for it."

        self.paused: float | None = None
        "Since when it does not take what was written; None: it does."

        self.over: Deferred[None] = Deferred()
        self._request = request
        self._awake = awake
        self.peer = host_of(request.getClientAddress())

    def write(self, data: bytes, now: float) -> None:
        """Not while `paused`."""
        self.told = now
        self._request.write(data)

    def end(self) -> None:
        """That was all; harmless if it has ended already."""
        if not self.over.called:
            self.over.callback(None)

    def cut(self) -> None:
        """It does not read anyway."""
        transport: Any = self._request.transport
        transport.abortConnection()
        self.end()

    def pauseProducing(self) -> None:
        """Twisted: the kernel does not take everything."""
        self.paused = self.told

    def resumeProducing(self) -> None:
        """Twisted: it has."""
        self.paused = None
        self._awake()

    def stopProducing(self) -> None:
        """Twisted: the connection is lost, which the request hears as well."""


class Broadcast:
    """All who listen, at whichever port."""

    log = Logger()

    def __init__(self, house: House) -> None:
        self.clients: dict[Client, None] = {}
        self.cut = 0
        "Clients that were cut off, for they did not read."

        self._house = house
        self._journal = house.registry.journal
        self._encoded: WeakKeyDictionary[Event, bytes] = WeakKeyDictionary()
        "Those that the journal still has."

        self._flushing: IDelayedCall | None = None
        self._looking: IDelayedCall | None = None
        self._counting: Deferred[None] | None = None
        "Statistics in the making."

    async def serve(self, request: Request, operator: Operator, query: Mapping[str, Any]) -> None:
        """
        Tell somebody, until either leaves, or the operator is none any more.

        Raises:
            Problem: there are too many already, or what it read last is no number of ours.
        """
        cursor, known = self._begin(header(request, "Last-Event-ID"))
        if len(self.clients) >= MOST:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{MOST} clients listen to events already, which is as many as may be.",
                {"Retry-After": ["10"]},
            )
        kinds = query["kinds"]
        wanted = Filter(
            None if kinds is None else frozenset(kinds), query["vhost"], query["application"]
        )
        headers(request, "text/event-stream")
        request.responseHeaders.setRawHeaders("X-Accel-Buffering", ["no"])  # nginx keeps it else
        unknown: GapView = {"missed": None}
        request.write(_HEAD % cursor + (b"" if known else frame("gap", unknown)))
        if request.method == b"HEAD":
            return
        now = self._house.reactor.seconds()
        client = Client(request, wanted, cursor, now, self._flush_after)
        client.statistics = query["statistics"] == "true"
        with watched(operator, self._house.reactor, client.end):
            await self._keep(client, request)

    async def _keep(self, client: Client, request: Request) -> None:
        self._join(client)
        request.registerProducer(client, True)
        try:
            await client.over
        except CancelledError:  # the connection is lost
            pass
        else:
            request.unregisterProducer()
        finally:
            self._leave(client)

    def _begin(self, last: str) -> tuple[int, bool]:
        """Where somebody begins who has read `last`, and whether that can be known."""
        newest = self._journal.last
        if not last:
            return newest, True
        if not re.fullmatch("[0-9]{1,16}", last):
            raise Problem(HTTPStatus.BAD_REQUEST, "Last-Event-ID: expected a number.")
        number = int(last)
        if number > newest:  # somebody has set the clock back meanwhile
            return newest, False
        return max(number, self._journal.begin), number >= self._journal.begin

    def close(self) -> None:
        """Tell what there is to tell; all leave."""
        for client in tuple(self.clients):
            while self._behind(client):  # a few times: not all of a journal is kept
                data, client.cursor = self._part(client.cursor, client.wanted)
                client.write(data, client.told)
            client.end()

    # ------------------------------------------------------------------ coming and going

    def _join(self, client: Client) -> None:
        if not self.clients:
            self._journal.listeners.append(self._happened)
            self._looking = self._house.reactor.callLater(LOOK, self._look)
        self.clients[client] = None
        self._flush_after()

    def _leave(self, client: Client) -> None:
        del self.clients[client]
        if self.clients:
            return
        self._journal.listeners.remove(self._happened)
        for call in (self._flushing, self._looking):
            if call is not None and call.active():
                call.cancel()
        self._flushing = None
        if self._counting is not None:
            self._counting.cancel()

    # ------------------------------------------------------------------ events

    def _happened(self, _: Event) -> None:
        """The journal has taken note of something; a storm of it is told a part at a time."""
        self._flush_after(GATHER)

    def _flush_after(self, seconds: float = 0) -> None:
        if self._flushing is None:
            self._flushing = self._house.reactor.callLater(seconds, self._flush)

    def _flush(self) -> None:
        """Bring all who read one part further; those at the same place share one buffer."""
        self._flushing = None
        now = self._house.reactor.seconds()
        parts: dict[tuple[int, Filter], tuple[bytes, int]] = {}
        for client in tuple(self.clients):
            if not self._behind(client):
                continue
            place = client.cursor, client.wanted
            if place not in parts:
                parts[place] = self._part(*place)
            data, client.cursor = parts[place]
            if data:
                client.write(data, now)
        if any(map(self._behind, self.clients)):
            self._flush_after()

    def _behind(self, client: Client) -> bool:
        return client.paused is None and client.cursor < self._journal.last

    def _part(self, cursor: int, wanted: Filter) -> tuple[bytes, int]:
        """What comes after a place, which is something, and the place after that."""
        lost, events = self._journal.since(cursor)
        part = events[:PART]
        told = [self._encode(event) for event in part if wanted.wants(event)]
        if lost:
            gap: GapView = {"missed": lost}
            told.insert(0, frame("gap", gap, part[0].number - 1))
        return b"".join(told), part[-1].number

    def _encode(self, event: Event) -> bytes:
        """Once for all clients."""
        data = self._encoded.get(event)
        if data is None:
            data = frame(event.kind, event_view(self._house, event), event.number)
            self._encoded[event] = data
        return data

    # ------------------------------------------------------------------ each second

    def _look(self) -> None:
        """Is everybody still there, and has everybody had a word?"""
        self._looking = self._house.reactor.callLater(LOOK, self._look)
        now = self._house.reactor.seconds()
        for client in tuple(self.clients):
            if client.paused is not None:
                if now - client.paused >= STALL:
                    self._cut(client)
            elif now - client.told >= HEARTBEAT:
                client.write(_STILL_HERE % client.cursor, now)
        if self._counting is None and self._counted:
            self._counting = Deferred.fromCoroutine(self._count())
            self._counting.addBoth(self._is_counted)

    def _cut(self, client: Client) -> None:
        self.cut += 1
        self.log.warn(
            "{peer} listens to events, and has not read for {seconds:g} s: it is cut off",
            peer=client.peer,
            seconds=STALL,
        )
        client.cut()

    @property
    def _counted(self) -> list[Client]:
        """Who wants statistics, and reads."""
        return [each for each in self.clients if each.statistics and each.paused is None]

    async def _count(self) -> None:
        data = frame("statistics", await statistics(self._house))
        now = self._house.reactor.seconds()
        for client in self._counted:
            client.write(data, now)

    def _is_counted(self, result: object) -> None:
        self._counting = None
        if isinstance(result, Failure) and not result.check(CancelledError):
            self.log.failure("the statistics failed", failure=result)
