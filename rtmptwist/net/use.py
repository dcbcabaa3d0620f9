"""What all uses of a message stream have in common: whose they are, and of what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtmptwist.live.access import Grant
from rtmptwist.live.application import Application
from rtmptwist.live.names import redacted
from rtmptwist.wire.message import Message

if TYPE_CHECKING:
    from rtmptwist.net.connection import ServerConnection


class Use:
    """A client publishes or plays."""

    def __init__(
        self,
        connection: ServerConnection,
        stream_id: int,
        application: Application,
        path: str,
        grant: Grant,
    ) -> None:
        """`path`: with application and virtual host."""
        self.connection = connection
        self.application = application
        self.since = connection.clock.seconds()
        self._stream_id = stream_id
        self._path = path
        self._grant = grant

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


class Watching(Use):
    """A client plays, and so has nothing to send."""

    def push(self, message: Message) -> None:  # noqa: ARG002 - as NetStream
        """It sends all the same."""
        self.connection.stray()

    def flush(self) -> None:
        """Nothing was pushed."""
