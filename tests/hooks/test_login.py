"""Users and passwords, checked by real web servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock

from rtmptwist.auth.credentials import Password
from rtmptwist.auth.errors import Busy, Undecided, Wrong
from rtmptwist.auth.hashing import WAITING_PER_PLACE
from rtmptwist.hooks import login
from rtmptwist.hooks.breaker import FAILURES
from rtmptwist.hooks.login import AT_ONCE, HttpLogin
from rtmptwist.live.access import Visitor
from rtmptwist.live.application import Application
from rtmptwist.net.tls import client_tls
from tests.support.backend import Backend, Reply, backend, never, raw, says
from tests.support.guests import eventually
from tests.support.live import Settings
from tests.support.logs import Logs, logs_of_test
from tests.support.reactor import reactor_test

reactor: Any = _reactor

LIVE = Application("live", Settings(), Clock(), host="example.org")


def password(name: str = "alice", word: str = "geheim", address: str = "192.0.2.1") -> Password:
    return Password(name.encode(), word.encode(), Visitor(address, LIVE))


@asynccontextmanager
async def asking(web: Backend, url: str = "") -> AsyncIterator[HttpLogin]:
    """What asks that server."""
    tls = client_tls("localhost", ca_file=web.ca) if web.ca is not None else None
    made = HttpLogin(url or web.url, reactor, tls)
    made.startService()
    try:
        yield made
    finally:
        await made.stopService()


async def undecided(checker: HttpLogin, credentials: Password | None = None) -> str:
    """Why it is not known."""
    with pytest.raises(Undecided) as caught:
        await checker.requestAvatarId(credentials or password())
    return str(caught.value)


@reactor_test
async def test_what_is_asked() -> None:
    async with backend() as web, asking(web) as checker:
        assert (
            await checker.requestAvatarId(password("b\u00f6b", "ge\u1e25eim"))
            == "b\u00f6b".encode()
        )
        (heard,) = web.heard
        assert heard.headers["content-type"] == "application/json"
        assert heard.fields == {
            "user": "b\u00f6b",
            "password": "ge\u1e25eim",
            "app": "live",
            "host": "example.org",
            "address": "192.0.2.1",
        }


@pytest.mark.parametrize("status", [200, 204])
def test_yes(status: int) -> None:
    @reactor_test
    async def test() -> None:
        async with backend() as web, asking(web) as checker:
            web.reply = says(b"whatever", status)
            assert await checker.requestAvatarId(password()) == b"alice"

    test()


@pytest.mark.parametrize("status", [401, 403, 404])
def test_no(status: int) -> None:
    @reactor_test
    async def test() -> None:
        async with backend() as web, asking(web) as checker:
            web.reply = says({"allow": True}, status)
            with pytest.raises(Wrong, match=r"^http://127.0.0.1:[0-9]+/hook says no$"):
                await checker.requestAvatarId(password())

    test()


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (says(b"", 500), "its status is 500"),
        (says(b"", 302, Location="http://127.0.0.1:1/"), "its status is 302"),
        (says(b"", 201), "its status is 201"),
        (says(b"x" * 100_000), "its answer is too large"),
        (raw(b"220 mail.example.org\r\n"), "what it answers is no HTTP"),
        (raw(b""), "it closed the connection before the end of its answer"),
    ],
)
def test_no_answer_is_no_yes(reply: Reply, why: str) -> None:
    @reactor_test
    async def test() -> None:
        async with backend() as web, asking(web) as checker:
            web.reply = reply
            assert why in await undecided(checker)

    test()


@pytest.mark.parametrize("slow", [lambda _: never, lambda web: web.drip])
def test_slow_answers_are_none(
    slow: Callable[[Backend], Reply], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "PATIENCE", 0.2)

    @reactor_test
    async def test() -> None:
        async with backend() as web, asking(web) as checker:
            web.reply = slow(web)
            assert "nothing came within 0.2 s" in await undecided(checker)
            await eventually(lambda: web.hung_up)

    test()


@reactor_test
async def test_nobody_is_there() -> None:
    async with backend() as web:
        url = web.url
    async with asking(web, url) as checker:
        assert "Connection was refused" in await undecided(checker)


def test_certificates_are_verified(tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        async with backend(tmp_path) as web:
            async with asking(web) as checker:
                assert await checker.requestAvatarId(password()) == b"alice"
            stranger = HttpLogin(web.url, reactor)
            assert "certificate" in await undecided(stranger)
            await stranger.stopService()
            assert len(web.heard) == 1

    test()


@reactor_test
async def test_a_server_that_fails_is_left_alone_for_a_while() -> None:
    with logs_of_test() as logs:
        async with backend() as web, asking(web, f"{web.url}?key=geheim") as checker:
            web.reply = says(b"", 500)
            for _ in range(FAILURES):
                assert "its status is 500" in await undecided(checker)
            assert "has failed too often to be asked now" in await undecided(checker)
            assert len(web.heard) == FAILURES
        assert len(logs.about(f"{web.url} failed {FAILURES} times in a row")) == 1
        assert logs.about("geheim") == []


@reactor_test
async def test_who_leaves_is_nobodys_fault() -> None:
    async with backend() as web, asking(web) as checker:
        web.reply = never
        for _ in range(FAILURES + 1):
            leaving = checker.requestAvatarId(password())
            await eventually(lambda: web.heard)
            web.heard.clear()
            leaving.cancel()
            with pytest.raises(CancelledError):
                await leaving
        web.reply = says()
        assert await checker.requestAvatarId(password()) == b"alice"


@reactor_test
async def test_addresses_take_turns() -> None:
    async with backend() as web, asking(web) as checker:
        web.reply = never
        many = [checker.requestAvatarId(password()) for _ in range(AT_ONCE + WAITING_PER_PLACE)]
        with pytest.raises(Busy):
            await checker.requestAvatarId(password())
        await eventually(lambda: len(web.heard) == AT_ONCE)
        other = checker.requestAvatarId(password("bob", address="192.0.2.2"))
        web.reply = says()
        for each in many[:2]:
            each.addErrback(lambda failure: failure.trap(CancelledError))
            each.cancel()
        assert await other == b"bob"
        for each in many[2:]:
            each.addErrback(lambda failure: failure.trap(CancelledError))
            each.cancel()


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://example.org/login", True),
        ("https://example.org/login", False),
        ("http://127.0.0.1:8000/", False),
        ("http://[::1]/", False),
        ("http://localhost/", False),
    ],
)
def test_passwords_that_go_unencrypted_are_warned_of(url: str, warned: bool, logs: Logs) -> None:
    checker = HttpLogin(url, Clock())
    checker.startService()
    assert logs.lines("warn") == [f"{url} gets passwords unencrypted; use https"] * warned
    checker.stopService()
