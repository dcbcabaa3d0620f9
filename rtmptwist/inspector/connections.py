"""
The TCP connections of a capture: in order, told apart, and read by what they carry.

The first byte of a client decides, as at the server's front door: RTMP, TLS or HTTP. A tunnel may
use several connections.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Final

from rtmptwist.inspector.conversation import Conversation
from rtmptwist.inspector.http import BadHttp, Exchange, Post, Posts
from rtmptwist.inspector.lines import Line, Tell, Way
from rtmptwist.inspector.messages import Reader
from rtmptwist.inspector.pcap import FIN, RST, SYN, Peer, Segment
from rtmptwist.inspector.tcp import Sequence

CONNECTIONS: Final = 1000
"That are followed at one time; of more, the one that was silent longest is forgotten."

MEMORY: Final = 256 << 20
"Bytes of half-received messages in all; beyond, the largest are given up."

_LOOK: Final = 1000
"Segments between two looks at the memory."

_TLS: Final = 0x16
_ACK: Final = 0x10


class Connection:
    """One TCP connection."""

    def __init__(self, number: int, client: Peer, server: Peer, owner: Connections) -> None:
        self.number = number
        self.client = client
        self.server = server
        self._owner = owner
        self._sequences = {Way.CLIENT: Sequence(), Way.SERVER: Sequence()}
        self._ended: set[Way] = set()
        self._posts: Posts | None = None
        self._talk: Conversation | None = None
        self._closed = False
        self._told = False
        self._time = 0.0
        self._first = -1
        self.seen_start = False

    @property
    def held(self) -> int:
        """Bytes in memory."""
        waiting = sum(sequence.held for sequence in self._sequences.values())
        talk = self._talk.held if self._talk is not None else 0
        return waiting + talk + (self._posts.held if self._posts is not None else 0)

    def began(self, sequence: int) -> bool:
        """Whether its client's SYN had this number: then it is the same, sent again."""
        return self._first == sequence

    def segment(self, segment: Segment) -> bool:
        """Take a segment; False: the connection is over."""
        self._time = segment.time
        way = Way.CLIENT if segment.source == self.client else Way.SERVER
        sequence = self._sequences[way]
        if segment.flags & SYN and way is Way.CLIENT:
            self._first = segment.sequence
        number = segment.sequence + bool(segment.flags & SYN)
        sequence.begin(number)
        if segment.size:
            for piece in sequence.take(number, segment.data, segment.size):
                self._take(way, piece)
        if segment.flags & RST:
            self._finish(f"reset by the {way.value}")
            return False
        if segment.flags & FIN:
            self._ended.add(way)
            if len(self._ended) == 2:
                self._finish(f"closed by both, last by the {way.value}")
                return False
        return True

    def finish(self) -> None:
        """The capture ends, or there is no room."""
        self._finish("")

    def give_up(self) -> None:
        """It takes too much memory."""
        self._say("error", "more memory than there is for it: not read any further")
        self._talk = self._posts = None
        self._sequences = {Way.CLIENT: Sequence(), Way.SERVER: Sequence()}
        self._closed = True

    def _finish(self, how: str) -> None:
        for way, sequence in self._sequences.items():
            for piece in sequence.rest():
                self._take(way, piece)
        if self._talk is not None:
            self._talk.end()
        if how and self._told:
            repeated = sum(sequence.repeated for sequence in self._sequences.values())
            more = f"; {repeated} bytes were sent more than once" if repeated else ""
            self._say("connection", how + more)

    # ---------------------------------------------------------------- content

    def _take(self, way: Way, piece: bytes | int) -> None:
        if self._closed:
            return
        if self._talk is None and self._posts is None:
            self._begin(way, piece)
        if isinstance(piece, int):
            self._lose(way, piece)
        elif self._talk is not None:
            self._talk.of(way).feed(piece, self._time)
        elif self._posts is not None:  # pragma: no branch - else it would be closed
            self._http(self._posts, way, piece)

    def _begin(self, way: Way, piece: bytes | int) -> None:
        """The first bytes."""
        if isinstance(piece, int) or not self.seen_start:
            why = "its beginning is not in the capture"
        elif way is Way.SERVER:
            why = "the server speaks first, as no RTMP server does"
        elif piece[0] == _TLS:
            why = "TLS, whose keys are not in a capture"
        elif piece[:1].isalpha() and piece[:1].isupper():
            self._posts = Posts()
            return
        else:
            self._introduce("RTMP")
            self._talk = self._owner.talk(self.number)
            return
        self._closed = True
        self._introduce(f"not read: {why}")

    def _introduce(self, what: str) -> None:
        self._told = True
        self._say("connection", f"{self.client} to {self.server}: {what}")

    def _lose(self, way: Way, size: int) -> None:
        if self._talk is not None:
            self._talk.of(way).lose(size, self._time)
        elif self._posts is not None:  # pragma: no branch - else it would be closed
            self._stop(f"{size} bytes of HTTP are missing in the capture")

    def _http(self, posts: Posts, way: Way, data: bytes) -> None:
        try:
            if way is Way.CLIENT:
                for post in posts.ask(data):
                    self._asked(post)
            else:
                for exchange in posts.answer(data):
                    self._answered(exchange)
        except BadHttp as error:
            self._stop(str(error))

    def _asked(self, post: Post) -> None:
        tunnel = post.tunnel
        if tunnel is None:
            return
        verb, session = tunnel
        if not self._told:
            self._introduce("RTMPT")
        if verb == "send":
            talk = self._owner.tunnel(session)
            if talk is None:
                self._stop("a tunnel whose beginning is not in the capture")
            else:
                talk.client.feed(post.body, self._time)

    def _answered(self, exchange: Exchange) -> None:
        tunnel = exchange.post.tunnel
        if tunnel is None:
            return
        verb, session = tunnel
        if opened := exchange.opened:
            self._say("note", "a tunnel is opened")
            self._owner.open_tunnel(opened, self.number)
        elif exchange.status != 200:
            self._say("error", f"{verb} is answered with status {exchange.status}")
        elif verb == "close":
            self._owner.close_tunnel(session)
            self._say("note", "the tunnel is closed")
        elif (talk := self._owner.tunnel(session)) is not None:
            talk.server.feed(exchange.body[1:], self._time)  # the first byte: when to ask again

    def _stop(self, why: str) -> None:
        if self._told:
            self._say("error", f"{why}: not read any further")
        self._closed = True
        self._posts = None

    def _say(self, kind: str, words: str) -> None:
        self._owner.tell(Line(Way.NOBODY, kind, words, time=self._time, connection=self.number))


class Connections:
    """All connections of a capture."""

    def __init__(
        self,
        reader: Reader,
        tell: Tell,
        *,
        every_frame: bool = False,
        ports: Collection[int] = (),
        memory: int = MEMORY,
    ) -> None:
        """`ports`: only connections to these; empty: all."""
        self.tell = tell
        self._reader = reader
        self._every_frame = every_frame
        self._ports = ports
        self._memory = memory
        self._open: OrderedDict[frozenset[Peer], Connection] = OrderedDict()
        self._tunnels: OrderedDict[str, Conversation] = OrderedDict()
        self._made = 0

    def read(self, segments: Iterable[Segment]) -> None:
        """Tell all that is in them."""
        for count, segment in enumerate(segments, 1):
            self._segment(segment)
            if not count % _LOOK:
                self._mind_memory()

    def end(self) -> None:
        """There is nothing more."""
        for connection in self._open.values():
            connection.finish()
        self._open.clear()
        for talk in self._tunnels.values():
            talk.end()
        self._tunnels.clear()

    def talk(self, number: int) -> Conversation:
        """For what goes over a connection."""

        def tell(line: Line) -> None:
            line.connection = number
            self.tell(line)

        return Conversation(self._reader, tell, every_frame=self._every_frame)

    def tunnel(self, session: str) -> Conversation | None:
        """What goes through a tunnel."""
        return self._tunnels.get(session)

    def open_tunnel(self, session: str, number: int) -> None:
        """A server has opened it."""
        self.close_tunnel(session)
        self._tunnels[session] = self.talk(number)
        if len(self._tunnels) > CONNECTIONS:
            self._tunnels.popitem(last=False)[1].end()

    def close_tunnel(self, session: str) -> None:
        """Nothing more goes through it."""
        talk = self._tunnels.pop(session, None)
        if talk is not None:
            talk.end()

    def _segment(self, segment: Segment) -> None:
        if self._ports and not {segment.source.port, segment.target.port} & {*self._ports}:
            return
        key = frozenset((segment.source, segment.target))
        begins = bool(segment.flags & SYN) and not segment.flags & _ACK
        connection = self._open.get(key)
        if connection is not None and begins and connection.client == segment.source:
            if connection.began(segment.sequence):
                return  # its SYN once more
            self._open.pop(key).finish()
            connection = None
        if connection is None:
            if not segment.size and not segment.flags & SYN:
                return  # the last words of one that is over
            connection = self._open[key] = self._new(segment, begins)
            if len(self._open) > CONNECTIONS:
                self._open.popitem(last=False)[1].finish()
        self._open.move_to_end(key)
        if not connection.segment(segment):
            del self._open[key]

    def _new(self, segment: Segment, begins: bool) -> Connection:
        self._made += 1
        client, server = segment.source, segment.target
        answers = bool(segment.flags & SYN) and not begins
        if answers or (not begins and self._serves(client) and not self._serves(server)):
            client, server = server, client
        connection = Connection(self._made, client, server, self)
        connection.seen_start = bool(segment.flags & SYN)
        return connection

    def _serves(self, peer: Peer) -> bool:
        return peer.port in (self._ports or _SERVERS)

    def _mind_memory(self) -> None:
        held = {number: each.held for number, each in self._open.items()}
        tunnels = {session: talk.held for session, talk in self._tunnels.items()}
        while sum(held.values()) + sum(tunnels.values()) > self._memory:
            worst = max(held, key=lambda key: held[key], default=None)
            session = max(tunnels, key=lambda key: tunnels[key], default=None)
            if session is not None and (worst is None or tunnels[session] > held[worst]):
                del tunnels[session]
                self.close_tunnel(session)
            else:
                assert worst is not None
                held[worst] = 0
                self._open[worst].give_up()


_SERVERS: Final = frozenset({80, 443, 1935, 8080, 8443})
"Where servers listen, for connections whose first packets are not in the capture."
