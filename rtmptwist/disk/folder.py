"""
A folder that nobody leaves by a name, whatever clients call their streams.

Names are made harmless one by one (`safe`), and a path is opened part by part, without following
links: one that somebody put into the folder does not lead out of it either. The folder itself is
the operator's, and may be a link. All of this blocks: it belongs into a thread.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

Names = tuple[str, ...]
"A path below a folder: the names of folders, and of a file."

LONGEST: Final = 255
"Bytes of one name, in every file system in use."

_BAD: Final = re.compile(r'[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff/\\:*?"<>|]')
"""
Separators, here or elsewhere; what forges lines of a listing; what is no Unicode; what Windows,
which may see the folder over the network, refuses.
"""

_ENDS: Final = re.compile(r"\A[.~\s-]|[.\s]\Z")
"Hidden files, `.` and `..`, what looks like an option of a command; what Windows cuts off."

_DEVICE: Final = re.compile(r"(?i)\A(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?=\.|\Z)")
"Names that are devices on Windows, in every folder."


def safe(text: str, room: int = 0) -> str:
    """
    One name of a file or folder, made of any text. Harmless texts stay as they are.

    `room`: bytes of the longest name that are kept free for an extension.
    """
    name = _BAD.sub("_", unicodedata.normalize("NFC", text))
    name = _ENDS.sub("_", name) or "_"
    name = _DEVICE.sub(r"\g<0>_", name)
    most = LONGEST - room
    encoded = name.encode()
    if len(encoded) > most:
        mark = f"~{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:12]}"
        name = encoded[: most - len(mark)].decode(errors="ignore") + mark
    return name


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that was found in a folder."""

    names: Names
    size: int
    changed: float
    "Seconds since the epoch."


class Folder:
    """A folder and all that is in it. Raises `OSError` as the system does."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, names: Names) -> Path:
        """Where that is, for people and hooks."""
        return self.root.joinpath(*names)

    def create(self, names: Names) -> int:
        """Make a file that does not exist yet, with the folders it needs; return its number."""
        with self._parent(names, make=True) as (parent, name):
            return os.open(name, _NEW, 0o644, dir_fd=parent)

    def open(self, names: Names, flags: int = os.O_RDONLY) -> int:
        """Open a file that exists; return its number. It is a file: no link, device or pipe."""
        with self._parent(names) as (parent, name):
            # whoever opens a pipe for reading waits for its writer
            number = os.open(name, flags | _EXISTING | os.O_NONBLOCK, dir_fd=parent)
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise OSError(errno.EINVAL, "Not a file", str(self.path(names)))
        return number

    def exists(self, names: Names) -> bool:
        """Whether anything has that name."""
        try:
            with self._parent(names) as (parent, name):
                _stat(name, parent)
        except FileNotFoundError:
            return False
        return True

    def rename(self, names: Names, new: str) -> None:
        """
        Give a file another name in its folder.

        Raises:
            FileExistsError: something has that name.
        """
        with self._parent(names) as (parent, name):
            try:
                # a rename would replace whatever has the name; a second link does not
                os.link(name, new, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
            except FileExistsError:
                # a process may have been killed between the two
                if not os.path.samestat(_stat(name, parent), _stat(new, parent)):
                    raise
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                if self.exists((*names[:-1], new)):
                    raise FileExistsError(errno.EEXIST, "File exists", new) from None
                os.rename(name, new, src_dir_fd=parent, dst_dir_fd=parent)
                return
            os.unlink(name, dir_fd=parent)

    def remove(self, names: Names) -> None:
        """Remove a file."""
        with self._parent(names) as (parent, name):
            os.unlink(name, dir_fd=parent)

    def tidy(self, names: Names, before: float) -> None:
        """Remove the folders that a file was in, if nothing is there nor was since `before`."""
        for end in range(len(names) - 1, 0, -1):
            with suppress(OSError), self._parent(names[:end]) as (parent, name):
                if _stat(name, parent).st_mtime < before:
                    os.rmdir(name, dir_fd=parent)

    def files(self) -> Iterator[Entry]:
        """All files in here and below, in no order. Links are not followed, nor told."""
        root = self.root.resolve()
        for path, _, files, folder in os.fwalk(root):
            above = Path(path).relative_to(root).parts
            for file in files:
                try:
                    found = _stat(file, folder)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(found.st_mode):
                    yield Entry((*above, file), found.st_size, found.st_mtime)

    @contextmanager
    def _parent(self, names: Sequence[str], *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The folder that a file is in, open, and the file's name in it."""
        for name in names:
            if name in ("", ".", "..") or "/" in name or "\0" in name:
                raise ValueError(f"{name!r} is no name of a file")
        if make:
            self.root.mkdir(parents=True, exist_ok=True)
        parent = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in names[:-1]:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=parent)
                inner = os.open(name, _FOLDER, dir_fd=parent)
                os.close(parent)
                parent = inner
            yield parent, names[-1]
        finally:
            os.close(parent)


def _stat(name: str, parent: int) -> os.stat_result:
    return os.stat(name, dir_fd=parent, follow_symlinks=False)


_EXISTING: Final = os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | _EXISTING
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | _EXISTING
_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"What file systems without links say: FAT, and some in user space."
