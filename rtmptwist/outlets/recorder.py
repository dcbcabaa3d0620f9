"""
Records the streams of one application by one plan: which of them, and what people hear of it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtmptwist.disk.threads import Disk
from rtmptwist.live.application import Application
from rtmptwist.live.interfaces import Publisher
from rtmptwist.live.names import redacted
from rtmptwist.live.recordings import (
    CannotRecord,
    Chapter,
    RecordCounts,
    RecorderMeter,
    RecordEvent,
    RecordingMeter,
    RecordTurn,
)
from rtmptwist.live.stream import LiveStream
from rtmptwist.outlets.plan import Plan, When
from rtmptwist.outlets.recording import Recording, State
from rtmptwist.outlets.rounds import Rounds
from rtmptwist.wire.status import Status, StatusCode

ASKING: Final = frozenset({"record", "append", "appendWithGap"})
"What a publisher says who wants to be recorded."

QUIET: Final = 60.0
"Seconds between two lines of the log about failures: a full disk fails for every stream."

MOST_LEAVING: Final = 1000
"Recordings that are over and still wait for a disk that hangs. Beyond it none begins."

_CODES: Final = {
    errno.EACCES: StatusCode.RECORD_NO_ACCESS,
    errno.EPERM: StatusCode.RECORD_NO_ACCESS,
    errno.EROFS: StatusCode.RECORD_NO_ACCESS,
    errno.EDQUOT: StatusCode.RECORD_DISK_QUOTA_EXCEEDED,
}


class Recorder:
    """`live.Outlet`: a recorder of one application. It is also started and stopped by hand."""

    log = Logger()

    def __init__(
        self,
        application: Application,
        plan: Plan,
        disk: Disk,
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        """`now`: seconds since the epoch."""
        self.application = application
        self.plan = plan
        self.recordings: dict[LiveStream, Recording] = {}
        self._disk = disk
        self._rounds = Rounds(clock)
        self._clock = clock
        self._now = now
        self._leaving: list[Recording] = []
        "That are over, but for what the disk has yet to do."
        self._askers: dict[Recording, Publisher] = {}
        "Who wants to hear of a recording."
        self._retired = False
        self._stopped: set[LiveStream] = set()
        "By hand, for as long as they are published."
        self._quiet_until = 0.0
        self._unsaid = 0

    # ------------------------------------------------------------ live.Outlet

    def published(self, stream: LiveStream, *, begins: bool) -> None:
        """`live.Outlet`: somebody feeds it from now on."""
        assert stream.inlet is not None
        publisher = stream.inlet.publisher
        asks = publisher.kind in ASKING
        fresh = begins or stream.window.begun is None
        recording = self.recordings.get(stream)
        if recording is not None:
            if asks:
                self._askers[recording] = publisher
                # it has yet to hear that it publishes
                self._clock.callLater(0, self._welcome, recording, publisher)
        elif not self._retired and stream not in self._stopped and self._wants(asks, fresh):
            if why := self._swamped():
                self._refuse(stream, why, publisher if asks else None)
                return
            append = publisher.kind.startswith("append")
            recording = self._begin(stream, fresh=fresh, append=append)
            if asks:
                self._askers[recording] = publisher

    def ended(self, stream: LiveStream) -> None:
        """`live.Outlet`: the publication is over."""
        self._stopped.discard(stream)
        self._end(stream)
        self._leave_if_done()

    def retire(self) -> None:
        """Record nothing new, and leave the application when what is recorded has ended."""
        self._retired = True
        self._leave_if_done()

    def _leave_if_done(self) -> None:
        if self._retired and not self.recordings and self in self.application.outlets:
            self.application.outlets.remove(self)
            self.application.recorders.remove(self)

    def chapters(self, stream: LiveStream) -> Sequence[Chapter]:
        """`live.StreamRecorder`: the files of a stream that is recorded."""
        recording = self.recordings.get(stream)
        return () if recording is None else recording.chapters

    # ---------------------------------------------------------------- by hand

    def start(self, name: str) -> None:
        """`live.StreamRecorder`: record a stream from its newest key frame on."""
        stream = self.application.find(name)
        if stream is None or stream.supplied or not stream.live:
            raise CannotRecord(f"nobody publishes {redacted(name)}")
        if self.records(name):
            raise CannotRecord(f"{redacted(name)} is recorded already")
        if why := self._swamped():
            raise CannotRecord(why)
        self._end(stream)
        self._stopped.discard(stream)
        self._begin(stream, fresh=False, append=False)

    def stop(self, name: str) -> None:
        """`live.StreamRecorder`: stop recording a stream, until it is published again."""
        stream = self.application.find(name)
        if stream is None or stream not in self.recordings:
            raise CannotRecord(f"{redacted(name)} is not recorded")
        self._stopped.add(stream)
        self._end(stream)

    def recording(self, name: str) -> RecordingMeter | None:
        """`live.StreamRecorder`: how the recording of a stream goes."""
        stream = self.application.find(name)
        recording = self.recordings.get(stream) if stream is not None else None
        return recording.meter if recording is not None else None

    def records(self, name: str) -> bool:
        """`live.StreamRecorder`: whether it records a stream."""
        meter = self.recording(name)
        return meter is not None and meter.state != State.FAILED.value

    @property
    def counts(self) -> RecordCounts:
        """Since the start: reloading may remove a recorder, and bring it back."""
        return self.application.recorded[self.plan.description]

    @property
    def meter(self) -> RecorderMeter:
        """What it did so far."""
        return RecorderMeter(
            description=self.plan.description,
            recordings=tuple(recording.meter for recording in self.recordings.values()),
            counts=replace(self.counts),
        )

    # -------------------------------------------------------------- recordings

    def _wants(self, asks: bool, fresh: bool) -> bool:
        """Whether to record what somebody publishes now: from its beginning, or asked to."""
        if self.plan.when is When.ALWAYS:
            return fresh
        return self.plan.when is When.ASKED and asks

    def _begin(self, stream: LiveStream, *, fresh: bool, append: bool) -> Recording:
        recording = Recording(
            stream, self.plan, self._disk, self._told, self._now, fresh=fresh, append=append
        )
        self.recordings[stream] = recording
        self._rounds.join(recording)
        return recording

    def _end(self, stream: LiveStream) -> None:
        recording = self.recordings.pop(stream, None)
        if recording is not None:
            self._rounds.leave(recording)
            recording.end()
            if recording.state is State.ENDED:
                self._askers.pop(recording, None)
            self._leaving = [*self._still_leaving(), recording]

    def _still_leaving(self) -> list[Recording]:
        return [each for each in self._leaving if each.state is not State.ENDED]

    def _swamped(self) -> str:
        """Why no more recordings can begin; empty: they can."""
        count = len(self._still_leaving())
        if count < MOST_LEAVING:
            return ""
        return f"the disk is too slow: {count} recordings wait for it"

    def _refuse(self, stream: LiveStream, why: str, asker: Publisher | None) -> None:
        """The disk has enough to do."""
        self.counts.failures += 1
        if asker is not None:
            # it has yet to hear that it publishes
            status = Status(StatusCode.RECORD_FAILED, f"Not recorded: {why}.")
            self._clock.callLater(0, asker.tell, status)
        self._complain(
            RecordEvent(turn=RecordTurn.END, name=stream.name, path="", part=1, error=why)
        )

    def _welcome(self, recording: Recording, publisher: Publisher) -> None:
        if recording.state is State.RECORDING and self._askers.get(recording) is publisher:
            publisher.tell(Status(StatusCode.RECORD_START, "Recording."))

    # ------------------------------------------------------------------- told

    def _told(self, recording: Recording, event: RecordEvent) -> None:
        """A recording has taken a turn: tell everybody."""
        if event.turn is RecordTurn.START:
            self._tell(recording, StatusCode.RECORD_START, "Recording.")
            self._log_start(event)
        elif event.turn is RecordTurn.SEGMENT:
            self.counts.files += 1
            self.counts.size += event.size
            self._log_file(event)
        elif event.error:
            self.counts.failures += 1
            self._tell(recording, _code(recording.error), f"Not recorded: {event.error}.")
            self._complain(event)
        else:
            self._tell(recording, StatusCode.RECORD_STOP, "Recorded.")
        if recording.state is State.ENDED:
            self._askers.pop(recording, None)
        for listener in tuple(self.application.record_listeners):
            try:
                listener(event)
            except Exception:  # whatever is wrong with it, the recording has no part in it
                self.log.failure("a listener to recordings failed")

    def _tell(self, recording: Recording, code: StatusCode, words: str) -> None:
        publisher = self._askers.get(recording)
        if publisher is not None:
            publisher.tell(Status(code, words))

    def _log_start(self, event: RecordEvent) -> None:
        self.log.info(
            "{app}/{name} is recorded to {path}",
            app=self.application.name,
            name=redacted(event.name),
            path=self._shown(event),
        )

    def _log_file(self, event: RecordEvent) -> None:
        self.log.info(
            "recorded {path}: {seconds:.1f} s of {app}/{name}, {size} bytes",
            path=self._shown(event),
            seconds=event.seconds,
            app=self.application.name,
            name=redacted(event.name),
            size=event.size,
        )

    def _shown(self, event: RecordEvent) -> str:
        return self.plan.shown(event.path, event.name)

    def _complain(self, event: RecordEvent) -> None:
        now = self._clock.seconds()
        if now < self._quiet_until:
            self._unsaid += 1
            return
        self.log.error(
            "{app}/{name} is not recorded any more: {error} ({path}){more}",
            app=self.application.name,
            name=redacted(event.name),
            error=event.error,
            path=self._shown(event) if event.path else str(self.plan.folder.root),
            more=f"; {self._unsaid} more failed since the last such line" if self._unsaid else "",
        )
        self._unsaid = 0
        self._quiet_until = now + QUIET


def _code(error: Exception | None) -> StatusCode:
    """How a publisher hears of an error."""
    number = error.errno if isinstance(error, OSError) else None
    return _CODES.get(number or 0, StatusCode.RECORD_FAILED)
