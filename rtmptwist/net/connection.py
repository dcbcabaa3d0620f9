"""
One client's connection: bytes to the session, media to inlets, questions to turns, replies to the
writer.

A connection handles its events one after the other. While a question waits for its answer, nothing
is read, so that a slow login can be neither overtaken nor flooded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
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
from rtmptwist.live.rates import Throughput
from rtmptwist.live.registry import Registry
from rtmptwist.net.beat import Beat, Reader, reader_for
from rtmptwist.net.deciding import decide
from rtmptwist.net.ending import Ending
from rtmptwist.net.listen import host_of, quick_ack
from rtmptwist.net.liveness import Liveness
from rtmptwist.net.tls import in_words
from rtmptwist.net.trail import in_short, longer
from rtmptwist.net.tunnel import ClosedByClient, Tunnel
from rtmptwist.net.uses import Uses
from rtmptwist.net.verification import Verification
from rtmptwist.net.writer import CipherWriter, MeteredWriter, writer_for
from rtmptwist.wire.control import SetBufferLength, SwfVerificationResponse
from rtmptwist.wire.errors import LimitExceeded, RemoteProtocolError
from rtmptwist.wire.events import CloseStream, Decision, Event, Handshaken, Receive
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
        "_beat",
        "_decision",
        "_ending",
        "_liveness",
        "_quick_ack",
        "_reader",
        "_throughput",
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
        "target",
        "trail",
        "untold",
        "uses",
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
        self.uses = Uses()

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
        self.untold = False
        "It was refused, and the log tells of it together with others."

        self._throughput: Throughput | None = None
        "2.6 KB, made for those that do something."
        self._liveness = Liveness(session, self.since, care.ping_interval, care.ping_timeout)
        self._beat = beat
        self._reader: Reader | None = None
        "While publishing over a socket."
        self._decision: Deferred[None] | None = None
        "What is waited for."
        self._quick_ack: Callable[[], None] | None = None
        self._ending: Ending | None = None

    # ---------------------------------------------------------------- Twisted

    def connectionMade(self) -> None:
        """A client is there; the registry may know too many of it."""
        transport: Any = self.transport
        peer = transport.getPeer()
        self.address = host_of(peer)
        self.id = self.registry.new_id()
        self.peer = f"#{self.id} {_name_of(self.address, getattr(peer, 'port', None))}"
        self.writer = writer_for(transport)
        self.writer.drained = self.uses.resume
        self._quick_ack = quick_ack(transport)
        try:
            self.registry.admit(self)
        except Refused:
            self.untold = True
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
        ending = self._end(in_words(reason), lost=True)
        if self in self.registry.connections:
            self.registry.leave(self)
            self.registry.ledger.close(self.page, *self.traffic)
        # /close is all the goodbye that FFmpeg says through a tunnel
        self.uses.close(ending.reason, wanted=bool(reason.check(ClosedByClient)))
        if self.account is not None:
            self.account.left()
        if self.visitor is not None:
            self.note(EventKind.DISCONNECT, ending.reason, self.visitor.application)
        if not self.untold:
            self.log.info(
                "{peer} left: {reason}, after {seconds:.1f} s, {received} bytes received,"
                " {sent} sent",
                peer=self.peer,
                reason=ending.reason.rstrip("."),
                seconds=self.clock.seconds() - self.since,
                received=self.session.bytes_received,
                sent=self.writer.sent,
            )
        ending.over()

    # ------------------------------------------------------------------ in

    def _handle(self, events: list[Event]) -> None:
        session = self.session
        uses = self.uses
        while events:
            fed = False
            for event in events:
                if type(event) is Message:
                    use = uses.get(event.stream_id) or uses.meant(event)
                    if use is None:
                        self.stray()
                    else:
                        use.push(event)
                        fed = True
                else:
                    self._heard(event)
            if fed:
                for use in tuple(uses.values()):
                    use.flush()
            if self._decision is not None or not session.more:
                return
            events = session.receive(b"")

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
                self.close_use(event.stream_id, "closed by the client")
            case Receive():
                if use := self.uses.get(event.stream_id):
                    self.send()
                    use.receive(audio=event.audio, video=event.video)
            case SetBufferLength():
                self.buffer = event.milliseconds
                if use := self.uses.get(event.stream_id):
                    use.buffer(event.milliseconds)
            case SwfVerificationResponse():
                if why := self.verification.heard(event):
                    self._reject(why)

    def _decide(self, event: Decision) -> None:
        decision = decide(self, event)
        if decision is None:
            return
        transport: Any = self.transport
        self._decision = decision
        self.mind_transport()
        transport.pauseProducing()

        def decided(_: object) -> None:
            self._decision = None
            if not self._lost:
                transport.resumeProducing()
                self.mind_transport()
                self.dataReceived(b"")

        decision.addCallback(decided)

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
        reader, publishing = self._reader, self.uses.publishing
        connected = self.session.state is State.CONNECTED
        publishes = bool(publishing) and connected and self._decision is None
        if isinstance(transport, Tunnel) and connected:
            transport.carry(publishing=bool(publishing))
        if publishes and reader is None:
            self._reader = reader_for(transport, self.dataReceived)
            if self._reader is not None:
                self._beat.join(self._reader, min(use.merge for use in publishing))
        elif reader is not None and not publishes:
            self._reader = None
            self._beat.leave(reader)

    # ------------------------------------------------------------------ ends

    def close_use(self, stream_id: int, reason: str) -> None:
        """The use of a message stream is over, as its client wanted."""
        use = self.uses.pop(stream_id, None)
        if use is not None:
            use.close(reason, wanted=True)
            self.mind_transport()

    def drop(self, stream_id: int) -> None:
        """Forget a use that has ended by itself; its message stream may be used again."""
        self.uses.pop(stream_id, None)
        self.session.free(stream_id)
        self.mind_transport()

    def finish_if_unused(self, reason: str) -> None:
        """
        Close, unless it does something else: it may carry many streams.

        librtmp, and so OBS, waits for 30 s after a refusal unless the connection is closed.
        """
        self.send()
        if not self.uses:
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
        transport: Any = self.transport
        linger = self.care.linger if linger is None else linger
        self._end(reason).linger(linger, transport.abortConnection)
        close()

    @property
    def accounts(self) -> set[str]:
        """In whose names it is here: by its login, and by what spoke for each of its streams."""
        names = self.uses.accounts
        return names if self.account is None else {self.account.name, *names}

    def expel(self, reason: str) -> None:
        """Somebody in charge wants it gone: tell the client why, whatever it does, and close."""
        for use in self.uses.each():
            use.expel(reason)
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
        return self.uses.expects

    def shut_down(self, linger: float) -> Deferred[None]:
        """The server stops: tell the client, close within `linger` seconds; fires when it left."""
        for use in self.uses.each():
            use.shut_down()
        if self.session.state is State.CONNECTED:
            self.session.status(0, Status(StatusCode.CONNECT_APP_SHUTDOWN, _SHUT_DOWN))
        reason = "the server is shutting down"
        self.finish(reason, linger)
        return self._end(reason).hurry(linger)

    @property
    def _lost(self) -> bool:
        return self._ending is not None and self._ending.lost

    def _end(self, reason: str, *, lost: bool = False) -> Ending:
        """Read and decide nothing any more; the first reason is the one that counts."""
        due = self.session.deciding
        self.session.close()
        ending = self._ending
        if ending is None:
            ending = self._ending = Ending(reason, self.clock)
            if not lost:
                self._record(reason)
        ending.lost = ending.lost or lost
        self.mind_transport()
        if due and self._decision is not None:
            self._decision.cancel()
        return ending

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
        return self._throughput.bitrates if self._throughput else (Speed(), Speed())

    # ------------------------------------------------------------------ time

    def sweep(self, now: float) -> None:
        """Once a second: has the client been quick enough, is it still there?"""
        session = self.session
        if self._throughput is None and self.uses:
            self._throughput = Throughput(self.since)
        if self._throughput is not None:
            self._throughput.sample(now, *self.traffic)
        if session.state is State.CLOSED:
            return
        try:
            alive = self._liveness.look(now, reading=self._decision is None)
        except RemoteProtocolError as error:
            self._broken(error)
            return
        self.send()
        if not alive:
            self.abort("nothing was heard for too long, not even the answer to a ping")
        elif self._decision is not None:  # what it says meanwhile may be there, unread
            self._go_on(now)
        elif why := self._overdue(now):
            self.abort(why)
        elif why := self.verification.overdue(now, publishes=bool(self.uses.publishing)):
            self._reject(why)
        else:
            self._go_on(now)

    def _overdue(self, now: float) -> str:
        """Why a client that has not connected yet has to go, or nothing."""
        limits, state = self.care.limits, self.session.state
        allowed = limits.handshake_timeout
        if state is State.HANDSHAKEN:
            allowed += limits.connect_timeout
        if state is State.CONNECTED or now - self.since <= allowed:
            return ""
        what = "connect" if state is State.HANDSHAKEN else "handshake"
        return f"no {what} within {allowed:g} s"

    def _go_on(self, now: float) -> None:
        for use in self.uses.each():
            use.sweep(now)
        if self.session.more:  # it waited for an answer that did not come
            self.dataReceived(b"")


def _name_of(address: str, port: int | None) -> str:
    """A peer, for logs. Proxies do not tell the port, or 0."""
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


_SHUT_DOWN: Final = "The server is shutting down."
