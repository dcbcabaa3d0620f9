"""
`/api/v1`: what the server does, as JSON, and what operators may have it do.

A table of routes; the API's document is made of the same table. Lists come in pages: `offset` and
`limit`, and `total` beside the items. Every change is one line in the log, with who wanted it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Final, TypeVar

from klein import Klein
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from rtmptwist.auth.bans import Ban, Kind, TooManyBans
from rtmptwist.auth.files import BadLine
from rtmptwist.auth.operators import Desk, Operator
from rtmptwist.live.application import Application
from rtmptwist.live.names import redacted
from rtmptwist.live.stream import LiveStream
from rtmptwist.net.census import measure, viewers_of
from rtmptwist.net.connection import ServerConnection
from rtmptwist.web import events, httpflv, recordings, views
from rtmptwist.web.admission import admitted
from rtmptwist.web.answers import (
    Problem,
    answer,
    as_json,
    as_problem,
    body_of,
    check_change,
)
from rtmptwist.web.house import House, ReloadError
from rtmptwist.web.openapi import document
from rtmptwist.web.parameters import Parameter, read_body, read_query
from rtmptwist.web.slices import in_slices
from rtmptwist.web.traces import LONGEST

T = TypeVar("T")

PREFIX: Final = "/api/v1/"
VARIANTS: Final = ("rtmp", "rtmpe", "rtmps", "rtmpt", "rtmpte", "rtmpts")
_LONGEST: Final = 365 * 24 * 3600 * 10

PAGE: Final = {
    "offset": Parameter(words="Items to leave out.", kind="integer", default=0, most=1e9),
    "limit": Parameter(words="Items to show.", kind="integer", default=100, least=1, most=500),
}
_WHERE: Final = {
    "vhost": Parameter(words="Only of this virtual host; empty: of the one without a name."),
    "application": Parameter(words="Only of this application."),
}
_REASON: Final = {
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

    request: Request
    operator: Operator
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One thing that can be asked or wanted."""

    method: str
    path: str
    "Below `PREFIX`, as Klein has it."

    words: str
    handle: Callable[[Api, Call], Awaitable[object]]
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


class Api:
    """The API of one listener."""

    log = Logger()

    def __init__(self, house: House, desk: Desk) -> None:
        self.house = house
        self._desk = desk

    def resource(self) -> IResource:
        """All routes; whatever is not there is told as an error of this API."""
        app = Klein()
        app.url_map.merge_slashes = False
        for route in ROUTES:
            handle = partial(self._answer, route)
            handle.__name__ = f"{route.method} {route.path}"  # type: ignore[attr-defined]
            app.route(f"/{route.path}", methods=[route.method])(handle)

        @app.route("/openapi.json", methods=["GET"])
        async def openapi(request: Request) -> bytes:
            await admitted(request, self._desk)
            return as_json(request, document(ROUTES, PREFIX))

        @app.handle_errors(Exception)  # type: ignore[arg-type]  # a twisted.web Request is enough
        def failed(request: Request, failure: Failure) -> bytes:
            return self._failed(request, failure)

        resource: IResource = app.resource()
        return resource

    async def _answer(self, route: Route, request: Request, **path: str) -> bytes:
        operator = await admitted(request, self._desk)
        query = read_query(request, route.query)
        body: dict[str, Any] = {}
        if route.body is not None:
            body = read_body(body_of(request), route.body)
        elif route.method != "GET":
            check_change(request)
        shown = await route.handle(self, Call(request, operator, path, query, body))
        if route.tells or route.sends:
            return b""
        if route.shows is None:
            return answer(request, b"", "application/json", route.status)
        return as_json(request, shown, route.status)

    def _failed(self, request: Request, failure: Failure) -> bytes:
        error = failure.value
        if isinstance(error, HTTPException):
            status = HTTPStatus(error.code or HTTPStatus.NOT_FOUND)
            allowed = error.valid_methods if isinstance(error, MethodNotAllowed) else None
            headers = {"Allow": [", ".join(sorted(allowed))]} if allowed else {}
            error = Problem(status, "There is no such thing here.", headers)
        if not isinstance(error, Problem):
            self.log.failure("{path} failed", failure=failure, path=request.path)
            error = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The server's log says why.")
        return as_problem(request, error)

    def _note(self, call: Call, words: str, **fields: object) -> None:
        self.log.info(f"operator {{operator}} {words}", operator=call.operator.name, **fields)

    # ---------------------------------------------------------------- looking

    async def events(self, call: Call) -> object:
        """What happens."""
        await self.house.events.serve(call.request, call.operator, call.query)
        return None

    async def server(self, call: Call) -> object:  # noqa: ARG002 - as all
        """The server as a whole."""
        streams = 0
        viewers = sum(app.film_viewers for app in self.house.registry.applications())
        async for _, stream in in_slices(self._streams({}), self.house.reactor):
            streams += 1
            viewers += len(stream.audience.subscribers)
        return views.server_view(self.house, streams, viewers)

    async def applications(self, call: Call) -> object:
        """All applications."""
        found = [
            application
            for application in self.house.registry.applications()
            if call.query["vhost"] in (None, application.host)
        ]
        total, part = _page(call, found)
        items = [await self._application(application) for application in part]
        return _paged(call, total, items)

    async def application(self, call: Call) -> object:
        """One application."""
        wanted = call.query["vhost"] or "", call.path["name"]
        for application in self.house.registry.applications():
            if (application.host, application.name) == wanted:
                return await self._application(application)
        raise _nothing("application")

    async def _application(self, application: Application) -> views.ApplicationView:
        streams = tuple(application.streams.values())
        meters = [s.meter async for s in in_slices(streams, self.house.reactor)]
        return views.application_view(application, meters)

    async def streams(self, call: Call) -> object:
        """All streams, or some."""
        query = call.query
        found = [
            (application, stream)
            for application, stream in self._streams(query)
            if query["name"] in (None, stream.name) and query["state"] in (None, stream.state)
        ]
        total, part = _page(call, found)
        items = [
            views.stream_view(self.house, application, stream)
            async for application, stream in in_slices(part, self.house.reactor)
        ]
        return _paged(call, total, items)

    async def stream(self, call: Call) -> object:
        """One stream."""
        return views.stream_view(self.house, *self._stream(call))

    async def flv(self, call: Call) -> object:
        """What a stream shows."""
        application, stream = self._stream(call)
        shown = redacted(stream.name)
        self._note(call, "watches {app}/{name}", app=application.name, name=shown)
        await self.house.screens.show(call.request, call.operator, application, stream)
        return None

    async def viewers(self, call: Call) -> object:
        """The connections that watch a stream."""
        _, stream = self._stream(call)
        return await self._connections_page(call, viewers_of(stream))

    async def connections(self, call: Call) -> object:
        """All connections, or some."""
        found = [c for c in self.house.census.connections() if _wanted(c, call.query)]
        return await self._connections_page(call, found)

    async def connection(self, call: Call) -> object:
        """One connection."""
        return views.one_connection_view(self.house, self._connection(call))

    async def trace(self, call: Call) -> object:
        """Put all messages of a connection into words for a while."""
        connection, seconds = self._connection(call), call.body["seconds"]
        trace = self.house.traces.begin(connection, seconds)
        self._note(call, "traces {peer} for {seconds:g} s", peer=connection.peer, seconds=seconds)
        return views.trace_view(trace, (), here=True)

    async def traced(self, call: Call) -> object:
        """What these messages were."""
        number = call.path["number"]
        trace = self.house.traces.find(int(number) if re.fullmatch("[0-9]{1,15}", number) else 0)
        if trace is None:
            raise _nothing("trace")
        here = trace.connection in self.house.registry.connections
        if not here:
            trace.stop()
        lines = trace.since(call.query["after"])[: call.query["limit"]]
        return views.trace_view(trace, lines, here=here)

    async def _connections_page(self, call: Call, found: list[ServerConnection]) -> object:
        total, part = _page(call, found)
        items = [
            views.connection_view(self.house, measure(connection))
            async for connection in in_slices(part, self.house.reactor)
        ]
        return _paged(call, total, items)

    async def bans(self, call: Call) -> object:
        """All bans that are in force."""
        total, part = _page(call, list(self.house.bans.bans))
        return _paged(call, total, [views.ban_view(ban) for ban in part])

    # --------------------------------------------------------------- changing

    async def kick(self, call: Call) -> object:
        """End a connection."""
        connection = self._connection(call)
        self._note(call, "kicks {peer}: {reason}", peer=connection.peer, **call.body)
        if not self.house.kick(connection.id, call.body["reason"]):
            raise _nothing("connection")
        return None

    async def close(self, call: Call) -> object:
        """End a stream for its publisher and all viewers."""
        application, stream = self._stream(call)
        shown = redacted(stream.name)
        self._note(
            call, "closes {app}/{name}: {reason}", app=application.name, name=shown, **call.body
        )
        stream.close(call.body["reason"])
        return None

    async def record(self, call: Call) -> object:
        """Record a stream."""
        application, stream = self._stream(call)
        recordings.start(application, stream.name, call.query["outlet"])
        shown = redacted(stream.name)
        self._note(call, "has {app}/{name} recorded", app=application.name, name=shown)
        return views.stream_view(self.house, application, stream)

    async def stop_recording(self, call: Call) -> object:
        """Record it no more."""
        application, stream = self._stream(call)
        recordings.stop(application, stream.name, call.query["outlet"])
        shown = redacted(stream.name)
        self._note(call, "has {app}/{name} recorded no more", app=application.name, name=shown)
        return None

    async def ban(self, call: Call) -> object:
        """Ban somebody; who is here leaves."""
        body, now = call.body, self.house.reactor.seconds()
        until = None if body["seconds"] is None else now + body["seconds"]
        try:
            ban = Ban.of(Kind(body["kind"]), body["who"], now, until, body["note"])
        except BadLine as error:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}.") from error
        try:
            self.house.bans.ban(ban)
        except TooManyBans as error:
            raise Problem(HTTPStatus.CONFLICT, f"{error}.") from error
        self._note(call, "bans {who}", who=ban.who)
        return views.ban_view(ban)

    async def unban(self, call: Call) -> object:
        """Lift a ban."""
        kind, who = call.path["kind"], call.path["who"]
        try:
            lifted = kind in list(Kind) and self.house.bans.unban(Kind(kind), who)
        except BadLine as error:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}.") from error
        if not lifted:
            raise _nothing("ban")
        self._note(call, "lifts the ban of {who}", who=who)
        return None

    async def reload(self, call: Call) -> object:
        """Read the configuration again."""
        self._note(call, "has the configuration read again")
        try:
            changes = await self.house.reload()
        except ReloadError as error:
            words = "The configuration cannot be used, and all stays as it was."
            raise Problem(HTTPStatus.CONFLICT, words, errors=str(error).split("\n")) from error
        view: views.ReloadView = {"changes": [*changes]}
        return view

    async def drain(self, call: Call) -> object:
        """Stop the server."""
        self.house.drain(f"operator {call.operator.name}")
        return None

    # ---------------------------------------------------------------- finding

    def _streams(self, query: Mapping[str, Any]) -> Iterator[tuple[Application, LiveStream]]:
        for application in self.house.registry.applications():
            if query.get("vhost") in (None, application.host) and query.get("application") in (
                None,
                application.name,
            ):
                for stream in tuple(application.streams.values()):
                    yield application, stream

    def _stream(self, call: Call) -> tuple[Application, LiveStream]:
        for application, stream in self._streams({}):
            if self.house.census.stream_id(application, stream.name) == call.path["stream"]:
                return application, stream
        raise _nothing("stream")

    def _connection(self, call: Call) -> ServerConnection:
        number = call.path["number"]
        if re.fullmatch("[0-9]{1,15}", number):
            for connection in self.house.census.connections():
                if connection.id == int(number):
                    return connection
        raise _nothing("connection")


def mount(app: Klein, house: House, desk: Desk) -> None:
    """Add the API to a listener."""
    resource = Api(house, desk).resource()

    @app.route(PREFIX, branch=True)
    def branch(_: Request) -> IResource:
        return resource

    @app.handle_errors(NotFound)  # type: ignore[arg-type]  # a twisted.web Request is enough
    def lost(request: Request, failure: Failure) -> bytes:
        """Klein finds no branch where a path has a line break."""
        if not request.path.startswith(PREFIX.encode()):
            failure.raiseException()
        return as_problem(request, _nothing("thing"))


def _nothing(what: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, f"There is no such {what}, or no longer.")


def _page(call: Call, found: list[T]) -> tuple[int, list[T]]:
    offset = call.query["offset"]
    return len(found), found[offset : offset + call.query["limit"]]


def _paged(call: Call, total: int, items: Iterable[object]) -> object:
    return {
        "items": list(items),
        "total": total,
        "offset": call.query["offset"],
        "limit": call.query["limit"],
    }


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


ROUTES: Final = (
    Route(
        method="GET",
        path="server",
        words="The server as a whole",
        handle=Api.server,
        shows=views.ServerView,
    ),
    Route(
        method="GET",
        path="events",
        words="What happens, as it happens",
        handle=Api.events,
        tells=events.TELLS,
        query=events.QUERY,
    ),
    Route(
        method="GET",
        path="applications",
        words="Applications",
        handle=Api.applications,
        shows=views.ApplicationView,
        paged=True,
        query={**PAGE, "vhost": _WHERE["vhost"]},
    ),
    Route(
        method="GET",
        path="applications/<path:name>",
        words="One application",
        handle=Api.application,
        shows=views.ApplicationView,
        query={"vhost": _WHERE["vhost"]},
    ),
    Route(
        method="GET",
        path="streams",
        words="Streams",
        handle=Api.streams,
        shows=views.StreamView,
        paged=True,
        query={
            **PAGE,
            **_WHERE,
            "name": Parameter(words="Only of this name, in full."),
            "state": Parameter(
                words="Only in this state.", choices=("live", "supplied", "grace", "idle")
            ),
        },
    ),
    Route(
        method="GET",
        path="streams/<stream>",
        words="One stream",
        handle=Api.stream,
        shows=views.StreamView,
    ),
    Route(
        method="GET",
        path="streams/<stream>/flv",
        words="A stream itself, as FLV",
        handle=Api.flv,
        sends=httpflv.CONTENT_TYPE,
    ),
    Route(
        method="GET",
        path="streams/<stream>/viewers",
        words="Connections that watch a stream",
        handle=Api.viewers,
        shows=views.ConnectionView,
        paged=True,
        query=PAGE,
    ),
    Route(
        method="POST",
        path="streams/<stream>/close",
        words="End a stream, for its publisher and all viewers",
        handle=Api.close,
        body=_REASON,
        status=HTTPStatus.NO_CONTENT,
    ),
    Route(
        method="POST",
        path="streams/<stream>/recording",
        words="Record a stream from its newest key frame on, where the application's outlets say",
        handle=Api.record,
        shows=views.StreamView,
        query=recordings.QUERY,
        status=HTTPStatus.CREATED,
    ),
    Route(
        method="DELETE",
        path="streams/<stream>/recording",
        words="Record it no more, until it is published again",
        handle=Api.stop_recording,
        query=recordings.QUERY,
        status=HTTPStatus.NO_CONTENT,
    ),
    Route(
        method="GET",
        path="connections",
        words="Connections that speak RTMP",
        handle=Api.connections,
        shows=views.ConnectionView,
        paged=True,
        query={
            **PAGE,
            **_WHERE,
            "variant": Parameter(words="Only by this variant.", choices=VARIANTS),
            "address": Parameter(words="Only from this address."),
            "account": Parameter(words="Only in this account's name."),
        },
    ),
    Route(
        method="GET",
        path="connections/<number>",
        words="One connection, with its last protocol events",
        handle=Api.connection,
        shows=views.OneConnectionView,
    ),
    Route(
        method="POST",
        path="connections/<number>/trace",
        words="Put all messages of a connection into words for a while",
        handle=Api.trace,
        shows=views.TraceView,
        body={
            "seconds": Parameter(
                words="For how long.", kind="number", default=60, least=1, most=LONGEST
            )
        },
    ),
    Route(
        method="GET",
        path="connections/<number>/trace",
        words="Messages of a connection that is or was traced",
        handle=Api.traced,
        shows=views.TraceView,
        query={
            "after": Parameter(
                words="Only lines with greater numbers.", kind="integer", default=0, most=1e12
            ),
            "limit": PAGE["limit"],
        },
    ),
    Route(
        method="POST",
        path="connections/<number>/kick",
        words="End a connection, which may come back",
        handle=Api.kick,
        body=_REASON,
        status=HTTPStatus.NO_CONTENT,
    ),
    Route(
        method="GET",
        path="bans",
        words="Bans in force",
        handle=Api.bans,
        shows=views.BanView,
        paged=True,
        query=PAGE,
    ),
    Route(
        method="POST",
        path="bans",
        words="Ban an address, a network or an account; who is here leaves",
        handle=Api.ban,
        shows=views.BanView,
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
    Route(
        method="DELETE",
        path="bans/<kind>/<path:who>",
        words="Lift a ban",
        handle=Api.unban,
        status=HTTPStatus.NO_CONTENT,
    ),
    Route(
        method="POST",
        path="reload",
        words="Read the configuration again and put it to work; what is wrong changes nothing",
        handle=Api.reload,
        shows=views.ReloadView,
    ),
    Route(
        method="POST",
        path="drain",
        words="Stop the server, which lets everybody leave first",
        handle=Api.drain,
        status=HTTPStatus.ACCEPTED,
    ),
)
