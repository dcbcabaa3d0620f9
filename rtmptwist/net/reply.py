"""
HTTP answers, as a client reads them (RFC 9112). Knows where one ends, not what it answers.

For `net.posts`, whose requests are made by the dozen each second: an answer that comes in one piece
is found in it without more ado. twisted.web's client would belong to a room above this one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

BODY_SIZE: Final = 1 << 20
"Bytes of an answer; servers put 64 KiB into one."

HEAD_SIZE: Final = 16 * 1024
"Bytes of an answer's head, or of what follows a chunked body; what servers send is 300 long."

_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: (.*))?")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)")
_LENGTH: Final = re.compile(rb"\d{1,15}")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?")
_CHUNK_LINE: Final = 1024
"Bytes of the line before a chunk: its length, perhaps extensions that nobody uses."


class BadReply(Exception):
    """What a server said is no answer, or too long. Its connection is of no more use."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    phrase: str
    "The status in words."

    body: bytes
    keeps: bool
    "The connection stays: the next request may use it."

    pipelines: bool
    "And may use it already before this one was answered."


@dataclass(frozen=True, slots=True)
class _Head:
    status: int
    phrase: str
    length: int | None
    "Of the body; None if only its end tells."

    chunked: bool
    keeps: bool
    modern: bool


class ReplyReader:
    """The answers of one connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._seen = 0  # of the buffer, where no head ends
        self._head: _Head | None = None
        self._parts: list[bytes] = []  # of a chunked body
        self._size = 0  # of these
        self._tail = -1  # bytes behind the last chunk; -1 before it

    def feed(self, data: bytes) -> list[Reply]:
        """
        Take bytes as they came; return the answers that they complete.

        Raises:
            BadReply: the connection is of no more use.
        """
        self._buffer += data
        replies = []
        while (reply := self._next()) is not None:
            replies.append(reply)
        return replies

    def finish(self) -> Reply | None:
        """The server has closed: return the answer that ends with that, if there is one."""
        head = self._head
        if head is None or head.chunked or head.length is not None:
            return None
        return self._complete(head, bytes(self._buffer))

    def _next(self) -> Reply | None:
        head = self._head or self._read_head()
        if head is None:
            return None
        buffer = self._buffer
        if head.chunked:
            body = self._read_chunks()
            return None if body is None else self._complete(head, body)
        if head.length is None:
            _check_size(len(buffer))
            return None
        if len(buffer) < head.length:
            return None
        body = bytes(buffer[: head.length])
        del buffer[: head.length]
        return self._complete(head, body)

    def _complete(self, head: _Head, body: bytes) -> Reply:
        self._head = None
        keeps = head.keeps
        return Reply(head.status, head.phrase, body, keeps, keeps and head.modern)

    def _read_head(self) -> _Head | None:
        buffer = self._buffer
        while True:
            end = buffer.find(b"\r\n\r\n", max(self._seen - 3, 0))
            if max(end, len(buffer) if end < 0 else 0) > HEAD_SIZE:
                raise BadReply(f"an answer's head of more than {HEAD_SIZE} bytes")
            if end < 0:
                self._seen = len(buffer)
                return None
            head = _parse(bytes(buffer[:end]))
            del buffer[: end + 4]
            self._seen = 0
            if head.status >= 200:  # 100 Continue says nothing
                self._head = head
                return head

    def _read_chunks(self) -> bytes | None:
        """Take the chunks that are complete; return the body when all are."""
        buffer = self._buffer
        at = 0
        body = None
        while (end := buffer.find(b"\r\n", at)) >= 0:
            line = bytes(buffer[at:end])
            if self._tail >= 0:
                at = end + 2
                if not line:
                    body = b"".join(self._parts)
                    self._parts, self._size, self._tail = [], 0, -1
                    break
                self._tail += len(line)
                if self._tail > HEAD_SIZE:
                    raise BadReply(f"more than {HEAD_SIZE} bytes after a chunked answer")
                continue
            match = _CHUNK.fullmatch(line)
            if match is None:
                raise BadReply(f"{line[:32]!r} where a chunk's length belongs")
            size = int(match[1], 16)
            if size == 0:
                at = end + 2
                self._tail = 0
                continue
            _check_size(self._size + size)
            begin, behind = end + 2, end + 2 + size
            if len(buffer) < behind + 2:
                break
            if buffer[behind : behind + 2] != b"\r\n":
                raise BadReply(f"a chunk does not end after its {size} bytes")
            self._parts.append(bytes(buffer[begin:behind]))
            self._size += size
            at = behind + 2
        else:
            if len(buffer) - at > _CHUNK_LINE:
                raise BadReply(f"a line of more than {_CHUNK_LINE} bytes between two chunks")
        del buffer[:at]
        return body


def _check_size(size: int) -> None:
    if size > BODY_SIZE:
        raise BadReply(f"an answer of {size} bytes (at most {BODY_SIZE})")


def _parse(head: bytes) -> _Head:
    first, *lines = head.split(b"\r\n")
    match = _STATUS.fullmatch(first)
    if match is None:
        raise BadReply(f"{first[:32]!r} is no HTTP/1 answer")
    fields: dict[bytes, list[bytes]] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise BadReply(f"{line[:32]!r} is no header")
        fields.setdefault(field[1].lower(), []).append(field[2].strip(b" \t"))
    status = int(match[2])
    modern = match[1] == b"1"
    length, chunked = _extent(fields)
    if status < 200 or status in (204, 304):
        length, chunked = 0, False
    words = b",".join(fields.get(b"connection", [])).lower().split(b",")
    options = {word.strip() for word in words}
    return _Head(
        status=status,
        phrase=(match[3] or b"").decode("latin-1"),
        length=length,
        chunked=chunked,
        keeps=(
            (chunked or length is not None)
            and b"close" not in options
            and (modern or b"keep-alive" in options)
        ),
        modern=modern,
    )


def _extent(fields: dict[bytes, list[bytes]]) -> tuple[int | None, bool]:
    """The body's length, if it is told, and whether it is chunked."""
    codings = fields.get(b"transfer-encoding", [])
    lengths = set(fields.get(b"content-length", []))
    if codings:
        if lengths or len(codings) > 1 or codings[0].lower() != b"chunked":
            raise BadReply(f"an answer with the transfer encoding {b', '.join(codings)[:32]!r}")
        return None, True
    if not lengths:
        return None, False
    text = lengths.pop()
    if lengths or not _LENGTH.fullmatch(text):
        raise BadReply(f"an answer with the length {text[:32]!r}")
    length = int(text)
    _check_size(length)
    return length, False
