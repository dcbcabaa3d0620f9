"""Tests that are coroutines, on the real reactor: `Clock` and fakes are for everything else."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, ParamSpec
from unittest import TestResult

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

PATIENCE: Final = 50.0
"Seconds that a test may take; then whatever it awaits is cancelled."

P = ParamSpec("P")
_Error = tuple[type[BaseException], BaseException, TracebackType]


def reactor_test(
    test: Callable[P, Coroutine[Any, Any, None]],
) -> Callable[P, None]:
    """
    Let pytest run an `async def`, with trial's verdicts.

    A test also fails that leaves a socket or a timer behind, or whose server logged a failure.
    """

    @functools.wraps(test)
    def run(*arguments: P.args, **fixtures: P.kwargs) -> None:
        class Case(TestCase):
            timeout = PATIENCE + 10

            def runTest(self) -> Deferred[None]:
                running = Deferred.fromCoroutine(test(*arguments, **fixtures))
                return running.addTimeout(PATIENCE, reactor)

        verdict = _Verdict()
        case: Any = Case
        case("runTest").run(verdict)
        if verdict.error is not None:
            raise verdict.error

    return run


class _Verdict(TestResult):
    """Keeps the first error as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.error: BaseException | None = None

    def addError(self, test: object, err: Any) -> None:
        self.error = self.error or err[1]

    addFailure = addError

    def addSkip(self, test: object, reason: str) -> None:
        raise AssertionError(f"skip by a fixture, outside of the reactor: {reason}")
