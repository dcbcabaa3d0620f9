"""The server's end of connections: what makes them, and how patient it is with them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory

from rtmptwist.live.access import Gate
from rtmptwist.live.registry import Registry
from rtmptwist.net.beat import Beat
from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.liveness import PING_INTERVAL, PING_TIMEOUT
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.server import DEFAULT_CHUNK_SIZE, ServerSession


@dataclass(frozen=True, slots=True)
class Care:
    """How patient a server is with its connections. Seconds, bytes."""

    limits: Limits = field(default_factory=Limits)
    chunk_size: int = DEFAULT_CHUNK_SIZE

    decision_timeout: float = 30.0
    "How long a login or another decision may take: FFmpeg waits for ever, librtmp for 30 s."

    ping_interval: float = PING_INTERVAL
    "A peer that sent nothing for so long is pinged."

    ping_timeout: float = PING_TIMEOUT
    "A peer that sends nothing after that either is dropped, and its stream name is free again."

    waiting_size: int = 4 << 20
    "Bytes that may wait for one peer: a batch, a burst and replies. Beyond, it is dropped."

    linger: float = 5.0
    "How long a closed connection may take to send what is left."


class ServerFactory(Factory):
    """Makes the connections of one listener; all listeners share one registry and one gate."""

    noisy = False

    def __init__(
        self,
        registry: Registry,
        gate: Gate,
        clock: IReactorTime,
        *,
        care: Care | None = None,
        beat: Beat | None = None,
        versions: frozenset[int] = frozenset({3}),
        random: Callable[[int], bytes] = os.urandom,
        variant: str = "rtmp",
    ) -> None:
        """
        `versions` are the first bytes served (3: RTMP; 6, 8, 9: RTMPE); `variant` is what the
        connections are called, as in `rtmps`.
        """
        self.registry = registry
        self.gate = gate
        self.clock = clock
        self.care = care or Care()
        self.beat = beat or Beat(clock, longest=0)
        self._versions = versions
        self._random = random
        self._variant = variant

    def buildProtocol(self, addr: IAddress | None) -> ServerConnection:  # noqa: ARG002 - Twisted's
        """A connection with a fresh session."""
        session = ServerSession(
            random=self._random,
            limits=self.care.limits,
            versions=self._versions,
            chunk_size=self.care.chunk_size,
        )
        return ServerConnection(
            session, self.registry, self.gate, self.clock, self.care, self.beat, self._variant
        )
