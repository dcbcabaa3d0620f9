"""RTMPT: what the requests and answers of one HTTP connection carry of its tunnels."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Final

from rtmptwist.net.reply import BadReply, ReplyReader

_HEAD: Final = 16 * 1024
"Bytes of a request's head."

_BODY: Final = 1 << 20
"Bytes of a request; clients put 64 KiB into one."

_OPEN: Final = 1000
"Requests that wait for their answers."

_REQUEST: Final = re.compile(rb"([A-Z]{1,16}) (\S{1,2000}) HTTP/1\.[01]\r?\n")
_LENGTH: Final = re.compile(rb"\r?\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r?\n", re.IGNORECASE)
_PATH: Final = re.compile(r"/(open|send|idle|close)/([^/]{1,128})(?:/(\d{1,12}))?")
_SESSION: Final = re.compile(rb"[!-~]{1,128}")


class BadHttp(Exception):
    """It is no HTTP, or more of it than RTMPT has."""


@dataclass(slots=True)
class Post:
    """One request."""

    method: str
    path: str
    body: bytes

    @property
    def tunnel(self) -> tuple[str, str] | None:
        """What is wanted of which session; None: it is no request of RTMPT."""
        found = _PATH.fullmatch(self.path) if self.method == "POST" else None
        return (found[1], found[2]) if found else None


@dataclass(slots=True)
class Exchange:
    """A request, and the answer to it."""

    post: Post
    status: int
    body: bytes

    @property
    def opened(self) -> str:
        """The session that was opened by it."""
        tunnel = self.post.tunnel
        session = self.body.strip()
        if tunnel and tunnel[0] == "open" and self.status == 200 and _SESSION.fullmatch(session):
            return session.decode("ascii")
        return ""


class Posts:
    """Both directions of an HTTP connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._waiting: deque[Post] = deque()
        self._replies = ReplyReader()

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return len(self._buffer)

    def ask(self, data: bytes) -> list[Post]:
        """
        Take what the client sent; return the requests that are complete.

        Raises:
            BadHttp: nothing more can be read.
        """
        buffer = self._buffer
        buffer += data
        found = []
        while (end := buffer.find(b"\r\n\r\n", 0, _HEAD)) >= 0:
            head = bytes(buffer[: end + 2])
            request = _REQUEST.match(head)
            if request is None:
                raise BadHttp("a request without method, path and HTTP/1.x")
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
            if size > _BODY:
                raise BadHttp(f"a request of {size} bytes (expected {_BODY} at most)")
            if len(buffer) < end + 4 + size:
                break
            body = bytes(buffer[end + 4 : end + 4 + size])
            del buffer[: end + 4 + size]
            post = Post(request[1].decode(), request[2].decode("latin-1"), body)
            self._waiting.append(post)
            if len(self._waiting) > _OPEN:
                raise BadHttp(f"more than {_OPEN} requests without an answer")
            found.append(post)
        if end < 0 and len(buffer) > _HEAD:
            raise BadHttp(f"no end of a request's head within {_HEAD} bytes")
        return found

    def answer(self, data: bytes) -> list[Exchange]:
        """
        Take what the server sent; return what is answered.

        Raises:
            BadHttp: nothing more can be read.
        """
        try:
            replies = self._replies.feed(data)
        except BadReply as error:
            raise BadHttp(str(error)) from error
        found = []
        for reply in replies:
            if not self._waiting:
                raise BadHttp("an answer without a request")
            found.append(Exchange(self._waiting.popleft(), reply.status, reply.body))
        return found
