"""
A configuration made to run: one child service per concern, started in order, stopped in reverse.

What comes first is needed by what comes after; listeners are last, so that nobody is let in before
the house is ready. Before anything stops, everybody leaves: that is `drain`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Any, Final

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from rtmptwist.auth.banfile import Keeping
from rtmptwist.auth.files import watching
from rtmptwist.config.access import NOBODY, Access
from rtmptwist.config.schema import Config
from rtmptwist.drain import LAST_WORD, Drain
from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.frontdoor import Visitor
from rtmptwist.net.listen import ListenerService
from rtmptwist.net.tls import renewal
from rtmptwist.reload import Reload
from rtmptwist.site import Site

RTMP_PORT: Final = 1935
"What clients take when a URL names none."

SWEEP_INTERVAL: Final = 1.0
"Seconds between two looks at every connection and stream: timeouts are that exact."

SLICE: Final = 100
"""
Connections, or streams, that are looked at in one turn of the reactor: 1 to 2 ms, in which nobody
is heard.
"""


class Server(MultiService):
    """All that runs."""

    def __init__(self, site: Site) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self.site = site
        self.reloading = Reload(site, self)
        site.reload = self.reloading.reload
        self._drain = Drain(site)

    def startService(self) -> None:
        """Twisted: begin, perhaps once more."""
        self._drain.undo()
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's

    def stopService(self) -> Deferred[Any]:
        """Twisted: everybody leaves, by open doors, and then all stops."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self.site.draining = True
        await self.reloading.settled()  # a port that opens or shuts now would not be drained
        await self._drain.run()
        await super().stopService()  # type: ignore[no-untyped-call]  # Twisted's

    def leave(self, why: str) -> None:
        """Stop; asked again, without waiting for anybody. `why`, for the log."""
        site = self.site
        if not site.draining:
            site.drain(why)
        else:
            site.log.info("{why} again: nobody is waited for any more", why=why)
            self._drain.hurry()


def make_service(config: Config, reactor: Any) -> Server:
    """A server that does what `config` says, not started yet."""
    site = Site(config, reactor)
    parent = Server(site)
    listeners = site.listeners()
    children: list[Any] = [
        DiskWork(site),
        Sweeper(site),
        Keeping(site.bans, reactor),
        renewal(site.tls, reactor),
        *site.services,
        watching(site.files, reactor, named=site.named),
    ]
    for child in (*children, *listeners, Welcome(site, listeners)):
        child.setServiceParent(parent)
    return parent


_USERS: Final = Access(proofs=frozenset({"users"}))
_SIGNED: Final = Access(proofs=frozenset({"signed"}))
"Who may publish where URLs come from a web site: there is nothing to type."


class Welcome(Service):
    """Says, once everything listens, that it does, and what a newcomer has to type."""

    log = Logger()

    def __init__(self, site: Site, listeners: list[ListenerService]) -> None:
        self._site = site
        self._config = site.config
        self._listeners = listeners

    def startService(self) -> None:
        """Say it."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's
        self._site.ready = True
        plain = {section.name for section in self._config.listeners if "rtmp" in section.serve}
        listeners = [listener for listener in self._listeners if listener.section in plain]
        ports = [listener.port.getHost() for listener in listeners if listener.port]
        number = next((port.port for port in ports if hasattr(port, "port")), None)
        apps = self._config.vhosts[0].apps.values()
        app = next((app for app in apps if app.publish not in (NOBODY, _SIGNED)), None)
        if number is None or app is None:
            return
        where = f"rtmp://localhost{'' if number == RTMP_PORT else f':{number}'}/{app.name}"
        self.log.info(
            "OBS: Settings, Stream, Service: Custom, Server: {where}, Stream Key: {key}{login}",
            where=where,
            login=", Use authentication: with a user of `logins`" if app.publish == _USERS else "",
            key=f"from `rtmptwist keys make {app.keys} test`" if app.keys else "test",
        )
        self.log.info("watch: ffplay {where}/test", where=where)

    def stopService(self) -> None:
        """The first to stop: nobody is welcome any more."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's
        self._site.ready = False


class Sweeper(Service):
    """Looks after everything once a second: what takes too long, what waits for too much."""

    log = Logger()

    def __init__(self, site: Site) -> None:
        self._site = site
        self._loop = LoopingCall(self._sweep)
        self._loop.clock = site.reactor
        self._rest: IDelayedCall | None = None
        "Goes on with a sweep."

    def startService(self) -> None:
        """Begin."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's
        self._loop.start(SWEEP_INTERVAL, now=False)

    def stopService(self) -> None:
        """End."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's
        self._loop.stop()
        if self._rest is not None:
            self._rest.cancel()

    def _sweep(self) -> Deferred[None]:
        """Look at all of them; fires when that is done, and the next one comes no sooner."""
        done: Deferred[None] = Deferred()
        self._go_on(self._slices(), done)
        return done

    def _go_on(self, slices: Iterator[None], done: Deferred[None]) -> None:
        self._rest = None
        for _ in slices:
            self._rest = self._site.reactor.callLater(0, self._go_on, slices, done)
            return
        done.callback(None)

    def _slices(self) -> Iterator[None]:
        """The work of a sweep, with breaks in which media is heard."""
        site = self._site
        connections = site.connections()
        now = site.reactor.seconds()
        guests: list[ServerConnection | Visitor] = [*connections, *site.visitors()]
        present = site.registry.connections
        doubtful, site.doubtful = site.doubtful, False  # what changes meanwhile is for the next one
        ended = 0
        for number, guest in enumerate(guests, 1):
            try:
                if guest in present:  # it may have left in a break
                    guest.sweep(now)
                    if doubtful and isinstance(guest, ServerConnection):
                        ended += site.reconsider(guest)
            except Exception:  # one broken connection must not end the care for all others
                self.log.failure("sweep of {peer} failed", peer=guest.peer)
            if number % SLICE == 0:
                yield
        if ended:
            self.log.info("connections ended whose logins are gone: {count}", count=ended)
        try:
            self._relieve(connections)
            for tunnels in site.tunnels:
                tunnels.sweep()
            for rate in site.rates.values():
                rate.sweep()
            for number, _ in enumerate(site.registry.sweeping(), 1):
                if number % SLICE == 0:
                    yield
            site.census.sweep(now)
        except Exception:  # nor must anything else
            self.log.failure("sweep failed")

    def _relieve(self, connections: list[ServerConnection]) -> None:
        """When memory runs short, those go first for, or of, whom most is waiting."""
        bound = self._site.config.limits.waiting
        sizes = [connection.writer.waiting + connection.session.held for connection in connections]
        total = sum(sizes)
        if total <= bound:
            return
        ordered = sorted(zip(sizes, connections, strict=True), key=itemgetter(0))
        while total > bound:
            size, connection = ordered.pop()
            connection.abort(f"{size} bytes waited for it, and more than {bound} for all")
            total -= size


class DiskWork(Service):
    """Work with files: there as long as anybody may have some."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def stopService(self) -> Deferred[Any]:
        """Fires when nothing is left to write, or it takes too long."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's
        site = self._site
        site.library.close()
        site.chores.close()
        disks = (site.disk, site.reading)
        idle: Deferred[Any] = DeferredList([disk.idle() for disk in disks], consumeErrors=True)
        idle.addTimeout(LAST_WORD, site.reactor, lambda *_: None)

        def close(_: object) -> None:
            for disk in disks:
                disk.close()

        return idle.addCallback(close)
