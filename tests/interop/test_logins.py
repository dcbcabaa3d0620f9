"""Logins, with real encoders and players."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from rtmptwist.auth.tokenfile import hash_of
from tests.support.logins import password_file, user
from tests.support.programs import (
    PATIENCE,
    SAMPLES,
    Programs,
    Run,
    Site,
    ffmpeg9,
    packets,
    program,
    programs,
    publisher,
    serve,
)
from tests.support.publishers import RTMP2SINK, RTMPSINK, publish
from tests.support.tables import Cell
from tests.support.tls import ca_file, issue
from tests.support.watchers import FFMPEG5, FFMPEG9, RTMPDUMP, by_stream, watch

pytestmark = pytest.mark.interop

SAMPLE = SAMPLES / "h264-base-aac-25.flv"

LISTENERS = """
[listener main]
endpoint = tcp:0:interface=127.0.0.1
serve = rtmp, rtmpt

[listener secure]
endpoint = tcp:0:interface=127.0.0.1:backlog=50
serve = rtmps
client_ca = {folder}/ca.crt
"""

APPLICATIONS = """\
publish = users
grace = 0
logins = file:{folder}/passwd
    token:{folder}/tokens
    certificate
    ours:dora:s3cret

[app lime]
publish = users
play = users
challenge = llnw
logins = file:{folder}/passwd

[app plain]
publish = users
challenge = none
logins = file:{folder}/passwd
"""

PLUGIN = '''\
"""A checker of somebody's own, as `twisted.cred` finds them."""

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.strcred import ICheckerFactory
from twisted.plugin import IPlugin
from zope.interface import implementer


@implementer(ICheckerFactory, IPlugin)
class Ours:
    authType = "ours"
    authHelp = "A user and a password."
    argStringFormat = "USER:PASSWORD"
    credentialInterfaces = (IUsernamePassword,)

    def generateChecker(self, argument):
        user, password = argument.encode().split(b":")
        checker = InMemoryUsernamePasswordDatabaseDontUse()
        checker.addUser(user, password)
        return checker


ours = Ours()
'''

ADOBE, LLNW = "live", "lime"
"The applications that ask by authmod=adobe and by authmod=llnw."

PASSWORD, WRONG, TOKEN = "geheim", "falsch", "t0ken"

_numbers = itertools.count()


@dataclass
class House:
    """A server with users, and what it may never say."""

    site: Site
    folder: Path
    secrets: list[str] = field(default_factory=lambda: [PASSWORD, WRONG, TOKEN, "s3cret"])

    def path(self, app: str = ADOBE) -> str:
        """A stream that no other test knows."""
        return f"{app}/n{next(_numbers)}"

    def url(self, path: str, variant: str = "rtmp") -> str:
        return self.site.url(path, variant, "secure" if variant == "rtmps" else "main")

    def published(self, path: str, name: str = "alice") -> bool:
        return f"publishes {path} as {name}\n" in self.site.log()

    def close(self) -> None:
        """Its log tells nothing that would let anybody in."""
        log = self.site.log()
        assert "connect refused" in log
        assert [secret for secret in (*self.secrets, "response=") if secret in log] == []
        assert "Traceback" not in log


@pytest.fixture(scope="module", params=[FFMPEG9, FFMPEG5, RTMPSINK, RTMP2SINK])
def kind(request: pytest.FixtureRequest) -> str:
    """An encoder."""
    return str(request.param)


def _house(these: Programs, folder: Path) -> House:
    password_file(folder / "passwd", user("alice", weak=True), user("bob"))
    (folder / "tokens").write_text(f"carol sha256:{hash_of(TOKEN)}\n")
    (folder / "tokens").chmod(0o600)
    ca_file(folder)
    plugins = folder / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "ours.py").write_text(PLUGIN)
    site = serve(
        these,
        APPLICATIONS.format(folder=folder),
        LISTENERS.format(folder=folder),
        PYTHONPATH=str(folder),
    )
    return House(site, folder)


@pytest.fixture(scope="module")
def house_of_kind(kind: str) -> Iterator[House]:
    """One for each encoder: the wrong logins of one would slow the others down."""
    with programs() as these, tempfile.TemporaryDirectory() as folder:
        house = _house(these, Path(folder))
        yield house
        house.close()


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with programs() as these, tempfile.TemporaryDirectory() as folder:
        house = _house(these, Path(folder))
        yield house
        house.close()


def started_as(
    started: Programs, house: House, kind: str, path: str, variant: str, password: str | None
) -> Run:
    """An encoder that knows a password of alice's, or none."""
    url = house.url(path, variant)
    if password is not None:
        url = (
            f"{url} pubUser=alice pubPasswd={password}"
            if kind == RTMPSINK
            else url.replace("://", f"://alice:{password}@")
        )
    # FFmpeg 9 forgets that it need not verify certificates when it connects for the second time
    certificate = str(house.site.certificate)
    return publish(started, kind, SAMPLE, url, SSL_CERT_FILE=certificate)


TITLE = "logins by user and password"

WAYS = {
    "adobe, RTMP": (ADOBE, "rtmp"),
    "adobe, RTMPS": (ADOBE, "rtmps"),
    "adobe, RTMPT": (ADOBE, "rtmpt"),
    "llnw, RTMP": (LLNW, "rtmp"),
    "llnw, RTMPS": (LLNW, "rtmps"),
}

UNABLE: Final = {
    (RTMP2SINK, "llnw, RTMP"): "unhandled authmod",
    (RTMP2SINK, "llnw, RTMPS"): "unhandled authmod",
    (RTMP2SINK, "adobe, RTMPT"): "Host is not set",
}
"What a program cannot do, and its own words about it."

CRASH = "Debian's librtmp spoils its memory while it answers, and malloc ends it (SIGABRT)"


def says(run: Run, words: str) -> None:
    """It does so, and publishes nothing. GStreamer may never end."""
    deadline = time.monotonic() + PATIENCE
    while words not in run.words() and run.process.poll() is None:
        assert time.monotonic() < deadline, run.words()
        time.sleep(0.02)
    assert words in run.words()
    run.kill()


@pytest.mark.parametrize("way", WAYS)
def test_the_right_password(
    started: Programs, house_of_kind: House, kind: str, way: str, cell: Cell
) -> None:
    app, variant = WAYS[way]
    house, path = house_of_kind, house_of_kind.path(app)
    cell.at(TITLE, f"{kind}, right", way)
    run = started_as(started, house, kind, path, variant, PASSWORD)
    if words := UNABLE.get((kind, way)):
        says(run, words)
        assert not house.published(path)
        cell.found("no", words)
        return
    status = run.wait()
    if kind == RTMPSINK and app == ADOBE and status == -signal.SIGABRT:
        assert "challenged (authmod=adobe)" in house.site.log()
        cell.found("no", CRASH)
        return
    assert status == 0, run.words()
    assert house.published(path)
    house.site.wait_for(rf"no longer publishes {path}: .* bytes in 4[0-9][0-9] messages")
    cell.found("yes")


SAID: Final = {
    (FFMPEG9, WRONG): "Incorrect username/password",
    (FFMPEG9, None): "No credentials set",
    (FFMPEG5, WRONG): "Incorrect username/password",
    (FFMPEG5, None): "No credentials set",
    (RTMPSINK, WRONG): "Could not connect to RTMP stream",
    (RTMPSINK, None): "Could not connect to RTMP stream",
    (RTMP2SINK, WRONG): "Not authorized to connect",
    (RTMP2SINK, None): "Not authorized to connect",
}
"How a program tells its user."


@pytest.mark.parametrize("password", [WRONG, None], ids=["wrong", "none"])
@pytest.mark.parametrize("way", WAYS)
def test_no_password_or_a_wrong_one(
    started: Programs,
    house_of_kind: House,
    kind: str,
    way: str,
    password: str | None,
    cell: Cell,
) -> None:
    app, variant = WAYS[way]
    house, path = house_of_kind, house_of_kind.path(app)
    cell.at(TITLE, f"{kind}, {'wrong' if password else 'none'}", way)
    run = started_as(started, house, kind, path, variant, password)
    words = UNABLE.get((kind, way), SAID[kind, password])
    try:
        says(run, words)
    except AssertionError:
        if not (kind == RTMPSINK and app == ADOBE and run.wait() == -signal.SIGABRT):
            raise
        words = CRASH
    assert f"publishes {path} " not in house.site.log()
    cell.found("refused" if words == SAID[kind, password] else "no", words)


def test_wrong_passwords_are_in_the_log(house: House, started: Programs) -> None:
    """For the operator whom somebody calls."""
    for name, why in (("alice", "a wrong answer for alice"), ("nobody", "no such user")):
        url = house.url(house.path()).replace("://", f"://{name}:{WRONG}@")
        publish(started, FFMPEG9, SAMPLE, url).wait()
        house.site.wait_for(f"connect refused: .*: login failed: {why}")
    url = house.url(house.path()).replace("://", f"://bob:{PASSWORD}@")
    publish(started, FFMPEG9, SAMPLE, url).wait()
    house.site.wait_for("login failed: bob has no verifier .*rtmptwist passwd --adobe")


# ---------------------------------------------------------------------------- in the URL


@pytest.mark.parametrize(
    ("app", "name"),
    [
        ("live?user=alice&password=geheim", "alice"),
        ("live?user=bob&password=geheim", "bob"),
        ("plain?user=bob&password=geheim", "bob"),
        ("live?user=dora&password=s3cret", "dora"),
        ("live?token=t0ken", "carol"),
    ],
)
def test_what_stands_in_the_url(house: House, started: Programs, app: str, name: str) -> None:
    plain, query = app.split("?")
    path = house.path(plain)
    url = house.url(f"{plain}?{query}/{path.partition('/')[2]}")
    run = publish(started, FFMPEG9, SAMPLE, url)
    assert run.wait() == 0, run.words()
    assert house.published(path, name)


def test_in_plain_words(house: House, started: Programs) -> None:
    """Where encoders are not asked."""
    run = publish(started, FFMPEG5, SAMPLE, house.url(house.path("plain")))
    assert run.wait() != 0
    assert "Server error: plain needs a login: ?user=NAME&password=WORD" in run.words()


# ---------------------------------------------------------------------------- players


def test_players_log_in_where_they_have_to(house: House, started: Programs) -> None:
    path = house.path(LLNW)
    target = house.url(path)
    mine = target.replace("://", f"://alice:{PASSWORD}@")
    watcher = watch(started, FFMPEG9, mine)
    house.site.wait_for(rf"plays {path} as alice")
    assert publish(started, FFMPEG9, SAMPLE, mine).wait() == 0
    assert by_stream(watcher.packets()) == by_stream(packets(ffmpeg9(), SAMPLE))


def test_arguments_of_connect(house: House, started: Programs) -> None:
    """As Flash applications log in, and `rtmpdump -C`."""
    path = house.path(LLNW)
    words = [part for word in ("alice", PASSWORD) for part in ("-C", f"S:{word}")]
    playing = started.start(
        program("rtmpdump"), "-q", "-v", "-r", house.url(path), *words, "-o", started.file("flv")
    )
    house.site.wait_for(rf"plays {path} as alice")
    playing.kill()


def test_who_has_no_login_is_told_at_once(house: House, started: Programs) -> None:
    """rtmpdump would wait for half a minute if it were not sent away."""
    began = time.monotonic()
    watcher = watch(started, RTMPDUMP, house.url(house.path(LLNW)))
    assert watcher.run.wait() != 0
    assert time.monotonic() - began < 25
    assert watch(started, FFMPEG9, house.url(house.path())).run.process.poll() is None
    house.site.wait_for("plays live/n[0-9]+ as anyone")


# ------------------------------------------------------------------------- certificates


def test_a_certificate(house: House, started: Programs, tmp_path: Path) -> None:
    """Whoever has it needs no password; whoever has none is asked for one."""
    mine = issue(common_name="erna")
    mine.write(tmp_path / "mine.pem", mine.pem)
    mine.write(tmp_path / "mine.key", mine.key_pem())
    path = house.path()
    options = ("-cert_file", tmp_path / "mine.pem", "-key_file", tmp_path / "mine.key")
    command = publisher(ffmpeg9(), SAMPLE, house.url(path, "rtmps"))
    run = started.start(*command[:-3], *options, *command[-3:])
    assert run.wait() == 0, run.words()
    assert house.published(path, "erna")


# ------------------------------------------------------------------------------- files


def test_a_password_that_changes_while_the_server_runs(house: House, started: Programs) -> None:
    file = house.folder / "passwd"
    command = (sys.executable, "-m", "rtmptwist", "passwd", "--adobe", file, "erwin")
    subprocess.run(command, input=b"neu\n", check=True, capture_output=True)
    house.site.wait_for(f"{file} has changed and was read again")
    path = house.path()
    url = house.url(path).replace("://", "://erwin:neu@")
    assert publish(started, FFMPEG9, SAMPLE, url).wait() == 0
    assert house.published(path, "erwin")

    with file.open("a") as passwd:
        passwd.write("frieda:geheim\n")
    house.site.wait_for(f"{file}:[0-9]+: the password of frieda is no scrypt hash")
    path = house.path()
    assert (
        publish(started, FFMPEG9, SAMPLE, url.replace(url.rpartition("/")[2], path[5:])).wait() == 0
    )
    assert house.published(path, "erwin")


# -------------------------------------------------------------------------------- http


SERVER = """\
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        right = (said["user"], said["password"], said["app"]) == ("greta", "geheim", "live")
        self.send_response(204 if right else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def test_a_web_server_of_ones_own(started: Programs) -> None:
    asked = started.start(sys.executable, "-c", SERVER)
    deadline = time.monotonic() + PATIENCE
    while not asked.output().endswith(b"\n"):
        assert time.monotonic() < deadline, asked.words()
        time.sleep(0.02)
    url = f"http://127.0.0.1:{int(asked.output())}/login"
    site = serve(started, f"publish = users\nlogins = http:{url}\ngrace = 0\n")
    for word in (PASSWORD, WRONG):
        target = site.url(f"live?user=greta&password={word}/n1")
        run = publish(started, FFMPEG9, SAMPLE, target)
        assert (run.wait() == 0) is (word == PASSWORD), run.words()
    site.wait_for("publishes live/n1 as greta")
    site.wait_for(f"login failed: {url} says no")
    asked.kill()
    assert publish(started, FFMPEG9, SAMPLE, site.url("live?user=greta&password=x/n2")).wait() != 0
    site.wait_for(f"connect refused: .*: no answer of {url}: Connection was refused")
    assert PASSWORD not in site.log()
