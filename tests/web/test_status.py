"""The status page's files: who gets them, and what browsers are told about them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.address import IPv4Address

from rtmptwist.web import status
from tests.support.manned import Manned
from tests.support.web import request

pytestmark = pytest.mark.usefixtures("logs")

FOLDER = Path(status.__file__).with_name("page")
FILES = sorted(file.name for file in FOLDER.iterdir())
PARTS = [name for name in FILES if name != status.PAGE]


@pytest.fixture
def manned(tmp_path: Path) -> Iterator[Manned]:
    house = Manned(tmp_path)
    yield house
    house.close()


def test_the_page_and_its_parts_are_served(manned: Manned) -> None:
    page = manned.get("/status")
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.body == (FOLDER / status.PAGE).read_bytes()
    for name in PARTS:
        part = manned.get(f"/status/{name}")
        assert (part.status, part.body) == (200, (FOLDER / name).read_bytes())


@pytest.mark.parametrize("path", ["/status", *(f"/status/{name}" for name in PARTS)])
def test_browsers_are_told_to_trust_nothing_else(manned: Manned, path: str) -> None:
    headers = manned.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_what_has_not_changed_is_not_sent_again(manned: Manned) -> None:
    first = manned.get("/status/start.js")
    assert first.headers["Cache-Control"] == "no-cache"
    again = manned.get("/status/start.js", f"If-None-Match: {first.headers['ETag']}")
    assert (again.status, again.body) == (304, b"")
    other = manned.get("/status/start.js", 'If-None-Match: "other"')
    assert (other.status, other.body) == (200, first.body)
    tags = {manned.get(f"/status/{name}").headers["ETag"] for name in PARTS}
    assert len(tags) == len(PARTS)


def test_nothing_else_is_served(manned: Manned) -> None:
    for path in ("status.html", "nothing.js", "..%2Fstatus.py", "%2e%2e/status.py", "%00", ""):
        answer = manned.get(f"/status/{path}")
        assert answer.status == 404, path
        assert b"import" not in answer.body
    assert manned.get("/status", method="POST", body=b"{}").status == 405


def test_is_where_the_api_is(manned: Manned) -> None:
    """The page says nothing that strangers may not know; without an API it has nothing to show."""
    assert manned.get("/status", peer=IPv4Address("TCP", "192.0.2.1", 1)).status == 200
    wire = manned.wire(2)
    wire.say(request("/status", b"", method="GET"))
    assert wire.raw().startswith(b"HTTP/1.1 404 ")
    wire.lose()


def test_the_page_needs_its_parts_and_nothing_from_elsewhere() -> None:
    texts = {name: (FOLDER / name).read_text(encoding="utf-8") for name in FILES}
    named = set(re.findall(r'(?:src|href)="status/([^"]+)"', texts[status.PAGE]))
    for name in (name for name in FILES if name.endswith(".js")):
        named |= set(re.findall(r'from "\./([^"]+)"', texts[name]))
    assert named == set(PARTS)
    for name, text in texts.items():
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
        assert not re.search(r"<script>|<style|\son[a-z]+=|style=", text), name
        lines = text.splitlines()
        assert (len(lines) <= 400, max(map(len, lines)) <= 100) == (True, True), name
    words = "\n".join(texts.values())
    assert "localStorage" not in words
    assert "document.cookie" not in words
