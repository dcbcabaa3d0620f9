"""
Certificates are replaced while FFmpeg publishes and plays over TLS: new connections see what is
new, and the streams that run notice nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.pki import Signed
from tests.support.programs import (
    IN_A_HURRY,
    SAMPLES,
    Programs,
    Site,
    ffmpeg9,
    looped,
    packets,
    publisher,
    serve,
)
from tests.support.secure import checking, s_client, serial, with_tls
from tests.support.tls import CA, ca_file, issue
from tests.support.trickle import Trickle, trickle
from tests.support.watchers import FFMPEG5, FFMPEG9, RTMPDUMP, by_stream, watch

pytestmark = pytest.mark.interop

LISTENER = """
[listener main]
endpoint = tcp:0:interface=127.0.0.1
serve = rtmp, rtmps, rtmpts
certificate = {certificate}
{keys}
"""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute of it."""
    return looped(SAMPLES / "h264-b-aac.flv", tmp_path_factory.mktemp("film") / "film.flv", 6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where certificates are."""
    (tmp_path / "certificates").mkdir()
    return tmp_path / "certificates"


def localhost() -> Signed:
    return issue("localhost", addresses=["127.0.0.1"])


def replace(path: Path, *parts: bytes) -> None:
    """In one step, as certbot does."""
    new = path.with_suffix(".new")
    new.write_bytes(b"".join(parts))
    new.chmod(0o600)
    new.replace(path)


def whole(signed: Signed) -> bytes:
    """Key and chain, as one file."""
    return signed.key_pem() + signed.pem + CA.pem


class Stage:
    """A server, and a film that runs on it over TLS."""

    def __init__(self, started: Programs, site: Site, film: Path, source: Trickle) -> None:
        self.site = site
        self._source = source
        self._film = film
        port = site.ports["main"]
        trusted = checking(ca_file(source.path.parent))
        url = f"rtmps://localhost:{port}/live/film"
        self._watchers = [
            watch(started, FFMPEG9, url, *trusted),
            watch(started, FFMPEG5, url, *trusted),
            watch(started, FFMPEG5, url.replace("rtmps", "rtmpts")),
            watch(started, RTMPDUMP, url),
        ]
        site.wait_for("plays live/film as anyone", times=len(self._watchers))
        command = publisher(ffmpeg9(), source.path, url, "-probesize", "20000")
        self._publisher = started.start(*with_tls(command, *trusted))
        site.wait_for("publishes live/film as anyone")

    def shown(self, *options: str) -> int:
        """The number of the certificate that a new connection is shown."""
        return s_client(self.site.ports["main"], *options).serial

    def end(self) -> None:
        """Everybody has seen everything."""
        self._source.finish()
        assert self._publisher.wait() == 0, self._publisher.words()
        expected = by_stream(packets(ffmpeg9(), self._film))
        for watcher in self._watchers:
            assert by_stream(watcher.packets()) == expected, watcher.run.words()
        assert "Traceback" not in self.site.log()


@contextmanager
def on_stage(started: Programs, film: Path, folder: Path, certificate: Path) -> Iterator[Stage]:
    """A film that runs as long as the block lasts, and then to its end."""
    site = serve(started, IN_A_HURRY, LISTENER.format(certificate=certificate, keys=""))
    with trickle(folder / "film.fifo", film.read_bytes(), 100_000) as source:
        stage = Stage(started, site, film, source)
        yield stage
        stage.end()


def test_a_file_is_replaced(started: Programs, film: Path, folder: Path) -> None:
    """At once; then badly, which keeps the old one in use; then well again."""
    path = folder / "site.pem"
    first, second, third = localhost(), localhost(), localhost()
    replace(path, whole(first))
    with on_stage(started, film, folder, path) as stage:
        site = stage.site
        assert stage.shown() == serial(first)

        replace(path, whole(second))
        site.wait_for(f"certificate {path} for localhost", times=2)
        assert stage.shown() == serial(second)

        path.write_bytes(whole(third)[:-100])  # a disk that is full
        site.wait_for(rf"error\] {path}: .*; the old one stays in use")
        assert stage.shown() == serial(second)

        path.write_bytes(whole(third))
        site.wait_for(f"certificate {path} for localhost", times=3)
        assert stage.shown() == serial(third)
    assert len(re.findall("#error", site.log())) == 1


def test_files_come_to_a_folder_change_and_go(started: Programs, film: Path, folder: Path) -> None:
    made = {name: issue(f"{name}.example") for name in "abc"} | {"default": localhost()}
    for name in ("a", "b", "default"):
        replace(folder / f"{name}.pem", whole(made[name]))
    with on_stage(started, film, folder, folder) as stage:
        site = stage.site

        def shown(name: str) -> int:
            return stage.shown("-servername", f"{name}.example")

        assert [shown(name) for name in "abc"] == [
            serial(made[name]) for name in ("a", "b", "default")
        ]
        made["a"] = issue("a.example")
        replace(folder / "a.pem", whole(made["a"]))
        replace(folder / "c.pem", whole(made["c"]))
        (folder / "b.pem").unlink()
        (folder / "broken.pem").write_text("nonsense")
        site.wait_for("a.pem for a.example", times=2)
        site.wait_for("c.pem for c.example")
        site.wait_for(r"error\] \S+broken.pem: no certificate in it .*; it is not used")
        site.wait_for("certificate .*b.pem is gone")
        assert [shown(name) for name in "abc"] == [
            serial(made[name]) for name in ("a", "default", "c")
        ]
        assert stage.shown() == serial(made["default"])
    assert len(re.findall("#error", site.log())) == 1


@pytest.mark.parametrize("layout", ["file", "folder"])
def test_certbot_s_links(started: Programs, folder: Path, layout: str) -> None:
    """It makes new files, and turns the links to them one after the other."""
    archive, live = folder / "archive", folder / "live" / "localhost"
    archive.mkdir()
    live.mkdir(parents=True)
    made = {number: localhost() for number in (1, 2)}
    for number, signed in made.items():
        replace(archive / f"fullchain{number}.pem", signed.pem, CA.pem)
        replace(archive / f"privkey{number}.pem", signed.key_pem())

    def turn(number: int) -> None:
        for kind in ("fullchain", "privkey"):
            new = live / "new"
            new.symlink_to(f"../../archive/{kind}{number}.pem")
            new.replace(live / f"{kind}.pem")

    turn(1)
    certificate, keys = live.parent, ""
    if layout == "file":
        certificate, keys = live / "fullchain.pem", f"key = {live / 'privkey.pem'}"
    site = serve(started, IN_A_HURRY, LISTENER.format(certificate=certificate, keys=keys))
    assert s_client(site.ports["main"]).serial == serial(made[1])
    turn(2)
    site.wait_for("fullchain.pem for localhost", times=2)
    assert s_client(site.ports["main"]).serial == serial(made[2])
    assert "#error" not in site.log()
