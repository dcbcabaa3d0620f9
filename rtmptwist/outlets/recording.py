"""
One stream on its way to files: where they begin and end, what happens when that fails.

It looks into the stream's window once a second. What it takes there goes to the disk's threads; the
stream knows nothing of them. A recording that fails is over, and begins anew with the next file
that is due, if there are to be several.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Final, NamedTuple

from twisted.logger import Logger
from twisted.python.failure import Failure

from rtmptwist.disk.threads import Disk, TooSlow
from rtmptwist.live.headers import Header, Headers
from rtmptwist.live.names import redacted
from rtmptwist.live.recordings import Chapter, RecordEvent, RecordingMeter, RecordTurn
from rtmptwist.live.stream import LiveStream
from rtmptwist.media.errors import MediaError
from rtmptwist.outlets.pattern import unfinished
from rtmptwist.outlets.plan import Plan
from rtmptwist.outlets.recordfile import Finished, Opened, RecordFile
from rtmptwist.outlets.tape import Take, Tape, begin_at, cut_at, is_metadata, metadata_in
from rtmptwist.wire.message import Message, MessageType

MOST_HELD: Final = 16 << 20
"Bytes that wait while a file is being opened: two minutes of 1 Mbit/s. All count for the disk."

LONGEST: Final = 24 * 24 * 3600 * 1000
"""
Milliseconds of one file: the timestamps of FLV are signed and end after 24.8 days. The next key
frame, with which another file begins, may take its time.
"""

PATIENCE: Final = 30
"Rounds in which a file must be opened: a disk that sleeps takes 10 seconds to wake."

RETRY: Final = 60.0
"Seconds after which a recording that failed begins another file, if they are cut by size alone."

MOST_CHAPTERS: Final = 10_000
"Files of one recording in which viewers can look back: a week of them, a minute each."

MOST_HEADERS: Final = 1024
"Messages that wait for a first frame."


class State(Enum):
    """How far a recording has come."""

    WAITING = "waiting"
    "For something to begin with."

    OPENING = "opening"
    RECORDING = "recording"
    FAILED = "failed"
    ENDED = "ended"


class _Scene(NamedTuple):
    """What a stream forgets when its publication is over, while files have yet to be opened."""

    headers: Headers
    pictures: bool
    interval: int


class Recording:
    """`live.Taker`: records one publication, until it is over or `end` is called."""

    log = Logger()

    def __init__(
        self,
        stream: LiveStream,
        plan: Plan,
        disk: Disk,
        tell: Callable[[Recording, RecordEvent], None],
        now: Callable[[], float],
        *,
        fresh: bool,
        append: bool = False,
    ) -> None:
        """
        `fresh`: the publication begins just now, and all of it is recorded; else it begins with the
        newest key frame. `append`: to the file of an earlier recording, if there is one.

        `tell` hears of every turn; after `RecordTurn.END`, `state` says whether there may be more.
        `now`: seconds since the epoch.
        """
        self.stream = stream
        self.state = State.WAITING
        self.cursor = 0
        self.error: Exception | None = None
        self._plan = plan
        self._tell = tell
        self._now = now
        self._whole = fresh and stream.window.begun is None
        "With all headers that come before the first frame, and none from before."
        self._append = append
        self._lane = disk.lane(self._on_failure, plan.place)
        self._pending: list[Message] = []
        "Taken from the window, and not on its way to the disk."
        self._held = 0
        "Bytes of those,"
        self._seen = 0
        "and of all up to the cursor, as the window counts."
        self._number = 0
        "Of the first of them."
        self._headers: tuple[Header, ...] = ()
        "In force before it, when a file begins there."
        self._metadata: Message | None = None
        self._file: RecordFile | None = None
        "That is written to."
        self._files: dict[RecordFile, int] = {}
        "It and those that are still to be completed, with their parts."
        self.chapters: deque[Chapter] = deque(maxlen=MOST_CHAPTERS)
        "Of its files, those in which one can look back."
        self._written: dict[RecordFile, Chapter] = {}
        "Those of them that are not complete."
        self._tape: Tape | None = None
        self._opened: Opened | None = None
        self._path = ""
        self._part = 1
        self._at = 0
        "Milliseconds: where in the file the recording begins."
        self._started = False
        "Somebody was told so."
        self._rest = 0.0
        "Rounds before it tries again."
        self._opening = 0
        "Rounds since a file was to be opened."
        self._scene: _Scene | None = None
        "When it ended here."
        self._join(fresh=fresh)

    # ------------------------------------------------------------------- taking

    def round(self) -> None:
        """Once a second."""
        if self.state is State.OPENING:
            self._opening += 1
            if self._opening >= PATIENCE:
                self._give_up(f"no file was opened in {PATIENCE} seconds")
                return
        if self.state is not State.FAILED:
            self.take()
        elif self._rest > 0:
            self._rest -= 1
            if self._rest <= 0:
                self.state, self.error = State.WAITING, None
                self._part += 1
                self._whole = self._append = False
                self._join(fresh=False)

    def take(self) -> None:
        """`live.Taker`: take what there is."""
        window = self.stream.window
        if self.cursor < window.head:
            messages = window.since(self.cursor, window.head)
            if self._pending:
                self._pending += messages
            else:
                self._pending, self._number = messages, self.cursor
            self._held += window.total_size - self._seen
            self.cursor, self._seen = window.head, window.total_size
        self._go_on()

    def end(self) -> None:
        """Record what there is, and no more."""
        if self.state is not State.FAILED:
            self.take()
        if self.state is State.FAILED:
            self.state = State.ENDED
            return
        window = self.stream.window
        self._scene = _Scene(window.headers.copy(), window.pictures, window.interval())
        self._leave()
        if self.state is not State.OPENING:
            self._end()

    @property
    def meter(self) -> RecordingMeter:
        """How it goes."""
        tape = self._tape
        return RecordingMeter(
            name=self.stream.name,
            outlet=self._plan.description,
            state=self.state.value,
            path=self._path and self._plan.shown(self._path, self.stream.name),
            part=self._part,
            seconds=tape.last / 1000 if tape else 0.0,
            size=tape.size if tape else 0,
            waiting=self._lane.waiting,
            error=_words(self.error) if self.error else "",
        )

    def _join(self, *, fresh: bool) -> None:
        window = self.stream.window
        if self._whole:
            begin: int | None = window.origin
        elif fresh:
            begin = window.head  # what is there has stood in for it
        else:
            begin = window.start
        self.cursor = window.head if begin is None else max(begin, window.first)
        self._seen = window.total_size - _size(window.since(self.cursor, window.head))
        window.takers.append(self)

    @property
    def _pictures(self) -> bool:
        return (self._scene or self.stream.window).pictures

    def _leave(self) -> None:
        takers = self.stream.window.takers
        if self in takers:
            takers.remove(self)

    # ------------------------------------------------------------------ writing

    def _go_on(self) -> None:
        """Do what can be done with what is pending."""
        try:
            self._encode()
        except Exception as error:  # a stream must not suffer from its recording
            self._lane.clear()
            self._on_failure(error)
        self._say_held()

    def _say_held(self) -> None:
        if self._held != self._lane.held:
            self._lane.hold(self._held)

    def _encode(self) -> None:
        """Put what is pending on its way, file by file."""
        while self._pending:
            if self.state is State.WAITING and not self._begin():
                return
            if self.state is State.OPENING:
                self._check_held()
                return
            tape = self._tape or self._start_tape()
            if tape.last >= LONGEST:
                tape.until = LONGEST
            messages, held = self._pending, self._held
            waiting = self._lane.waiting - self._lane.held
            index = tape.cut(messages, waiting, pictures=self._pictures)
            rest = [] if index is None else messages[index:]
            self._pending, self._held = rest, _size(rest)
            self._say_held()
            self._write(tape, messages[:index], held - self._held)
            if index is None or self.state is not State.RECORDING:
                self._drop()
                return
            self._number += index
            self._finish()
            self._part += 1
            self._append = False
            self.state = State.WAITING

    def _begin(self) -> bool:
        """Open a file, if there is anything that it can begin with."""
        pending, take = self._pending, self._plan.take
        begins = begin_at(take) if self._whole else cut_at(take, pictures=self._pictures)
        index = next((index for index, message in enumerate(pending) if begins(message)), None)
        if index is None:
            # headers that are forgotten here are in force later on
            if not self._whole or len(pending) > MOST_HEADERS or self._held > MOST_HELD:
                self._drop()
            return False
        if not self._whole:
            self._held -= _size(pending[:index])
            del pending[:index]
            self._number += index
        self._whole = False
        self._open()
        return True

    def _open(self) -> None:
        plan, here = self._plan, self._scene or self.stream.window
        self._headers = here.headers.as_of(self._number)
        known = [*(header.message for header in self._headers), *self._pending]
        self._metadata = next(filter(is_metadata, known), None)
        names = plan.pattern.names(self.stream.name, self._now(), self._part)
        self._file = file = plan.file(names)
        self._files[file] = self._part
        self._tape = None
        self._at = 0
        kinds = {message.type for message in known}
        opening = partial(
            _open,
            file.append if self._append else file.create,
            self._metadata,
            audio=MessageType.AUDIO in kinds and plan.take in (Take.ALL, Take.AUDIO),
            video=MessageType.VIDEO in kinds and plan.take is not Take.AUDIO,
        )
        self.state = State.OPENING
        self._opening = 0
        self._lane.put(opening, partial(self._on_opened, file))

    def _on_opened(self, file: RecordFile, opened: Opened) -> None:
        if self.state is not State.OPENING or file is not self._file:
            return  # it took too long, and what closes it is on its way
        self.state = State.RECORDING
        self._path = str(opened.path)
        self._opened = opened
        if opened.last is not None:
            scene = self._scene
            self._at = opened.last + (scene.interval if scene else self.stream.window.interval())
        if not self._started:
            self._started = True
            self._say(RecordTurn.START, self._path)
        if self._scene is not None:
            self._go_on()
            if self.state is not State.OPENING:
                self._end()

    def _check_held(self) -> None:
        if self._held > MOST_HELD:
            self._give_up(f"{self._held} bytes waited for a new file")

    def _give_up(self, why: str) -> None:
        """Before a file is open."""
        self._lane.clear()
        self._on_failure(TooSlow(f"the disk is too slow: {why}"))

    def _start_tape(self) -> Tape:
        """
        Begin a file. That is a round after it was opened, when there is enough to set the clock by.
        """
        plan = self._plan
        until = self._at + plan.segment * 1000 if plan.segment else float("inf")
        most = plan.segment_size or float("inf")
        self._tape = tape = Tape(
            plan.take, self._metadata, until=until, most=most, settled=plan.settled
        )
        headers = tape.begin(self._pending, self._headers, self._at)
        self._headers = ()
        if headers:
            self._write(tape, headers, _size(headers))
        if plan.replayed:
            self._add_chapter(tape)
        return tape

    def _add_chapter(self, tape: Tape) -> None:
        file, opened = self._file, self._opened
        assert file is not None
        assert opened is not None
        folder = self._plan.folder.root
        names = opened.path.relative_to(folder).parts
        chapter = Chapter(
            begin=tape.begins[0],
            folder=folder,
            names=names,
            unfinished=unfinished(names),
            skip=opened.size,
            origin=self._at,
            headers=opened.headers,
        )
        self._written[file] = chapter
        self.chapters.append(chapter)

    def _write(self, tape: Tape, messages: list[Message], size: int) -> None:
        assert self._file is not None
        if self.state is State.RECORDING:
            self._lane.put(partial(self._file.record, tape, messages), size=size)

    def _drop(self) -> None:
        self._pending, self._held = [], 0
        self._say_held()

    # ------------------------------------------------------------------- ending

    def _finish(self) -> None:
        """The file is complete."""
        assert self._file is not None
        self._lane.put(self._file.finish, partial(self._on_finished, self._file))
        self._file = self._tape = None

    def _on_finished(self, file: RecordFile, finished: Finished | None) -> None:
        part = self._files.pop(file)
        chapter = self._written.pop(file, None)
        if chapter is not None and finished is not None:
            chapter.names = finished.path.relative_to(chapter.folder).parts
        if finished is not None:
            path = str(finished.path)
            self._say(
                RecordTurn.SEGMENT, path, part=part, seconds=finished.seconds, size=finished.size
            )

    def _end(self) -> None:
        """All is on its way to the disk, but for what no file can begin with."""
        self._drop()
        if self.state is State.RECORDING:
            self._finish()
        self._lane.put(_nothing, self._on_ended)

    def _on_ended(self, _: None) -> None:
        self.state = State.ENDED
        if self._started:
            self._say(RecordTurn.END, self._path)

    def _on_failure(self, error: Exception) -> None:
        """Writing failed, or took too long."""
        for file in self._files:
            # again, if it was dropped because the disk failed once more
            self._lane.put(file.salvage, partial(self._on_finished, file))
        if self.state in (State.FAILED, State.ENDED):
            return
        self.state = State.FAILED if self._scene is None else State.ENDED
        self.error = error
        self._drop()
        self._leave()
        if not isinstance(error, OSError | TooSlow | MediaError):
            name = redacted(self.stream.name)
            self.log.failure("recording {name} failed", Failure(error), name=name)
        self._rest = self._plan.segment or (RETRY if self._plan.segment_size else 0.0)
        self._started = False
        self._say(RecordTurn.END, self._path, error=_words(error))

    def _say(
        self,
        turn: RecordTurn,
        path: str,
        *,
        part: int = 0,
        seconds: float = 0.0,
        size: int = 0,
        error: str = "",
    ) -> None:
        event = RecordEvent(
            turn=turn,
            name=self.stream.name,
            path=path,
            part=part or self._part,
            seconds=seconds,
            size=size,
            error=error,
        )
        self._tell(self, event)


def _open(how: Callable[..., Opened], metadata: Message | None, **kinds: bool) -> Opened:
    """In a thread, for what strangers say of themselves may take its time to understand."""
    return how(metadata_in(metadata) if metadata else {}, **kinds)


def _words(error: Exception) -> str:
    """What went wrong, without the file, which is told beside it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _size(messages: list[Message]) -> int:
    return sum(len(message.payload) for message in messages)


def _nothing() -> None:
    """The end of a lane."""
