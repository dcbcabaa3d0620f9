"""
Who may have what is for operators: asked for each request, and again and again for answers that go
on, for a login may have been withdrawn meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request

from rtmptwist.auth.errors import Undecided, Wrong
from rtmptwist.auth.operators import Desk, Operator, Shown
from rtmptwist.net.listen import host_of
from rtmptwist.web.answers import Problem, header

AGAIN: Final = 5.0
"""
Seconds between two looks at the login of somebody whose answer goes on. A look at a file is done in
microseconds; a server that is asked has one question of each of these 58 in that time.
"""

PATIENCE: Final = 60.0
"Seconds for which a login that cannot be looked at, because whoever knows it is down, counts."

_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")

_log = Logger()


async def admitted(request: Request, desk: Desk) -> Operator:
    """
    Whose request it is.

    Raises:
        Problem: nobody's who may.
    """
    address = host_of(request.getClientAddress())
    shown = Shown(address, header(request, "Authorization"), local=is_local(request, address))
    try:
        return await desk.admit(shown)
    except Wrong as wrong:
        detail = f"Who you are is not known here: {wrong}."
        raise Problem(
            HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": desk.schemes or ["Bearer"]}
        ) from wrong
    except Undecided as undecided:
        detail = f"Try again later: {undecided}."
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": ["8"]}) from undecided


@contextmanager
def watched(operator: Operator, clock: IReactorTime, end: Callable[[], None]) -> Iterator[None]:
    """Call `end` when somebody is not let in any more, as long as the block lasts."""
    watching = Deferred.fromCoroutine(_withdrawn(operator, clock))

    def withdrawn(why: str) -> None:
        _log.info("operator {operator} sees no more: {why}", operator=operator.name, why=why)
        end()

    def failed(failure: Failure) -> None:
        if not failure.check(CancelledError):  # what cannot be looked at must not go on
            _log.failure("the login of {operator} failed", failure, operator=operator.name)
            end()

    watching.addCallbacks(withdrawn, failed)
    try:
        yield
    finally:
        watching.cancel()


async def _withdrawn(operator: Operator, clock: IReactorTime) -> str:
    """Wait until a login is none any more; return why."""
    sure = clock.seconds()
    while True:
        await deferLater(clock, AGAIN)
        try:
            await Deferred.fromCoroutine(operator.confirm()).addTimeout(PATIENCE, clock)
        except Wrong as wrong:
            return str(wrong)
        except (Undecided, TookTooLong) as error:
            if clock.seconds() - sure >= PATIENCE:
                return str(error) or "its login could not be looked at"
        else:
            sure = clock.seconds()


def is_local(request: Request, address: str) -> bool:
    """
    Whether it was sent on this machine, to it: by no proxy, and by no page that calls itself so.

    A web page may have its own name lead to 127.0.0.1 after it was loaded; but a browser still
    says that name.
    """
    host = header(request, "Host").lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    try:
        loopback = ip_address(address).is_loopback
    except ValueError:  # a local socket: who may open it, its mode says
        loopback = address == "unix"
    headers = request.requestHeaders
    return loopback and name in _LOCAL_NAMES and not any(map(headers.hasHeader, _FORWARDED))
