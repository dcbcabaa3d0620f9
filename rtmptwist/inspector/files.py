"""What is in files: captures, or the bytes of one or both sides of a connection as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from rtmptwist.inspector.connections import Connections
from rtmptwist.inspector.conversation import Conversation
from rtmptwist.inspector.direction import Direction
from rtmptwist.inspector.greeting import SIZE
from rtmptwist.inspector.lines import Line, Tell, Way
from rtmptwist.inspector.messages import Reader
from rtmptwist.inspector.pcap import BadCapture, is_capture, segments
from rtmptwist.wire.digest import SERVER_KEY, find_digest
from rtmptwist.wire.handshake import PACKET_SIZE, RTMP_VERSION, RTMPE_VERSIONS

_PIECE: Final = 16 * 1024
"Bytes that are read at a time."

_CONNECT: Final = b"\x02\x00\x07connect"
_RESULT: Final = b"\x02\x00\x07_result"


def read_capture(
    file: BinaryIO,
    reader: Reader,
    tell: Tell,
    *,
    every_frame: bool = False,
    ports: frozenset[int] = frozenset(),
) -> None:
    """Tell all connections of a capture. Never raises for what is in it."""
    skipped: Counter[str] = Counter()

    def skip(why: str) -> None:
        skipped[why if len(skipped) < _REASONS or why in skipped else "of other kinds"] += 1

    connections = Connections(reader, tell, every_frame=every_frame, ports=ports)
    try:
        connections.read(segments(file, skip))
    except BadCapture as error:
        tell(Line(Way.NOBODY, "error", f"{error}; at byte {_position(file)} of the file"))
    connections.end()
    for why, count in sorted(skipped.items()):
        words = f"{count} packet{'s' if count > 1 else ''} {why} {'were' if count > 1 else 'was'}"
        tell(Line(Way.NOBODY, "note", f"{words} left out"))


_REASONS: Final = 20
"For leaving packets out, that are counted one by one."


def _position(file: BinaryIO) -> str:
    return str(file.tell()) if file.seekable() else "?"


def read_bytes(
    files: Sequence[tuple[BinaryIO, str]],
    reader: Reader,
    tell: Tell,
    *,
    every_frame: bool = False,
    side: Way | None = None,
    chunks: bool = False,
) -> None:
    """
    Tell what one side sent, or both: first the client, then the server.

    `files` with their names; `side` is whose bytes the only file has, by default what its name or
    its handshake says. `chunks`: they begin behind the handshake, which otherwise they tell.
    """
    talk = Conversation(reader, tell, every_frame=every_frame)
    if len(files) == 1:
        file, name = files[0]
        head = file.read(SIZE)
        one = talk.of(side or _side(name, head))
        _begin(one, head, chunks)
        _all(one, file)
    else:
        ways = _ways([name for _, name in files])
        sides = [(talk.of(way), file) for way, (file, _) in zip(ways, files, strict=True)]
        sides.sort(key=lambda pair: pair[0] is talk.server)
        heads = [file.read(1 + PACKET_SIZE) for _, file in sides]
        for (direction, _), head in zip(sides, heads, strict=True):
            _begin(direction, head, chunks)  # each packet 2 answers the other's packet 1
        for direction, file in sides:
            _all(direction, file)
    talk.end()


def begins_with_chunks(head: bytes) -> bool:
    """Whether these are chunks, without a handshake before them."""
    if head[:1] and head[0] not in {RTMP_VERSION, *RTMPE_VERSIONS}:
        return head[0] & 0x3F == 2 and head[7:8] in _CONTROL
    return head[12:22] == _CONNECT or (head[7:8] == b"\x14" and head[12:13] == b"\x02")


_CONTROL: Final = frozenset(bytes((kind,)) for kind in range(1, 7))


def _begin(direction: Direction, head: bytes, chunks: bool) -> None:
    if chunks or begins_with_chunks(head):
        direction.skip_greeting()
    direction.feed(head)


def _all(direction: Direction, file: BinaryIO) -> None:
    while data := file.read(_PIECE):
        direction.feed(data)


def _side(name: str, head: bytes) -> Way:
    packet = head[1 : 1 + PACKET_SIZE]
    if len(packet) == PACKET_SIZE and find_digest(packet, SERVER_KEY):
        return Way.SERVER
    answers = _RESULT in head and _CONNECT not in head
    return Way.SERVER if answers or _says_server(name) else Way.CLIENT


def _ways(names: Sequence[str]) -> tuple[Way, Way]:
    first, second = map(_says_server, names)
    return (Way.SERVER, Way.CLIENT) if first and not second else (Way.CLIENT, Way.SERVER)


def _says_server(name: str) -> bool:
    words = Path(name).name.lower()
    return "s2c" in words or "server" in words


def looks_like_capture(file: BinaryIO) -> bool:
    """Whether it begins as one; it stays at its beginning."""
    peek = getattr(file, "peek", None)
    return peek is not None and is_capture(peek(4))
