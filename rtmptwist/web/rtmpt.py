"""
RTMPT's requests as routes. Knows how HTTP spells them; `net.tunnels` knows what they mean.

There is no official text. What old clients need, found by trying: status 200 and HTTP/1.1 on every
answer; `Content-Length` in this spelling and never a chunked answer; at least the polling byte in
it. They send no application in the path, and nothing else is insisted on: not on a content type,
not on a user agent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.web.server import Request

from rtmptwist.live.networks import within
from rtmptwist.net.listen import host_of
from rtmptwist.net.polls import Kind
from rtmptwist.net.tls import peer_identity
from rtmptwist.net.tunnels import TooManyFromAddress, Tunnels, TunnelsFull
from rtmptwist.web.forwarded import client_address

IDLE_SIZE: Final = 64
"Bytes of a body that means nothing; clients send one."

RETRY_AFTER: Final = 5
"Seconds after which there may be room, or another server."

_NUMBER: Final = re.compile(r"[0-9]{1,10}")
"""At 200 requests a second, ten digits last for a year."""

_KINDS: Final = {
    "send": Kind.SEND,
    "idle": Kind.IDLE,
    "idel": Kind.IDLE,  # HaishinKit's spelling
    "close": Kind.CLOSE,
}


def mount(app: Klein, tunnels: Tunnels, proxies: Sequence[IPv4Network | IPv6Network] = ()) -> None:
    """Add the routes of RTMPT. What `proxies` say about whom they heard from is believed."""

    @app.route("/fcs/<any(ident,ident2):_>", methods=["POST"])
    def ident(request: Request, _: str) -> bytes:
        """Flash asks for our address, to avoid load balancers. Shumway goes on only after a 404."""
        return _answer(request, HTTPStatus.NOT_FOUND)

    @app.route("/open/<_>", methods=["POST"])
    def open_(request: Request, _: str) -> bytes:
        forwarded_for = request.requestHeaders.getRawHeaders(b"X-Forwarded-For", [])
        nearest = request.getClientAddress()
        peer = client_address(nearest, forwarded_for, proxies)
        # the certificate of a proxy says nothing about whom it speaks for
        identity = "" if within(host_of(nearest), proxies) else peer_identity(request.transport)
        try:
            session_id = tunnels.open(peer, request.getHost(), identity)
        except TooManyFromAddress:
            return _answer(request, HTTPStatus.TOO_MANY_REQUESTS)
        except TunnelsFull:
            request.responseHeaders.setRawHeaders(b"Retry-After", [b"%d" % RETRY_AFTER])
            return _answer(request, HTTPStatus.SERVICE_UNAVAILABLE)
        return _answer(request, HTTPStatus.OK, session_id.encode() + b"\n")

    @app.route("/<any(send,idle,idel,close):kind>/<session_id>/<number>", methods=["POST"])
    def poll(request: Request, kind: str, session_id: str, number: str) -> Deferred[bytes] | bytes:
        if not _NUMBER.fullmatch(number):
            return _answer(request, HTTPStatus.NOT_FOUND)
        return enter(request, _KINDS[kind], session_id, int(number))

    @app.route("/close/<session_id>", methods=["POST"])
    def close(request: Request, session_id: str) -> Deferred[bytes] | bytes:
        return enter(request, Kind.CLOSE, session_id, None)

    def enter(
        request: Request, kind: Kind, session_id: str, number: int | None
    ) -> Deferred[bytes] | bytes:
        assert request.content is not None
        body = request.content.read()
        if kind is not Kind.SEND and len(body) > IDLE_SIZE:
            return _answer(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

        def reply(status: int, data: bytes) -> None:
            answered.callback(_answer(request, status, data))

        answered: Deferred[bytes] = Deferred(lambda _: tunnels.leave(session_id, reply))
        tunnels.enter(session_id, kind, number, body, reply)
        return answered


def _answer(request: Request, status: int, body: bytes = b"") -> bytes:
    """Set status and headers; return the body."""
    request.setResponseCode(status)
    headers = request.responseHeaders
    headers.setRawHeaders(b"Content-Type", [b"application/x-fcs"])
    headers.setRawHeaders(b"Content-Length", [b"%d" % len(body)])
    headers.setRawHeaders(b"Cache-Control", [b"no-cache"])
    if request.channel.persistent:
        headers.setRawHeaders(b"Connection", [b"Keep-Alive"])
    return body
