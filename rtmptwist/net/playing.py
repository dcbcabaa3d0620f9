"""
A client plays something live, or what that was: it hears from `live` here what comes of that, and
is told.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from rtmptwist.live.formats import RtmpFormat
from rtmptwist.live.interfaces import EndReason
from rtmptwist.live.meters import SubscriberMeter
from rtmptwist.live.playback import Excerpt
from rtmptwist.live.stream import LiveStream
from rtmptwist.live.subscriber import State, Subscriber
from rtmptwist.live.timeline import unwrapped
from rtmptwist.net.permit import Permit
from rtmptwist.net.rewound import Rewound
from rtmptwist.net.use import Watching
from rtmptwist.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from rtmptwist.net.connection import ServerConnection

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


class Playing(Watching):
    """A client watches a stream."""

    __slots__ = ("_back", "_ended", "_owed", "_recorded", "_subscriber")

    RECORDED = False
    CAME_OF_IT = ", {skips} skips of {skipped} messages"

    def __init__(self, connection: ServerConnection, stream_id: int, permit: Permit) -> None:
        super().__init__(connection, stream_id, permit)
        self._subscriber: Subscriber | None = None
        self._ended: EndReason | None = None
        "Why there is nothing more to come, or nothing for now."
        self._back: Rewound | None = None
        "Where it is in the stream's past, if it is there,"
        self._recorded = 0
        "bytes that it got there before,"
        self._owed: Callable[[], None] | None = None
        "and what it is to hear when it has seen all of that: the stream has ended."

    @property
    def expects(self) -> bool:
        """Whether there is more, or it has not got all yet."""
        return self.application.is_live(self.name) or self.subscriber.owed

    def begin(self, start: float, duration: float) -> None:
        """
        Be served, as a `Play` wants it; media comes from the first `resume` on.

        Raises:
            Refused: there is no such stream, or no room.
        """
        connection = self.connection
        self._subscriber = self.application.subscribe(
            self.name,
            RtmpFormat(connection.session.chunk_size, self._stream_id),
            connection.writer,
            self,
            wait=start < 0,
            duration=max(1, round(duration * 1000)) if duration > 0 else None,
        )

    @property
    def subscriber(self) -> Subscriber:
        """What we are served by, from `begin` on."""
        assert self._subscriber is not None
        return self._subscriber

    @property
    def meter(self) -> SubscriberMeter:
        """What it got so far."""
        meter, back = self.subscriber.meter, self._back
        state = meter.state if back is None else "rewound"
        sent = meter.bytes + self._recorded + (back.bytes_out if back is not None else 0)
        return SubscriberMeter(state, sent, meter.skips, meter.skipped, meter.first_frame)

    # -------------------------------------------------------------- its client

    @property
    def paused(self) -> bool:
        """Whether nothing is sent, as the client wants."""
        if self._back is not None:
            return self._back.paused
        return self.subscriber.state is State.PAUSED

    def pause(self) -> None:
        """Send nothing until `unpause`."""
        (self._back or self.subscriber).pause()

    def unpause(self, time: int) -> None:
        """Rejoin what is live now, or go on in the past where the client stopped."""
        if self._back is not None:
            self._back.unpause(time)
        else:
            self.subscriber.unpause()

    async def look_back(self, time: int) -> Excerpt | None:
        """What the stream was at a time (ms, of 32 bits); None: that is live, or not known."""
        past, stream = self.application.past, self.application.find(self.name)
        if past is None or stream is None:
            return None
        time = _meant(stream, time)
        start = stream.window.start
        if start is not None and time >= stream.window.time(start):
            return None
        return await past.look(stream, time)

    def go(self, excerpt: Excerpt | None, time: int) -> None:
        """Show the stream as it was at a time (ms, of 32 bits), or else its present."""
        paused = self.paused
        stream = self.application.find(self.name)
        self._leave_past()
        self.subscriber.pause()
        if excerpt is not None and stream is not None:
            self._back = Rewound(self, stream, excerpt, _meant(stream, time), paused=paused)
            return
        if excerpt is not None:  # the stream has gone while that was opened
            excerpt.release()
        self._return(None, paused=paused)

    def return_to(self, number: int | None) -> None:
        """Be live again, from that message on; None: as a new viewer."""
        paused = self.paused
        self._leave_past()
        self._return(number, paused=paused)

    def _return(self, number: int | None, *, paused: bool) -> None:
        owed, self._owed = self._owed, None
        if not paused:
            if number is not None:
                self.subscriber.rejoin(number)
            else:
                self.subscriber.unpause()
        if owed is not None:
            owed()

    def resume(self) -> None:
        """The writer is idle."""
        (self._back or self.subscriber).resume()

    def receive(self, *, audio: bool | None, video: bool | None) -> None:
        """The client wants sound or pictures no more, or again."""
        self.subscriber.receive(audio=audio, video=video)
        if self._back is not None:
            self._back.receive(audio=audio, video=video)

    def buffer(self, milliseconds: int) -> None:
        """The client keeps so much; what is live is sent as it comes."""
        if self._back is not None:
            self._back.buffer(milliseconds)

    def _leave_past(self) -> None:
        back, self._back = self._back, None
        if back is not None:
            back.close()
            self._recorded += back.bytes_out

    # ------------------------------------------------------------------ as Use

    def shut_down(self) -> None:
        """Players end when they are told that the stream is over."""
        self.subscriber.close()
        self.ended(EndReason.CLOSED)

    # ----------------------------------------------------------------- its stream

    def published(self) -> None:
        """`live.Player`: the publisher is there, or there again."""
        self._ended, self._idle = None, False
        if self._back is not None:
            self._owed = None
            return
        self._tell(Status(StatusCode.PLAY_PUBLISH_NOTIFY, "The publisher is there."))

    def unpublished(self) -> None:
        """
        `live.Player`: the publisher left for good; the viewer waits for the next one, unless
        something else follows.
        """
        if self._back is not None:
            self._owed = self.unpublished
            return
        self._ended = EndReason.UNPUBLISHED
        self._finish()

    def ended(self, reason: EndReason) -> None:
        """`live.Player`: there is nothing more to come."""
        if self._back is not None and reason in (EndReason.UNPUBLISHED, EndReason.NOT_FOUND):
            self._owed = partial(self.ended, reason)
            return
        self._ended = reason
        if reason in (EndReason.STALLED, EndReason.CLOSED):
            self.conclude()
        else:
            self._finish()

    def conclude(self) -> None:
        """Nothing follows: wait for the next publisher, or leave."""
        if self.subscriber.state is State.CLOSED:
            assert self._ended is not None
            self._leave(self._ended)
        elif self._ended is not None:  # else it is live again
            self._idle = True
            self._tell_end(Status(StatusCode.PLAY_UNPUBLISH_NOTIFY, "The publisher has left."))
            self.connection.send()

    def _leave(self, reason: EndReason) -> None:
        connection = self.connection
        status = _WORDS[reason]
        if reason is EndReason.DURATION:
            complete = Status(StatusCode.PLAY_COMPLETE, status.description)
            connection.session.play_status(self._stream_id, complete)
        self._tell_end(status)
        connection.drop(self._stream_id)
        self._over(status.description)
        connection.send()
        if reason is EndReason.STALLED:
            # it does not read, so nothing but its end will reach it
            connection.abort(status.description)

    def skipped(self, messages: int) -> None:
        """`live.Player`: the viewer was too slow for so many messages."""
        self._tell(Status(StatusCode.PLAY_INSUFFICIENT_BW, f"{messages} messages were left out."))

    def _tell(self, status: Status) -> None:
        self.connection.session.status(self._stream_id, status)
        self.connection.send()

    def _detach(self) -> None:
        self._leave_past()
        self.subscriber.close()
        self._subscriber = None


def _meant(stream: LiveStream, time: int) -> int:
    """The stream time that a client means."""
    return unwrapped(time, stream.window.time(stream.window.head))
