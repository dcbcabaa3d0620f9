"""Programs as hooks: asked, by their exit status, or kept running as long as something lasts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from rtmptwist.hooks.answer import Answer, NoAnswer, readable
from rtmptwist.hooks.guardian import NOT_STARTED
from rtmptwist.hooks.program import Program, Programs
from rtmptwist.hooks.question import Question

STEADY: Final = 60.0
"Seconds after which a program has proved that it can run: its restarts count anew."


class ProgramCarrier:
    """`hooks.asking.Carrier`: a program is started, and its status is the answer."""

    def __init__(self, programs: Programs) -> None:
        self.programs = programs

    async def close(self, patience: float) -> None:
        """End what runs."""
        await self.programs.close(patience)

    async def ask(self, question: Question) -> Answer:
        """0 is yes; else the first line that it printed is for the client."""
        # one that is no longer waited for is ended, and ends when it will
        ended: Deferred[int] = Deferred(lambda _: program.stop())

        def on_end(status: int) -> None:
            if not ended.called:
                ended.callback(status)

        program = self.programs.run(question.environment(), on_end)
        status = await ended
        if status >= NOT_STARTED:
            raise NoAnswer(f"its program {in_words(status)}")
        return Answer(allowed=status == 0, reason=readable(program.first_line) if status else "")


class Kept:
    """A program that runs while something lasts, begun anew when it ends too early."""

    log = Logger()

    def __init__(
        self,
        name: str,
        programs: Programs,
        environment: Mapping[bytes, bytes],
        clock: IReactorTime,
        *,
        pause: float,
        restarts: int,
    ) -> None:
        """`name`: of the hook. `pause`: seconds before it is begun anew, so often in a row."""
        self._name = name
        self._programs = programs
        self._environment = environment
        self._clock = clock
        self._pause = pause
        self._restarts = restarts
        self._failures = 0
        self._since = 0.0
        self._program: Program | None = None
        self._beginning: IDelayedCall | None = None
        self._over = False
        self._begin()

    def stop(self) -> None:
        """It is over."""
        self._over = True
        if self._program is not None:
            self._program.stop()
        elif self._beginning is not None and self._beginning.active():
            self._beginning.cancel()

    def _begin(self) -> None:
        self._since = self._clock.seconds()
        try:
            self._program = self._programs.run(self._environment, self._ended)
        except NoAnswer as error:
            self._again(str(error))

    def _ended(self, status: int) -> None:
        self._program = None
        if not self._over:
            ran = self._clock.seconds() - self._since
            if ran > STEADY:
                self._failures = 0
            self._again(f"its program {in_words(status)} after {ran:.1f} s")

    def _again(self, why: str) -> None:
        self._failures += 1
        again = self._failures <= self._restarts
        self.log.warn(
            "hook {name}: {why}; {what}",
            name=self._name,
            why=why,
            what=f"it starts again in {self._pause:g} s" if again else "it is not started again",
        )
        if again:
            self._beginning = self._clock.callLater(self._pause, self._begin)


def in_words(status: int) -> str:
    """How a program ended, by its status in a shell."""
    if status < NOT_STARTED:
        return f"ended with status {status}"
    if status <= 128:
        return "could not be started"
    return f"was killed by signal {status - 128}"
