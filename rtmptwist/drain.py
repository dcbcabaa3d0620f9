"""
The end of a server, in phases: nobody new comes in, whoever can move on does, publications end with
whole GOPs, and everybody gets what was sent before that.

Listeners stay open all the while, so that newcomers read why they cannot come in, or where to go.
It takes `drain` seconds at most, and what an end needs that does not come in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote, urlencode

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger

from rtmptwist.live.errors import Refused
from rtmptwist.live.journal import EventKind
from rtmptwist.live.names import ConnectTarget, redacted
from rtmptwist.live.stream import LiveStream
from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.reconnect import ask_to_reconnect
from rtmptwist.site import Site
from rtmptwist.wire.status import StatusCode

NOTICE: Final = 1 / 3
"Of the time: nothing is cut so long, where somebody may make use of it."

REST: Final = 1 / 5
"Of the time: what is left of it when publications without a key frame are cut, for all the rest."

WATCHED: Final = 60.0
"Seconds in which whoever looks whether we are ready looks again: load balancers are quicker."

TICK: Final = 0.05
"Seconds between two looks at what is waited for."

SLICE: Final = 250
"Clients that are told in one turn of the reactor: about 35 ms, in which nobody is heard."

LAST_WORD: Final = 1.0
"""
Seconds for clients of tunnels, till they ask once more, without which they do not hear of the end.
Beyond the time, if it must be, and so for each of the others: connections that are aborted, till
they say so, files, and hooks.
"""


class Drain:
    """How a site is left. `run` it once for each start."""

    log = Logger()

    def __init__(self, site: Site) -> None:
        self._site = site
        self._clock: Any = site.reactor
        self._began = self._clock.seconds()
        self._time = 0.0
        self._hurried = False
        self._more = False
        "There are others who can be told at once."
        self._told: set[ServerConnection] = set()
        "Who has heard that it is over, and gets the rest."

    async def run(self) -> None:
        """Go through all phases; whatever is wrong with one, the others have to be."""
        self._began, self._time = self._clock.seconds(), self._site.config.server.drain
        for phase in (
            self._close_doors,
            self._send_on,
            self._end_publications,
            self._let_go,
            self._show_out,
            self._complete_files,
            self._tell_hooks,
        ):
            try:
                await phase()
            except Exception:
                self.log.failure("the server stops all the same")

    def hurry(self) -> None:
        """Wait for nobody any more."""
        self._hurried = True

    def undo(self) -> None:
        """The server starts anew."""
        site = self._site
        site.draining = False
        site.registry.leaving = None
        for tunnels in site.tunnels:
            tunnels.leaving = False
        self._hurried = False
        self._told.clear()

    def left(self, until: float | None = None) -> float:
        """Seconds until all the time is over, or so much of it."""
        if self._hurried:
            return 0.0
        passed: float = self._clock.seconds() - self._began
        return max((self._time if until is None else until) - passed, 0.0)

    # ----------------------------------------------------------------- phases

    async def _close_doors(self) -> None:
        """Let nobody in any more, and say so to those who look after that."""
        site = self._site
        site.draining = True
        site.ready = False
        site.registry.leaving = self._refusal
        site.registry.journal.note(EventKind.DRAIN, "the server stops")
        for tunnels in site.tunnels:
            tunnels.leaving = True

    async def _send_on(self) -> None:
        """Ask those to go elsewhere who can; give them, and a load balancer, time for it."""
        site, until = self._site, self._time * NOTICE
        movers = [c for c in site.connections() if ask_to_reconnect(c, self._elsewhere)]
        if movers:
            self.log.info("clients asked to connect elsewhere: {count}", count=len(movers))
        asked = site.looked_at
        if asked is not None and self._clock.seconds() - asked < WATCHED:
            self.log.info("nothing is cut for {seconds:.1f} s", seconds=self.left(until))
            await self._while(site.connections, until)
        else:
            here = site.registry.connections
            await self._while(lambda: any(mover in here for mover in movers), until)

    async def _end_publications(self) -> None:
        """End each with its GOP; viewers are told when they have got that."""
        until = self._time - max(self._time * REST, LAST_WORD)
        live = sum(stream.inlet is not None for stream in self._streams())
        if live:
            self.log.info(
                "publications that end with their next key frame, within {seconds:.1f} s: {count}",
                count=live,
                seconds=self.left(until),
            )
        await self._while(self._publishing, until)
        self._more = False
        for stream in self._streams():
            stream.conclude(now=True)

    async def _let_go(self) -> None:
        """Let everybody have the rest."""
        await self._while(self._waiting)
        late = [connection for connection in self._connected() if connection not in self._told]
        if late:
            self.log.info("viewers who do not get all of it: {count}", count=len(late))
        self._tell(late)
        here = self._site.registry.connections
        await self._while(lambda: not self._told.isdisjoint(here))

    async def _show_out(self) -> None:
        """Nobody is left but who did not listen, who stands at the door or speaks HTTP."""
        site = self._site
        gone = [self._shut_down(connection, 0) for connection in site.connections()]
        for application in site.registry.applications():
            application.close("the server is shutting down")
        # a transport that never tells of its end must not keep us
        await self._at_last(gone)
        await self._at_last([tunnels.close() for tunnels in site.tunnels])
        site.events.close()
        for visitor in site.visitors():
            visitor.leave()

    async def _complete_files(self) -> None:
        """What is recorded is complete, or the rest is lost."""
        disk, patience = self._site.disk, max(self.left(), LAST_WORD)
        if not await self._within(patience, disk.idle()):
            self.log.error(
                "files were not complete within {patience:.3g} s: {size} bytes are lost,"
                " and the next start completes what is there",
                size=disk.waiting,
                patience=patience,
            )

    async def _tell_hooks(self) -> None:
        """Last of all: what has ended just now is still to be told."""
        await self._site.hooks.close(max(self.left(), LAST_WORD))

    # ---------------------------------------------------------------- waiting

    async def _while(self, true: Callable[[], object], until: float | None = None) -> None:
        """Wait for the end of something, until so much of the time is over at most."""
        while true() and (left := self.left(until)) > 0:
            await deferLater(self._clock, 0 if self._more else min(TICK, left))

    async def _at_last(self, ends: list[Deferred[None]]) -> None:
        """Wait for all, a moment at most."""
        await self._within(LAST_WORD, DeferredList(ends, consumeErrors=True))

    async def _within(self, seconds: float, done: Deferred[Any]) -> bool:
        """Whether it comes within so many seconds."""
        late: list[bool] = []
        await done.addTimeout(seconds, self._clock, lambda *_: late.append(True))
        return not late

    def _publishing(self) -> bool:
        """End what can be ended now; whether somebody has to be waited for."""
        for stream in self._streams():
            stream.conclude()
        self._waiting()
        return any(stream.inlet is not None for stream in self._streams())

    def _waiting(self) -> bool:
        """Let those go who have nothing to expect; whether others have."""
        here = [connection for connection in self._connected() if connection not in self._told]
        free = [connection for connection in here if not connection.uses.expects]
        self._more = len(free) > SLICE
        self._tell(free[:SLICE])
        return self._more or len(free) < len(here)

    def _tell(self, connections: Iterable[ServerConnection]) -> None:
        """Say that it is over, and close when they have what is on its way."""
        for connection in connections:
            self._told.add(connection)
            self._shut_down(connection, self.left())

    def _shut_down(self, connection: ServerConnection, linger: float) -> Deferred[None]:
        try:
            return connection.shut_down(linger)
        except Exception:  # whatever is wrong with one, the others have to hear of it
            self.log.failure("{peer} could not be told", peer=connection.peer)
            return succeed(None)

    # ---------------------------------------------------------------- looking

    def _streams(self) -> Iterator[LiveStream]:
        for application in self._site.registry.applications():
            yield from tuple(application.streams.values())

    def _connected(self) -> list[ServerConnection]:
        """Those that were let in; newcomers are refused when they have said what they want."""
        return [c for c in self._site.connections() if c.visitor is not None]

    # -------------------------------------------------------------- elsewhere

    def _elsewhere(self, target: ConnectTarget) -> str:
        """Where somebody can go instead; empty: nowhere in particular."""
        template = self._site.config.server.drain_to
        if template is None:
            return ""
        url = template.replace("{app}", quote(target.path))
        return f"{url}?{urlencode(target.query)}" if target.query else url

    def _refusal(self, target: ConnectTarget) -> Refused:
        """What newcomers read. Hardly any program follows it: most show the text and end."""
        url = self._elsewhere(target)
        if not url:
            words = "The server is about to stop: please connect again in a moment."
            return Refused(StatusCode.CONNECT_REJECTED, words)
        words = f"The server is about to stop: please go to {redacted(url)}."
        return Refused(StatusCode.CONNECT_REJECTED, words, ex={"code": 302.0, "redirect": url})
