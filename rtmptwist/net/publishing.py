"""A client feeds a stream: it hears from `live` here what comes of that, and is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtmptwist.live.access import Usage
from rtmptwist.live.conduct import Conduct
from rtmptwist.live.health import Sign, Trouble
from rtmptwist.live.inlet import Inlet, Phase
from rtmptwist.live.journal import EventKind
from rtmptwist.net.permit import Permit
from rtmptwist.net.use import Use
from rtmptwist.wire.message import Message
from rtmptwist.wire.session import State
from rtmptwist.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from rtmptwist.net.connection import ServerConnection


class Publishing(Use):
    """A client feeds a stream."""

    DOES = "publishes"
    CAME_OF_IT = " in {messages} messages, {dropped} dropped"
    BEGINS = EventKind.PUBLISH
    ENDS = EventKind.UNPUBLISH

    stands_in = False

    def __init__(
        self, connection: ServerConnection, stream_id: int, permit: Permit, kind: str
    ) -> None:
        super().__init__(connection, stream_id, permit)
        self.kind = kind
        "What the client asked for, beside to be live: `record`, `append`."
        self._inlet: Inlet | None = None
        self._conduct: Conduct | None = None
        self.merge = 0.0
        "Seconds that the stream gathers messages."

    @property
    def expects(self) -> bool:
        """Whether anything is taken."""
        return self._inlet is not None and self._inlet.phase is not Phase.ENDED

    def attach(self, inlet: Inlet, merge: float) -> None:
        """Begin: the inlet's methods are ours from now on, without a detour."""
        self._inlet = inlet
        self._conduct = Conduct(self._grant.terms, inlet, self.since)
        self.merge = merge
        self.push = inlet.push  # type: ignore[method-assign]  # a call less for every message
        self.flush = inlet.flush  # type: ignore[method-assign]

    @property
    def inlet(self) -> Inlet:
        """What we feed, from `attach` on."""
        assert self._inlet is not None
        return self._inlet

    def push(self, message: Message) -> None:
        """Nothing is fed before `attach`."""

    def flush(self) -> None:
        """Nothing is fed before `attach`."""

    def close(self, reason: str, *, wanted: bool) -> None:
        """The publisher left: the stream lives on for the grace time."""
        self.inlet.end(release=wanted)
        self._over(reason)

    def sweep(self, now: float) -> None:
        """Does what allowed it hold, and does it keep to the terms?"""
        assert self._conduct is not None
        if objection := self._grant.objection():
            self.expel(objection)
        elif finding := self._conduct.look(now):
            if finding.final:
                self.expel(finding.words)
            else:
                stream = self.application.find(self.name)
                assert stream is not None  # for as long as we feed it
                stream.see(Sign.BITRATE, finding.words)

    def expel(self, reason: str) -> None:
        """Tell the client and let it go; the name is free for others."""
        self.inlet.end(release=True)
        self._part(self._status(StatusCode.PUBLISH_DENIED, reason))

    def shut_down(self) -> None:
        """A publisher hears it from the connection."""

    def tell(self, status: Status) -> None:
        """`live.Publisher`: pass it on, even when the publication has just ended."""
        connection = self.connection
        if connection.session.state is State.CONNECTED and connection.uses.get(self._stream_id) in (
            self,
            None,
        ):
            connection.session.status(self._stream_id, status)
            connection.send()

    def displaced(self, reason: str) -> None:
        """`live.Publisher`: somebody else took the name over; tell the client and let it go."""
        self._part(self._status(StatusCode.PUBLISH_BAD_NAME, reason))

    def troubled(self, trouble: Trouble, *, begins: bool) -> None:
        """`live.Publisher`: encoders write it into their logs at best; operators read ours."""
        connection, words = self.connection, trouble.words
        turn = "begin" if begins else "end"
        connection.note(
            EventKind.WARNING, words, self.application, self.name, code=trouble.sign, turn=turn
        )
        if begins:
            self.tell(Status(StatusCode.PUBLISH_WARNING, words))
        if trouble.again:
            return
        if begins:
            text = "{peer} publishes {path}: {words}"
            connection.log.warn(text, peer=connection.peer, path=self.shown, words=words)
        else:
            connection.log.info(
                "{peer} publishes {path}: over after {seconds:.0f} s: {words}",
                peer=connection.peer,
                path=self.shown,
                seconds=connection.clock.seconds() - trouble.since,
                words=words,
            )

    def _status(self, code: StatusCode, reason: str) -> Status:
        return Status(code, reason, {"details": self._path})

    def _usage(self, reason: str, seconds: float) -> Usage:
        meter = self.inlet.meter
        return Usage(reason, seconds, meter.bytes, meter.messages, meter.dropped)

    def _detach(self) -> None:
        self._inlet = self._conduct = None
        for method in ("push", "flush"):
            vars(self).pop(method, None)

    def _tell_end(self, status: Status) -> None:
        self.connection.session.status(self._stream_id, status)
