"""
`/status`: the page on which operators see what goes on, and act.

The page is files of the package, beside this one in `page/`, read once. There is nothing in them
that needs a login: all figures come from the API, which asks for one.
"""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from importlib.resources import files
from typing import Final, NamedTuple

from klein import Klein
from twisted.web.http import CACHED
from twisted.web.server import Request

from rtmptwist.web.answers import Problem, as_problem

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
"Of files, by how their names end. No other file is served."

PAGE: Final = "status.html"

HEADERS: Final = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for what does not know frame-ancestors
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # kept, and asked for by its ETag each time
}
"""
No script that is not a file of ours, nothing from elsewhere, in nobody's frame.

Trusted types: the browser throws where text would become HTML. Streams have names that strangers
choose.
"""


class _File(NamedTuple):
    content_type: str
    content: bytes
    tag: bytes


def _read() -> dict[str, _File]:
    found = {}
    for file in files("rtmptwist.web").joinpath("page").iterdir():
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            content = file.read_bytes()
            tag = b'"%b"' % hashlib.sha256(content).hexdigest()[:32].encode()
            found[file.name] = _File(kind, content, tag)
    return found


def mount(app: Klein) -> None:
    """Add the routes."""
    found = _read()

    @app.route("/status", methods=["GET"])
    def page(request: Request) -> bytes:
        return _answer(request, found[PAGE])

    @app.route("/status/<name>", methods=["GET"])
    def part(request: Request, name: str) -> bytes:
        if name not in found or name == PAGE:
            problem = Problem(HTTPStatus.NOT_FOUND, "The page has no such part.")
            return as_problem(request, problem)
        return _answer(request, found[name])


def _answer(request: Request, file: _File) -> bytes:
    headers = request.responseHeaders
    for name, value in HEADERS.items():
        headers.setRawHeaders(name, [value])
    if request.setETag(file.tag) is CACHED:
        return b""
    headers.setRawHeaders("Content-Type", [file.content_type])
    headers.setRawHeaders("Content-Length", [str(len(file.content))])
    return file.content
