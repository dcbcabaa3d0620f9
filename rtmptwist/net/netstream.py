"""
A client's NetStream: one message stream of its connection, which publishes or plays.

What a server's statuses mean for requests that wait; the rest is the session's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from rtmptwist.amf import amf0
from rtmptwist.amf.values import Value
from rtmptwist.wire.client import ClientSession
from rtmptwist.wire.errors import LocalProtocolError
from rtmptwist.wire.message import Message, MessageType

if TYPE_CHECKING:
    from rtmptwist.net.client import NetConnection

Info = dict[str, Value]
"An information object: `level`, `code`, `description` and more."


class Refusal(Exception):
    """The server said no. `code` and `description` are its words."""

    def __init__(self, info: Mapping[str, Value]) -> None:
        self.info = dict(info)
        self.code = str(info.get("code", ""))
        self.description = str(info.get("description", ""))
        super().__init__(f"{self.code}: {self.description}")


class NetStream:
    """
    One message stream of a client: publishes or plays.

    One request at a time: the next one cancels the Deferred of the one before.

    Raises (from everything that sends):
        LocalProtocolError: after `close`.
    """

    def __init__(self, connection: NetConnection, stream_id: int) -> None:
        self.connection = connection
        self.stream_id = stream_id
        self.on_message: Callable[[Message], object] = _ignore
        "Hears audio, video and data while playing. Set it before `play`, or right after."

        self.on_status: Callable[[Info], object] = _ignore
        "Hears every status of the stream."

        self._wanted = ""
        self._name = ""

    def publish(self, name: str, kind: str = "live") -> Deferred[Info]:
        """Feed a stream; fires with the status when the server has agreed."""
        session = self._session
        self._name = name
        session.release_stream(name)
        session.publish(self.stream_id, name, kind)
        return self._status("publish", "NetStream.Publish.Start")

    def play(
        self, name: str, start: float = -2.0, duration: float = -1.0, *, reset: bool = True
    ) -> Deferred[Info]:
        """
        Watch a stream; `start` and `duration` in seconds, negative as in `wire.events.Play`.

        Fires when the server has agreed, which may be before there is a publisher.
        """
        self._session.play(self.stream_id, name, start, duration, reset=reset)
        return self._status("play", "NetStream.Play.Start")

    def pause(self, paused: bool = True, position: float = 0.0) -> Deferred[Info]:
        """Pause, or go on at `position`, in milliseconds."""
        self._session.pause(self.stream_id, paused, position)
        return self._status("pause", f"NetStream.{'Pause' if paused else 'Unpause'}.Notify")

    def seek(self, position: float) -> Deferred[Info]:
        """Go to `position`, in milliseconds."""
        self._session.seek(self.stream_id, position)
        return self._status("seek", "NetStream.Seek.Notify")

    def keep(self, milliseconds: int) -> None:
        """Tell how much is kept of what is played: so much of a file is sent ahead."""
        self._session.set_buffer_length(self.stream_id, milliseconds)
        self.connection.send()

    def receive(self, *, audio: bool | None = None, video: bool | None = None) -> None:
        """Switch sound or picture on or off."""
        session = self._session
        if audio is not None:
            session.receive_audio(self.stream_id, audio)
        if video is not None:
            session.receive_video(self.stream_id, video)
        self.connection.send()

    def send(self, message: Message) -> bool:
        """
        Send audio, video or data, on this stream whatever the message says.

        False: the network is slower than the sender, who should wait for `when_drained`.
        """
        own = Message(message.type, message.timestamp, self.stream_id, message.payload)
        self._session.send_media(own)
        self.connection.send()
        return self.connection.idle

    def send_data(self, *values: Value, timestamp: int = 0) -> bool:
        """Send a data message of AMF0 values; the first is the name of its handler."""
        return self.send(Message(MessageType.DATA, timestamp, 0, amf0.encode(*values)))

    def close(self) -> None:
        """End what the stream does and free it; may be called again."""
        connection = self.connection
        if connection.streams.pop(self.stream_id, None) is None:
            return
        connection.answers.cancel(self)
        if self._name:
            connection.session.unpublish(self._name)
        connection.session.delete_stream(self.stream_id)
        connection.send()

    def heard(self, info: Info) -> None:
        """The server told a status: an answer to what was asked before it, and to nothing later."""
        answer: Callable[[object], object] = _ignore
        result: object = info
        if info.get("level") == "error":
            answer, result = self.connection.answers.take(self), Failure(Refusal(info))
        elif info.get("code") == self._wanted:
            answer = self.connection.answers.take(self)
        self.on_status(info)
        answer(result)

    @property
    def _session(self) -> ClientSession:
        if self.connection.streams.get(self.stream_id) is not self:
            raise LocalProtocolError(f"NetStream {self.stream_id} is closed")
        return self.connection.session

    def _status(self, what: str, code: str) -> Deferred[Info]:
        self._wanted = code
        self.connection.send()
        return self.connection.answers.expect(self, what)


def _ignore(_: object) -> None:
    """Nobody listens."""
