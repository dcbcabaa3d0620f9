"""All routes as a resource: who asks is known, what is said is checked, errors have one shape."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any, Final

from klein import Klein
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from rtmptwist.auth.operators import Desk
from rtmptwist.web.admission import admitted
from rtmptwist.web.answers import Problem, answer, as_json, as_problem, body_of, check_change
from rtmptwist.web.api import applications, bans, connections, events, server, streams, tracing
from rtmptwist.web.api.openapi import document
from rtmptwist.web.api.route import Call, Route, nothing
from rtmptwist.web.house import House
from rtmptwist.web.parameters import read_body, read_query

PREFIX: Final = "/api/v1/"

ROUTES: Final = (
    *server.ROUTES,
    *events.ROUTES,
    *applications.ROUTES,
    *streams.ROUTES,
    *connections.ROUTES,
    *tracing.ROUTES,
    *bans.ROUTES,
)


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
        return as_problem(request, nothing("thing"))


class Api:
    """The API of one listener."""

    log = Logger()

    def __init__(self, house: House, desk: Desk) -> None:
        self._house = house
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
        shown = await route.handle(Call(self._house, request, operator, path, query, body))
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
