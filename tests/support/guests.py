"""Our own clients, over real sockets, at a server in this process or another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import deferLater

from rtmptwist.amf.values import Value
from rtmptwist.config.access import ANYONE
from rtmptwist.config.logins import Login
from rtmptwist.config.schema import App, Config, Hook, Limits, Listener, Server, VirtualHost
from rtmptwist.live.application import Application
from rtmptwist.live.registry import Registry
from rtmptwist.live.stream import LiveStream
from rtmptwist.net.client import NetConnection, connect
from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.listen import ListenerService
from rtmptwist.net.netstream import NetStream, Refusal
from rtmptwist.net.tls import client_tls
from rtmptwist.net.tunnelclient import ClientTunnel
from rtmptwist.service import make_service
from rtmptwist.site import Site
from rtmptwist.wire.message import Message, MessageType

reactor: Any = _reactor

PATIENCE: Final = 30.0
"Seconds in which what a test waits for has to come."


class Guest:
    """One NetStream of a client, and all that the server said about it."""

    def __init__(self, stream: NetStream, name: str = "") -> None:
        self.stream = stream
        self.connection = stream.connection
        self.name = name
        self.messages: list[Message] = []
        self.infos: list[dict[str, Value]] = []
        self._news: Deferred[None] | None = None
        stream.on_message = self._on_message
        stream.on_status = self._on_status
        self.connection.when_closed().addBoth(lambda _: self._hear())

    def _on_message(self, message: Message) -> None:
        self.messages.append(message)
        self._hear()

    def _on_status(self, info: dict[str, Value]) -> None:
        self.infos.append(info)
        self._hear()

    def _hear(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.called:
            news.callback(None)

    @property
    def told(self) -> list[str]:
        """The codes of all statuses, without what they have in common; see `publish`, `play`."""
        return [str(info["code"]).removeprefix("NetStream.") for info in self.infos]

    @property
    def gone(self) -> bool:
        """Whether the connection is closed."""
        return self.connection.closed

    @property
    def media(self) -> list[Message]:
        """Sound and pictures, headers included, in the order they came."""
        return [m for m in self.messages if m.type in (MessageType.AUDIO, MessageType.VIDEO)]

    @property
    def payloads(self) -> list[bytes]:
        """What they contain."""
        return [message.payload for message in self.media]

    @property
    def times(self) -> list[int]:
        """When they are to be shown."""
        return [message.timestamp for message in self.media]

    async def until(self, true: Callable[[], object], patience: float = PATIENCE) -> None:
        """Wait until something is true; it is asked whenever this guest hears anything."""
        deadline = reactor.seconds() + patience
        while not true():
            left = deadline - reactor.seconds()
            if left <= 0 or self.gone:
                raise AssertionError(
                    f"{'gone before' if self.gone else f'not in {patience:g} s'};"
                    f" told {self.told}, {len(self.messages)} messages"
                )
            self._news = Deferred()
            with suppress(TookTooLong):
                await self._news.addTimeout(left, reactor)

    async def until_told(self, code: str, patience: float = PATIENCE) -> dict[str, Value]:
        """Wait for a status, and forget it and those before it."""
        await self.until(lambda: code in self.told, patience)
        index = self.told.index(code)
        info = self.infos[index]
        del self.infos[: index + 1]
        return info

    async def settle(self) -> None:
        """
        Wait until the server has dealt with all that was sent here, and said what it had to say.

        Answers come in order, so the answer to a question asked now comes after all of that.
        """
        await self.connection.call("getStreamLength", self.name)

    def send(self, *messages: Message) -> None:
        """Publish."""
        for message in messages:
            self.stream.send(message)

    async def feed(self, *messages: Message) -> None:
        """Publish, and wait until the server has passed it on."""
        self.send(*messages)
        await self.settle()

    async def leave(self) -> None:
        """Close the connection, in good order."""
        await self.connection.close()

    def vanish(self) -> None:
        """Break the connection."""
        self.connection.abort()

    def fall_silent(self) -> None:
        """Read nothing, say nothing, answer nothing, but keep the connection."""
        transport: Any = self.connection.transport
        transport.pauseProducing()

    def wake(self) -> None:
        """Read on."""
        transport: Any = self.connection.transport
        transport.resumeProducing()


class Guests:
    """Clients of one server."""

    def __init__(self, address: str) -> None:
        """`address`: `rtmp://host:port`, or any other scheme; certificates are not checked."""
        self.address = address
        secure = address.partition(":")[0].endswith("s")
        self._tls = client_tls("localhost", verify=False) if secure else None
        self._connections: list[NetConnection] = []

    async def connect(
        self,
        app: str = "live",
        endpoint: IStreamClientEndpoint | None = None,
        **properties: Value,
    ) -> NetConnection:
        """A connection to an application, perhaps by another way."""
        url = f"{self.address}/{app}"
        connection = await connect(
            reactor, url, properties=properties, tls=self._tls, endpoint=endpoint
        )
        self._connections.append(connection)
        return connection

    def also(self, connection: NetConnection) -> None:
        """Close this one as well."""
        self._connections.append(connection)

    async def guest(self, on: NetConnection | None = None, app: str = "live") -> Guest:
        """A NetStream on a connection of its own, or on this one."""
        connection = on or await self.connect(app)
        return Guest(await connection.create_stream())

    async def publish(
        self, name: str = "show", *, on: NetConnection | None = None, app: str = "live"
    ) -> Guest:
        """A publisher, after its start."""
        guest = await self.guest(on, app)
        guest.name = name
        await guest.stream.publish(name)
        guest.infos.clear()
        return guest

    async def play(
        self,
        name: str = "show",
        start: float = -2.0,
        *,
        on: NetConnection | None = None,
        app: str = "live",
    ) -> Guest:
        """A viewer, after its start."""
        guest = await self.guest(on, app)
        guest.name = name
        await guest.stream.play(name, start)
        guest.infos.clear()
        return guest

    async def close(self) -> None:
        """All leave."""
        for connection in self._connections:
            connection.abort()
        for connection in self._connections:
            await connection.when_closed()


@asynccontextmanager
async def visiting(address: str) -> AsyncIterator[Guests]:
    """Clients of a server in another process, for as long as the block lasts."""
    guests = Guests(address)
    try:
        yield guests
    finally:
        await guests.close()


class Host(Guests):
    """A server in this process, and its guests."""

    def __init__(self, config: Config, scheme: str = "rtmp") -> None:
        """Its guests speak `scheme`."""
        self.service = make_service(config, reactor)
        self.service.privilegedStartService()  # type: ignore[no-untyped-call]  # Twisted's
        self.service.startService()
        (listener,) = (child for child in self.service if isinstance(child, ListenerService))
        super().__init__(f"{scheme}://{listener.bound_address()}")
        self._running = True

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.address.rpartition(":")[2])

    @property
    def site(self) -> Site:
        """What its listeners share."""
        return self.service.site

    @property
    def registry(self) -> Registry:
        """What the server knows."""
        return self.site.registry

    @property
    def connections(self) -> list[ServerConnection]:
        """Those that speak RTMP."""
        return self.site.connections()

    async def cut_off(self, guest: Guest) -> None:
        """Break a guest's connection without a word; a tunnel's silence is cut short."""
        transport: Any = guest.connection.transport
        if not isinstance(transport, ClientTunnel):
            guest.vanish()
            return
        (tunnels,) = self.site.tunnels
        polls = tunnels._sessions[transport._session_id]
        transport._leave(ConnectionAborted(), None)
        await eventually(lambda: not polls.busy)
        polls.heard -= polls.tunnel.use.silence
        tunnels.sweep()

    def application(self, name: str = "live", host: str = "") -> Application:
        """One of its applications."""
        application, rest = self.registry.application(host, name)
        assert not rest
        return application

    def stream(self, name: str) -> LiveStream:
        """A stream of the application `live`."""
        stream = self.application().find(name)
        assert stream is not None
        return stream

    async def stop(self) -> None:
        """As after SIGTERM."""
        if self._running:
            self._running = False
            await self.service.stopService()


def live(name: str = "live", **keys: Any) -> App:
    """An application in which anyone may publish."""
    return App(**{"name": name, "publish": ANYONE, **keys})


@asynccontextmanager
async def serving(
    *apps: App,
    limits: Limits | None = None,
    hosts: tuple[VirtualHost, ...] = (),
    hooks: tuple[Hook, ...] = (),
    drain: float = 1.0,
    scheme: str = "rtmp",
    serve: Iterable[str] = (),
    certificate: Path | None = None,
    api: bool = False,
) -> AsyncIterator[Host]:
    """
    Serve these applications, on a port of its own, for as long as the block lasts.

    Guests speak `scheme`, which is all that is served unless `serve` says more. `api`: to operators
    on this machine, if `http` is.
    """
    served = {app.name: app for app in apps or (live(),)}
    listener = Listener(
        name="main",
        endpoint=("tcp:0:interface=127.0.0.1",),
        serve=frozenset(serve) or frozenset({scheme}),
        certificate=certificate,
        api=(Login("loopback"),) if api else None,
    )
    config = Config(
        path=Path("test.ini"),
        server=Server(drain=drain),
        limits=limits or Limits(),
        listeners=(listener,),
        vhosts=(VirtualHost(name="", apps=served), *hosts),
        hooks=hooks,
    )
    host = Host(config, scheme)
    try:
        yield host
    finally:
        await host.close()
        await eventually(lambda: not host.registry.connections)
        await host.stop()


Serving = Callable[..., AbstractAsyncContextManager[Host]]
"As `serving`, over a certain pipe."


async def eventually(
    true: Callable[[], object], patience: float = PATIENCE, what: str = ""
) -> None:
    """Wait for what nobody tells."""
    deadline = reactor.seconds() + patience
    while not true():
        assert reactor.seconds() < deadline, f"not in {patience:g} s: {what}"
        await deferLater(reactor, 0.01)


async def refused(attempt: Any) -> Refusal:
    """The refusal that an attempt meets."""
    try:
        await attempt
    except Refusal as refusal:
        return refusal
    raise AssertionError("it was allowed")
