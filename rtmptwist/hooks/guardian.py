"""
Guards one program of a hook: a process of its own between the server and the program.

    python -I -S guardian.py SECONDS FOLDER PROGRAM [ARGUMENT …]

Standard input is a lifeline, on which nothing is ever said. When it closes, because the server
wants the program to end or because the server is gone, be it by SIGKILL, the program gets SIGTERM,
and SIGKILL if that does not help within SECONDS; and so does everything it has started, unless that
went into a process group of its own. The same happens to what a program leaves behind when it ends
by itself. The status of this process is that of the program, 128 more than the number of the signal
that killed it, or as in a shell 127 or 126 when it could not be started.

(Only whoever kills this process by SIGKILL frees the program.)

Uses nothing but a part of the standard library, and does nothing else, so that it starts in 20 ms.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress

NOT_FOUND = 127
NOT_STARTED = 126

POLL = 0.02
"Seconds between two looks whether a process group is empty, of which nobody tells."

LAST = 1.0
"Seconds in which the kernel ends what got SIGKILL, or never, where a device hangs."


class Guardian:
    """From the beginning of a program to its end."""

    def __init__(self, seconds: float, folder: str, command: list[str]) -> None:
        self.seconds = seconds
        self.status: int | None = None
        self.asked = False
        self.ear, self.bell = os.pipe()
        for end in (self.ear, self.bell):
            os.set_blocking(end, False)
        # of its own session too, or Ctrl-C in a terminal would reach it before the server decides
        os.setsid()
        signal.set_wakeup_fd(self.bell, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.end)
        self.program = start(folder, command)

    def end(self, *_: object) -> None:
        """Somebody else than the server wants an end: the system shuts down."""
        self.asked = True

    def guard(self) -> int:
        """Wait for the end; return the status."""
        while not self.asked and self.running():
            ready, _, _ = select.select([0, self.ear], [], [])
            if 0 in ready:
                break
            self.hear()
        if not self.kill(signal.SIGTERM, self.seconds):
            self.kill(signal.SIGKILL, LAST)
        return 128 + signal.SIGKILL if self.status is None else self.status

    def running(self) -> bool:
        """Whether the program itself has not ended."""
        if self.status is None:
            pid, status = os.waitpid(self.program, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self.status = code if code >= 0 else 128 - code
        return self.status is None

    def kill(self, number: int, seconds: float) -> bool:
        """Send a signal to all that is left; return whether all have ended within a time."""
        deadline = time.monotonic() + seconds
        try:
            with suppress(PermissionError):
                os.killpg(self.program, number)
            while self.running() or self.crowded():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                select.select([self.ear], [], [], min(left, POLL))
                self.hear()
        except ProcessLookupError:
            self.running()
        return True

    def crowded(self) -> bool:
        """Whether the program has left anything behind; raises ProcessLookupError if not."""
        with suppress(PermissionError):  # it has become another user's
            os.killpg(self.program, 0)
        return True

    def hear(self) -> None:
        """Empty the pipe of signals."""
        with suppress(BlockingIOError):
            os.read(self.ear, 512)


def start(folder: str, command: list[str]) -> int:
    """Start a program in a session of its own; return when it runs."""
    started, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            become(folder, command)
        except OSError as error:
            sys.stderr.write(f"cannot start {command[0]} in {folder}: {error.strerror}\n")
            sys.stderr.flush()
            os._exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_STARTED)
    os.close(said)
    os.read(started, 1)  # the other end closes with exec
    os.close(started)
    return pid


def become(folder: str, command: list[str]) -> None:
    """In the child: be the program."""
    os.setsid()
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and exec inherits that
        signal.signal(number, signal.SIG_DFL)
    os.execvp(command[0], command)  # noqa: S606 - the very thing


if __name__ == "__main__":
    sys.exit(Guardian(float(sys.argv[1]), sys.argv[2], sys.argv[3:]).guard())
