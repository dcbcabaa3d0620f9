"""What the pages for operators need of the server, said by them; `site` fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from rtmptwist.auth.banfile import BanFile
from rtmptwist.live.registry import Registry
from rtmptwist.net.census import Census
from rtmptwist.net.tls import ServerTls
from rtmptwist.net.tunnels import Tunnels


class House(Protocol):
    """A server."""

    ready: bool
    "Whether it lets somebody in: it has started, and is not about to stop."

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
    def bans(self) -> BanFile:
        """Who may not come."""

    @property
    def tls(self) -> Sequence[ServerTls]:
        """One for each listener that has TLS."""

    @property
    def tunnels(self) -> Sequence[Tunnels]:
        """One for each listener that has RTMPT."""

    def kick(self, connection_id: int, reason: str) -> bool:
        """End a connection; its client reads the reason. False: there is no such connection."""
