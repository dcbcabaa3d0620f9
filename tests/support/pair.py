"""A client's and a server's session, joined without a socket."""

from __future__ import annotations

import random

from rtmptwist.wire.client import ClientSession
from rtmptwist.wire.events import Decision, Event, Handshaken
from rtmptwist.wire.handshake import ClientHandshake, HandshakeKind
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.server import ServerSession
from rtmptwist.wire.session import Session
from rtmptwist.wire.swf import Swf


def randomness(seed: int = 7) -> random.Random:
    """Repeatable randomness: `randomness().randbytes` is what sessions take."""
    return random.Random(seed)


class SessionPair:
    """Moves bytes both ways and keeps the events of both sides."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        kind: HandshakeKind = HandshakeKind.DIGEST,
        swf: Swf | None = None,
    ) -> None:
        """`kind` of handshake, and what the client knows, if it is asked."""
        random = randomness(1).randbytes
        handshake = ClientHandshake(kind, random=random)
        self.client = ClientSession(random=random, limits=limits, handshake=handshake, swf=swf)
        self.server = ServerSession(random=randomness(2).randbytes, limits=limits)
        self.heard_by_client: list[Event] = []
        self.heard_by_server: list[Event] = []
        self.accepting = True
        "Decisions are accepted as they come; else they stay for the test."

        self.decision: Decision | None = None

    def pump(self) -> None:
        """Move bytes until both sides are silent."""
        moved = True
        while moved:
            moved = self._move(self.client, self.server, self.heard_by_server)
            moved = self._move(self.server, self.client, self.heard_by_client) or moved

    def _move(self, source: Session, target: Session, heard: list[Event]) -> bool:
        data = source.data_to_send()
        events = target.receive(data) if data else []
        while events:
            heard += [e for e in events if not isinstance(e, Handshaken)]
            if target is self.server and self.server.deciding:
                assert isinstance(events[-1], Decision)
                self.decision = events[-1]
                if not self.accepting:
                    break
                self.server.accept(events[-1])
            events = target.receive(b"") if target.more else []
        return bool(data)

    def connected(self) -> SessionPair:
        """The pair, past its connect, with nothing heard yet."""
        self.pump()
        self.client.connect("live", "rtmp://example.org/live")
        self.pump()
        self.forget()
        return self

    def with_stream(self) -> SessionPair:
        """The pair, connected, with message stream 1."""
        self.connected()
        self.client.create_stream()
        self.pump()
        self.forget()
        return self

    def forget(self) -> None:
        """Drop what was heard so far."""
        self.heard_by_client.clear()
        self.heard_by_server.clear()
