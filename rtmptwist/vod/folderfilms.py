"""The files of a folder, by what clients call them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtmptwist.disk.folder import Folder
from rtmptwist.live.errors import Refused
from rtmptwist.live.names import redacted
from rtmptwist.live.playback import Film
from rtmptwist.media.errors import MediaError
from rtmptwist.media.pyav import NotInstalled
from rtmptwist.vod.kinds import candidates
from rtmptwist.vod.library import NOT_THERE, Library, NoRoom
from rtmptwist.wire.status import StatusCode


class FolderFilms:
    """`live.playback.Films`: the files of a folder."""

    log = Logger()

    def __init__(self, library: Library) -> None:
        """No file can be opened before `serve`."""
        self.public = False
        self._library = library
        self._folder: Folder

    def serve(self, root: Path, *, public: bool) -> None:
        """This folder from now on."""
        self._folder = Folder(root)
        self.public = public

        def known(there: bool) -> None:
            if not there:  # it may come: recordings make theirs
                words = "files: there is no folder {folder} yet; nothing is played"
                self.log.warn(words, folder=root)

        def unknown(failure: Failure) -> None:
            failure.trap(OSError)
            error: Any = failure.value
            words = "files: {folder} cannot be looked into: {why}"
            self.log.warn(words, folder=root, why=error.strerror)

        # a folder may be far away, and others must not wait for it
        self._library.prepare(root).addCallbacks(known, unknown)

    def open(self, name: str, kind: str, extension: str) -> Deferred[Film]:
        """As `Films`."""
        film = self._library.open(self._folder, candidates(name, kind, extension))
        return film.addErrback(self._refuse, name)

    def _refuse(self, failure: Failure, name: str) -> Film:
        error, shown = failure.value, redacted(name)
        if isinstance(error, MediaError | NoRoom):
            words = f"{shown} cannot be played: {error}."
            if isinstance(error, NotInstalled):
                self.log.warn("{folder}: {words}", folder=self._folder.root, words=words)
            # librtmp waits on after what Adobe has for this, FileStructureInvalid
            raise Refused(StatusCode.PLAY_FAILED, words) from error
        if isinstance(error, OSError):
            if error.errno not in NOT_THERE:
                self.log.warn(
                    "{folder}: {name} cannot be opened: {why}",
                    folder=self._folder.root,
                    name=shown,
                    why=error.strerror,
                )
            raise Refused(StatusCode.PLAY_STREAM_NOT_FOUND, f"There is no {shown}.") from error
        failure.raiseException()
        raise AssertionError
