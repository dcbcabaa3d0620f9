"""The server as a whole: how it is, another configuration, its end."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import Final, TypedDict

from rtmptwist import __version__
from rtmptwist.web.answers import Problem
from rtmptwist.web.api.figures import RateView, rate_view, when
from rtmptwist.web.api.route import Call, Route
from rtmptwist.web.api.streams import all_streams
from rtmptwist.web.house import House, ReloadError
from rtmptwist.web.slices import in_slices


class ServerView(TypedDict):
    """The server as a whole."""

    version: str
    since: str
    uptime: float
    ready: bool
    draining: bool
    connections: int
    connections_made: int
    by_variant: dict[str, int]
    clients: int
    addresses: int
    streams: int
    viewers: int
    bytes_in: int
    bytes_out: int
    bitrate_in: RateView
    bitrate_out: RateView
    refused: dict[str, int]
    bans: int


class ReloadView(TypedDict):
    """What another configuration has changed; a line for each section."""

    changes: list[str]


async def server(call: Call) -> ServerView:
    """The server as a whole."""
    house, streams = call.house, 0
    viewers = sum(app.film_viewers for app in house.registry.applications())
    async for _, stream in in_slices(all_streams(house), house.reactor):
        streams += 1
        viewers += len(stream.audience.subscribers)
    return server_view(house, streams, viewers)


async def reload(call: Call) -> ReloadView:
    """Read the configuration again."""
    call.note("has the configuration read again")
    try:
        changes = await call.house.reload()
    except ReloadError as error:
        words = "The configuration cannot be used, and all stays as it was."
        raise Problem(HTTPStatus.CONFLICT, words, errors=str(error).split("\n")) from error
    return {"changes": [*changes]}


async def drain(call: Call) -> None:
    """Stop the server."""
    call.house.drain(f"operator {call.operator.name}")


def server_view(house: House, streams: int, viewers: int) -> ServerView:
    """`streams` and `viewers` were counted in slices."""
    census, meter = house.census, house.registry.meter
    here = census.connections()
    total = census.total(census.traffic(here))
    received, sent = census.bitrates
    return {
        "version": __version__,
        "since": when(census.since),
        "uptime": round(house.reactor.seconds() - census.since, 3),
        "ready": house.ready,
        "draining": house.draining,
        "connections": len(here),
        "connections_made": total.connections,
        "by_variant": dict(Counter(connection.variant for connection in here)),
        "clients": meter.connections,
        "addresses": meter.addresses,
        "streams": streams,
        "viewers": viewers,
        "bytes_in": total.bytes_in,
        "bytes_out": total.bytes_out,
        "bitrate_in": rate_view(received),
        "bitrate_out": rate_view(sent),
        "refused": {reason.name.lower(): count for reason, count in meter.refusals.items()},
        "bans": len(list(house.bans.bans)),
    }


ROUTES: Final = (
    Route("GET", "server", "The server as a whole", server, shows=ServerView),
    Route(
        "POST",
        "reload",
        "Read the configuration again and put it to work; what is wrong changes nothing",
        reload,
        shows=ReloadView,
    ),
    Route(
        "POST",
        "drain",
        "Stop the server, which lets everybody leave first",
        drain,
        status=HTTPStatus.ACCEPTED,
    ),
)
