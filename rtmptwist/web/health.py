"""Whether the server lives, and whether it lets anybody in: for load balancers and supervisors."""

from __future__ import annotations

from http import HTTPStatus

from klein import Klein
from twisted.web.server import Request

from rtmptwist.web.answers import answer
from rtmptwist.web.house import House

_TEXT = "text/plain; charset=utf-8"


def mount(app: Klein, house: House) -> None:
    """Add the routes. They say nothing that needs a login."""

    @app.route("/healthz", methods=["GET"])
    def healthz(request: Request) -> bytes:
        """Who is answered, lives."""
        return answer(request, b"ok\n", _TEXT)

    @app.route("/readyz", methods=["GET"])
    def readyz(request: Request) -> bytes:
        house.looked_at = house.reactor.seconds()
        if house.ready:
            return answer(request, b"ready\n", _TEXT)
        words = b"about to stop\n" if house.draining else b"not ready\n"
        return answer(request, words, _TEXT, HTTPStatus.SERVICE_UNAVAILABLE)
