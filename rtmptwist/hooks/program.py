"""
One program that a hook runs: how it is started, what it says, how it ends.

Between it and us stands a guardian (`hooks.guardian`), by which it ends when we want it to, and
when we are gone. It gets no descriptor of ours but the ends of two pipes, and of our environment
only what says where things are and how to speak.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtmptwist.hooks import guardian
from rtmptwist.hooks.answer import NoAnswer

INHERITED: Final = frozenset(
    {"HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER"}
)
"Variables of our own that a program gets; and LC_*."

LINE: Final = 200
"Characters of what a program says that one line of the log shows."

LINES: Final = 20
"Of one program in the log at once; then one for each `SECONDS_PER_LINE`."

SECONDS_PER_LINE: Final = 5.0

LAST_WORDS: Final = 1.0
"Seconds for what is still in the pipes of a program that has ended."


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, and where it runs."""

    words: Sequence[str]

    folder: Path
    "Its current folder; where it is looked for if its name contains a slash."

    kill_after: float
    "Seconds from SIGTERM to SIGKILL."


class Program(ProcessProtocol):
    """A program that runs, or has ended."""

    log = Logger()

    def __init__(self, name: str, clock: IReactorTime, on_end: Callable[[int], None]) -> None:
        """`name`: of the hook. `on_end` hears the status, as a shell counts it."""
        self._name = name
        self._clock = clock
        self._on_end = on_end
        self._closing: IDelayedCall | None = None
        self._said: dict[int, bytes] = {}
        "Of each descriptor, the beginning of a line."

        self._quota = float(LINES)
        self._spoken = clock.seconds()
        self._unheard = 0
        self.first_line = ""
        "Of standard output."

    def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL if it does not end by that. May be called again."""
        transport: Any = self.transport
        transport.closeStdin()

    # ---------------------------------------------------------------- Twisted

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """It says something."""
        *lines, rest = (self._said.get(childFD, b"") + data).split(b"\n")
        if len(rest) > 4 * LINE:
            lines.append(rest)
            rest = b""
        self._said[childFD] = rest
        for line in lines:
            self._hear(childFD, line)

    def processExited(self, reason: Failure) -> None:  # noqa: ARG002 - Twisted's
        """It has ended; somebody else may hold its pipes open."""
        transport: Any = self.transport
        self._closing = self._clock.callLater(LAST_WORDS, transport.loseConnection)

    def processEnded(self, reason: Failure) -> None:
        """It has ended, and nothing more comes."""
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        for descriptor, rest in self._said.items():
            if rest:
                self._hear(descriptor, rest)
        if self._unheard:
            self._log(f"({self._unheard} more lines)")
        error: Any = reason.value
        # the guardian itself has no reason to die by a signal; whoever sent it meant the program
        status = error.exitCode if error.exitCode is not None else 128 + (error.signal or 0)
        self._on_end(status)

    # ---------------------------------------------------------------- words

    def _hear(self, descriptor: int, line: bytes) -> None:
        now = self._clock.seconds()
        self._quota = min(LINES, self._quota + (now - self._spoken) / SECONDS_PER_LINE)
        self._spoken = now
        first = descriptor == 1 and not self.first_line
        if self._quota < 1 and not first:
            self._unheard += 1
            return
        text = line[: 4 * LINE].decode(errors="replace").strip()[:LINE]
        text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
        if not text:
            return
        if first:
            self.first_line = text
        self._quota -= 1
        if self._unheard:
            text = f"({self._unheard} lines left out) {text}"
            self._unheard = 0
        self._log(text)

    def _log(self, text: str) -> None:
        self.log.info("hook {name}: {text}", name=self._name, text=text)


class Programs:
    """All that one hook runs now."""

    def __init__(self, name: str, command: Command, reactor: Any, most: int) -> None:
        self._name = name
        self._command = command
        self._reactor = reactor
        self._most = most
        self._running: set[Program] = set()
        self._empty: Deferred[None] | None = None

    def run(self, environment: Mapping[bytes, bytes], on_end: Callable[[int], None]) -> Program:
        """
        Start one more; `on_end` hears its status.

        Raises:
            NoAnswer: it cannot be.
        """
        if len(self._running) >= self._most:
            raise NoAnswer(f"{self._most} of its programs have not ended yet")

        def ended(status: int) -> None:
            self._running.discard(program)
            if self._empty is not None and not self._running and not self._empty.called:
                self._empty.callback(None)
            on_end(status)

        program = Program(self._name, self._reactor, ended)
        command = self._command
        guarded = (sys.executable, "-I", "-S", guardian.__file__)
        told = (str(command.kill_after), str(command.folder))
        try:
            self._reactor.spawnProcess(
                program,
                sys.executable,
                [os.fsencode(word) for word in (*guarded, *told, *command.words)],
                env={**_inherited(), **environment},
            )
        except OSError as error:
            raise NoAnswer(f"no program can be started: {error.strerror}") from error
        self._running.add(program)
        return program

    async def close(self, patience: float) -> None:
        """
        End all, and wait until they have, or for `patience` seconds: those that take longer are
        their guardians' care.
        """
        for program in self._running:
            program.stop()
        if self._running:
            self._empty = Deferred()
            with suppress(TookTooLong):
                await self._empty.addTimeout(patience, self._reactor)


def _inherited() -> dict[bytes, bytes]:
    return {
        os.fsencode(key): os.fsencode(value)
        for key, value in os.environ.items()
        if key in INHERITED or key.startswith("LC_")
    }
