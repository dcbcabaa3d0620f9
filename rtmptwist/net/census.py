"""Every connection in figures, and all of them together, as they are at one moment."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from rtmptwist.live.access import Action
from rtmptwist.live.application import Application
from rtmptwist.live.ledger import Page, Traffic
from rtmptwist.live.meters import Speed, SubscriberMeter
from rtmptwist.live.rates import Throughput
from rtmptwist.live.registry import Registry
from rtmptwist.live.stream import LiveStream
from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.playing import Playing
from rtmptwist.net.publishing import Publishing
from rtmptwist.net.tcpinfo import TcpInfo, tcp_info
from rtmptwist.net.use import Use, Watching


@dataclass(frozen=True, slots=True)
class UseMeter:
    """What a connection does with one of its message streams."""

    action: Action
    message_stream_id: int
    application: Application

    name: str = field(repr=False)
    "Of the stream. People use names as secrets: see `shown`."

    shown: str
    "Application and stream, as logs call them."

    account: str
    since: float
    messages: int | None
    "Received of a publisher; those sent to viewers are not counted."

    bytes: int
    "Of payload, from a publisher; of all that a viewer is sent."

    dropped: int
    "Messages not relayed, or left out for a slow viewer."

    viewer: SubscriberMeter | None
    queue_bytes: int = 0
    "That a viewer has yet to be sent,"

    queue_age: float = 0.0
    "and the seconds that they last."


@dataclass(frozen=True, slots=True)
class ConnectionMeter:
    """One connection."""

    id: int
    address: str
    peer: str
    "As logs call it."

    variant: str
    handshake: str
    "`plain`, `digest`, `rtmpe`; empty: not done yet."

    state: str
    application: Application | None
    account: str
    agent: str
    certificate: str
    since: float
    "Seconds since the epoch."

    bytes_in: int
    bytes_out: int
    bitrate_in: Speed
    bitrate_out: Speed
    waiting: int
    "Bytes that the kernel has not taken."

    stalls: int
    "How often it was slower than we."

    tcp: TcpInfo | None
    "None through a tunnel, which has no connection of its own."

    uses: tuple[UseMeter, ...]


def measure(connection: ServerConnection) -> ConnectionMeter:
    """Its figures: 25 µs, of which the kernel takes one."""
    visitor, account = connection.visitor, connection.account
    handshake, writer = connection.handshake, connection.writer
    bitrate_in, bitrate_out = connection.bitrates
    return ConnectionMeter(
        id=connection.id,
        address=connection.address,
        peer=connection.peer,
        variant=connection.variant,
        handshake=handshake.value if handshake is not None else "",
        state=connection.session.state.name.lower(),
        application=visitor.application if visitor is not None else None,
        account=account.name if account is not None else "",
        agent=connection.agent,
        certificate=visitor.certificate if visitor is not None else "",
        since=connection.since,
        bytes_in=connection.session.bytes_received,
        bytes_out=writer.sent,
        bitrate_in=bitrate_in,
        bitrate_out=bitrate_out,
        waiting=writer.waiting,
        stalls=writer.stalls,
        tcp=tcp_info(connection.transport),
        uses=tuple(_use(stream_id, use) for stream_id, use in sorted(connection.uses.items())),
    )


def _use(stream_id: int, stream: Use) -> UseMeter:
    use = partial(
        UseMeter,
        message_stream_id=stream_id,
        application=stream.application,
        name=stream.name,
        shown=stream.shown,
        account=stream.account,
        since=stream.since,
    )
    if isinstance(stream, Publishing):
        inlet = stream.inlet.meter
        return use(
            action=Action.PUBLISH,
            messages=inlet.messages,
            bytes=inlet.bytes,
            dropped=inlet.dropped,
            viewer=None,
        )
    assert isinstance(stream, Watching)
    viewer = stream.meter
    queue, age = stream.subscriber.behind() if isinstance(stream, Playing) else (0, 0)
    return use(
        action=Action.PLAY,
        messages=None,
        bytes=viewer.bytes,
        dropped=viewer.skipped,
        viewer=viewer,
        queue_bytes=queue,
        queue_age=age / 1000,
    )


def publisher_of(stream: LiveStream) -> ServerConnection | None:
    """The connection that feeds a stream."""
    publisher = stream.inlet.publisher if stream.inlet is not None else None
    return publisher.connection if isinstance(publisher, Publishing) else None


def viewers_of(stream: LiveStream) -> list[ServerConnection]:
    """The connections that watch a stream, the longest first."""
    players = (subscriber.player for subscriber in stream.audience.subscribers)
    return [player.connection for player in players if isinstance(player, Playing)]


class Census:
    """All connections together, those that are gone included."""

    def __init__(
        self, registry: Registry, now: float, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self.since = now
        self._secret = random(16)
        self._registry = registry
        self._throughput = Throughput(now)

    def connections(self) -> list[ServerConnection]:
        """Those that speak RTMP now, the oldest first."""
        found = [c for c in self._registry.connections if isinstance(c, ServerConnection)]
        return sorted(found, key=lambda connection: connection.id)

    def stream_id(self, application: Application, name: str) -> str:
        """What a stream is called where its name must not be told; the same while we run."""
        return self.name_id(application.host, application.name, name)

    def name_id(self, host: str, application: str, name: str) -> str:
        """The same by the names of all three."""
        words = f"{host}\n{application}\n{name}".encode()
        return hmac.digest(self._secret, words, "sha256").hex()[:16]

    def sweep(self, now: float) -> None:
        """Once a second: how much was there until now?"""
        total = self.total(self.traffic(self.connections()))
        self._throughput.sample(now, total.bytes_in, total.bytes_out)

    @property
    def bitrates(self) -> tuple[Speed, Speed]:
        """Bits per second, in and out."""
        return self._throughput.bitrates

    def traffic(self, connections: Iterable[ServerConnection]) -> dict[Page, Traffic]:
        """
        All that was carried so far. `connections`: those that are here, or none for what is gone.

        Who has not said yet where it wants to go counts when it has, or when it leaves.
        """
        gone = self._registry.ledger.gone.items()
        found = {
            page: Traffic(past.connections, past.bytes_in, past.bytes_out) for page, past in gone
        }
        for connection in connections:
            if connection.visitor is not None:
                found.setdefault(connection.page, Traffic()).add(1, *connection.traffic)
        return found

    @staticmethod
    def total(traffic: dict[Page, Traffic]) -> Traffic:
        """Of all pages."""
        total = Traffic()
        for part in traffic.values():
            total.add(part.connections, part.bytes_in, part.bytes_out)
        return total
