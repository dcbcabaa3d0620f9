"""Real servers, most of them with TLS, and everything that they may answer, or not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.error import ConnectionAborted
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET

from rtmptwist.hooks import http
from rtmptwist.hooks.answer import Answer, NoAnswer
from rtmptwist.hooks.http import HttpCarrier
from rtmptwist.net.tls import client_tls
from tests.support.backend import Backend, Reply, backend, never, raw, says
from tests.support.guests import eventually
from tests.support.pki import authority
from tests.support.questions import question
from tests.support.reactor import reactor_test
from tests.support.tls import issue, listening

reactor: Any = _reactor

PATIENCE = 10.0


@asynccontextmanager
async def carrier(web: Backend, url: str = "", **options: Any) -> AsyncIterator[HttpCarrier]:
    """What asks that server."""
    if web.ca is not None:
        options.setdefault("tls", client_tls("localhost", ca_file=web.ca))
    made = HttpCarrier(url or web.url, reactor, **options)
    try:
        yield made
    finally:
        await made.close(PATIENCE)


async def ask(asked: HttpCarrier, seconds: float = PATIENCE) -> Answer:
    """Ask, and wait so long."""
    return await Deferred.fromCoroutine(asked.ask(question(query={"token": "1"}))).addTimeout(
        seconds, reactor
    )


async def no_answer(asked: HttpCarrier) -> str:
    """Why there was none."""
    try:
        answer = await ask(asked)
    except NoAnswer as error:
        return str(error)
    raise AssertionError(answer)


@pytest.mark.parametrize("form", [False, True])
def test_what_is_asked(form: bool, tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        async with backend(tmp_path) as web, carrier(web, form=form) as asking:
            web.reply = says({"name": "public"})
            assert await ask(asking) == Answer(name="public")
            (heard,) = web.heard
            kind = "application/x-www-form-urlencoded" if form else "application/json"
            assert heard.headers["content-type"] == kind
            assert heard.headers["user-agent"].startswith("rtmptwist/")
            assert heard.path == "/hook"
            assert heard.fields["name"] == "show"
            assert heard.fields["token" if form else "args"] == ("1" if form else {"token": "1"})
            assert "webhook-signature" not in heard.headers

    test()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (says(status=204), Answer()),
        (says(), Answer()),
        (says({"allow": False, "reason": "Ask Anna."}), Answer(False, reason="Ask Anna.")),
        (says(b"Ask Anna.", 403), Answer(False, reason="Ask Anna.")),
        (says(b"", 302, Location="public"), Answer(name="public")),
        (says(b"", 302, Location="rtmp://b/live"), Answer(False, redirect="rtmp://b/live")),
        (raw(b"HTTP/1.0 200 OK\r\n\r\n{}"), Answer()),
        (
            raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            Answer(),
        ),
        (raw(CHUNKED + b"2;x=y\r\n{}\r\n0\r\nA: b\r\n\r\n"), Answer()),
    ],
)
def test_answers(reply: Reply, answer: Answer, tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        async with backend(tmp_path) as web, carrier(web) as asking:
            web.reply = reply
            assert await ask(asking) == answer

    test()


HUGE = b'{"reason": "' + b"x" * http.LARGEST_BODY + b'"}'


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (says(b"sorry", 500), "it answered with HTTP status 500"),
        (says(b"", 503), "it answered with HTTP status 503"),
        (says(b"<html>Welcome", 200), "its answer is no JSON"),
        (says(b"", 307, Location="https://localhost/hook"), "which is not followed"),
        (says(HUGE), "its answer is too large"),
        (raw(b"HTTP/1.1 200 OK\r\n\r\n" + HUGE, close=False), "its answer is too large"),
        (
            raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000, close=False),
            "its answer is too large",
        ),
        (raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 30_000, close=False), "it closed the connection"),
        (raw(b"HTTP/1.1 100 Go on\r\n\r\n" * 5_000, close=False), "its answer is too large"),
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n", close=False), "what it answers is no HTTP"),
        (raw(b"\x00\xff" * 100 + b"\n", close=False), "what it answers is no HTTP"),
        (
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", close=False),
            "what it answers is no HTTP",
        ),
        (
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", close=False),
            "",
        ),
        (raw(CHUNKED + b"no\r\n", close=False), "what it answers is no HTTP"),
        (
            raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", close=False),
            "what it answers is no HTTP",
        ),
        (raw(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", close=False), "what it answers is no HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"), "it closed the connection"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Len"), "it closed the connection"),
        (raw(b""), "it closed the connection"),
    ],
)
def test_no_answers(reply: Reply, why: str, tmp_path: Path) -> None:
    """Each with its reason, none with an open connection; and the next question is answered."""

    @reactor_test
    async def test() -> None:
        async with backend(tmp_path) as web, carrier(web) as asking:
            web.reply = reply
            assert why in await no_answer(asking)
            web.reply = says()
            assert await ask(asking) == Answer()

    test()


@pytest.mark.parametrize("what", ["never", "drip"])
def test_what_takes_too_long_is_broken_off(what: str, tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        async with backend(tmp_path) as web, carrier(web) as asking:
            web.reply = never if what == "never" else web.drip
            waiting = Deferred.fromCoroutine(asking.ask(question()))
            await eventually(lambda: web.heard)
            waiting.addTimeout(0.1, reactor)
            with pytest.raises(TookTooLong):
                await waiting
            await eventually(lambda: web.hung_up)
            assert len(web.heard) == 1

    test()


def test_the_same_connection_again(tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        ports = set()

        def reply(request: Any) -> bytes:
            ports.add(request.getClientAddress().port)
            return b""

        async with backend(tmp_path) as web, carrier(web) as asking:
            web.reply = reply
            for _ in range(3):
                assert await ask(asking) == Answer()
            assert len(ports) == 1

    test()


def test_a_certificate_of_nobody(tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        mine = authority(now=time.time()).sign("localhost", now=time.time())
        async with backend(tmp_path, signed=mine) as web:
            async with carrier(web) as asking:
                assert "certificate is not to be trusted" in await no_answer(asking)
            unchecked = client_tls("localhost", verify=False)
            async with carrier(web, tls=unchecked) as asking:
                assert await ask(asking) == Answer()
            assert len(web.heard) == 1

    test()


def test_a_certificate_for_another_name(tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        async with backend(tmp_path, signed=issue("b.example")) as web, carrier(web) as asking:
            assert "certificate is for another name" in await no_answer(asking)
            assert web.heard == []

    test()


class Other(Protocol):
    """No web server with TLS: says something as soon as it hears anything, or nothing."""

    words = b""

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        transport.write(self.words)


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_server_without_tls(words: bytes) -> None:
    @reactor_test
    async def test() -> None:
        factory = Factory.forProtocol(type("Speaker", (Other,), {"words": words}))
        async with listening(factory) as port:
            tls = client_tls("127.0.0.1", verify=False)
            asking = HttpCarrier(f"https://127.0.0.1:{port}/hook", reactor, tls=tls)
            if words:
                assert "what came is not TLS" in await no_answer(asking)
            else:
                with pytest.raises(TookTooLong):
                    await ask(asking, 0.1)
            await asking.close(PATIENCE)

    test()


def test_nobody_listens() -> None:
    @reactor_test
    async def test() -> None:
        async with backend() as web:
            url = web.url
        async with carrier(web, url) as asking:
            assert "refused" in await no_answer(asking)

    test()


def test_user_and_password() -> None:
    """They go where they belong, and not into the request's first line."""

    @reactor_test
    async def test() -> None:
        async with backend() as web:
            url = web.url.replace("//", "//al%20ice:s3cret@") + "?id=7"
            async with carrier(web, url) as asking:
                assert await ask(asking) == Answer()
        (heard,) = web.heard
        expected = base64.b64encode(b"al ice:s3cret").decode()
        assert heard.headers["authorization"] == f"Basic {expected}"
        assert "s3cret" not in heard.headers["host"] + heard.path

    test()


def verified(heard: Any, secret: bytes, now: float) -> bool:
    """What a receiver does, after the text of the specification."""
    timestamp = int(heard.headers["webhook-timestamp"])
    if abs(now - timestamp) > 300:
        return False
    to_sign = b"%s.%d.%s" % (heard.headers["webhook-id"].encode(), timestamp, heard.body)
    expected = hmac.new(secret, to_sign, hashlib.sha256).digest()
    return any(
        version == "v1" and hmac.compare_digest(base64.b64decode(value), expected)
        for version, _, value in (
            part.partition(",") for part in heard.headers["webhook-signature"].split()
        )
    )


@pytest.mark.parametrize("form", [False, True])
def test_signed(form: bool, tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        secrets = [b"0123456789abcdef", b"fedcba9876543210"]
        now = 1_800_000_000.9
        async with (
            backend(tmp_path) as web,
            carrier(web, form=form, secret=lambda: secrets[0], now=lambda: now) as asking,
        ):
            await ask(asking)
            old, new = secrets
            secrets.reverse()
            await ask(asking)
        first, second = web.heard
        assert verified(first, old, now)
        assert not verified(first, new, now)
        assert verified(second, new, now), "a secret that was changed counts at once"
        assert not verified(first, old, now + 301), "what is repeated later is worth nothing"
        assert first.headers["webhook-id"] == first.fields["id"]
        first.headers["webhook-timestamp"] = "1800000001"
        assert not verified(first, old, now)

    test()


def test_a_secret_in_an_answer_does_not_get_into_errors(tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        async with backend(tmp_path) as web, carrier(web) as asking:
            web.reply = says(json.dumps({"name": "geheim\n"}).encode())
            assert "geheim" not in await no_answer(asking)

    test()


def test_a_server_that_does_not_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS waits for the other side's goodbye before it closes; not for ever."""
    monkeypatch.setattr(http, "LINGER", 0.1)

    @reactor_test
    async def test() -> None:
        stuck: list[Any] = []

        def hold(request: Any) -> int:
            transport = request.channel.transport
            transport.unregisterProducer()
            transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            transport.pauseProducing()
            stuck.append(transport)
            return NOT_DONE_YET

        async with backend(tmp_path) as web, carrier(web) as asking:
            web.reply = hold
            assert await ask(asking) == Answer()
            client = reactor.getReaders()
            await eventually(lambda: len(reactor.getReaders()) < len(client))
            for transport in stuck:
                transport.resumeProducing()
            await eventually(lambda: web.hung_up)

    test()


def test_a_connection_is_closed_once() -> None:
    """Agent and its pool may both want it."""
    clock = Clock()
    line = http._Lines(Factory.forProtocol(Protocol), clock).buildProtocol(None)
    transport = StringTransport()
    line.makeConnection(transport)
    line.loseConnection()
    line.loseConnection()
    assert len(clock.calls) == 1
    clock.advance(http.LINGER)
    assert transport.disconnected
    line.connectionLost(Failure(ConnectionAborted()))
