"""All files that are open: each of them once, whoever plays it."""

from __future__ import annotations

import errno
import math
import resource
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from rtmptwist.disk.folder import Folder
from rtmptwist.disk.threads import Disk, Lane
from rtmptwist.live.playback import Film
from rtmptwist.media.container import Opener
from rtmptwist.vod.film import OpenFilm, Store
from rtmptwist.vod.kinds import Candidate, prepare
from rtmptwist.vod.pacer import Pacer
from rtmptwist.vod.source import ClosingContainer, FileSource, Identity

LINGER: Final = 10.0
"Seconds that a file stays open when nobody plays it: players ask for its length, then for it."

MOST_UNUSED: Final = 32
"Files that do so: more can be asked for than can be kept."

MOST_WAITING: Final = 10_000
"Who wait for a folder, or for one file: each costs some KB, even when it has given up."

SETTLED: Final = 1 << 20
"Bytes of a file that grows in which all is that a container learns when it is opened."

NOT_THERE: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.ENAMETOOLONG}
)
"Nothing has the name, or something that is no file: a folder, a link, a pipe, a device."


class NoRoom(Exception):
    """More is wanted than can be, for now."""


class Library:
    """The files that are open, of all folders."""

    def __init__(self, clock: IReactorTime, disk: Disk, room: int) -> None:
        """`room`: bytes of what was read that are kept for others."""
        self.store = Store(room)
        self.pacer = Pacer(clock)
        self._clock = clock
        self._disk = disk
        self._films: dict[Identity, OpenFilm] = {}
        self._opening: dict[Identity, list[Deferred[OpenFilm]]] = {}
        "Containers that are being made, and who waits for them."
        self._closing: dict[OpenFilm, tuple[Identity, IDelayedCall]] = {}
        "Films that nobody holds."
        self._closed = False

    def prepare(self, root: Path) -> Deferred[bool]:
        """
        Be ready for what is in a folder; whether it is there.

        Fails with:
            OSError: that cannot be found out.
        """
        return self._disk.lane(_unheard, root).call(partial(prepare, root))

    def open(
        self, folder: Folder, wanted: Sequence[Candidate], *, grows: int | None = None
    ) -> Deferred[Film]:
        """
        Open the first of these files that is there; who gets it releases it.

        `grows`: we write to its end meanwhile, and do nothing else with it. Then it is one file,
        however long it was when somebody came, as long as this number of what its opener is told
        stays the same; and nobody knows how long it is.

        Fails with:
            OSError, MediaError: it cannot be played.
            NoRoom: too many are open, or too many wait for such a file already.
        """
        film: Deferred[Film] = Deferred()

        def deliver(found: OpenFilm) -> None:
            if film.called:  # it was cancelled
                found.release()
            else:
                film.callback(found)

        def fail(failure: Failure) -> None:
            if not film.called:
                film.errback(failure)

        finding = Deferred.fromCoroutine(self._find(folder, wanted, grows))
        finding.addCallbacks(deliver, fail)
        return film

    async def _find(
        self, folder: Folder, wanted: Sequence[Candidate], grows: int | None
    ) -> OpenFilm:
        lane = self._disk.lane(_unheard, folder.root)
        _check(lane)
        source, identity, opener = await lane.call(partial(_open, folder, wanted, grows))
        film = self._films.get(identity)
        waiting = self._opening.get(identity)
        if film is not None:
            source.close()
            _check(film.lane)
            if film in self._closing:
                self._closing.pop(film)[1].cancel()
            return film.hold()
        if waiting is not None:
            source.close()
            made: Deferred[OpenFilm] = Deferred()
            waiting.append(made)
            return await made
        if self._full():
            source.close()
            raise NoRoom("too many files are played")
        self._opening[identity] = []
        try:
            container = await lane.call(partial(ClosingContainer, opener, source))
        except Exception:
            failure = Failure()
            for made in self._opening.pop(identity):
                made.errback(failure)
            raise
        unused = partial(self._unused, identity)
        film = OpenFilm(container, lane, self.store, self._clock, unused, grows=grows is not None)
        self._films[identity] = film
        film.hold()
        for made in self._opening.pop(identity):
            made.callback(film.hold())
        return film

    def _full(self) -> bool:
        """
        Whether no more files can be open: they may take a quarter of those that the process can
        have, of which connections and recordings need the others.
        """
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = soft // 4 if soft != resource.RLIM_INFINITY else math.inf
        while self._closing and len(self._films) + len(self._opening) >= most:
            self._close_oldest()
        return len(self._films) + len(self._opening) >= most

    def _unused(self, identity: Identity, film: OpenFilm) -> None:
        if self._closed:
            del self._films[identity]
            film.end()
            return
        self._closing[film] = identity, self._clock.callLater(LINGER, self._close, film)
        if len(self._closing) > MOST_UNUSED:
            self._close_oldest()

    def _close_oldest(self) -> None:
        """Of those that nobody holds."""
        film, (_, timer) = next(iter(self._closing.items()))
        timer.cancel()
        self._close(film)

    def _close(self, film: OpenFilm) -> None:
        identity, _ = self._closing.pop(film)
        del self._films[identity]
        film.close()

    def close(self) -> None:
        """Close what nobody holds, and keep nothing open from now on: the threads end."""
        self._closed = True
        for film, (_, timer) in tuple(self._closing.items()):
            timer.cancel()
            self._close(film)


def _open(
    folder: Folder, wanted: Sequence[Candidate], grows: int | None
) -> tuple[FileSource, Identity, Opener]:
    """In a thread."""
    error = OSError(errno.ENOENT, "No such file")
    for names, opener, skip in wanted:
        try:
            source = FileSource(folder.open(names), skip)
        except OSError as why:
            if why.errno not in NOT_THERE:
                error = why
            continue
        identity = source.identity
        if grows is not None and identity.size >= SETTLED:
            identity = identity._replace(size=0, changed=grows)
        return source, identity, opener
    raise error


def _check(lane: Lane) -> None:
    """A disk may hang for hours, and those who want to play from it try again and again."""
    if lane.ahead >= MOST_WAITING:
        raise NoRoom(f"the disk is too slow: {lane.ahead} wait for it")


def _unheard(_: Exception) -> None:
    """All that fails is told to who asked for it."""
