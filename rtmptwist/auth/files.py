"""
Files with secrets, one on a line: read again when they change, rewritten whole.

A line that begins with `#` is a comment. Who reads such a file keeps what it said before when it
changes into something that cannot be used.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from rtmptwist.disk.reading import Changes, NotRegular, TooLarge, read_small

T = TypeVar("T")

LARGEST: Final = 16 << 20
"Bytes of a file: tens of thousands of lines. Something else was meant if there are more."

SHOWN: Final = 5
"Problems of one file that are told; who took a wrong file need not read it."

LOOSE: Final = stat.S_IWGRP | stat.S_IRWXO
"A group of the server's own may read (a web site signs with the same secrets); nobody else may."

PATIENCE: Final = 10.0
"Seconds that a program waits for another one that rewrites a file in the same folder."

INTERVAL: Final = 1.0
"Seconds between two looks at a file."


class BadLine(ValueError):
    """A line says nothing that can be used. The text says why, and repeats no secret."""


class BadFile(Exception):
    """A file cannot be used. As text: a line for each reason."""

    def __init__(self, path: Path, problems: Iterable[tuple[int, str]]) -> None:
        """`problems`: the number of a line, 0 for all of them, and what is wrong there."""
        found = [f"{path}:{line}: {text}" if line else f"{path}: {text}" for line, text in problems]
        if len(found) > SHOWN:
            found[SHOWN:] = [f"{path}: and {len(found) - SHOWN} more lines that are wrong"]
        super().__init__("\n".join(found))


def read_text(path: Path, errors: str = "strict") -> str:
    """
    All that a file says; `errors` in UTF-8 as `bytes.decode` takes them.

    Raises:
        BadFile: it cannot be read, is no file, too large or no UTF-8.
    """
    try:
        data = read_small(path, LARGEST)
    except NotRegular:
        raise BadFile(path, [(0, "is no file that could be read again")]) from None
    except TooLarge:
        problem = f"is larger than {LARGEST >> 20} MB; is it the right file?"
        raise BadFile(path, [(0, problem)]) from None
    except OSError as error:
        raise BadFile(path, [(0, error.strerror or str(error))]) from error
    try:
        return data.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadFile(path, [(line, "is not UTF-8")]) from error


def entries(path: Path, text: str, read: Callable[[str], T]) -> list[tuple[int, T]]:
    """
    What each line says that is neither empty nor a comment, with its number.

    Raises:
        BadFile: with every line for which `read` raised BadLine.
    """
    found: list[tuple[int, T]] = []
    problems = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            try:
                found.append((number, read(line)))
            except BadLine as error:
                problems.append((number, str(error)))
    if problems:
        raise BadFile(path, problems)
    return found


class SecretFile(Generic[T]):
    """What a file says, read again when it changes."""

    log = Logger()

    def __init__(self, path: Path, read: Callable[[Path], T]) -> None:
        """
        Read it now. `read` may block, and raises BadFile.

        Raises:
            BadFile: it cannot be used.
        """
        self.path = path
        self._read = read
        self._changes = Changes()
        self._changes.note(path)
        self.changed: list[Callable[[], None]] = []
        "Each is called after `value` has become another."
        self.value: T = read(path)
        self._mind_permissions()

    def look(self) -> T | None:
        """
        What it says now, if that is new. May block, so it is for a thread.

        Raises:
            BadFile: it has changed, and cannot be used any more. Said once.
        """
        return self._read(self.path) if self._changes.look(self.path) else None

    def take(self, value: T) -> None:
        """Use what `look` found."""
        self.value = value
        self.log.info("{path} has changed and was read again", path=self.path)
        self._mind_permissions()
        for tell in self.changed:
            tell()

    def _mind_permissions(self) -> None:
        warning = loose(self.path)
        if warning:
            self.log.warn("{warning}", warning=warning)


def loose(path: Path) -> str:
    """A warning for a file with secrets that others may read or change; empty: all is well."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return ""
    if not mode & LOOSE:
        return ""
    verbs = [
        verb
        for bits, verb in ((stat.S_IROTH, "read"), (stat.S_IWGRP | stat.S_IWOTH, "change"))
        if mode & bits
    ]
    may = " and ".join(verbs) or "use"
    secrets = f"{path}, which holds secrets (its mode is {mode:04o})"
    return f"others may {may} {secrets}: chmod {mode & ~LOOSE:o}"


def watching(
    files: Collection[SecretFile[Any]],
    reactor: Any,
    interval: float = INTERVAL,
    named: Callable[[Path], str] = lambda _: "",
) -> TimerService:
    """
    A service that has `files`, as they are then, read again when they change.

    `named`: what the log says of who names a file, to end a line with.
    """

    async def look() -> None:
        for file in tuple(files):
            try:
                value = await deferToThreadPool(reactor, reactor.getThreadPool(), file.look)
            except BadFile as error:
                file.log.error(
                    "{error}; what was read before stays in use{named}",
                    error=str(error),
                    named=named(file.path),
                    path=file.path,
                )
            except Exception:  # one broken file must not end the care for all others
                file.log.failure("{path} could not be read again", path=file.path)
            else:
                if value is not None:
                    file.take(value)

    service = TimerService(interval, lambda: Deferred.fromCoroutine(look()))
    service.clock = reactor
    return service


def rewrite(path: Path, change: Callable[[str], str], errors: str = "strict") -> None:
    """
    Let `change` make the new text of a file from the old one; empty if there is none. `errors` as
    for `read_text`.

    Nobody ever sees a part of it, and of several programs that do this at the same time, each finds
    what the one before it wrote. A new file is for its owner only; an old one keeps owner and mode.

    Raises:
        BadFile: it cannot be read or written.
    """
    path = path.resolve()  # a link stays one
    if not path.parent.is_dir():
        raise BadFile(path, [(0, f"cannot be written: there is no folder {path.parent}")])
    try:
        with _alone_in(path.parent):
            old = read_text(path, errors) if path.exists() else ""
            _replace(path, change(old).encode(errors=errors))
    except OSError as error:
        raise BadFile(path, [(0, f"cannot be written: {error.strerror or error}")]) from error


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # has mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            if path.exists():
                old = path.stat()
                os.fchown(handle, old.st_uid, old.st_gid)
                os.fchmod(handle, stat.S_IMODE(old.st_mode))
            file.write(data)
            file.flush()
            os.fsync(handle)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder: that of the file itself would vanish with it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"another program has held {folder} for {PATIENCE:g} s"
                    ) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(handle)  # and with it the lock
