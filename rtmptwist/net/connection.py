"""
One client's connection: bytes to the session, media to inlets, decisions to turns, replies to the
writer.

A connection handles its events one after the other. While a turn waits for its decision, nothing is
read, so that a slow login can be neither overtaken nor flooded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtmptwist.live.access import Account, Gate
from rtmptwist.live.errors import Refused
from rtmptwist.live.names import ConnectTarget
from rtmptwist.live.registry import Registry
from rtmptwist.net.beat import Beat, Reader
from rtmptwist.net.listen import host_of, quick_ack
from rtmptwist.net.streams import NetStream, Playing, Publishing
from rtmptwist.net.turns import TURNS
from rtmptwist.net.writer import CipherWriter, MeteredWriter, plain_socket, writer_for
from rtmptwist.wire.control import PingResponse
from rtmptwist.wire.errors import RemoteProtocolError
from rtmptwist.wire.events import (
    CloseStream,
    Connect,
    Decision,
    Event,
    Handshaken,
    Publish,
    Receive,
)
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message
from rtmptwist.wire.server import DEFAULT_CHUNK_SIZE, ServerSession
from rtmptwist.wire.session import State
from rtmptwist.wire.status import Status, StatusCode


@dataclass(frozen=True, slots=True)
class Care:
    """How patient a server is with its connections. Seconds, bytes."""

    limits: Limits = field(default_factory=Limits)
    chunk_size: int = DEFAULT_CHUNK_SIZE

    ping_interval: float = 30.0
    "A peer that sent nothing for so long is pinged."

    ping_timeout: float = 30.0
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
    ) -> None:
        """`versions` are the first bytes served (3: RTMP; 6, 8, 9: RTMPE)."""
        self.registry = registry
        self.gate = gate
        self.clock = clock
        self.care = care or Care()
        self.beat = beat or Beat(clock, longest=0)
        self._versions = versions
        self._random = random

    def buildProtocol(self, addr: IAddress | None) -> ServerConnection:  # noqa: ARG002 - Twisted's
        """A connection with a fresh session."""
        session = ServerSession(
            random=self._random,
            limits=self.care.limits,
            versions=self._versions,
            chunk_size=self.care.chunk_size,
        )
        return ServerConnection(session, self.registry, self.gate, self.clock, self.care, self.beat)


class ServerConnection(Protocol):
    """One RTMP connection of a client, whatever carries its bytes."""

    log = Logger()

    def __init__(
        self,
        session: ServerSession,
        registry: Registry,
        gate: Gate,
        clock: IReactorTime,
        care: Care,
        beat: Beat,
    ) -> None:
        self.session = session
        self.registry = registry
        self.gate = gate
        self.clock = clock
        self.care = care
        self._beat = beat
        self._reader: Reader | None = None
        "While publishing over a plain socket."

        self.writer: MeteredWriter
        self.streams: dict[int, NetStream] = {}
        "By message stream id; an id without a use is not there."

        self.target: ConnectTarget | None = None
        self.account: Account | None = None
        self.address = ""
        self.peer = ""
        self.strays = 0
        "Media messages for streams that do not publish."

        self.since = clock.seconds()
        self._heard_at = self.since
        self._heard_bytes = -1
        self._swept = self.since
        self._turn: Deferred[None] | None = None
        self._reason = ""
        self._quick_ack: Callable[[], None] | None = None
        self._abort: IDelayedCall | None = None
        self._lost = False

    # ---------------------------------------------------------------- Twisted

    def connectionMade(self) -> None:
        """A client is there; the registry may know too many of it."""
        transport: Any = self.transport
        peer = transport.getPeer()
        self.address = host_of(peer)
        self.peer = f"{self.address}:{peer.port}" if hasattr(peer, "port") else self.address
        self.writer = writer_for(transport)
        self.writer.drained = self._drained
        self._quick_ack = quick_ack(transport)
        try:
            self.registry.admit(self)
        except Refused as refused:
            self.log.warn(
                "{peer} refused: {reason}", peer=self.peer, reason=refused.status.description
            )
            self._lost = True
            transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Bytes of the client: the path of every media message begins here."""
        if self._quick_ack is not None:
            self._quick_ack()
        try:
            events = self.session.receive(data)
            if events:
                self._handle(events)
        except RemoteProtocolError as error:
            self._broken(error)
        self.send()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Close what was opened, and say so once."""
        self.session.close()
        self._leave_beat()
        if self._abort is not None and self._abort.active():
            self._abort.cancel()
        if self._turn is not None:
            self._turn.cancel()
        why = self._reason or reason.getErrorMessage()
        for stream in list(self.streams.values()):
            stream.close(why, wanted=False)
        self.streams.clear()
        if self._lost:
            return
        self._lost = True
        self.registry.leave(self)
        self.log.info(
            "{peer} left: {reason}, after {seconds:.1f} s, {received} bytes received, {sent} sent",
            peer=self.peer,
            reason=why,
            seconds=self.clock.seconds() - self.since,
            received=self.session.bytes_received,
            sent=self.writer.sent,
            strays=self.strays,
        )

    # ------------------------------------------------------------------ in

    def _handle(self, events: list[Event]) -> None:
        session = self.session
        streams = self.streams
        while events:
            fed = False
            for event in events:
                if type(event) is Message:
                    stream = streams.get(event.stream_id)
                    if stream is None:
                        self.stray(event)
                    else:
                        stream.push(event)
                        fed = True
                else:
                    self._heard(event)
            if fed:
                for stream in list(streams.values()):
                    stream.flush()
            if self._turn is not None or not session.more:
                return
            events = session.receive(b"")

    def stray(self, message: Message) -> None:
        """
        Media for a stream that does not publish.

        Some encoders send metadata on stream 0; it is meant for their only stream.
        """
        if message.stream_id == 0:
            publishing = [s for s in self.streams.values() if isinstance(s, Publishing)]
            if len(publishing) == 1:
                publishing[0].push(message)
                return
        self.strays += 1

    def _heard(self, event: Event) -> None:
        turn = TURNS.get(type(event))
        if turn is not None:
            self._decide(turn(self, event), event)  # type: ignore[arg-type]  # TURNS has decisions
            return
        match event:
            case Handshaken():
                self.send()  # the handshake's own bytes are never encrypted
                if event.ciphers is not None:
                    self.writer = CipherWriter(self.writer, event.ciphers.encrypt)
            case CloseStream():
                self.close_stream(event.stream_id, "closed by the client")
            case Receive():
                stream = self.streams.get(event.stream_id)
                if isinstance(stream, Playing) and stream.subscriber is not None:
                    self.send()
                    stream.subscriber.receive(audio=event.audio, video=event.video)
            case PingResponse():
                pass  # that it came is all we wanted; see `sweep`

    def _decide(self, turn: Any, event: Decision) -> None:
        deferred = Deferred.fromCoroutine(self._answer(turn, event))
        if deferred.called:
            return
        transport: Any = self.transport
        self._turn = deferred
        self._leave_beat()
        transport.pauseProducing()

        def decided(_: object) -> None:
            self._turn = None
            if not self._lost:
                transport.resumeProducing()
                self._join_beat()
                self.dataReceived(b"")

        deferred.addCallback(decided)

    async def _answer(self, turn: Any, event: Decision) -> None:
        """Run a turn; the one place where a refusal becomes an answer."""
        try:
            await turn
        except Refused as refused:
            if self._lost:
                return
            self.session.refuse(event, refused.status)
            self.log.info(
                "{peer}: {event} refused: {reason}",
                peer=self.peer,
                event=type(event).__name__.lower(),
                reason=str(refused),
            )
            # librtmp waits for 30 s unless we close; a connection that does other things lives on
            if isinstance(event, Connect) or (isinstance(event, Publish) and not self.streams):
                self.finish(refused.status.description)
        except CancelledError:
            pass
        except Exception:
            self.log.failure("{peer}: {event} failed", peer=self.peer, event=type(event).__name__)
            if not self._lost and self.session.deciding:
                self.session.refuse(
                    event, Status(_FAILED.get(type(event), StatusCode.FAILED), _SORRY)
                )
                self.finish(_SORRY)

    # ------------------------------------------------------------------ out

    def send(self) -> None:
        """Hand over what the session has to say, in one write."""
        data = self.session.data_to_send()
        if data and not self.writer.write(data) and self.writer.waiting > self.care.waiting_size:
            self.abort(f"{self.writer.waiting} bytes wait for a peer that does not read")

    def settled(self) -> None:
        """Publishing or playing has begun: the time for hurried acknowledgements is over."""
        self._quick_ack = None
        if self._turn is None:
            self._join_beat()

    def _join_beat(self) -> None:
        """A publisher may be read together with others."""
        if self._reader is None and any(isinstance(s, Publishing) for s in self.streams.values()):
            transport: Any = self.transport
            plain = plain_socket(transport)
            if plain is not None:
                self._reader = Reader(transport, plain, self.dataReceived)
                self._beat.join(self._reader)

    def _leave_beat(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            self._beat.leave(reader)

    def _drained(self) -> None:
        for stream in list(self.streams.values()):
            if isinstance(stream, Playing) and stream.subscriber is not None:
                stream.subscriber.resume()

    # ------------------------------------------------------------------ ends

    def close_stream(self, stream_id: int, reason: str) -> None:
        """A NetStream's use is over, as its client wanted."""
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            self._leave_beat()
            stream.close(reason, wanted=True)
            self._join_beat()

    def drop_stream(self, stream_id: int) -> None:
        """Forget a NetStream that has ended by itself."""
        self.streams.pop(stream_id, None)

    def finish(self, reason: str, linger: float | None = None) -> None:
        """Say what is still to be said, then close, within `linger` seconds."""
        self.send()
        if self._abort is not None or self._lost:
            return
        self._reason = reason
        self.session.close()
        self._leave_beat()
        transport: Any = self.transport
        linger = self.care.linger if linger is None else linger
        self._abort = self.clock.callLater(linger, transport.abortConnection)
        self.writer.close()

    def abort(self, reason: str) -> None:
        """Close at once: the peer does not read anyway."""
        if not self._lost:
            self._reason = reason
            self.session.close()
            transport: Any = self.transport
            transport.abortConnection()

    def shut_down(self, linger: float) -> None:
        """The server stops: tell the client, then close within `linger` seconds."""
        if self.session.state is State.CONNECTED:
            status = Status(StatusCode.CONNECT_APP_SHUTDOWN, "The server is shutting down.")
            self.session.status(0, status)
        self.finish("the server is shutting down", linger)

    def _broken(self, error: RemoteProtocolError) -> None:
        self.log.warn("{peer}: {error}", peer=self.peer, error=str(error))
        self.finish(str(error))

    # ------------------------------------------------------------------ time

    def sweep(self, now: float) -> None:
        """Once a second: has the client been quick enough, is it still there?"""
        elapsed, self._swept = now - self._swept, now
        session = self.session
        try:
            session.refill(elapsed)
        except RemoteProtocolError as error:
            self._broken(error)
            return
        if session.bytes_received != self._heard_bytes:
            self._heard_bytes, self._heard_at = session.bytes_received, now
        limits, care = self.care.limits, self.care
        silent = now - self._heard_at
        if session.state is State.HANDSHAKING:
            if now - self.since > limits.handshake_timeout:
                self.abort(f"no handshake within {limits.handshake_timeout:g} s")
        elif session.state is State.HANDSHAKEN:
            allowed = limits.handshake_timeout + limits.connect_timeout
            if self._turn is None and now - self.since > allowed:
                self.abort(f"no connect within {allowed:g} s")
        elif session.state is State.CONNECTED and silent > care.ping_interval:
            if silent > care.ping_interval + care.ping_timeout:
                self.abort(f"nothing heard for {silent:.0f} s, not even the answer to a ping")
            elif silent - elapsed <= care.ping_interval:
                session.ping(int(now * 1000))
                self.send()


_SORRY: Final = "The server failed; its log says why."
_FAILED: Final[dict[type, StatusCode]] = {Connect: StatusCode.CONNECT_FAILED}
