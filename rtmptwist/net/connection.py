"""
One client's connection: bytes to the session, media to inlets, decisions to turns, replies to the
writer.

A connection handles its events one after the other. While a turn waits for its decision, nothing is
read, so that a slow login can be neither overtaken nor flooded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtmptwist.live.access import Account, Gate, Visitor
from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.live.journal import EventKind
from rtmptwist.live.ledger import Page
from rtmptwist.live.meters import Speed
from rtmptwist.live.names import ConnectTarget
from rtmptwist.live.rates import Rates
from rtmptwist.live.registry import Registry
from rtmptwist.net.beat import Beat, Reader, reader_for
from rtmptwist.net.listen import host_of, quick_ack
from rtmptwist.net.liveness import Liveness
from rtmptwist.net.publishing import Publishing
from rtmptwist.net.tls import in_words
from rtmptwist.net.trail import in_short, longer
from rtmptwist.net.tunnel import ClosedByClient, Tunnel
from rtmptwist.net.tunnel import Use as TunnelUse
from rtmptwist.net.turns import TURNS
from rtmptwist.net.use import Use, Watching
from rtmptwist.net.verification import Verification
from rtmptwist.net.writer import CipherWriter, MeteredWriter, writer_for
from rtmptwist.wire.control import SetBufferLength, SwfVerificationResponse
from rtmptwist.wire.errors import LimitExceeded, RemoteProtocolError
from rtmptwist.wire.events import (
    Call,
    CloseStream,
    Connect,
    Decision,
    Event,
    Handshaken,
    Play,
    Publish,
    Receive,
)
from rtmptwist.wire.handshake import HandshakeKind
from rtmptwist.wire.message import Message
from rtmptwist.wire.server import ServerSession
from rtmptwist.wire.session import State
from rtmptwist.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from rtmptwist.net.server import Care

T = TypeVar("T")


class ServerConnection(Protocol):
    """One RTMP connection of a client, whatever carries its bytes."""

    log = Logger()

    # Beyond 30 attributes CPython gives each object a table of its own: 1.6 KB instead of 0.4.
    __slots__ = (
        "_abort",
        "_beat",
        "_gone",
        "_liveness",
        "_lost",
        "_quick_ack",
        "_rates",
        "_reader",
        "_reason",
        "_turn",
        "_untold",
        "account",
        "address",
        "agent",
        "buffer",
        "care",
        "clock",
        "gate",
        "handshake",
        "id",
        "peer",
        "registry",
        "session",
        "since",
        "strays",
        "streams",
        "target",
        "trail",
        "variant",
        "verification",
        "visitor",
        "writer",
    )

    def __init__(
        self,
        session: ServerSession,
        registry: Registry,
        gate: Gate,
        clock: IReactorTime,
        care: Care,
        beat: Beat,
        variant: str = "rtmp",
    ) -> None:
        self.session = session
        self.registry = registry
        self.gate = gate
        self.clock = clock
        self.care = care
        self.writer: MeteredWriter
        self.streams: dict[int, Use] = {}
        "By message stream id; an id without a use is not there."

        self.target: ConnectTarget | None = None
        self.visitor: Visitor | None = None
        self.account: Account | None = None
        self.verification = Verification(session)
        self.id = 0
        "By which operators call it; no other of this process ever has the same."
        self.address = ""
        self.peer = ""
        "As logs call it."
        self.strays = 0
        "Media messages for streams that do not publish."

        self.variant = variant
        "Of RTMP: what carries it."
        self.handshake: HandshakeKind | None = None
        self.agent = ""
        "What the client calls itself."
        self.trail = b""
        "Its last protocol events (`net.trail`)."

        self.buffer = 0
        "Milliseconds that it keeps of what it plays, as it said last; 0: nothing yet."

        self.since = clock.seconds()
        self._rates: tuple[Rates, Rates] | None = None
        "Of what comes and goes: 2.6 KB, made for those that do something."
        self._liveness = Liveness(session, self.since, care.ping_interval, care.ping_timeout)
        self._beat = beat
        self._reader: Reader | None = None
        "While publishing over a socket."
        self._turn: Deferred[None] | None = None
        "The decision that is waited for."
        self._quick_ack: Callable[[], None] | None = None
        self._reason = ""
        "Why it ends."
        self._abort: IDelayedCall | None = None
        "While it lingers."
        self._gone: Deferred[None] | None = None
        "Somebody waits for its end."
        self._lost = False
        self._untold = False
        "It was refused, and the log tells of it together with others."

    # ---------------------------------------------------------------- Twisted

    def connectionMade(self) -> None:
        """A client is there; the registry may know too many of it."""
        transport: Any = self.transport
        peer = transport.getPeer()
        self.address = host_of(peer)
        self.id = self.registry.new_id()
        self.peer = f"#{self.id} {_name_of(self.address, getattr(peer, 'port', None))}"
        self.writer = writer_for(transport)
        self.writer.drained = self._drained
        self._quick_ack = quick_ack(transport)
        try:
            self.registry.admit(self)
        except Refused:
            self._lost = self._untold = True
            self.session.close()
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
        self._lost = True
        self._end(in_words(reason))
        if self._abort is not None and self._abort.active():
            self._abort.cancel()
        if self in self.registry.connections:
            self.registry.leave(self)
            self.registry.ledger.close(self.page, *self.traffic)
        # /close is all the goodbye that FFmpeg says through a tunnel
        wanted = bool(reason.check(ClosedByClient))
        for stream in tuple(self.streams.values()):
            stream.close(self._reason, wanted=wanted)
        self.streams.clear()
        if self.account is not None:
            self.account.left()
        if self.visitor is not None:
            self.note(EventKind.DISCONNECT, self._reason, self.visitor.application)
        if not self._untold:
            self.log.info(
                "{peer} left: {reason}, after {seconds:.1f} s, {received} bytes received,"
                " {sent} sent",
                peer=self.peer,
                reason=self._reason.rstrip("."),
                seconds=self.clock.seconds() - self.since,
                received=self.session.bytes_received,
                sent=self.writer.sent,
                strays=self.strays,
                variant=self.variant,
            )
        if self._gone is not None:
            self._gone.callback(None)

    # ------------------------------------------------------------------ in

    def _handle(self, events: list[Event]) -> None:
        session = self.session
        streams = self.streams
        while events:
            fed = False
            for event in events:
                if type(event) is Message:
                    stream = streams.get(event.stream_id) or self._meant(event)
                    if stream is None:
                        self.stray()
                    else:
                        stream.push(event)
                        fed = True
                else:
                    self._heard(event)
            if fed:
                for stream in tuple(streams.values()):
                    stream.flush()
            if self._turn is not None or not session.more:
                return
            events = session.receive(b"")

    @property
    def _publishing(self) -> list[Publishing]:
        return [s for s in self.streams.values() if isinstance(s, Publishing)]

    def _meant(self, message: Message) -> Publishing | None:
        """Some encoders send metadata on stream 0: it is meant for their only stream."""
        if message.stream_id == 0:
            publishing = self._publishing
            if len(publishing) == 1:
                return publishing[0]
        return None

    def stray(self) -> None:
        """
        Media came for a stream that does not publish.

        Raises:
            LimitExceeded: too much of it.
        """
        self.strays += 1
        bound = self.care.limits.stray_messages
        if self.strays > bound:
            raise LimitExceeded(f"more than {bound} media messages that belong to no publication")

    def _heard(self, event: Event) -> None:
        if isinstance(event, Decision):
            self._decide(event)
            return
        match event:
            case Handshaken():
                self.handshake = event.kind
                if event.ciphers is not None:
                    self.send()  # the handshake's own bytes are never encrypted
                    self.writer = CipherWriter(self.writer, event.ciphers.encrypt)
            case CloseStream():
                self.close_stream(event.stream_id, "closed by the client")
            case Receive():
                stream = self.streams.get(event.stream_id)
                if isinstance(stream, Watching):
                    self.send()
                    stream.receive(audio=event.audio, video=event.video)
            case SetBufferLength():
                self.buffer = event.milliseconds
                stream = self.streams.get(event.stream_id)
                if isinstance(stream, Watching):
                    stream.buffer(event.milliseconds)
            case SwfVerificationResponse():
                if why := self.verification.heard(event):
                    self._reject(why)

    # ------------------------------------------------------------- decisions

    def _decide(self, event: Decision) -> None:
        answer = self._answer(event)
        try:
            waits_for = answer.send(None)
        except StopIteration:  # most wait for nobody, and a Deferred for each would be 4 µs
            return
        turn = Deferred.fromCoroutine(_going_on(answer, waits_for))
        transport: Any = self.transport
        self._turn = turn
        self.mind_transport()
        transport.pauseProducing()

        def decided(_: object) -> None:
            self._turn = None
            if not self._lost:
                transport.resumeProducing()
                self.mind_transport()
                self.dataReceived(b"")

        turn.addTimeout(self.care.decision_timeout, self.clock)
        turn.addCallback(decided)

    async def _answer(self, event: Decision) -> None:
        """Run a turn; the one place where a refusal becomes an answer."""
        try:
            await TURNS[type(event)](self, event)
        except Refused as refused:
            self._refuse(event, refused.status, refused.reason)
        except CancelledError:  # the connection has ended; else the decision took too long
            failed = _FAILED.get(type(event), StatusCode.FAILED)
            self._refuse(event, Status(failed, _TOO_LONG), _TOO_LONG)
        except Exception:
            name = type(event).__name__
            self.log.failure("{peer}: {event} failed", peer=self.peer, event=name)
            if self.session.deciding:
                failed = _FAILED.get(type(event), StatusCode.FAILED)
                self.session.refuse(event, Status(failed, _SORRY))
            self.finish(_SORRY)

    async def ask(self, opinion: Awaitable[T], undo: Callable[[T], None]) -> T:
        """
        For turns: wait for somebody's opinion, which may take time; `undo` one that is too late.

        Raises:
            CancelledError: the connection ended meanwhile, and nothing must be begun on it.
        """
        answer = await opinion
        if not self.session.deciding:
            undo(answer)
            raise CancelledError
        return answer

    def _refuse(self, event: Decision, status: Status, reason: str) -> None:
        if not self.session.deciding:
            return
        self.session.refuse(event, status)
        if isinstance(event, Connect):
            self._untold = not self.registry.refusals.at_connect(self.address)
        if isinstance(event, Connect | Publish | Play) and not self._untold:
            self.log.info(
                "{peer}: {event} refused: {code}: {reason}",
                peer=self.peer,
                event=type(event).__name__.lower(),
                code=str(status.code),
                reason=reason,
            )
        if isinstance(event, Connect):
            self.finish(reason)
        elif isinstance(event, Publish):
            self.finish_if_unused(reason)

    # ------------------------------------------------------------------ out

    def send(self) -> None:
        """Hand over what the session has to say, in one write."""
        if self.session.said is not None:
            self._record()
        data = self.session.data_to_send()
        if data and not self.writer.write(data) and self.writer.waiting > self.care.waiting_size:
            self.abort(f"{self.writer.waiting} bytes wait for a peer that does not read")

    def settled(self) -> None:
        """Publishing or playing has begun: the time for hurried acknowledgements is over."""
        self._quick_ack = None
        self.mind_transport()

    def mind_transport(self) -> None:
        """
        Tell how it is used: a publisher may be read together with others, unless it waits for a
        decision; a tunnel treats players and publishers differently.
        """
        transport: Any = self.transport
        reader = self._reader
        publishing = self._publishing
        publishes = (
            bool(publishing) and self._turn is None and self.session.state is State.CONNECTED
        )
        if isinstance(transport, Tunnel) and self.session.state is State.CONNECTED:
            transport.use = TunnelUse.PUBLISHING if publishing else TunnelUse.PLAYING
        if publishes and reader is None:
            self._reader = reader_for(transport, self.dataReceived)
            if self._reader is not None:
                self._beat.join(self._reader, min(stream.merge for stream in publishing))
        elif reader is not None and not publishes:
            self._reader = None
            self._beat.leave(reader)

    def _drained(self) -> None:
        for stream in tuple(self.streams.values()):
            if isinstance(stream, Watching):
                stream.resume()

    # ------------------------------------------------------------------ ends

    def close_stream(self, stream_id: int, reason: str) -> None:
        """A NetStream's use is over, as its client wanted."""
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            stream.close(reason, wanted=True)
            self.mind_transport()

    def drop_stream(self, stream_id: int) -> None:
        """Forget a NetStream that has ended by itself; its id may be used again."""
        self.streams.pop(stream_id, None)
        self.session.free(stream_id)
        self.mind_transport()

    def finish_if_unused(self, reason: str) -> None:
        """
        Close, unless it does something else: it may carry many streams.

        librtmp, and so OBS, waits for 30 s after a refusal unless the connection is closed.
        """
        self.send()
        if not self.streams:
            self.finish(reason)

    def finish(self, reason: str, linger: float | None = None) -> None:
        """
        Say what is still to be said, and close when the client has, or after `linger` seconds.

        FFmpeg, while it publishes, reads only after it has written, which a reset would prevent.
        """
        self._finish(reason, linger, self.writer.finish)

    def _finish(self, reason: str, linger: float | None, close: Callable[[], None]) -> None:
        self.send()
        if self.session.state is State.CLOSED:
            return
        self._end(reason)
        transport: Any = self.transport
        linger = self.care.linger if linger is None else linger
        self._abort = self.clock.callLater(linger, transport.abortConnection)
        close()

    @property
    def accounts(self) -> set[str]:
        """In whose names it is here: by its login, and by what spoke for each of its streams."""
        names = {stream.account for stream in self.streams.values()}
        return names if self.account is None else {self.account.name, *names}

    def expel(self, reason: str) -> None:
        """Somebody in charge wants it gone: tell the client why, whatever it does, and close."""
        for stream_id, stream in tuple(self.streams.items()):
            if self.streams.get(stream_id) is stream:  # the end of one may end another
                stream.expel(reason)
        if self.session.state is State.CONNECTED:
            self.session.status(0, Status(StatusCode.CONNECT_CLOSED, reason))
        self.finish(reason)

    def _reject(self, reason: str) -> None:
        """Close although it was let in, and tell the client so as servers do."""
        code = StatusCode.CONNECT_REJECTED
        self.log.info(
            "{peer}: rejected: {code}: {reason}", peer=self.peer, code=str(code), reason=reason
        )
        self.session.status(0, Status(code, reason))
        self.finish(reason)

    def abort(self, reason: str) -> None:
        """Close at once: the peer does not read anyway."""
        if not self._lost:
            self._end(reason)
            transport: Any = self.transport
            transport.abortConnection()

    @property
    def expects(self) -> bool:
        """Whether there is media to come from the client, or due to it."""
        return any(stream.expects for stream in self.streams.values())

    def ask_to_reconnect(self, where: Callable[[ConnectTarget], str]) -> bool:
        """
        Ask a client to connect elsewhere, by a new tcUrl; empty: by the one it knows. False: it
        did not say that it can (Enhanced RTMP v2, capsEx).
        """
        if self.visitor is None or self.target is None or self.session.state is not State.CONNECTED:
            return False
        capabilities = self.visitor.properties.get("capsEx")
        if not isinstance(capabilities, int | float) or not 0 < capabilities < 1 << 32:
            return False
        if not int(capabilities) & _RECONNECT:
            return False
        url = where(self.target)
        status = Status(
            StatusCode.CONNECT_RECONNECT_REQUEST, _MOVE_ON, {"tcUrl": url} if url else {}
        )
        self.session.status(0, status)
        self.send()
        return True

    def shut_down(self, linger: float) -> Deferred[None]:
        """The server stops: tell the client, close within `linger` seconds; fires when it left."""
        reason = "the server is shutting down"
        gone = self._gone = self._gone or Deferred()
        for stream in tuple(self.streams.values()):
            stream.shut_down()
        if self.session.state is State.CONNECTED:
            self.session.status(0, Status(StatusCode.CONNECT_APP_SHUTDOWN, _SHUT_DOWN))
        self.finish(reason, linger)
        if self._abort is not None and self._abort.active():  # it was about to leave anyway
            left = self._abort.getTime() - self.clock.seconds()
            self._abort.reset(min(left, linger))
        return gone

    def _end(self, reason: str) -> None:
        """Read and decide nothing any more."""
        due = self.session.deciding
        self.session.close()
        if not self._reason:
            self._reason = reason
            if not self._lost:
                self._record(reason)
        self.mind_transport()
        if due and self._turn is not None:
            self._turn.cancel()

    def _broken(self, error: RemoteProtocolError) -> None:
        if self.session.said is not None:
            self._record()
        before = in_short(self.trail)
        self.log.warn(
            "{peer}: {error}{before}",
            peer=self.peer,
            error=str(error),
            before=before and f"; before that: {before}",
        )
        self._finish(str(error), None, self.writer.close)

    def _record(self, *words: str) -> None:
        """Go on with the trail."""
        said, self.session.said = self.session.said or [], None
        seconds = self.clock.seconds() - self.since
        self.trail = longer(self.trail, seconds, [*said, *words])

    # --------------------------------------------------------------- figures

    def note(
        self,
        kind: EventKind,
        words: str,
        application: Application,
        stream: str = "",
        *,
        code: str = "",
        turn: str = "",
    ) -> None:
        """Something happened here that operators may want to hear of."""
        self.registry.journal.note(
            kind,
            words,
            self.id,
            self.peer,
            self.variant,
            application.host,
            application.name,
            stream,
            code,
            turn,
        )

    @property
    def page(self) -> Page:
        """Where its traffic is entered."""
        if self.visitor is None:
            return Page("", "", self.variant)
        application = self.visitor.application
        return Page(application.host, application.name, self.variant)

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes in, after the handshake, and out."""
        return self.session.bytes_received, self.writer.sent

    @property
    def bitrates(self) -> tuple[Speed, Speed]:
        """Bits per second, in and out."""
        if self._rates is None:
            return Speed(), Speed()
        received, sent = self._rates
        return received.speed * 8, sent.speed * 8

    # ------------------------------------------------------------------ time

    def sweep(self, now: float) -> None:
        """Once a second: has the client been quick enough, is it still there?"""
        session, limits = self.session, self.care.limits
        if self._rates is None and self.streams:
            self._rates = Rates(self.since), Rates(self.since)
        if self._rates is not None:
            for rates, total in zip(self._rates, self.traffic, strict=True):
                rates.sample(now, total)
        if session.state is State.CLOSED:
            return
        try:
            alive = self._liveness.look(now, reading=self._turn is None)
        except RemoteProtocolError as error:
            self._broken(error)
            return
        self.send()
        if not alive:
            self.abort("nothing was heard for too long, not even the answer to a ping")
        elif session.state is State.HANDSHAKING:
            if now - self.since > limits.handshake_timeout:
                self.abort(f"no handshake within {limits.handshake_timeout:g} s")
        elif session.state is State.HANDSHAKEN and self._turn is None:
            allowed = limits.handshake_timeout + limits.connect_timeout
            if now - self.since > allowed:
                self.abort(f"no connect within {allowed:g} s")
        elif self._turn is None and (  # else its answer may be there, unread
            why := self.verification.overdue(now, publishes=bool(self._publishing))
        ):
            self._reject(why)
        else:
            for stream_id, stream in tuple(self.streams.items()):
                if self.streams.get(stream_id) is stream:  # the end of one may end another
                    stream.sweep(now)
            if session.more:  # it waited for an answer that did not come
                self.dataReceived(b"")


def _going_on(
    answer: Coroutine[Deferred[Any], Any, None], waits_for: Deferred[Any]
) -> Generator[Deferred[Any], Any, None]:
    """A coroutine that has begun, and what it waits for first."""
    with suppress(StopIteration):
        while True:
            try:
                found = yield waits_for
            except Exception as error:
                waits_for = answer.throw(error)
            else:
                waits_for = answer.send(found)


def _name_of(address: str, port: int | None) -> str:
    """A peer, for logs. Proxies do not tell the port, or 0."""
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


_SORRY: Final = "The server failed; its log says why."
_TOO_LONG: Final = "It took too long to decide."
_SHUT_DOWN: Final = "The server is shutting down."
_MOVE_ON: Final = "The server is about to stop: please connect anew."
_RECONNECT: Final = 1
"Of capsEx: the client understands reconnect requests."
_FAILED: Final[dict[type, StatusCode]] = {
    Connect: StatusCode.CONNECT_FAILED,
    Play: StatusCode.PLAY_FAILED,
    Call: StatusCode.CALL_FAILED,
}
