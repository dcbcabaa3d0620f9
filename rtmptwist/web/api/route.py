"""One thing that operators may ask for or want: where it is, what may be said, what is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Final, TypeVar

from twisted.logger import Logger
from twisted.web.server import Request

from rtmptwist.auth.operators import Operator
from rtmptwist.web.answers import Problem
from rtmptwist.web.house import House
from rtmptwist.web.parameters import Parameter

T = TypeVar("T")

PAGE: Final = {
    "offset": Parameter(words="Items to leave out.", kind="integer", default=0, most=1e9),
    "limit": Parameter(words="Items to show.", kind="integer", default=100, least=1, most=500),
}
VHOST: Final = {
    "vhost": Parameter(words="Only of this virtual host; empty: of the one without a name.")
}
APPLICATION: Final = {**VHOST, "application": Parameter(words="Only of this application.")}
REASON: Final = {
    "reason": Parameter(
        words="Why, which the client reads.",
        default="Ended by the operator.",
        least=1,
        told=True,
    )
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request, checked."""

    log: ClassVar = Logger()

    house: House
    request: Request
    operator: Operator
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Mapping[str, Any]

    def note(self, words: str, **fields: object) -> None:
        """One line in the log: who wanted what."""
        self.log.info(f"operator {{operator}} {words}", operator=self.operator.name, **fields)


@dataclass(frozen=True, slots=True)
class Route:
    """What answers calls."""

    method: str
    path: str
    "Below the prefix of the API, as Klein has it."

    words: str
    handle: Callable[[Call], Awaitable[object]]
    _: KW_ONLY
    shows: type | None = None
    "What is answered; None: nothing is."

    paged: bool = False
    "As a page of those."

    tells: Mapping[str, type] = field(default_factory=dict)
    "Answered by Server-Sent Events, whose data this is: it does not end by itself."

    sends: str = ""
    "Answered by bytes of this content type, which do not end by themselves either."

    query: Mapping[str, Parameter] = field(default_factory=dict)
    body: Mapping[str, Parameter] | None = None
    status: HTTPStatus = HTTPStatus.OK


def nothing(what: str) -> Problem:
    """It is not there."""
    return Problem(HTTPStatus.NOT_FOUND, f"There is no such {what}, or no longer.")


def part(call: Call, found: Sequence[T]) -> Sequence[T]:
    """Those that stand on the page that is asked for."""
    offset: int = call.query["offset"]
    return found[offset : offset + call.query["limit"]]


def page(call: Call, found: Sequence[object], items: Iterable[object]) -> object:
    """These `items` of all that were found."""
    return {
        "items": list(items),
        "total": len(found),
        "offset": call.query["offset"],
        "limit": call.query["limit"],
    }
