"""An application: its settings and its live streams by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtmptwist.live.errors import Refused
from rtmptwist.live.inlet import Inlet
from rtmptwist.live.interfaces import (
    Format,
    Outlet,
    Player,
    Publisher,
    StreamSettings,
    Supplier,
    Writer,
)
from rtmptwist.live.meters import ApplicationMeter
from rtmptwist.live.names import redacted
from rtmptwist.live.playback import Films, Past, Playbacks
from rtmptwist.live.recordings import RecordCounts, RecordEvent, StreamRecorder
from rtmptwist.live.stream import LiveStream
from rtmptwist.live.subscriber import Subscriber
from rtmptwist.wire.status import StatusCode
from rtmptwist.wire.swf import Swf

_NO_NAME: Final = "The stream has no name."


class Application:
    """What a `connect` leads to. A stream is here for as long as anybody needs it."""

    log = Logger()

    def __init__(
        self,
        name: str,
        settings: StreamSettings,
        clock: IReactorTime,
        *,
        host: str = "",
        swfs: tuple[Swf, ...] = (),
    ) -> None:
        self.name = name
        self.host = host
        "The virtual host it belongs to; empty: that of all hosts that have none of their own."
        self.settings = settings
        "Of streams that begin from now on; running ones keep theirs."
        self.swfs = swfs
        "Files of which players must know one (SWF verification); none: it is not asked for."
        self.streams: dict[str, LiveStream] = {}
        self.outlets: list[Outlet] = []
        "Who takes its streams besides viewers."
        self.recorders: list[StreamRecorder] = []
        "Those of them that record,"
        self.recorded: defaultdict[str, RecordCounts] = defaultdict(RecordCounts)
        "and what they and those before them did, by their descriptions."
        self.suppliers: list[Supplier] = []
        "Who feeds streams that are watched, and that nobody publishes."
        self.past: Past | None = None
        "Who shows what its streams were; None: nobody does."
        self.films: Films | None = None
        "Files that may be played; None: it has none."
        self.playbacks: Playbacks | None = None
        "Who plays them; None: nobody ever could."
        self.closed = ""
        "Why nobody can come in any more; empty: it is open."
        self.record_listeners: list[Callable[[RecordEvent], None]] = []
        "Who wants to hear of files that are recorded."
        self._clock = clock
        self._gone = (0, 0, 0)
        "Bytes in and out, and skipped messages, of streams that are not here any more."

    def publish(self, name: str, publisher: Publisher, identity: Hashable) -> Inlet:
        """
        Feed a stream. `identity` is equal for two connections of the same publisher.

        Raises:
            Refused: the name is empty, or somebody else's for now.
        """
        if why := self.closed or (_NO_NAME if not name else ""):
            raise Refused(StatusCode.PUBLISH_BAD_NAME, why)
        return self._stream(name).publish(publisher, identity)

    def subscribe(
        self,
        name: str,
        form: Format,
        writer: Writer,
        player: Player,
        *,
        wait: bool = True,
        duration: int | None = None,
    ) -> Subscriber:
        """
        Watch a stream. Nothing is sent until the first `resume()`: answer the client before.

        `wait`: for its publisher, if it has none, as long as the application allows.
        `duration`: milliseconds of it to send, more than 0; None: all.

        Raises:
            Refused: nobody publishes it, and waiting is out of the question.
        """
        if why := self.closed or (_NO_NAME if not name else ""):
            raise Refused(StatusCode.PLAY_STREAM_NOT_FOUND, why)
        may_wait = wait and self.settings.wait > 0
        if may_wait or self.suppliers or self.is_live(name):
            stream = self._stream(name)
            subscriber = stream.audience.subscribe(form, writer, player, duration)
            if stream.supply() or stream.live or may_wait:
                return subscriber
            subscriber.close()
        raise Refused(StatusCode.PLAY_STREAM_NOT_FOUND, f"Nobody publishes {redacted(name)} now.")

    def find(self, name: str) -> LiveStream | None:
        """The stream of that name, which may be one that viewers are waiting for."""
        return self.streams.get(name)

    def is_live(self, name: str) -> bool:
        """Whether somebody publishes it, or may come back to it."""
        stream = self.streams.get(name)
        return stream is not None and stream.live

    def retire(self) -> None:
        """It is served no more: nobody comes in, while somebody may be about to."""
        self.closed = f"The application {self.name} is served no more."

    def close(self, reason: str) -> None:
        """End all streams, for publishers and viewers."""
        for stream in tuple(self.streams.values()):
            stream.close(reason)

    def sweep(self, now: float) -> None:
        """Once a second: end what takes too long."""
        for _ in self.sweeping(now):
            pass

    def sweeping(self, now: float) -> Iterator[None]:
        """The same in steps, one for each stream."""
        for stream in tuple(self.streams.values()):
            try:
                if self.streams.get(stream.name) is stream:  # it may have gone since the first
                    stream.sweep(now)
            except Exception:  # one broken stream must not end the care for all others
                shown = redacted(stream.name)
                self.log.failure("sweep of {app}/{name} failed", app=self.name, name=shown)
            yield

    @property
    def gone(self) -> tuple[int, int, int]:
        """
        Bytes in and out, and skipped messages, of streams that are not here any more, and of files.
        """
        bytes_in, bytes_out, skipped = self._gone
        for files in (self.playbacks, self.past):
            if files is not None:
                bytes_out += files.bytes_out
        return bytes_in, bytes_out, skipped

    @property
    def film_viewers(self) -> int:
        """Who plays a file now."""
        return self.playbacks.viewers if self.playbacks is not None else 0

    @property
    def meter(self) -> ApplicationMeter:
        """All that went through so far."""
        streams = tuple(stream.meter for stream in self.streams.values())
        bytes_in, bytes_out, skipped = self.gone
        return ApplicationMeter(
            name=self.name,
            streams=streams,
            bytes_in=bytes_in + sum(stream.bytes_in for stream in streams),
            bytes_out=bytes_out + sum(stream.bytes_out for stream in streams),
            skipped=skipped + sum(stream.skipped for stream in streams),
        )

    def _stream(self, name: str) -> LiveStream:
        stream = self.streams.get(name)
        if stream is None:
            stream = LiveStream(
                name, self.settings, self._clock, self._forget, self.outlets, self.suppliers
            )
            self.streams[name] = stream
        return stream

    def _forget(self, stream: LiveStream) -> None:
        if self.streams.get(stream.name) is stream:
            del self.streams[stream.name]
            bytes_in, bytes_out, skipped = self._gone
            meter = stream.meter
            self._gone = (
                bytes_in + meter.bytes_in,
                bytes_out + meter.bytes_out,
                skipped + meter.skipped,
            )
