"""A file that comes in small pieces for as long as a test wants, and then all the rest at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PIECE: Final = 450
"Bytes, so often:"

PAUSE: Final = 0.02
"Seconds."

RESERVE: Final = 20_000
"Bytes that come at the very end, however long that is in coming."


class Trickle:
    """A named pipe and the thread that fills it. A program reads `path` as it would a file."""

    def __init__(self, path: Path, data: bytes, first: int) -> None:
        """The `first` bytes come at once, so that the program can begin."""
        os.mkfifo(path)
        self.path = path
        self._data = data
        self._first = first
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def finish(self) -> None:
        """Let the rest come."""
        self._hurry.set()
        self._thread.join()

    def _run(self) -> None:
        with suppress(BrokenPipeError), self.path.open("wb", buffering=0) as pipe:
            at = pipe.write(self._data[: self._first])
            while not self._hurry.wait(PAUSE):
                if at < len(self._data) - RESERVE:
                    at += pipe.write(self._data[at : at + PIECE])
            while at < len(self._data):
                at += pipe.write(self._data[at:])

    def close(self) -> None:
        """End, even if nobody ever read."""
        self._hurry.set()
        with suppress(OSError):
            os.close(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK))
        self._thread.join()


@contextmanager
def trickle(path: Path, data: bytes, first: int) -> Iterator[Trickle]:
    """One that ends with the block."""
    found = Trickle(path, data, first)
    try:
        yield found
    finally:
        found.close()
