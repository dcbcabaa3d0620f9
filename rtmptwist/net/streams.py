"""
What one message stream of a server connection does: nothing, publish, or play.

Three small classes are the state; each knows what to do with media that the client sends on it, and
how it ends. A player and a publisher hear from `live` here, and tell their client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from rtmptwist.live.interfaces import EndReason
from rtmptwist.live.names import StreamName
from rtmptwist.live.stream import Inlet
from rtmptwist.live.subscriber import Subscriber
from rtmptwist.wire.message import Message
from rtmptwist.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from rtmptwist.net.connection import ServerConnection


class NetStream(Protocol):
    """The use of a message stream."""

    def push(self, message: Message) -> None:
        """Media or data came from the client."""

    def flush(self) -> None:
        """That was all of this read."""

    def close(self, reason: str, *, wanted: bool) -> None:
        """The use ends: because the client `wanted` it so, or with the connection."""


class Publishing:
    """A client feeds a stream."""

    def __init__(self, connection: ServerConnection, stream_id: int, name: StreamName) -> None:
        self._connection = connection
        self._stream_id = stream_id
        self._name = name
        self._since = connection.clock.seconds()
        self.inlet: Inlet | None = None

    def attach(self, inlet: Inlet) -> None:
        """Begin: the inlet's methods are ours from now on, without a detour."""
        self.inlet = inlet
        self.push = inlet.push  # type: ignore[method-assign]  # a call less for every message
        self.flush = inlet.flush  # type: ignore[method-assign]

    def push(self, message: Message) -> None:
        """Nothing is fed before `attach`."""

    def flush(self) -> None:
        """Nothing is fed before `attach`."""

    def close(self, reason: str, *, wanted: bool) -> None:
        """The publisher left: the stream lives on for the grace time."""
        inlet, self.inlet = self.inlet, None
        if inlet is not None:
            inlet.end(release=wanted)
            self._log(inlet, reason)

    def displaced(self, reason: str) -> None:
        """`live.Publisher`: somebody else took the name over; tell the client and let it go."""
        inlet, self.inlet = self.inlet, None
        if inlet is not None:
            self._log(inlet, reason)
        connection = self._connection
        status = Status(StatusCode.PUBLISH_BAD_NAME, reason, {"details": self._name.path})
        connection.session.status(self._stream_id, status)
        connection.drop_stream(self._stream_id)
        connection.finish(reason)

    def _log(self, inlet: Inlet, reason: str) -> None:
        connection = self._connection
        meter = inlet.meter
        connection.log.info(
            "{peer} no longer publishes {path}: {reason}, after {seconds:.1f} s,"
            " {size} bytes in {messages} messages, {dropped} dropped",
            peer=connection.peer,
            path=self._name.path,
            reason=reason,
            seconds=connection.clock.seconds() - self._since,
            size=meter.bytes,
            messages=meter.messages,
            dropped=meter.dropped,
        )


_WORDS: Final = {
    EndReason.NOT_FOUND: Status(
        StatusCode.PLAY_STREAM_NOT_FOUND, "Nobody publishes this stream at present."
    ),
    EndReason.STALLED: Status(
        StatusCode.PLAY_INSUFFICIENT_BW, "Closed: nothing was taken for too long."
    ),
    EndReason.UNPUBLISHED: Status(StatusCode.PLAY_UNPUBLISH_NOTIFY, "The stream is over."),
    EndReason.DURATION: Status(StatusCode.PLAY_STOP, "The wanted duration was played."),
    EndReason.CLOSED: Status(StatusCode.PLAY_STOP, "The stream was closed by the server."),
}


class Playing:
    """A client watches a stream."""

    def __init__(self, connection: ServerConnection, stream_id: int, name: StreamName) -> None:
        self._connection = connection
        self._stream_id = stream_id
        self._name = name
        self._since = connection.clock.seconds()
        self.subscriber: Subscriber | None = None

    def attach(self, subscriber: Subscriber) -> None:
        """Begin."""
        self.subscriber = subscriber

    def push(self, message: Message) -> None:
        """A player has nothing to send."""
        self._connection.stray(message)

    def flush(self) -> None:
        """Nothing was pushed."""

    def close(self, reason: str, *, wanted: bool) -> None:  # noqa: ARG002 - as NetStream
        """The client stops watching."""
        subscriber, self.subscriber = self.subscriber, None
        if subscriber is not None:
            subscriber.close()
            self._log(subscriber, reason)

    def published(self) -> None:
        """`live.Player`: the publisher is there, or there again."""
        self._tell(Status(StatusCode.PLAY_PUBLISH_NOTIFY, "The publisher is there."))

    def unpublished(self) -> None:
        """`live.Player`: the publisher left for good; the viewer may wait for the next one."""
        connection = self._connection
        status = Status(StatusCode.PLAY_UNPUBLISH_NOTIFY, "The publisher has left.")
        connection.session.end_play(self._stream_id, status)
        connection.send()

    def ended(self, reason: EndReason) -> None:
        """`live.Player`: there is nothing more to come."""
        subscriber, self.subscriber = self.subscriber, None
        connection = self._connection
        status = _WORDS[reason]
        if reason is EndReason.DURATION:
            complete = Status(StatusCode.PLAY_COMPLETE, status.description)
            connection.session.play_status(self._stream_id, complete)
        connection.session.end_play(self._stream_id, status)
        connection.send()
        connection.drop_stream(self._stream_id)
        if subscriber is not None:
            self._log(subscriber, status.description)
        if reason is EndReason.STALLED:
            # it does not read, so nothing but its end will reach it
            connection.abort(status.description)

    def skipped(self, messages: int) -> None:
        """`live.Player`: the viewer was too slow for so many messages."""
        self._tell(Status(StatusCode.PLAY_INSUFFICIENT_BW, f"{messages} messages were left out."))

    def _tell(self, status: Status) -> None:
        self._connection.session.status(self._stream_id, status)
        self._connection.send()

    def _log(self, subscriber: Subscriber, reason: str) -> None:
        connection = self._connection
        meter = subscriber.meter
        connection.log.info(
            "{peer} no longer plays {path}: {reason}, after {seconds:.1f} s,"
            " {size} bytes, {skips} skips of {skipped} messages",
            peer=connection.peer,
            path=self._name.path,
            reason=reason,
            seconds=connection.clock.seconds() - self._since,
            size=meter.bytes,
            skips=meter.skips,
            skipped=meter.skipped,
        )
