"""Connections that speak RTMP: who they are, what they do and did; how one is ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, TypedDict

from rtmptwist.net.census import ConnectionMeter, UseMeter, measure
from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.trail import HERE, RECEIVED, SENT, steps
from rtmptwist.web.api.figures import RateView, rate_view, when
from rtmptwist.web.api.route import APPLICATION, PAGE, REASON, Call, Route, nothing, page, part
from rtmptwist.web.house import House
from rtmptwist.web.parameters import Parameter
from rtmptwist.web.slices import in_slices

VARIANTS: Final = ("rtmp", "rtmpe", "rtmps", "rtmpt", "rtmpte", "rtmpts")
_WAYS: Final = {RECEIVED: "received", SENT: "sent", HERE: "here"}


class UseView(TypedDict):
    """What a connection does with one message stream: `publish` or `play`."""

    action: str
    message_stream: int
    stream: str
    name: str
    account: str
    since: str
    state: str | None
    messages: int | None
    bytes: int
    dropped: int
    skips: int | None
    queue_bytes: int | None
    queue_age: float | None
    first_frame: float | None


class ConnectionView(TypedDict):
    """A connection. Null: not known, or not yet."""

    id: int
    address: str
    peer: str
    variant: str
    handshake: str | None
    state: str
    vhost: str | None
    application: str | None
    account: str | None
    agent: str | None
    certificate: str | None
    since: str
    bytes_in: int
    bytes_out: int
    bitrate_in: RateView
    bitrate_out: RateView
    waiting: int
    stalls: int
    round_trip: float | None
    retransmitted: int | None
    uses: list[UseView]


class StepView(TypedDict):
    """A protocol event of a connection. `way`: `received`, `sent`, or `here`, by the server."""

    number: int
    time: str
    way: str
    words: str


class OneConnectionView(ConnectionView):
    """A connection, with its last protocol events."""

    steps: list[StepView]


# ------------------------------------------------------------------------------- answers


async def connections(call: Call) -> object:
    """All connections, or some."""
    found = [each for each in call.house.census.connections() if _wanted(each, call.query)]
    return await connections_page(call, found)


async def connection(call: Call) -> OneConnectionView:
    """One connection."""
    found = find_connection(call)
    return {**connection_view(call.house, measure(found)), "steps": step_views(found)}


async def kick(call: Call) -> None:
    """End a connection."""
    kicked = find_connection(call)
    call.note("kicks {peer}: {reason}", peer=kicked.peer, **call.body)
    if not call.house.kick(kicked.id, call.body["reason"]):
        raise nothing("connection")


async def connections_page(call: Call, found: list[ServerConnection]) -> object:
    """Some of those that were found."""
    items = [
        connection_view(call.house, measure(each))
        async for each in in_slices(part(call, found), call.house.reactor)
    ]
    return page(call, found, items)


# ------------------------------------------------------------------------------- finding


def find_connection(call: Call) -> ServerConnection:
    """
    The connection that a call is about.

    Raises:
        Problem: there is none.
    """
    number = connection_number(call)
    for each in call.house.census.connections():
        if each.id == number:
            return each
    raise nothing("connection")


def connection_number(call: Call) -> int:
    """Which connection a call is about; 0: none."""
    number = call.path["number"]
    return int(number) if re.fullmatch("[0-9]{1,15}", number) else 0


def _wanted(connection: ServerConnection, query: Mapping[str, Any]) -> bool:
    application = connection.visitor.application if connection.visitor is not None else None
    host, name = (application.host, application.name) if application is not None else ("", "")
    return (
        query["vhost"] in (None, host)
        and query["application"] in (None, name)
        and query["variant"] in (None, connection.variant)
        and query["address"] in (None, connection.address)
        and (query["account"] is None or query["account"] in connection.accounts)
    )


# ------------------------------------------------------------------------------- showing


def connection_view(house: House, meter: ConnectionMeter) -> ConnectionView:
    """One connection."""
    application, tcp = meter.application, meter.tcp
    return {
        "id": meter.id,
        "address": meter.address,
        "peer": meter.peer,
        "variant": meter.variant,
        "handshake": meter.handshake or None,
        "state": meter.state,
        "vhost": application.host if application is not None else None,
        "application": application.name if application is not None else None,
        "account": meter.account or None,
        "agent": meter.agent or None,
        "certificate": meter.certificate or None,
        "since": when(meter.since),
        "bytes_in": meter.bytes_in,
        "bytes_out": meter.bytes_out,
        "bitrate_in": rate_view(meter.bitrate_in),
        "bitrate_out": rate_view(meter.bitrate_out),
        "waiting": meter.waiting,
        "stalls": meter.stalls,
        "round_trip": tcp.round_trip if tcp is not None else None,
        "retransmitted": tcp.retransmitted if tcp is not None else None,
        "uses": [_use_view(house, use) for use in meter.uses],
    }


def _use_view(house: House, use: UseMeter) -> UseView:
    viewer = use.viewer
    return {
        "action": use.action.value,
        "message_stream": use.message_stream_id,
        "stream": house.census.stream_id(use.application, use.name),
        "name": use.shown,
        "account": use.account,
        "since": when(use.since),
        "state": viewer.state if viewer is not None else None,
        "messages": use.messages,
        "bytes": use.bytes,
        "dropped": use.dropped,
        "skips": viewer.skips if viewer is not None else None,
        "queue_bytes": use.queue_bytes if viewer is not None else None,
        "queue_age": use.queue_age if viewer is not None else None,
        "first_frame": viewer.first_frame if viewer is not None else None,
    }


def step_views(connection: ServerConnection) -> list[StepView]:
    """What a connection did last."""
    return [
        {
            "number": step.number,
            "time": when(connection.since + step.seconds),
            "way": _WAYS[step.way],
            "words": step.words,
        }
        for step in steps(connection.trail)
    ]


ROUTES: Final = (
    Route(
        "GET",
        "connections",
        "Connections that speak RTMP",
        connections,
        shows=ConnectionView,
        paged=True,
        query={
            **PAGE,
            **APPLICATION,
            "variant": Parameter(words="Only by this variant.", choices=VARIANTS),
            "address": Parameter(words="Only from this address."),
            "account": Parameter(words="Only in this account's name."),
        },
    ),
    Route(
        "GET",
        "connections/<number>",
        "One connection, with its last protocol events",
        connection,
        shows=OneConnectionView,
    ),
    Route(
        "POST",
        "connections/<number>/kick",
        "End a connection, which may come back",
        kick,
        body=REASON,
        status=HTTPStatus.NO_CONTENT,
    ),
)
