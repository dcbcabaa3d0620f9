"""What is on air while nobody publishes: a file in place of every stream that somebody watches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtmptwist.disk.threads import Disk
from rtmptwist.inlets.feed import Feed
from rtmptwist.live.application import Application
from rtmptwist.live.names import redacted
from rtmptwist.live.stream import LiveStream
from rtmptwist.media.container import Container

MOST: Final = 100
"""
Streams that are fed at once. Each costs what a publisher does, and viewers may ask for any name.
"""

PAUSE: Final = 10.0
"Seconds after a failure in which a file is not tried again."


@dataclass(frozen=True, slots=True)
class Slate:
    """A file, and for whom it stands in."""

    path: Path
    loop: bool = False
    "Over and over, or once."

    names: str = "*"
    "Of streams; `*` and `?` stand for letters, `[ab]` for one of them."


class Filler(Service):
    """Feeds streams of an application with a file."""

    log = Logger()

    def __init__(
        self,
        application: Application,
        slate: Slate,
        open_file: Callable[[Path], Container],
        disk: Disk,
        clock: IReactorTime,
    ) -> None:
        """`open_file` is called in a thread."""
        self._application = application
        self._slate = slate
        self._open_file = open_file
        self._disk = disk
        self._clock = clock
        self._feeds: dict[Feed, None] = {}
        self._quiet_until = 0.0

    def startService(self) -> None:
        """Be there from now on; and look whether the file can be used before it is needed."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's
        self._application.suppliers.append(self)
        self._disk.lane(self._complain, self._slate.path.parent).put(lambda: self._open().close())

    def stopService(self) -> None:
        """Leave; those who watch wait for a publisher."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's
        self._application.suppliers.remove(self)
        for feed in tuple(self._feeds):
            feed.stop()

    def supply(self, stream: LiveStream) -> bool:
        """`live.Supplier`: feed it with the file, if it may."""
        slate, name = self._slate, redacted(stream.name)
        if not fnmatchcase(stream.name, slate.names) or self._clock.seconds() < self._quiet_until:
            return False
        if len(self._feeds) >= MOST:
            self.log.warn(
                "{path} stands in for {most} streams already, which are the most: not for {name}",
                path=slate.path,
                most=MOST,
                name=name,
            )
            self._quiet_until = self._clock.seconds() + PAUSE
            return False
        feed = Feed(
            stream,
            self._open,
            self._disk,
            self._clock,
            self._over,
            folder=slate.path.parent,
            loop=slate.loop,
        )
        self._feeds[feed] = None
        self.log.info("{path} stands in for the publisher of {name}", path=slate.path, name=name)
        return True

    def _open(self) -> Container:
        return self._open_file(self._slate.path)

    def _over(self, feed: Feed, problem: str) -> None:
        del self._feeds[feed]
        if problem:
            self._complain(problem)

    def _complain(self, problem: object) -> None:
        if self._clock.seconds() >= self._quiet_until:
            self._quiet_until = self._clock.seconds() + PAUSE
            words = problem.strerror if isinstance(problem, OSError) else ""
            words = words or str(problem)
            self.log.error(
                "{path} cannot stand in for publishers: {problem};"
                " is not tried again for {pause:g} s",
                path=self._slate.path,
                problem=words,
                pause=PAUSE,
            )
