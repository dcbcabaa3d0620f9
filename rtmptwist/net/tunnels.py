"""
All tunnels of a server: opened, found by their ids, and ended when nobody asks for them any more.

A session id is all that a request needs to reach its tunnel, from whatever address: phones change
theirs. It is drawn from `secrets` and guessing it is hopeless; who tries is counted.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, IProtocolFactory, IReactorTime
from twisted.python.failure import Failure

from rtmptwist.live.networks import place, within
from rtmptwist.net.listen import host_of
from rtmptwist.net.polls import Kind, Polls, Reply
from rtmptwist.net.tunnel import Tunnel, TunnelLimits

_TOKEN: Final = partial(secrets.token_urlsafe, 16)
"128 bits in 22 characters; FFmpeg takes up to 63, librtmp little more."


class TunnelsFull(Exception):
    """No more sessions now."""


class TooManyFromAddress(TunnelsFull):
    """No more sessions from this address now."""


@dataclass(slots=True)
class TunnelMeter:
    """What happened so far."""

    opened: int = 0
    refused: int = 0
    "Beyond a bound."

    unknown: int = 0
    "Requests with an id that is unknown: guessed, or long over."

    silent: int = 0
    "Sessions that ended because no request came."


class Tunnels:
    """The table of tunnels. `sweep` it once a second."""

    def __init__(
        self,
        factory: IProtocolFactory,
        clock: IReactorTime,
        limits: TunnelLimits | None = None,
        *,
        token: Callable[[], str] = _TOKEN,
    ) -> None:
        """`factory` makes the connections, as it does for a port."""
        self.meter = TunnelMeter()
        self.limits = limits or TunnelLimits()
        self.factory = factory
        self.leaving = False
        "Nobody new is let in: the server is about to stop."
        self._clock = clock
        self._token = token
        self._sessions: dict[str, Polls] = {}
        self._by_place: dict[str, int] = {}
        self._stirred: dict[Polls, None] = {}
        self._unaware: set[Polls] = set()
        "Whose clients do not know yet that all is over."
        self._closing: Deferred[None] | None = None

    def __len__(self) -> int:
        """Sessions, those that have just ended included."""
        return len(self._sessions)

    def open(self, peer: IAddress, host: IAddress, identity: str = "") -> str:
        """
        Make a session for a client and return its id. `identity`: see `Tunnel`.

        Raises:
            TunnelsFull: there are too many, in all or from there, or the server wants no more.
        """
        address = host_of(peer)
        try:
            self._admit(address)
            protocol = self.factory.buildProtocol(peer)
            if protocol is None:
                raise TunnelsFull("the server takes no connections")
        except TunnelsFull:
            self.meter.refused += 1
            raise
        tunnel = Tunnel(peer, host, self._clock, self.limits, identity)
        session_id = self._token()
        self._sessions[session_id] = Polls(tunnel, self._clock, self.limits, self._soon)
        self._by_place[place(address)] = self._by_place.get(place(address), 0) + 1
        tunnel.open(protocol)
        if tunnel.disconnecting:
            self.meter.refused += 1
            raise TunnelsFull("the server refused the connection")
        self.meter.opened += 1
        return session_id

    def enter(
        self, session_id: str, kind: Kind, number: int | None, body: bytes, reply: Reply
    ) -> None:
        """Take a request; see `Polls.enter`. An unknown session is answered 404."""
        polls = self._sessions.get(session_id)
        if polls is None:
            self.meter.unknown += 1
            reply(404, b"")
        else:
            polls.enter(kind, number, body, reply)
            if self._closing is not None:
                self._look_who_knows(polls)

    def hurry(self, session_id: str, urgent: bool) -> None:
        """See `Polls.hurry`."""
        polls = self._sessions.get(session_id)
        if polls is not None:
            polls.hurry(urgent)

    def leave(self, session_id: str, reply: Reply) -> None:
        """See `Polls.leave`."""
        polls = self._sessions.get(session_id)
        if polls is not None:
            polls.leave(reply)

    def sweep(self) -> None:
        """End the sessions from which nothing is heard, and forget those that ended."""
        now = self._clock.seconds()
        for session_id, polls in list(self._sessions.items()):
            tunnel = polls.tunnel
            silent = now - polls.heard
            if tunnel.lost:
                if silent >= self.limits.gap:
                    del self._sessions[session_id]
            elif silent >= tunnel.use.silence and not polls.busy:
                self.meter.silent += 1
                tunnel.hang_up(Failure(ConnectionLost(f"no request for {silent:.0f} s")))

    def close(self) -> Deferred[None]:
        """
        End all; fires when every client knows that has asked lately. Till then nobody comes in.

        They hear of it when they ask again, if they do: the caller sets a time limit.
        """
        if self._closing is not None:
            return self._closing
        closing: Deferred[None] = Deferred(lambda _: self._closed())
        self._closing = closing
        lately = self._clock.seconds() - self.limits.gap
        for polls in self._sessions.values():
            polls.tunnel.hang_up(Failure(ConnectionDone()))
            if polls.heard >= lately:
                self._unaware.add(polls)
        self._look_who_knows(*self._unaware)
        return closing

    def _look_who_knows(self, *asked: Polls) -> None:
        closing = self._closing
        self._unaware.difference_update(polls for polls in asked if polls.told)
        if closing is not None and not self._unaware:
            self._closed()
            closing.callback(None)

    def _closed(self) -> None:
        self._closing = None
        self._unaware.clear()

    def _admit(self, address: str) -> None:
        limits = self.limits
        if self.leaving or self._closing is not None:
            raise TunnelsFull("the server is shutting down")
        if len(self._sessions) >= limits.sessions:
            raise TunnelsFull(f"{limits.sessions} tunnels are open")
        where = place(address)
        count = self._by_place.get(where, 0)
        if count >= limits.sessions_per_address and not within(address, limits.trusted):
            raise TooManyFromAddress(f"{count} tunnels from {where} are open")

    def _soon(self, polls: Polls) -> None:
        if not self._stirred:
            self._clock.callLater(0, self._settle)
        self._stirred[polls] = None
        if polls.tunnel.lost:  # this is said once
            self._count_out(place(host_of(polls.tunnel.getPeer())))

    def _settle(self) -> None:
        stirred, self._stirred = self._stirred, {}
        for polls in stirred:
            polls.settle()
        if self._closing is not None:
            self._look_who_knows(*stirred)

    def _count_out(self, where: str) -> None:
        self._by_place[where] -= 1
        if not self._by_place[where]:
            del self._by_place[where]
