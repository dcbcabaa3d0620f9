"""What the pages for operators need of the server, said by them; `site` fits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from twisted.internet.interfaces import IReactorTime

from rtmptwist.auth.banfile import BanFile
from rtmptwist.live.registry import Registry
from rtmptwist.net.census import Census
from rtmptwist.net.tls import ServerTls
from rtmptwist.net.tunnels import Tunnels

if TYPE_CHECKING:
    from rtmptwist.web.broadcast import Broadcast
    from rtmptwist.web.httpflv import Screens
    from rtmptwist.web.traces import Traces


class ReloadError(Exception):
    """A configuration cannot be put to work, and nothing has changed. A line for each reason."""


class House(Protocol):
    """A server."""

    ready: bool
    "Whether it lets somebody in: it has started, and is not about to stop."

    looked_at: float | None
    "When somebody last wanted to know that; None: nobody has."

    reload: Callable[[], Awaitable[Sequence[str]]]
    """
    Read the configuration again and put it to work. The lines of what has changed.

    Raises:
        ReloadError: it is wrong, which is said in its lines; nothing has changed.
    """

    @property
    def reactor(self) -> IReactorTime:
        """Its clock."""

    @property
    def registry(self) -> Registry:
        """Applications, streams and connections."""

    @property
    def census(self) -> Census:
        """These in figures."""

    @property
    def events(self) -> Broadcast:
        """To whom all that happens is told."""

    @property
    def traces(self) -> Traces:
        """Connections whose messages are put into words."""

    @property
    def screens(self) -> Screens:
        """Who watches streams as FLV."""

    @property
    def bans(self) -> BanFile:
        """Who may not come."""

    @property
    def tls(self) -> Sequence[ServerTls]:
        """One for each listener that has TLS."""

    @property
    def tunnels(self) -> Sequence[Tunnels]:
        """One for each listener that has RTMPT."""

    @property
    def draining(self) -> bool:
        """Whether it is about to stop."""

    def drain(self, why: str) -> None:
        """Stop, as SIGTERM does; `why`, for the log. Harmless if it is about to."""

    def kick(self, connection_id: int, reason: str) -> bool:
        """End a connection; its client reads the reason. False: there is no such connection."""
