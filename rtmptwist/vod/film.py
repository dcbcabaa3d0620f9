"""
Files that are open: each once, for all who play it, and what was read of them for a while.

A piece is a block of a file in the bytes of one format. Timestamps are the file's own, so one piece
serves all viewers who understand the same bytes, whenever they began: it is read and encoded once,
in a thread, and kept until others need the room.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from rtmptwist.amf import amf0
from rtmptwist.amf.errors import AmfError
from rtmptwist.amf.values import EcmaArray
from rtmptwist.disk.threads import Lane
from rtmptwist.live.interfaces import Format
from rtmptwist.live.playback import Mark
from rtmptwist.media.container import Container, Place, Point
from rtmptwist.media.flv import VIDEO, FlvTag
from rtmptwist.media.tag import audio_tag, video_tag
from rtmptwist.vod.pacer import SLICE
from rtmptwist.wire.message import Message, MessageType

SEARCH: Final = 100
"Blocks that are read in one go to find something that is to be sent."


OVERHEAD: Final = 600
"Bytes that a piece takes besides its data, about: even one of which nothing is sent."


class Piece(NamedTuple):
    """Some of a file, ready to be sent."""

    data: bytes
    start: int
    "Milliseconds: of the first tag,"
    end: int
    "and the greatest one."
    next: Place
    "Where it goes on."
    last: bool = False
    "Nothing more is to come, and nothing is here."

    mark: Mark | None = None
    "Of its last tag."


class Cut(NamedTuple):
    """What of a piece is wanted, if not all of it."""

    after: int = -1
    "Milliseconds: later than that,"
    before: int | None = None
    "and sooner."
    picture: bool = False
    "Only up to the first picture."


WHOLE: Final = Cut()


class Key(NamedTuple):
    """What is equal in equal pieces."""

    film: object
    place: Place
    form: Format
    origin: int
    "Milliseconds: what is at that time gets a timestamp of 0."


class Store:
    """Pieces of all files, as there is room for them: first go those that nobody needed lately."""

    def __init__(self, room: int) -> None:
        """`room` in bytes."""
        self.room = room
        self.size = 0
        self._pieces: OrderedDict[Key, Piece] = OrderedDict()

    def get(self, key: Key) -> Piece | None:
        """A piece, if it is still there."""
        piece = self._pieces.get(key)
        if piece is not None:
            self._pieces.move_to_end(key)
        return piece

    def put(self, key: Key, piece: Piece) -> None:
        """Keep a piece."""
        before = self._pieces.pop(key, None)
        self._pieces[key] = piece
        self.size += _size(piece) - (_size(before) if before is not None else 0)
        while self.size > self.room:
            _, old = self._pieces.popitem(last=False)
            self.size -= _size(old)

    def drop(self, film: object) -> None:
        """Keep nothing of a file."""
        for key in [key for key in self._pieces if key.film is film]:
            self.size -= _size(self._pieces.pop(key))


def _size(piece: Piece) -> int:
    return len(piece.data) + OVERHEAD


class OpenFilm:
    """`live.playback.Film`: a file and its container. Work with them goes through a lane."""

    def __init__(
        self,
        container: Container,
        lane: Lane,
        store: Store,
        clock: IReactorTime,
        unused: Callable[[OpenFilm], None],
        *,
        grows: bool = False,
    ) -> None:
        """
        `container` is its own. It is told to `unused` when nobody holds it any more, and may then
        be closed. `grows`: it is longer by now than it was.
        """
        self._container = container
        self.lane = lane
        "In which all work with it is done."
        self._store = store
        self._clock = clock
        self._unused = unused
        self._reading: dict[Key, list[Deferred[Piece]]] = {}
        "What is being read, and who waits for it."
        self.duration = 0 if grows else container.duration
        self.metadata = _metadata(container)
        self.holders = 0

    def hold(self) -> OpenFilm:
        """Somebody needs it."""
        self.holders += 1
        return self

    def release(self) -> None:
        """As `Film`."""
        self.holders -= 1
        if not self.holders:
            self._unused(self)

    def find(self, time: int) -> Deferred[Point]:
        """Where to begin, to play from a time on."""
        return self.lane.call(partial(self._container.seek, time))

    def kept(self, place: Place, form: Format, origin: int = 0) -> Piece | None:
        """A piece that was read already."""
        return self._store.get(Key(self, place, form, origin))

    def read(
        self, place: Place, form: Format, cut: Cut = WHOLE, origin: int = 0
    ) -> Deferred[Piece]:
        """A piece; whole ones are kept."""
        if cut != WHOLE:
            return self.lane.call(partial(_cut, self._container, place, form, cut, origin))
        key = Key(self, place, form, origin)
        piece: Deferred[Piece] = Deferred()
        waiting = self._reading.get(key)
        if waiting is not None:
            waiting.append(piece)
        else:
            self._reading[key] = [piece]
            read = self.lane.call(partial(_whole, self._container, place, form, origin))
            read.addBoth(self._have, key)
        return piece

    def _have(self, piece: Piece | Failure, key: Key) -> None:
        waiting = self._reading.pop(key)
        if isinstance(piece, Piece) and not piece.last:  # a file may grow
            self._store.put(key, piece)
        self._deliver(waiting, piece)

    def _deliver(self, waiting: list[Deferred[Piece]], piece: Piece | Failure) -> None:
        """To some in each turn of the reactor."""
        for deferred in waiting[:SLICE]:
            deferred.callback(piece)
        if len(waiting) > SLICE:
            self._clock.callLater(0, self._deliver, waiting[SLICE:], piece)

    def close(self) -> None:
        """Nobody will need it."""
        self._store.drop(self)
        self.lane.put(self.end)

    def end(self) -> None:
        """Give everything back, in this thread."""
        self._container.close()


def _metadata(container: Container) -> Message | None:
    try:
        payload = amf0.encode("onMetaData", EcmaArray(container.metadata))
    except AmfError:
        return None
    return Message(MessageType.DATA, 0, 0, payload)


def messages(tags: Iterable[FlvTag], origin: int = 0) -> list[Message]:
    """
    As they are sent.

    Of what is before the origin, only what the decoder needs: pictures, which nobody sees.
    """
    found = []
    for tag in tags:
        time = tag.timestamp - origin
        if time >= 0 or tag.type == VIDEO or audio_tag(tag.payload).header:
            found.append(Message(tag.type, max(0, time), 0, tag.payload))
    return found


def _whole(container: Container, place: Place, form: Format, origin: int) -> Piece:
    """In a thread: read and encode."""
    tags, following = container.read(place)
    if not tags:
        return Piece(b"", 0, 0, place, last=True)
    data = form.encode(messages(tags, origin))
    end = max(tag.timestamp for tag in tags)
    return Piece(data, tags[0].timestamp, end, following, mark=_mark(tags[-1]))


def _cut(container: Container, place: Place, form: Format, cut: Cut, origin: int) -> Piece:
    """In a thread: read what is wanted, wherever it begins."""
    for _ in range(SEARCH):
        tags, following = container.read(place)
        if not tags or (cut.before is not None and tags[0].timestamp >= cut.before):
            break
        wanted = [
            tag
            for tag in tags
            if tag.timestamp > cut.after and (cut.before is None or tag.timestamp < cut.before)
        ]
        if cut.picture:
            wanted = wanted[: _first_picture(wanted)]
        if wanted:
            end = max(tag.timestamp for tag in tags)
            data = form.encode(messages(wanted, origin))
            return Piece(data, wanted[0].timestamp, end, following, mark=_mark(wanted[-1]))
        place = following
    else:
        return Piece(b"", tags[0].timestamp, tags[-1].timestamp, place)  # a long way to go
    return Piece(b"", 0, 0, place, last=True)


def _mark(tag: FlvTag) -> Mark:
    return Mark(tag.type, tag.timestamp, len(tag.payload), hash(tag.payload))


def _first_picture(tags: list[FlvTag]) -> int:
    """How many tags it takes until there is something to see."""
    for number, tag in enumerate(tags, 1):
        if tag.type == VIDEO and video_tag(tag.payload).coded:
            return number
    return len(tags)
