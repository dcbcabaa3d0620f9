"""
Work that blocks, in a few threads: in order for each file, without making anybody else wait.

A recorder has some KB for each of its files every second, so what costs is not the writing but the
trips from thread to thread: jobs are handed over once in a turn of the reactor, for all lanes
together, and what came of them comes back together. One thread serves all lanes as long as it keeps
up; when it does not, because one disk is slow, others go on where it hangs. No folder takes all of
them, nor do two or three: those of other disks go on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, TypeAlias, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

R = TypeVar("R")

SHARE: Final = 256
"Lanes that one thread is thought to serve at once: several only wait for the interpreter's lock."

REPORT: Final = 0.05
"Seconds after which a thread that has more to do tells what it has done,"

PATIENCE: Final = 0.05
"and after which what no thread has looked at yet gets another one, for a disk may hang."


class TooSlow(Exception):
    """More waits for a disk than may wait."""


_Job: TypeAlias = tuple[Callable[[], Any], Callable[[Any], object] | None, int]
"What to do, whom to tell the result, how many bytes wait for it."

_Outcome: TypeAlias = "tuple[Lane, _Job | None, Any, Exception | None]"
"A job, its result or what it raised; no job: the lane has none left."


class _Place:
    """What may hang as a whole: a folder, and its files."""

    def __init__(self) -> None:
        self.ready: deque[Lane] = deque()
        "Lanes that have something to do, and that no thread has looked at yet."
        self.threads = 0
        "That are at work here."


class Lane:
    """The jobs of one file, done one after the other."""

    __slots__ = ("_disk", "_failed", "broken", "held", "jobs", "place", "waiting")

    def __init__(self, disk: Disk, failed: Callable[[Exception], object], place: _Place) -> None:
        self._disk = disk
        self.place = place
        self._failed = failed
        self.jobs: deque[_Job] = deque()
        self.broken = False
        "A job has failed, and nobody has been told yet."
        self.waiting = 0
        "Bytes, of which"
        self.held = 0
        "so many are not in jobs yet."

    def put(
        self,
        work: Callable[[], R],
        done: Callable[[R], object] | None = None,
        size: int = 0,
    ) -> None:
        """
        Do some work after all that was put here before, and tell the result.

        When it raises, what has not begun is dropped, and `failed` of the lane is told instead.
        `size`: bytes that wait for it.
        """
        self._disk.take(self, (work, done, size))

    def hold(self, size: int) -> None:
        """So many bytes will be put here, but cannot be yet: they wait like those of jobs."""
        self._disk.hold(self, size)

    def call(self, work: Callable[[], R]) -> Deferred[R]:
        """Do some work in its turn; what it raises concerns nobody else."""
        result: Deferred[R] = Deferred()

        def attempt() -> R | Failure:
            try:
                return work()
            except Exception:
                return Failure()

        self.put(attempt, result.callback)
        return result

    def clear(self) -> None:
        """Drop what has not begun, and tell nobody."""
        while True:
            try:
                job = self.jobs.popleft()
            except IndexError:
                return
            self.release(job[2])

    def release(self, size: int) -> None:
        """So many bytes do not wait any more."""
        self.waiting -= size
        self._disk.waiting -= size

    @property
    def queued(self) -> int:
        """Bytes that could be dropped: of jobs that have not begun, and those held."""
        return self.held + sum(size for _, _, size in self.jobs.copy())

    @property
    def ahead(self) -> int:
        """Jobs that come before what is put here now, or other lanes that wait for a thread."""
        return max(len(self.jobs), len(self.place.ready))

    def fail(self, error: Exception) -> None:
        """Drop what has not begun, and tell why."""
        self.clear()
        self._failed(error)


class Disk:
    """The threads. All is called from the reactor's thread, but for the work itself."""

    log = Logger()

    def __init__(self, reactor: Any, threads: int, bound: int) -> None:
        """`bound`: bytes that may wait in all lanes; beyond it the fullest lane fails."""
        self.waiting = 0
        "Bytes, in all lanes."
        self.bound = bound
        self._reactor = reactor
        self._most = threads
        self._busy: set[Lane] = set()
        "Lanes that have something to do, or have just done it."
        self._holding: set[Lane] = set()
        self._places: dict[Path | None, _Place] = {}
        self._inside = 0
        "Threads in all of these."
        self._lock = threading.Lock()
        "For how many there are where."
        self._threads = 0
        self._bells: list[SimpleQueue[bool]] = []
        "What wakes each of them."
        self._asleep: list[SimpleQueue[bool]] = []
        "Of those that have nothing to do; who worked last is last, and works next."
        self._turn: IDelayedCall | None = None
        "Wakes threads for what came in this turn of the reactor,"
        self._watch: IDelayedCall | None = None
        "and again for what is left of it."
        self._idle: list[Deferred[None]] = []

    def lane(self, failed: Callable[[Exception], object], folder: Path | None = None) -> Lane:
        """
        A lane of its own for a file. `failed` is told when a job has failed.

        `folder`: the operator's, in which it is. Half of the threads may hang there, the rest is
        left to other folders: half of that to each, and so on.
        """
        place = self._places.get(folder)
        if place is None:
            place = self._places[folder] = _Place()
        return Lane(self, failed, place)

    @property
    def working(self) -> int:
        """Threads that are at work now."""
        return self._threads - len(self._asleep)

    def idle(self) -> Deferred[None]:
        """Fires when nothing is left to do."""
        idle: Deferred[None] = Deferred()
        if self._busy:
            self._idle.append(idle)
        else:
            idle.callback(None)
        return idle

    def close(self) -> None:
        """Let the threads end, once they have done what they are doing."""
        for bell in self._bells:
            bell.put(False)
        self._threads = 0
        self._bells.clear()
        self._asleep.clear()
        for timer in (self._turn, self._watch):
            if timer is not None:
                timer.cancel()
        self._turn = self._watch = None

    # ----------------------------------------------------- in the reactor's thread

    def take(self, lane: Lane, job: _Job) -> None:
        """A lane has another job."""
        size = job[2]
        lane.jobs.append(job)
        lane.waiting += size
        self.waiting += size
        if lane not in self._busy:
            self._busy.add(lane)
            lane.place.ready.append(lane)
            if self._turn is None:
                self._turn = self._reactor.callLater(0, self._on_turn)
        if size:
            self._check()

    def hold(self, lane: Lane, size: int) -> None:
        """A lane has bytes that wait outside of it."""
        change, lane.held = size - lane.held, size
        lane.release(-change)
        if size:
            self._holding.add(lane)
        else:
            self._holding.discard(lane)
        if change > 0:
            self._check()

    def _check(self) -> None:
        """When more waits than may, give up the lane for which most does."""
        if self.waiting <= self.bound:
            return
        fullest = max(self._busy | self._holding, key=lambda lane: lane.queued)
        if fullest.queued:  # else all is in the hands of threads that hang
            fullest.fail(TooSlow(f"the disk is too slow: {fullest.waiting} bytes waited for it"))

    def _on_turn(self) -> None:
        self._turn = None
        self._wake()

    def _on_watch(self) -> None:
        self._watch = None
        self._wake()

    def _wake(self) -> None:
        """Let as many threads go to work as it needs, and look again soon, if any."""
        ready = sum(len(place.ready) for place in self._places.values() if self._waits(place))
        if ready and self._watch is None:
            self._watch = self._reactor.callLater(PATIENCE, self._on_watch)
        wanted = 1 + ready // SHARE if ready else 0
        while wanted and (self._asleep or self._threads < self._most):
            wanted -= 1
            if self._asleep:
                self._asleep.pop().put(True)
            else:
                self._threads += 1
                self._start()

    def _start(self) -> None:
        bell: SimpleQueue[bool] = SimpleQueue()
        self._bells.append(bell)
        # a thread that hangs in a system call must not keep the process from ending
        threading.Thread(target=self._serve, args=(bell,), name="disk", daemon=True).start()

    def _settle(self, outcomes: list[_Outcome], bell: SimpleQueue[bool] | None) -> None:
        """A thread tells what came of its work; with `bell`, it has gone to sleep."""
        if bell is not None:
            self._asleep.append(bell)
        for lane, job, result, error in outcomes:
            try:
                if job is None:
                    self._rest(lane)
                    continue
                _, done, size = job
                lane.release(size)
                if error is not None:
                    lane.broken = False
                    lane.fail(error)
                elif done is not None:
                    done(result)
            except Exception:
                self.log.failure("what follows from work with a file failed")
        self._wake()
        if not self._busy:
            idle, self._idle = self._idle, []
            for deferred in idle:
                deferred.callback(None)

    def _rest(self, lane: Lane) -> None:
        """A thread has left a lane, which may have got something to do since."""
        if lane.jobs:
            lane.place.ready.append(lane)
        else:
            self._busy.discard(lane)

    # ----------------------------------------------------------------- in a thread

    def _serve(self, bell: SimpleQueue[bool]) -> None:
        self.work(bell)
        while bell.get():
            self.work(bell)

    def work(self, bell: SimpleQueue[bool]) -> None:
        """Do all that is ready, and tell; `bell` wakes who does it."""
        outcomes: list[_Outcome] = []
        told = time.monotonic()
        for lane in self._lanes():
            while not lane.broken:
                try:
                    job = lane.jobs.popleft()
                except IndexError:
                    break
                outcomes.append(_do(lane, job))
                if time.monotonic() - told > REPORT:
                    self._reactor.callFromThread(self._settle, outcomes, None)
                    outcomes, told = [], time.monotonic()
            outcomes.append((lane, None, None, None))
        self._reactor.callFromThread(self._settle, outcomes, bell)

    def _lanes(self) -> Generator[Lane, None, None]:
        """What there is to look at, place by place."""
        while True:
            places = tuple(self._places.values())  # the reactor's thread may add one meanwhile
            place = next((place for place in places if self._enter(place)), None)
            if place is None:
                return
            try:
                while place.ready:
                    yield place.ready.popleft()
            except IndexError:  # another thread took the last one
                pass
            finally:
                self._leave(place)

    def _waits(self, place: _Place) -> bool:
        """Whether one more thread could do something there; there are as many others, then."""
        return bool(place.ready) and place.threads < self._most - self._inside

    def _enter(self, place: _Place) -> bool:
        """Let one more thread work there; False: it may not, or has nothing to do."""
        with self._lock:
            enters = self._waits(place)
            place.threads += enters
            self._inside += enters
        return enters

    def _leave(self, place: _Place) -> None:
        """A thread that has entered works there no more."""
        with self._lock:
            place.threads -= 1
            self._inside -= 1


def _do(lane: Lane, job: _Job) -> _Outcome:
    try:
        return lane, job, job[0](), None
    except Exception as error:
        lane.broken = True
        return lane, job, None, error
