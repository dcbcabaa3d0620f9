"""What is asked or wanted: checked, bounded, refused in one shape."""

from __future__ import annotations

import json

import pytest

from tests.support.logs import Logs
from tests.support.manned import JSON, MEANT, STRANGER, Manned


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "no JSON"),
        (b"{", 400, "no JSON"),
        (b"\xff", 400, "no JSON"),
        (b"[]", 400, "no JSON object"),
        (b"null", 400, "no JSON object"),
        (b"[" * 10_000, 400, "nested too deeply"),
        (b'{"reason": NaN}', 400, "NaN is no number"),
        (b'{"reason": 1}', 400, "'reason': expected a text"),
        (b'{"reason": ""}', 400, "'reason': expected 1 to 200 characters"),
        (b'{"reason": "' + b"x" * 201 + b'"}', 400, "'reason': expected 1 to 200 characters"),
        (b'{"raeson": "x"}', 400, "'raeson' is not known here; expected reason."),
        (b'{"reason": "' + b"x" * 20_000 + b'"}', 413, "16384 bytes at most"),
    ],
)
def test_bad_bodies(manned: Manned, body: bytes, status: int, words: str) -> None:
    manned.site.client()
    answer = manned.get("/api/v1/connections/1/kick", JSON, MEANT, method="POST", body=body)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = json.loads(answer.body)
    assert problem["status"] == status
    assert words in problem["detail"]
    assert len(manned.site.connections) == 1


def test_a_body_beyond_all_bounds_is_not_even_read(manned: Manned) -> None:
    wire = manned.wire()
    wire.say(b"POST /api/v1/bans HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n")
    assert wire.raw().startswith(b"HTTP/1.1 413 ")
    wire.lose()


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=1.5",
        "limit=-1",
        "limit=1&limit=2",
        "offset=99999999999999999999",
        "limits=1",
        "variant=rtmpx",
        "address=%ff",
        "account=" + "x" * 300,
        "&".join(f"x{number}=1" for number in range(40)),
    ],
)
def test_bad_queries(manned: Manned, query: str) -> None:
    status, problem = manned.ask("GET", f"connections?{query}")
    assert (status, problem["title"]) == (400, "Bad Request")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "nothing",
        "server/",
        "server/../server",
        "../v1/server",
        "%2e%2e/metrics",
        "//server",
        "connections/0",
        "connections/x",
        "connections/-1",
        "connections/" + "9" * 5000,
        "connections/%31%2f",
        "connections/%0A1",
        "streams/0123456789abcdef",
        "streams/../../etc/passwd",
        "applications/dead",
        "applications/live%00",
        "applications/live?vhost=nowhere.example",
    ],
)
def test_what_is_not_there(manned: Manned, path: str) -> None:
    manned.site.client()
    answer = manned.get(f"/api/v1/{path}")
    assert answer.status == 404
    assert answer.headers["Content-Type"] in (
        "application/problem+json",
        "text/html; charset=utf-8",
    )


def test_a_method_that_is_not_there(manned: Manned) -> None:
    answer = manned.get("/api/v1/connections", JSON, MEANT, method="PUT", body=b"{}")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_a_bug_is_ours(manned: Manned, monkeypatch: pytest.MonkeyPatch, logs: Logs) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("inner secrets")

    monkeypatch.setattr("rtmptwist.web.api.server.server_view", broken)
    status, problem = manned.ask("GET", "server")
    assert status == 500
    assert "inner" not in json.dumps(problem)
    (error,) = logs.forgive()
    assert isinstance(error, ZeroDivisionError)


def test_what_is_no_page_of_the_api(manned: Manned) -> None:
    assert manned.get("/api/v2/server").status == 404
    assert manned.get("/").status == 404


def test_its_document(manned: Manned) -> None:
    status, said = manned.ask("GET", "openapi.json")
    assert (status, said["openapi"]) == (200, "3.1.0")
    assert manned.get("/api/v1/openapi.json", peer=STRANGER).status == 401


@pytest.mark.parametrize(
    "lines",
    [
        (JSON,),
        ("Content-Type: text/plain", MEANT),
        ("Content-Type: application/x-www-form-urlencoded", MEANT),
        (MEANT,),
    ],
)
def test_other_people_s_pages_change_nothing(manned: Manned, lines: tuple[str, ...]) -> None:
    """What a browser sends for a page of another site without asking us before."""
    manned.site.client()
    answer = manned.get("/api/v1/connections/1/kick", *lines, method="POST", body=b"{}")
    assert answer.status in (403, 415)
    assert manned.get("/api/v1/bans/address/192.0.2.1", method="DELETE").status == 403
    manned.site.pump()
    assert len(manned.site.connections) == 1


def test_nobody_is_told_that_other_sites_may_ask(manned: Manned) -> None:
    answer = manned.get("/api/v1/server", "Origin: https://evil.example")
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert manned.get("/api/v1/server", method="OPTIONS").status == 405
