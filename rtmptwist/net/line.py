"""
The line to one client: a session on a transport, from its first byte to its last.

Bytes come in and go out, what was said is remembered for a while, silence and slowness are
noticed, and the line ends in one of a few ways. What the client's words mean is not known here: a
subclass is told of them (`heard`), and of the times when it has something to do as well.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtmptwist.net.ending import Ending
from rtmptwist.net.listen import host_of, name_of, quick_ack
from rtmptwist.net.liveness import Liveness
from rtmptwist.net.tls import in_words
from rtmptwist.net.trail import in_short, longer
from rtmptwist.net.tunnel import ClosedByClient
from rtmptwist.net.writer import MeteredWriter, writer_for
from rtmptwist.wire.errors import RemoteProtocolError
from rtmptwist.wire.events import Event
from rtmptwist.wire.server import ServerSession
from rtmptwist.wire.session import State

if TYPE_CHECKING:
    from rtmptwist.net.server import Care


class Line(Protocol):
    """Of one connection of a server, whatever carries its bytes."""

    log = Logger()

    __slots__ = (
        "_ending",
        "_liveness",
        "_quick_ack",
        "address",
        "care",
        "clock",
        "peer",
        "session",
        "since",
        "trail",
        "writer",
    )

    def __init__(self, session: ServerSession, clock: IReactorTime, care: Care) -> None:
        self.session = session
        self.clock = clock
        self.care = care
        self.writer: MeteredWriter
        self.address = ""
        self.peer = ""
        "As logs call it."
        self.trail = b""
        "The last events of the session (`net.trail`)."
        self.since = clock.seconds()
        self._liveness = Liveness(session, self.since, care.ping_interval, care.ping_timeout)
        self._quick_ack: Callable[[], None] | None = None
        "While commands come one by one."
        self._ending: Ending | None = None

    # ---------------------------------------------------------------- Twisted

    def connectionMade(self) -> None:
        """A client is there."""
        transport: Any = self.transport
        peer = transport.getPeer()
        self.address, self.peer = host_of(peer), name_of(peer)
        self.writer = writer_for(transport)
        self._quick_ack = quick_ack(transport)

    def dataReceived(self, data: bytes) -> None:
        """Bytes of the client: the path of every media message begins here."""
        if self._quick_ack is not None:
            self._quick_ack()
        try:
            events = self.session.receive(data)
            if events:
                self.heard(events)
        except RemoteProtocolError as error:
            self._broken(error)
        self.send()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Close what was opened."""
        ending = self._end(in_words(reason), lost=True)
        # /close is all the goodbye that FFmpeg says through a tunnel
        self.gone(ending.reason, wanted=bool(reason.check(ClosedByClient)))
        ending.over()

    # ------------------------------------------------------------ the subclass

    @abstractmethod
    def heard(self, events: list[Event]) -> None:
        """
        The client said this, in this order.

        Raises:
            RemoteProtocolError: it must not.
        """

    @abstractmethod
    def looked_after(self, now: float) -> None:
        """Once a second: it is still there, and has connected in time."""

    @property
    @abstractmethod
    def held(self) -> bool:
        """Nothing is read for now, so silence and slowness mean nothing."""

    @abstractmethod
    def closing(self, *, deciding: bool) -> None:
        """The session is closed, while a decision was due or not; may be said again."""

    @abstractmethod
    def gone(self, reason: str, *, wanted: bool) -> None:
        """The transport is gone, because the client `wanted` it or not."""

    # -------------------------------------------------------------- in and out

    def send(self) -> None:
        """Hand over what the session has to say, in one write."""
        if self.session.said is not None:
            self._record()
        data = self.session.data_to_send()
        if data and not self.writer.write(data) and self.writer.waiting > self.care.waiting_size:
            self.abort(f"{self.writer.waiting} bytes wait for a peer that does not read")

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes in, after the handshake, and out."""
        return self.session.bytes_received, self.writer.sent

    # ------------------------------------------------------------------- time

    def sweep(self, now: float) -> None:
        """Once a second: has the client been quick enough, is it still there?"""
        if self.session.state is State.CLOSED:
            return
        try:
            alive = self._liveness.look(now, reading=not self.held)
        except RemoteProtocolError as error:
            self._broken(error)
            return
        self.send()
        if not alive:
            self.abort("nothing was heard for too long, not even the answer to a ping")
        elif why := self._overdue(now):
            self.abort(why)
        else:
            self.looked_after(now)

    def _overdue(self, now: float) -> str:
        """Why a client that has not connected yet has to go, or nothing."""
        limits, state = self.care.limits, self.session.state
        allowed = limits.handshake_timeout
        if state is State.HANDSHAKEN:
            allowed += limits.connect_timeout
        if state is State.CONNECTED or self.held or now - self.since <= allowed:
            return ""
        what = "connect" if state is State.HANDSHAKEN else "handshake"
        return f"no {what} within {allowed:g} s"

    # ------------------------------------------------------------------- ends

    def finish(self, reason: str, linger: float | None = None) -> None:
        """
        Say what is still to be said, and close when the client has, or after `linger` seconds.

        FFmpeg, while it publishes, reads only after it has written, which a reset would prevent.
        """
        self._finish(reason, linger, self.writer.finish)

    def finish_within(self, seconds: float, reason: str) -> Deferred[None]:
        """The same, so soon even if it is closing already; fires when the client has gone."""
        self.finish(reason, seconds)
        return self._end(reason).hurry(seconds)

    def abort(self, reason: str) -> None:
        """Close at once: the peer does not read anyway."""
        if not self.lost:
            self._end(reason)
            transport: Any = self.transport
            transport.abortConnection()

    @property
    def lost(self) -> bool:
        """The transport is gone."""
        return self._ending is not None and self._ending.lost

    def _finish(self, reason: str, linger: float | None, close: Callable[[], None]) -> None:
        self.send()
        if self.session.state is State.CLOSED:
            return
        transport: Any = self.transport
        linger = self.care.linger if linger is None else linger
        self._end(reason).linger(linger, transport.abortConnection)
        close()

    def _end(self, reason: str, *, lost: bool = False) -> Ending:
        """Read nothing any more; the first reason is the one that counts."""
        deciding = self.session.deciding
        self.session.close()
        ending = self._ending
        if ending is None:
            ending = self._ending = Ending(reason, self.clock)
            if not lost:
                self._record(reason)
        ending.lost = ending.lost or lost
        self.closing(deciding=deciding)
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
