"""
What a client does on one message stream: it publishes (`net.publishing`), plays something live
(`net.playing`) or a file (`net.replaying`), or nothing, and then there is no use.

Whose a use is and of what, and how its beginning and its end are told to the log, to operators and
to whoever allowed it, is said here for all of them.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from rtmptwist.live.access import Usage
from rtmptwist.live.conduct import overdue
from rtmptwist.live.journal import EventKind
from rtmptwist.live.meters import SubscriberMeter
from rtmptwist.live.names import redacted
from rtmptwist.net.permit import Permit
from rtmptwist.net.playlist import Begin, Playlist
from rtmptwist.wire.events import Play
from rtmptwist.wire.message import Message
from rtmptwist.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from rtmptwist.net.connection import ServerConnection


class Use:
    """A client publishes or plays."""

    # no ABC, of which isinstance would take 0.5 µs instead of 0.05, some times for each viewer
    __slots__ = (
        "__weakref__",
        "_grant",
        "_path",
        "_stream_id",
        "application",
        "connection",
        "since",
    )

    DOES: ClassVar[str]
    "As logs call it: `plays`."

    WHAT: ClassVar[str] = ""
    "Between that and the name."

    CAME_OF_IT: ClassVar[str]
    "How the log tells of a `Usage`, after the bytes."

    BEGINS: ClassVar[EventKind]
    ENDS: ClassVar[EventKind]

    def __init__(self, connection: ServerConnection, stream_id: int, permit: Permit) -> None:
        self.connection = connection
        self.application = permit.application
        self.since = connection.clock.seconds()
        self._stream_id = stream_id
        self._path = permit.path
        self._grant = permit.grant

    @property
    def account(self) -> str:
        """In whose name."""
        return self._grant.account

    @property
    def name(self) -> str:
        """Of the stream or file below its application. May be a secret."""
        return self._grant.path

    @property
    def shown(self) -> str:
        """Application and stream or file, for logs."""
        return redacted(self._path)

    @property
    @abstractmethod
    def expects(self) -> bool:
        """Whether there is media to come from the client, or due to it."""

    # ----------------------------------------------------- what its client does

    @abstractmethod
    def push(self, message: Message) -> None:
        """Media or data came from the client."""

    @abstractmethod
    def flush(self) -> None:
        """That was all of this read."""

    def resume(self) -> None:
        """The writer is idle."""

    def receive(self, *, audio: bool | None, video: bool | None) -> None:
        """The client wants sound or pictures no more, or again."""

    def buffer(self, milliseconds: int) -> None:
        """The client keeps so much of what it plays."""

    @abstractmethod
    def close(self, reason: str, *, wanted: bool) -> None:
        """The use ends: because the client `wanted` it so, or with the connection."""

    # ------------------------------------------------------ what the server does

    @abstractmethod
    def sweep(self, now: float) -> None:
        """Once a second: may it go on?"""

    @abstractmethod
    def expel(self, reason: str) -> None:
        """End the use from this side, and tell the client why."""

    @abstractmethod
    def shut_down(self) -> None:
        """The server stops, and the connection is closed next: say what is due before that."""

    # ------------------------------------------------------ beginning and end

    def begun(self) -> None:
        """Say so, now that the client knows."""
        connection, account = self.connection, self.account
        connection.log.info(
            "{peer} {does} {what}{path} as {account}",
            peer=connection.peer,
            does=self.DOES,
            what=self.WHAT,
            path=self.shown,
            account=account,
        )
        words = f"{self.DOES} {self.WHAT}as {account}"
        connection.note(self.BEGINS, words, self.application, self.name)

    def _over(self, reason: str) -> None:
        """It has ended: let go of what carried it, give the grant back, and say so."""
        connection = self.connection
        usage = self._usage(reason, connection.clock.seconds() - self.since)
        self._detach()
        connection.log.info(
            "{peer} no longer {does} {path}: {reason}, after {seconds:.1f} s, {size} bytes"
            + self.CAME_OF_IT,
            peer=connection.peer,
            does=self.DOES,
            path=self.shown,
            reason=reason.rstrip("."),
            seconds=usage.seconds,
            size=usage.bytes,
            messages=usage.messages,
            dropped=usage.dropped,
            skipped=usage.dropped,
            skips=usage.skips,
        )
        connection.note(self.ENDS, reason, self.application, self.name)
        self._grant.end(usage)

    def _part(self, status: Status) -> None:
        """End it from this side, and tell the client why."""
        connection = self.connection
        self._tell_end(status)
        connection.drop(self._stream_id)
        self._over(status.description)
        connection.finish_if_unused(status.description)

    @abstractmethod
    def _usage(self, reason: str, seconds: float) -> Usage:
        """What came of it until now."""

    @abstractmethod
    def _detach(self) -> None:
        """
        Let go of what carries it, and so keep nothing from being freed: a connection's memory is
        free when it ends, not later.
        """

    @abstractmethod
    def _tell_end(self, status: Status) -> None:
        """Tell the client."""


class Watching(Use):
    """A client plays, and so has nothing to send."""

    __slots__ = ("_idle", "_playlist")

    DOES = "plays"
    BEGINS = EventKind.PLAY
    ENDS = EventKind.STOP

    RECORDED: ClassVar[bool]
    "Whether it is a file."

    def __init__(self, connection: ServerConnection, stream_id: int, permit: Permit) -> None:
        super().__init__(connection, stream_id, permit)
        self._playlist: Playlist | None = None
        "What follows, if anything was ever queued."
        self._idle = False
        "It has ended, nothing followed, and it is still there."

    @property
    @abstractmethod
    def meter(self) -> SubscriberMeter:
        """What it got so far."""

    @abstractmethod
    def pause(self) -> None:
        """Send nothing until `unpause`."""

    @abstractmethod
    def unpause(self, time: int) -> None:
        """Go on; the client stopped at that time (ms)."""

    # -------------------------------------------------------------- what follows

    def enlist(self, event: Play, begin: Begin) -> None:
        """
        Play something when this has ended, by `begin`; at once, if it has.

        Raises:
            Refused: as `Playlist.add`.
        """
        if self._playlist is None:
            self._playlist = Playlist(self, begin)
        self._playlist.add(event)
        if self._idle:
            self._idle = False
            self._finish()

    def give_way(self, other: Watching) -> None:
        """What was queued begins in its place."""
        playlist, self._playlist = self._playlist, None
        assert playlist is not None
        playlist.on(other)
        other._playlist = playlist
        self._over("the next one begins")

    @abstractmethod
    def conclude(self) -> None:
        """It has ended, and nothing follows: tell the client."""

    def _finish(self) -> None:
        """It has ended: go on with what follows."""
        if self._playlist is None or not self._playlist.next():
            self.conclude()

    # ---------------------------------------------------------------- as Use

    def push(self, message: Message) -> None:  # noqa: ARG002 - as Use
        """It sends all the same."""
        self.connection.stray()

    def flush(self) -> None:
        """Nothing was pushed."""

    def close(self, reason: str, *, wanted: bool) -> None:  # noqa: ARG002 - as Use
        """The client stops watching."""
        self._over(reason)

    def sweep(self, now: float) -> None:
        """Does what allowed it hold, and is there time left?"""
        grant = self._grant
        if reason := grant.objection() or overdue(grant.terms, self.since, now):
            self.expel(reason)

    def expel(self, reason: str) -> None:
        """Tell the client and let it go."""
        self._part(Status(StatusCode.PLAY_FAILED, reason))

    def _over(self, reason: str) -> None:
        playlist, self._playlist = self._playlist, None
        super()._over(reason)
        if playlist is not None:
            playlist.close()

    def _usage(self, reason: str, seconds: float) -> Usage:
        meter = self.meter
        return Usage(reason, seconds, meter.bytes, dropped=meter.skipped, skips=meter.skips)

    def _tell_end(self, status: Status) -> None:
        self.connection.session.end_play(self._stream_id, status)
