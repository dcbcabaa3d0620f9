"""
One client's connection: media to inlets, questions to turns, and what operators want to know of it
and do to it. How bytes come and go, and end, is the line's (`net.line`).

A connection handles its events one after the other. While a question waits for its answer, nothing
is read, so that a slow login can be neither overtaken nor flooded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

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
from rtmptwist.net.line import Line
from rtmptwist.net.tunnel import Tunnel
from rtmptwist.net.uses import Uses
from rtmptwist.net.verification import Verification
from rtmptwist.net.writer import CipherWriter
from rtmptwist.wire.control import SetBufferLength, SwfVerificationResponse
from rtmptwist.wire.errors import LimitExceeded
from rtmptwist.wire.events import CloseStream, Decision, Event, Handshaken, Receive
from rtmptwist.wire.handshake import HandshakeKind
from rtmptwist.wire.message import Message
from rtmptwist.wire.server import ServerSession
from rtmptwist.wire.session import State
from rtmptwist.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from rtmptwist.net.server import Care

T = TypeVar("T")


class ServerConnection(Line):
    """One RTMP connection of a client, whatever carries its bytes."""

    # with the line's, beyond 30 attributes: CPython would give each object a table of its own,
    # and that is 1.6 KB instead of 0.4
    __slots__ = (
        "_beat",
        "_decision",
        "_reader",
        "_throughput",
        "account",
        "agent",
        "buffer",
        "gate",
        "handshake",
        "id",
        "registry",
        "strays",
        "target",
        "untold",
        "uses",
        "variant",
        "verification",
        "visitor",
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
        super().__init__(session, clock, care)
        self.registry = registry
        self.gate = gate
        self.uses = Uses()
        self.target: ConnectTarget | None = None
        self.visitor: Visitor | None = None
        self.account: Account | None = None
        self.verification: Verification | None = None
        "Where one is demanded."
        self.id = 0
        "By which operators call it; no other of this process ever has the same."
        self.strays = 0
        "Media messages for streams that do not publish."

        self.variant = variant
        "Of RTMP: what carries it."
        self.handshake: HandshakeKind | None = None
        self.agent = ""
        "What the client calls itself."
        self.buffer = 0
        "Milliseconds that it keeps of what it plays, as it said last; 0: nothing yet."

        self.untold = False
        "It was refused, and the log tells of it together with others."

        self._throughput: Throughput | None = None
        "2.6 KB, made for those that do something."
        self._beat = beat
        self._reader: Reader | None = None
        "While publishing over a socket."
        self._decision: Deferred[None] | None = None
        "What is waited for."

    # -------------------------------------------------------------- as a line

    def connectionMade(self) -> None:
        """A client is there; the registry may know too many of it."""
        super().connectionMade()
        self.id = self.registry.new_id()
        self.peer = f"#{self.id} {self.peer}"
        self.writer.drained = self.uses.resume
        try:
            self.registry.admit(self)
        except Refused:
            self.untold = True
            self.session.close()
            transport: Any = self.transport
            transport.abortConnection()

    def heard(self, events: list[Event]) -> None:
        """Media to those that are fed with it, and all else in its order."""
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

    @property
    def held(self) -> bool:
        """A decision is waited for."""
        return self._decision is not None

    def sweep(self, now: float) -> None:
        """Once a second: how much was there, and is the client still there?"""
        if self._throughput is None and self.uses:
            self._throughput = Throughput(self.since)
        if self._throughput is not None:
            self._throughput.sample(now, *self.traffic)
        super().sweep(now)

    def looked_after(self, now: float) -> None:
        """Once a second, of those who are there: may they go on?"""
        verification = self.verification
        if verification is not None and not self.held:  # else its answer may be there, unread
            why = verification.overdue(now, publishes=bool(self.uses.publishing))
            if why:
                self._reject(why)
                return
        for use in self.uses.each():
            use.sweep(now)
        if self.session.more:  # it waited for an answer that did not come
            self.dataReceived(b"")

    def closing(self, *, deciding: bool) -> None:
        """Decide nothing any more."""
        self.mind_transport()
        if deciding and self._decision is not None:
            self._decision.cancel()

    def gone(self, reason: str, *, wanted: bool) -> None:
        """Close what was opened, and say so once."""
        if self in self.registry.connections:
            self.registry.leave(self)
            self.registry.ledger.close(self.page, *self.traffic)
        self.uses.close(reason, wanted=wanted)
        if self.account is not None:
            self.account.left()
        if self.visitor is not None:
            self.note(EventKind.DISCONNECT, reason, self.visitor.application)
        if not self.untold:
            self.log.info(
                "{peer} left: {reason}, after {seconds:.1f} s, {received} bytes received,"
                " {sent} sent",
                peer=self.peer,
                reason=reason.rstrip("."),
                seconds=self.clock.seconds() - self.since,
                received=self.session.bytes_received,
                sent=self.writer.sent,
            )

    # ------------------------------------------------------------------ in

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
                if self.verification is not None and (why := self.verification.heard(event)):
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
            if not self.lost:
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

    # ------------------------------------------------------------- its uses

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

    # ----------------------------------------------------- for who is in charge

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

    def shut_down(self, linger: float) -> Deferred[None]:
        """The server stops: tell the client, close within `linger` seconds; fires when it left."""
        for use in self.uses.each():
            use.shut_down()
        if self.session.state is State.CONNECTED:
            self.session.status(0, Status(StatusCode.CONNECT_APP_SHUTDOWN, _SHUT_DOWN))
        return self.finish_within(linger, "the server is shutting down")

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
    def bitrates(self) -> tuple[Speed, Speed]:
        """Bits per second, in and out."""
        return self._throughput.bitrates if self._throughput else (Speed(), Speed())


_SHUT_DOWN: Final = "The server is shutting down."
