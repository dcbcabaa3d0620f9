"""
Looks after the files of a recorder: completes those that were cut, removes those that are old.

`look` blocks: it belongs into a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtmptwist.disk.chores import Chores
from rtmptwist.disk.folder import Entry, Names
from rtmptwist.outlets.pattern import UNFINISHED, finished
from rtmptwist.outlets.plan import Plan
from rtmptwist.outlets.recorder import Recorder
from rtmptwist.outlets.recordfile import Repaired

INTERVAL: Final = 600.0
"Seconds between two looks."

MOST_LINES: Final = 5
"Lines of the log for what went wrong in one look."

EMPTY: Final = 3600.0
"Seconds after which a folder without files, which recordings left behind, is removed."


@dataclass(slots=True)
class Report:
    """What was done in a folder."""

    repaired: list[Repaired] = field(default_factory=list)
    removed: list[Entry] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def look(plan: Plan, now: float, *, first: bool) -> Report:
    """
    Do what there is to do in the folder of a plan; `now`: seconds since the epoch.

    `first`: nothing is being recorded yet, so that a file that nobody can lock is nobody's.
    """
    report = Report()
    complete: list[Entry] = []
    try:
        for entry in sorted(plan.folder.files(), key=lambda entry: entry.changed):
            if not plan.pattern.matches(entry.names):
                continue
            if entry.names[-1].endswith(UNFINISHED):
                _repair(plan, entry.names, report, first)
            else:
                complete.append(entry)
    except FileNotFoundError:
        return report  # nothing was recorded yet
    except OSError as error:
        report.errors.append(f"{plan.folder.root}: {error.strerror}")
    for entry in _too_many(plan, complete, now):
        try:
            plan.folder.remove(entry.names)
            plan.folder.tidy(entry.names, now - EMPTY)
        except OSError as error:
            report.errors.append(f"{plan.shown(plan.folder.path(entry.names))}: {error.strerror}")
        else:
            report.removed.append(entry)
    return report


def _repair(plan: Plan, names: Names, report: Report, first: bool) -> None:
    try:
        repaired = plan.file(finished(names)).repair(alone=first)
    except FileNotFoundError:
        return  # it has just been completed
    except OSError as error:
        report.errors.append(f"{plan.shown(plan.folder.path(names))}: {error.strerror}")
    else:
        if repaired is not None:
            report.repaired.append(repaired)


def _too_many(plan: Plan, complete: list[Entry], now: float) -> list[Entry]:
    """Which of the complete files, the oldest first, are not kept any longer."""
    total = sum(entry.size for entry in complete)
    gone = []
    for entry in complete:
        old = plan.keep and entry.changed < now - plan.keep
        much = plan.keep_size and total > plan.keep_size
        if not (old or much):
            break
        total -= entry.size
        gone.append(entry)
    return gone


class Upkeep(Service):
    """A recorder at work, and a look at its files at once and from time to time."""

    log = Logger()

    def __init__(
        self, recorder: Recorder, chores: Chores, clock: Any, now: Callable[[], float]
    ) -> None:
        """`now`: seconds since the epoch."""
        self._recorder = recorder
        self._chores = chores
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock
        self._now = now
        self._first = True

    def startService(self) -> None:
        """Begin."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's
        self._recorder.application.outlets.append(self._recorder)
        self._recorder.application.recorders.append(self._recorder)
        self._loop.start(INTERVAL)

    def stopService(self) -> None:
        """End."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's
        self._recorder.retire()
        self._loop.stop()

    def _look(self) -> Deferred[None]:
        plan = self._recorder.plan
        # one that comes with a reload may be the second one for what is being recorded
        busy = any(each.meter.recordings for each in self._recorder.application.recorders)
        first, self._first = self._first and not busy, False
        looking = self._chores.call(partial(look, plan, self._now(), first=first), plan.place)
        return looking.addCallbacks(self._tell, self._sorry)

    def _tell(self, report: Report) -> None:
        root = str(self._recorder.plan.folder.root)
        for repaired in report.repaired:
            if not repaired.size:
                continue
            self.log.info(
                "completed {path}, which was left unfinished: {seconds:.1f} s, {size} bytes,"
                " {lost} bytes at its end were of no use",
                path=self._recorder.plan.shown(repaired.path),
                seconds=repaired.seconds,
                size=repaired.size,
                lost=repaired.lost,
            )
        if report.removed:
            self._recorder.counts.removed += len(report.removed)
            self.log.info(
                "removed {count} old recordings of {size} bytes from {root}",
                count=len(report.removed),
                size=sum(entry.size for entry in report.removed),
                root=root,
            )
        for words in report.errors[:MOST_LINES]:
            self.log.error("looking after recordings: {words}", words=words)
        if len(report.errors) > MOST_LINES:
            more = len(report.errors) - MOST_LINES
            self.log.error("and {more} more in {root}", more=more, root=root)

    def _sorry(self, failure: Failure) -> None:
        root = str(self._recorder.plan.folder.root)
        self.log.failure("looking after {root} failed", failure, root=root)
