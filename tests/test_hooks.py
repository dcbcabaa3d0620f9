"""A whole server with hooks that are real servers and programs, over real sockets."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.web.server import NOT_DONE_YET

from rtmptwist.auth.keyfile import StreamKey, hash_of, new_key
from rtmptwist.config.access import Access
from rtmptwist.config.schema import Config, Hook, Limits, Listener, Server, VirtualHost
from rtmptwist.hooks import asking
from rtmptwist.hooks.asking import NOT_NOW
from rtmptwist.hooks.execution import ProgramCarrier
from rtmptwist.hooks.program import Program
from rtmptwist.net.netstream import Refusal
from rtmptwist.plan import SiteError, check
from rtmptwist.site import Site
from tests.support.backend import Backend, Reply, backend, never, raw, says
from tests.support.guests import Host, eventually, live, refused, serving
from tests.support.live import gop, headers
from tests.support.logs import Logs
from tests.support.pki import authority
from tests.support.processes import gone, number_in
from tests.support.reactor import reactor_test
from tests.support.tls import ca_file

pytestmark = pytest.mark.usefixtures("logs")

HASTY = 0.3
"Seconds: a time limit that is meant to pass."


def hook(name: str = "backend", on: str = "publish", **keys: Any) -> Hook:
    return Hook(name=name, on=frozenset(on.split()), **keys)


@asynccontextmanager
async def asked_over_tls(
    folder: Path, on: str = "publish", *, scheme: str = "rtmp", **keys: Any
) -> AsyncIterator[tuple[Host, Backend]]:
    """A server that asks another one, over TLS; `scheme`: how guests come."""
    async with backend(folder) as web:
        keys = {"url": web.url, "ca": web.ca, **keys}
        asked = (hook(on=on, **keys),)
        async with serving(live(hooks=("backend",)), hooks=asked, scheme=scheme) as host:
            yield host, web


# ---- what is told


@pytest.mark.parametrize("credentials", ["no", "yes"])
def test_a_key_is_between_the_client_and_the_server(tmp_path: Path, credentials: str) -> None:
    """Unless it is to be checked by the hook as well."""
    secret = new_key()
    keys = tmp_path / "live.keys"
    keys.write_text(f"{StreamKey('show', hash_of(secret)).line()}\n")
    keys.chmod(0o600)

    @reactor_test
    async def test() -> None:
        async with backend(tmp_path) as web:
            by_key = Access(proofs=frozenset({"keys"}))
            app = live(hooks=("backend",), publish=by_key, keys=keys)
            asked = hook(
                on="publish done", url=web.url, ca=web.ca, format="form", credentials=credentials
            )
            async with serving(app, hooks=(asked,)) as host:
                publisher = await host.publish(f"show?key={secret}&camera=2")
                await publisher.leave()
                await eventually(lambda: len(web.heard) == 3)
                (said,) = web.of("publish")
                assert said["camera"] == "2"
                assert said.get("key") == (secret if credentials == "yes" else None)
                assert (secret in str(web.heard)) is (credentials == "yes")

    test()


# ---- what can be answered


def test_yes(tmp_path: Path, logs: Logs) -> None:
    @reactor_test
    async def test() -> None:
        async with asked_over_tls(tmp_path, "connect publish play done") as (host, web):
            publisher = await host.publish("show?token=1")
            viewer = await host.play("show")
            await publisher.feed(*headers(), *gop(0))
            await viewer.until(lambda: len(viewer.media) == 8)
            await publisher.leave()
            await viewer.leave()
            await eventually(lambda: len(web.heard) == 8)
            beginnings = ["connect", "connect", "play", "publish"]
            ends = ["disconnect", "disconnect", "play_done", "publish_done"]
            assert sorted(web.calls()[:4]) == beginnings
            assert sorted(web.calls()[4:]) == ends
            assert web.of("publish")[0]["args"] == {"token": "1"}
            done = web.of("publish_done")[0]
            assert (done["messages"], done["dropped"]) == (9, 0)
            assert done["bytes"] > 0
            assert web.of("play_done")[0]["bytes"] > done["bytes"]

    test()
    assert [line for line in logs.about("actory") if "HTTP11" in line] == []


def test_no(tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        async with asked_over_tls(tmp_path) as (host, web):
            web.reply = says("Frag Änne.".encode(), 403)
            refusal = await refused(host.publish())
            assert refusal.code == "NetStream.Publish.Denied"
            assert refusal.description == "Frag Änne."
            assert len(web.heard) == 1, "a no is not asked for again"

    test()


def test_another_name(tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        async with asked_over_tls(tmp_path) as (host, web):
            web.reply = says(b"", 302, Location="public")
            publisher = await host.publish("secret")
            await publisher.feed(*headers(), *gop(0))
            viewer = await host.play("public")
            await viewer.until(lambda: len(viewer.media) == 8)
            assert host.application().find("secret") is None

    test()


@pytest.mark.parametrize(("on", "key"), [("connect", "redirect"), ("publish", "redirect2")])
def test_another_server(on: str, key: str, tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        async with asked_over_tls(tmp_path, on) as (host, web):
            web.reply = says({"redirect": "rtmp://b.example/live/show"})
            refusal = await refused(host.publish())
            ex = refusal.info["ex"]
            assert isinstance(ex, dict)
            assert (ex["code"], ex[key]) == (302.0, "rtmp://b.example/live/show")

    test()


# ---- what is no answer


NO_ANSWERS: list[tuple[str, Reply]] = [
    ("500", says(b"sorry", 500)),
    ("garbage", raw(b"SSH-2.0-OpenSSH_9.2\r\n")),
    ("a page", says(b"<html>Welcome!")),
    ("huge", says(b"x" * 1_000_000)),
    ("to another page", says(b"", 301, Location="/hook/")),
    ("to itself", says({"redirect": "rtmp://127.0.0.1:{port}/live/show"})),
    ("never", never),
    ("hangs up", raw(b"")),
]


@pytest.mark.parametrize("on_failure", ["deny", "allow"])
@pytest.mark.parametrize(("what", "reply"), NO_ANSWERS, ids=[what for what, _ in NO_ANSWERS])
def test_no_answer(what: str, reply: Reply, on_failure: str, tmp_path: Path) -> None:
    """The door stays closed, unless it is configured to be open."""

    @reactor_test
    async def test() -> None:
        timeout = HASTY if what == "never" else 20.0
        keys: Any = {"on_failure": on_failure, "retries": 1, "timeout": timeout}
        async with asked_over_tls(tmp_path, **keys) as (host, web):
            web.reply = reply
            if what == "to itself":
                web.reply = says({"redirect": f"rtmp://127.0.0.1:{host.port}/live/show"})
            if on_failure == "deny":
                assert (await refused(host.publish())).description == NOT_NOW
                assert host.application().streams == {}
            else:
                await host.publish()
            assert len(web.heard) == (1 if what == "never" else 2)

    test()


def test_drops(tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        async with asked_over_tls(tmp_path, timeout=HASTY) as (host, web):
            web.reply = web.drip
            assert (await refused(host.publish())).description == NOT_NOW
            await eventually(lambda: web.hung_up)

    test()


def test_a_certificate_of_nobody(tmp_path: Path, logs: Logs) -> None:
    @reactor_test
    async def test() -> None:
        now = time.time()
        mine = authority(now=now).sign("localhost", now=now)
        async with backend(tmp_path, signed=mine) as web:
            trusted = ca_file(tmp_path)
            keys: Any = {"url": web.url, "retries": 0}
            for more, allowed in (({"ca": trusted}, False), ({"verify": "no"}, True)):
                hooks = (hook(**keys, **more),)
                async with serving(live(hooks=("backend",)), hooks=hooks) as host:
                    if allowed:
                        await host.publish()
                    else:
                        assert (await refused(host.publish())).description == NOT_NOW
            assert len(web.heard) == 1

    test()
    assert any("is not to be trusted" in line for line in logs.lines("warn"))
    assert any("is not checked: whoever sits between" in line for line in logs.lines("warn"))


def test_the_last_answer(tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        async with asked_over_tls(tmp_path, on_failure="cached", retries=0) as (host, web):
            web.reply = says(b"", 302, Location="public")
            await (await host.publish("a")).leave()
            web.reply = says(b"", 500)
            await host.publish("a")
            assert host.stream("public")
            assert (await refused(host.publish("b"))).description == NOT_NOW

    test()


def test_no_secret_in_the_log(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an URL with a password, of what a client sends, and of what a hook answers."""
    monkeypatch.setattr(asking, "SECONDS_PER_LINE", 0)

    @reactor_test
    async def test() -> None:
        async with backend() as web:
            url = web.url.replace("//", "//me:geheim@") + "?key=geheim"
            hooks = (hook(on="connect publish done", url=url, retries=0),)
            async with serving(live(hooks=("backend",)), hooks=hooks) as host:
                for reply in (
                    raw(b"geheim\r\n"),
                    says({"allow": "geheim"}),
                    says(b"", 302, Location="http://geheim/"),
                    says(b"", 302, Location="rtmp://a:geheim@b/live/a?token=geheim"),
                    says(b"", 302, Location="geheimer-schluessel"),
                ):
                    web.replies["publish"] = reply
                    publisher = await host.guest()
                    with suppress(Refusal):
                        await publisher.stream.publish("geheimnisvoll?token=geheim")
        async with serving(live(hooks=("backend",)), hooks=hooks) as host:
            await refused(host.publish())

    test()
    assert len(logs.lines("warn")) > 3
    assert logs.about("geheim") == []


# ---- while it thinks


class Thinker:
    """A reply that comes when the test wants it."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    def __call__(self, request: Any) -> int:
        self.requests.append(request)
        return NOT_DONE_YET

    def decide(self, status: int) -> None:
        request = self.requests.pop(0)
        request.setResponseCode(status)
        request.finish()


@pytest.mark.parametrize("scheme", ["rtmp", "rtmpt", "rtmpe"])
@pytest.mark.parametrize("status", [204, 403])
def test_media_waits_for_the_hook(status: int, scheme: str, tmp_path: Path) -> None:
    """Of a client that does not wait for its answer: nothing is early, and nothing is lost."""

    @reactor_test
    async def test() -> None:
        async with asked_over_tls(tmp_path, scheme=scheme) as (host, web):
            web.reply = thinker = Thinker()
            viewer = await host.play("show")
            publisher = await host.guest()
            publishing = publisher.stream.publish("show")
            sent = [
                *headers(),
                *(message for time in range(0, 60_000, 120) for message in gop(time)),
            ]
            publisher.send(*sent)
            await eventually(lambda: thinker.requests)
            await viewer.settle()
            other = await host.play("show")
            await other.settle()
            assert viewer.media == other.media == []
            assert host.application().meter.bytes_in == 0
            thinker.decide(status)
            if status == 403:
                await refused(publishing)
                await viewer.settle()
                assert viewer.media == []
            else:
                await publishing
                await viewer.until(lambda: len(viewer.media) == len(sent) - 1)
                assert viewer.payloads == [message.payload for message in sent[1:]]

    test()


def test_others_notice_nothing_of_a_slow_hook(tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        async with asked_over_tls(tmp_path, at_once=1, queue=0) as (host, web):
            publisher = await host.publish("show")
            viewer = await host.play("show")
            web.reply = thinker = Thinker()
            slow = await host.guest()
            waiting = slow.stream.publish("slow")
            await eventually(lambda: thinker.requests)
            await publisher.feed(*headers(), *gop(0))
            await viewer.until(lambda: len(viewer.media) == 8)
            third = await host.play("show")
            await third.until(lambda: len(third.media) == 8)
            assert (await refused(host.publish("more"))).description == NOT_NOW
            thinker.decide(204)
            await waiting

    test()


def test_a_client_that_leaves_meanwhile(tmp_path: Path) -> None:
    """Nothing is read of it, so nobody notices; but whoever counts hears that it did not stay."""

    @reactor_test
    async def test() -> None:
        async with asked_over_tls(tmp_path, "publish publish_done") as (host, web):
            web.replies["publish"] = thinker = Thinker()
            publisher = await host.guest()
            publishing = publisher.stream.publish("show")
            publishing.addErrback(lambda _: None)
            await eventually(lambda: thinker.requests)
            publisher.vanish()
            thinker.decide(204)
            await eventually(lambda: web.calls() == ["publish", "publish_done"])

    test()


# ---- programs


SAYS_NO = ("sh", "-c", 'echo "$RTMP_NAME is not for $RTMP_ADDR."; exit 1')


def test_a_program_decides() -> None:
    @reactor_test
    async def test() -> None:
        async with serving(live(hooks=("backend",)), hooks=(hook(run=SAYS_NO),)) as host:
            refusal = await refused(host.publish())
            assert refusal.description == "show is not for 127.0.0.1."

    test()


def programs_of(host: Host) -> set[Program]:
    """What the only hook runs now."""
    (only,) = host.site.hooks._hooks
    carrier = only._carrier
    assert isinstance(carrier, ProgramCarrier)
    return carrier.programs._running


def test_a_program_that_thinks_too_long() -> None:
    @reactor_test
    async def test() -> None:
        hooks = (hook(run=("sleep", "1000"), timeout=HASTY, retries=0),)
        async with serving(live(hooks=("backend",)), hooks=hooks) as host:
            assert (await refused(host.publish())).description == NOT_NOW
            await eventually(lambda: not programs_of(host))

    test()


KEPT = """
trap 'echo $$ > "$FOLDER/$RTMP_NAME-over"; exit' TERM
echo $$ > "$FOLDER/$RTMP_NAME"
while :; do sleep 0.05; done
"""


@pytest.mark.parametrize("by", ["the publisher", "the server"])
def test_a_program_that_keeps_a_stream_company(by: str, tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        run = ("sh", "-c", KEPT.replace("$FOLDER", str(tmp_path)))
        async with serving(live(hooks=("backend",)), hooks=(hook(run=run, mode="keep"),)) as host:
            publisher = await host.publish("a")
            await host.publish("b")
            pids = [await number_in(tmp_path / name) for name in ("a", "b")]
            if by == "the publisher":
                await publisher.leave()
                assert await number_in(tmp_path / "a-over") == pids[0]
                assert not gone(pids[1])
            else:
                await host.stop()
                assert all(map(gone, pids))

    test()


# ---- the end


def test_what_ends_with_the_server_is_told(tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        async with asked_over_tls(tmp_path, "done") as (host, web):
            await host.publish("show")
            await host.play("show")
            await host.stop()
            assert sorted(web.calls()) == ["disconnect"] * 2 + ["play_done", "publish_done"]
            assert web.of("publish_done")[0]["reason"] == "the server is shutting down"

    test()


def test_a_server_stops_although_nobody_listens_to_it(logs: Logs) -> None:
    @reactor_test
    async def test() -> None:
        async with backend() as web:
            web.reply = never
            hooks = (hook(on="done", url=web.url, timeout=100),)
            async with serving(live(hooks=("backend",)), hooks=hooks, drain=HASTY) as host:
                await host.publish("show")
                await host.stop()

    test()
    assert logs.lines("warn") == ["hook backend: 2 things were not told"]


# ---- configuration


def config(*hooks: Hook, used: bool = True) -> Config:
    names = tuple(each.name for each in hooks) if used else ()
    return Config(
        path=Path("test.ini"),
        server=Server(),
        limits=Limits(),
        listeners=(Listener(name="main", endpoint=("tcp:0",)),),
        vhosts=(VirtualHost(name="", apps={"live": live(hooks=names)}),),
        hooks=hooks,
    )


def test_files_that_are_not_there(tmp_path: Path) -> None:
    wrong = config(
        hook("a", url="https://b/", secret=tmp_path / "secret"),
        hook("b", url="https://b/", ca=tmp_path / "ca"),
        hook("c", run=("no-such-program", "-x")),
        hook("d", run=("./no-such-program",)),
        hook("e", run=("sh", "-c", "exit")),
        hook("f", url="http://b/"),
    )
    for attempt in (check, lambda config: Site(config, MemoryReactorClock())):
        with pytest.raises(SiteError) as caught:
            attempt(wrong)
        a, b, c, d = str(caught.value).split("\n")
        assert "test.ini: [hook a] " in a
        assert "No such file" in a
        assert "test.ini: [hook b] " in b
        assert c.endswith(
            "test.ini: [hook c] run: there is no program no-such-program that could be started"
        )
        assert d.endswith(
            "test.ini: [hook d] run: there is no program ./no-such-program that could be started"
        )


def test_secrets_are_watched(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("0123456789abcdef")
    path.chmod(0o600)
    site = Site(config(hook(url="http://b/", secret=path)), MemoryReactorClock())
    assert [file.path for file in site.files] == [path]


def test_a_hook_that_nobody_asks(logs: Logs) -> None:
    """Somebody believes that the door is guarded."""
    Site(config(hook(url="http://b/"), used=False), MemoryReactorClock())
    assert logs.lines("warn") == ["[hook backend]: the hooks of no [app] name it"]
