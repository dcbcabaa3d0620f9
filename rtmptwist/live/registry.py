"""Which application serves a path on a host, and who is connected. Knows no transport."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.live.interfaces import Connection, ConnectionLimits
from rtmptwist.live.journal import Journal
from rtmptwist.live.ledger import Ledger
from rtmptwist.live.meters import RegistryMeter
from rtmptwist.live.names import ConnectTarget, redacted
from rtmptwist.live.networks import place, within
from rtmptwist.live.refusals import Reason, Refusals
from rtmptwist.wire.status import StatusCode


class VirtualHost:
    """A host name whose streams are its own."""

    def __init__(
        self, name: str, applications: Iterable[Application], aliases: Iterable[str] = ()
    ) -> None:
        """An empty name stands for every host that has no `VirtualHost` of its own."""
        self.name = name
        self.aliases = tuple(aliases)
        self.applications = {application.name: application for application in applications}

    def find(self, path: str) -> tuple[Application, str] | None:
        """The application with the longest name that `path` begins with, and the rest of it."""
        end = len(path)
        while end > 0:
            application = self.applications.get(path[:end])
            if application is not None:
                return application, path[end + 1 :]
            end = path.rfind("/", 0, end)
        return None


class Registry:
    """All that one server process serves."""

    log = Logger()

    def __init__(
        self, hosts: Iterable[VirtualHost], limits: ConnectionLimits, clock: IReactorTime
    ) -> None:
        self.serve(hosts, limits)
        self.connections: set[Connection] = set()
        self.refusals = Refusals()
        self.ledger = Ledger()
        self.journal = Journal(clock)
        self.banned: Callable[[str], str] = _nobody
        "Asked for every address that comes: why it may not; empty: it may."

        self.guessing: Callable[[str], str] = _nobody
        "The same, because of wrong logins."

        self.leaving: Callable[[ConnectTarget], Refused] | None = None
        "While the server is being left: why nobody comes in, and where to go instead."

        self._clock = clock
        self._by_address: dict[str, int] = {}
        self._sharing = False
        "Streams keep less than they might, for there are many."
        self._admitted = 0
        self._ids = itertools.count(1)

    def serve(self, hosts: Iterable[VirtualHost], limits: ConnectionLimits) -> None:
        """These from now on; those of before are not found any more."""
        self.hosts = tuple(hosts)
        self.limits = limits
        self._by_name = {name: host for host in self.hosts for name in (host.name, *host.aliases)}

    def application(self, host: str, path: str) -> tuple[Application, str]:
        """
        The application that serves a path on a host, and the rest of the path: the stream's name.

        For a `connect`, whose path ends before the stream's name, that rest may be empty, or the
        beginning of a name: look again once all of it is known.

        Raises:
            Refused: there is none.
        """
        served = self._by_name.get(host) or self._by_name.get("")
        found = served.find(path) if served is not None else None
        if found is None:
            where = f" on {host}" if host else ""
            # redacted: who forgets the application has written the stream key in its place
            raise Refused(
                StatusCode.CONNECT_INVALID_APP,
                f"There is no application {redacted(path)!r}{where}.",
            )
        return found

    def admit(self, connection: Connection, *, for_others: bool = False) -> None:
        """
        Count a new connection in. `for_others`: by a proxy, which may have any number of them.

        Raises:
            Refused: there are too many, in all or from its address, or it is banned. It is not
                counted, and the log knows already.
        """
        if words := self.closed_to(connection.address):
            raise Refused(StatusCode.CONNECT_REJECTED, words)
        limits = self.limits
        address = place(connection.address)
        count = self._by_address.get(address, 0)
        if len(self.connections) >= limits.connections:
            raise self._too_many(
                Reason.CONNECTIONS, connection, f"{limits.connections} connections are open"
            )
        bound = not for_others and not self._is_trusted(connection.address)
        if bound and count >= limits.connections_per_address:
            raise self._too_many(
                Reason.ADDRESS, connection, f"{count} connections from {address} are open"
            )
        self._admitted += 1
        self.connections.add(connection)
        self._by_address[address] = count + 1

    def closed_to(self, address: str) -> str:
        """Why an address may not connect, which the log then knows already; empty: it may."""
        reason, words = Reason.BANNED, self.banned(address)
        if not words and not self._is_trusted(address):  # a proxy that hides all who come by it
            reason, words = Reason.GUESSING, self.guessing(address)
        if words:
            self.refusals.note(reason, address, words)
        return words

    def new_id(self) -> int:
        """A number that no connection has had."""
        return next(self._ids)

    def leave(self, connection: Connection) -> None:
        """Count a connection out; harmless if it was never counted in."""
        if connection not in self.connections:
            return
        self.connections.discard(connection)
        address = place(connection.address)
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def applications(self) -> tuple[Application, ...]:
        """All applications of all hosts."""
        return tuple(app for host in self.hosts for app in host.applications.values())

    def sweep(self) -> None:
        """Once a second: end what takes too long."""
        for _ in self.sweeping():
            pass

    def sweeping(self) -> Iterator[None]:
        """The same in steps, one for each stream: 20 µs."""
        now = self._clock.seconds()
        for application in self.applications():
            yield from application.sweeping(now)
        self._share_memory()
        self.refusals.sweep()

    def _share_memory(self) -> None:
        """
        When the windows of all streams together take too much, each keeps its share at most.

        Nobody is cut off: who comes or falls behind waits for a key frame a little longer.
        """
        streams = [s for app in self.applications() for s in app.streams.values()]
        total = sum(stream.window.size for stream in streams)
        bound = self.limits.windows
        if total > bound:
            share: int | None = bound // len(streams)
            if not self._sharing:
                self.log.warn(
                    "the windows of {count} streams take {total} bytes, more than {bound}: each"
                    " keeps {share} at most",
                    count=len(streams),
                    total=total,
                    bound=bound,
                    share=share,
                )
        elif self._sharing and total <= bound // 2:
            share = None
        else:
            return
        self._sharing = share is not None
        for stream in streams:
            most = stream.settings.window_size
            stream.window.bound(most if share is None else min(most, share))

    @property
    def meter(self) -> RegistryMeter:
        """Connections so far."""
        return RegistryMeter(
            connections=len(self.connections),
            addresses=len(self._by_address),
            admitted=self._admitted,
            refused=sum(self.refusals.counts.values()),
            refusals=dict(self.refusals.counts),
        )

    def _too_many(self, reason: Reason, connection: Connection, what: str) -> Refused:
        words = f"{what}, which is as many as may be."
        self.refusals.note(reason, connection.address, words)
        return Refused(StatusCode.CONNECT_REJECTED, words)

    def _is_trusted(self, address: str) -> bool:
        return address == "unix" or within(address, self.limits.trusted)


def _nobody(address: str) -> str:  # noqa: ARG001 - where nobody is banned
    return ""
