"""Bans: who may not come, for how long and why."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, TypedDict

from rtmptwist.auth.bans import Ban, Kind, TooManyBans
from rtmptwist.auth.files import BadLine
from rtmptwist.web.answers import Problem
from rtmptwist.web.api.figures import when
from rtmptwist.web.api.route import PAGE, Call, Route, nothing, page, part
from rtmptwist.web.parameters import Parameter

_LONGEST: Final = 365 * 24 * 3600 * 10
"Seconds."


class BanView(TypedDict):
    """A ban."""

    kind: str
    who: str
    since: str
    until: str | None
    note: str


async def bans(call: Call) -> object:
    """All bans that are in force."""
    found = list(call.house.bans.bans)
    return page(call, found, map(ban_view, part(call, found)))


async def ban(call: Call) -> BanView:
    """Ban somebody; who is here leaves."""
    body, now = call.body, call.house.reactor.seconds()
    until = None if body["seconds"] is None else now + body["seconds"]
    try:
        made = Ban.of(Kind(body["kind"]), body["who"], now, until, body["note"])
        call.house.bans.ban(made)
    except BadLine as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}.") from error
    except TooManyBans as error:
        raise Problem(HTTPStatus.CONFLICT, f"{error}.") from error
    call.note("bans {who}", who=made.who)
    return ban_view(made)


async def unban(call: Call) -> None:
    """Lift a ban."""
    kind, who = call.path["kind"], call.path["who"]
    try:
        lifted = kind in list(Kind) and call.house.bans.unban(Kind(kind), who)
    except BadLine as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}.") from error
    if not lifted:
        raise nothing("ban")
    call.note("lifts the ban of {who}", who=who)


def ban_view(ban: Ban) -> BanView:
    """One ban."""
    return {
        "kind": ban.kind.value,
        "who": ban.who,
        "since": when(ban.since),
        "until": when(ban.until) if ban.until is not None else None,
        "note": ban.note,
    }


ROUTES: Final = (
    Route("GET", "bans", "Bans in force", bans, shows=BanView, paged=True, query=PAGE),
    Route(
        "POST",
        "bans",
        "Ban an address, a network or an account; who is here leaves",
        ban,
        shows=BanView,
        body={
            "kind": Parameter(
                words="What is banned.", required=True, choices=("address", "account")
            ),
            "who": Parameter(words="Which one, as logs call it.", required=True, least=1),
            "seconds": Parameter(
                words="For how long; for good if it is left out.",
                kind="number",
                least=1,
                most=_LONGEST,
            ),
            "note": Parameter(words="Why, which they read.", default="", told=True),
        },
        status=HTTPStatus.CREATED,
    ),
    Route("DELETE", "bans/<kind>/<path:who>", "Lift a ban", unban, status=HTTPStatus.NO_CONTENT),
)
