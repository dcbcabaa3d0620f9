"""
Answers and errors of the pages for operators.

Errors have one shape, that of RFC 9457. A change must come with `Content-Type: application/json`
and either a bearer token or a header `X-Requested-With`: no page of another site can make a browser
send any of these here without asking first, and nobody answers when it asks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from twisted.web.server import Request

BODY_SIZE: Final = 16 * 1024
"Bytes of JSON in a request: a ban with its note has 1 KB."


class Problem(Exception):
    """A request that is not answered as was hoped."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        headers: Mapping[str, list[str]] | None = None,
        errors: Sequence[str] = (),
    ) -> None:
        """`errors`: a line for each reason, where there may be many."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.errors = errors


def answer(
    request: Request, body: bytes, content_type: str, status: HTTPStatus = HTTPStatus.OK
) -> bytes:
    """Set status and headers; return the body."""
    request.setResponseCode(status)
    if status is HTTPStatus.NO_CONTENT:
        headers(request)
    else:
        headers(request, content_type)
        request.responseHeaders.setRawHeaders("Content-Length", [str(len(body))])
    return body


def headers(request: Request, content_type: str = "") -> None:
    """Set those that every answer has."""
    said = request.responseHeaders
    if content_type:
        said.setRawHeaders("Content-Type", [content_type])
    said.setRawHeaders("Cache-Control", ["no-store"])
    said.setRawHeaders("X-Content-Type-Options", ["nosniff"])
    said.setRawHeaders("Content-Security-Policy", ["default-src 'none'"])


def as_json(request: Request, value: object, status: HTTPStatus = HTTPStatus.OK) -> bytes:
    """An answer in JSON."""
    body = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return answer(request, body, "application/json", status)


def as_problem(request: Request, problem: Problem) -> bytes:
    """An error."""
    value: dict[str, object] = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
    }
    if problem.errors:
        value["errors"] = [*problem.errors]
    for name, values in problem.headers.items():
        request.responseHeaders.setRawHeaders(name, values)
    body = json.dumps(value, ensure_ascii=False).encode()
    return answer(request, body, "application/problem+json", problem.status)


def body_of(request: Request) -> dict[str, Any]:
    """
    What a change says.

    Raises:
        Problem: it is no JSON object, or may come from somebody else's page.
    """
    check_change(request)
    content_type = header(request, "Content-Type").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "A change needs Content-Type: application/json."
        )
    assert request.content is not None
    data = request.content.read(BODY_SIZE + 1)
    if len(data) > BODY_SIZE:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A change has {BODY_SIZE} bytes at most."
        )
    try:
        value = json.loads(data.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        words = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Problem(HTTPStatus.BAD_REQUEST, f"The body is no JSON: {words}.") from error
    if not isinstance(value, dict):
        raise Problem(HTTPStatus.BAD_REQUEST, "The body is no JSON object.")
    return value


def check_change(request: Request) -> None:
    """
    Whether a change may come from somebody else's page.

    Raises:
        Problem: it may.
    """
    token = header(request, "Authorization").lower().startswith("bearer ")
    if not token and not request.requestHeaders.hasHeader("X-Requested-With"):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "A change needs a bearer token or a header X-Requested-With, whatever it says.",
        )


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def header(request: Request, name: str) -> str:
    """What a header says, if it is there once; bytes that are no UTF-8 say nothing we know."""
    values = request.requestHeaders.getRawHeaders(name.encode(), [])
    return values[0].decode(errors="replace") if len(values) == 1 else ""
