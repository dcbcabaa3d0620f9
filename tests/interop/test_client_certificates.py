"""Whom FFmpeg and openssl say they are, by a certificate, and what the server thinks of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pki import Signed, authority
from tests.support.programs import (
    IN_A_HURRY,
    SAMPLES,
    Programs,
    Run,
    Site,
    ffmpeg9,
    packets,
    programs,
    publisher,
    serve,
)
from tests.support.secure import checking, s_client, with_tls
from tests.support.tls import ca_file, issue, put
from tests.support.watchers import FFMPEG5, FFMPEG9, by_stream, ffmpeg_of, watch

pytestmark = pytest.mark.interop

SAMPLE = SAMPLES / "h264-base-aac-25.flv"

STRANGER = authority("Somebody", now=time.time())

SHOWN = {
    "none": None,
    "right": issue(common_name="camera 7"),
    "wrong": STRANGER.sign(common_name="camera 7", now=time.time()),
    "expired": issue(common_name="camera 7", begin=-2, days=-1),
}

REFUSALS = {
    "none": r"the client showed no certificate, which is required",
    "wrong": r"the client's certificate is not to be trusted \(certificate verify failed:"
    r" CN=camera 7: signed by nobody in client_ca\)",
    "expired": r"the client's certificate is not to be trusted \(certificate verify failed:"
    r" CN=camera 7: expired\)",
}
"What the server's log says."

LISTENERS = """
[listener main]
endpoint = tcp:0:interface=127.0.0.1
serve = rtmp

[listener required]
endpoint = tcp:0:interface=127.0.0.1:backlog=51
serve = rtmps
certificate = {certificate}
client_ca = {client_ca}
client_certificate = required

[listener optional]
endpoint = tcp:0:interface=127.0.0.1:backlog=52
serve = rtmps, rtmpts
certificate = {certificate}
client_ca = {client_ca}
"""


class Door:
    """A server that asks who one is, and the certificates of those who come."""

    def __init__(self, started: Programs, folder: Path) -> None:
        self.authority = ca_file(folder)
        certificate = put(folder, "localhost", issue("localhost", addresses=["127.0.0.1"]))
        listeners = LISTENERS.format(certificate=certificate, client_ca=self.authority)
        self.site: Site = serve(started, IN_A_HURRY, listeners)
        self._folder = folder
        for kind, signed in SHOWN.items():
            if signed is not None:
                self._write(kind, signed)

    def _write(self, kind: str, signed: Signed) -> None:
        signed.write(self._folder / f"{kind}.crt", signed.pem)
        signed.write(self._folder / f"{kind}.key", signed.key_pem())

    def files(self, kind: str, *options: str) -> list[str]:
        """Options that name the certificate of this kind, and its key."""
        files = (str(self._folder / f"{kind}{end}") for end in (".crt", ".key"))
        pairs = zip(options, files, strict=True)
        return [word for pair in pairs for word in pair] if SHOWN[kind] else []

    def publish(self, started: Programs, program: str, shown: str, listener: str, path: str) -> Run:
        """FFmpeg publishes, and shows a certificate."""
        command = publisher(ffmpeg_of(program), SAMPLE, self.site.url(path, "rtmps", listener))
        mine = self.files(shown, "-cert_file", "-key_file")
        return started.start(*with_tls(command, *checking(self.authority), *mine))


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with programs() as these:
        yield Door(these, tmp_path_factory.mktemp("door"))


@pytest.mark.parametrize("program", [FFMPEG9, FFMPEG5])
@pytest.mark.parametrize(
    ("listener", "shown"), [("required", "right"), ("optional", "right"), ("optional", "none")]
)
def test_ffmpeg_is_let_in(
    started: Programs, door: Door, path: str, program: str, listener: str, shown: str
) -> None:
    """And known for who it is."""
    site = door.site
    watcher = watch(started, FFMPEG9, site.url(path))
    site.wait_for(f"plays {path} ")
    before = len(site.log())
    sending = door.publish(started, program, shown, listener, path)
    assert sending.wait() == 0, sending.words()
    assert by_stream(watcher.packets()) == by_stream(packets(ffmpeg9(), SAMPLE))
    known = "certificate of camera 7)" in site.log()[before:]
    assert known is (shown == "right")


@pytest.mark.parametrize(
    ("listener", "program", "shown"),
    [
        *(("required", FFMPEG9, shown) for shown in ("none", "wrong", "expired")),
        *(("optional", FFMPEG9, shown) for shown in ("wrong", "expired")),
        ("required", FFMPEG5, "none"),
        ("required", FFMPEG5, "expired"),
        ("optional", FFMPEG5, "expired"),
    ],
)
def test_ffmpeg_is_refused(
    started: Programs, door: Door, path: str, listener: str, program: str, shown: str
) -> None:
    site = door.site
    words = f"127.0.0.1 left: TLS: {REFUSALS[shown]}"
    count = len(re.findall(words, site.log()))
    sending = door.publish(started, program, shown, listener, path)
    assert sending.wait() != 0
    site.wait_for(words, times=count + 1)
    assert path not in site.log()


@pytest.mark.parametrize(
    ("listener", "words"),
    [("required", "showed no certificate"), ("optional", "connected to live as anyone")],
)
def test_gnutls_keeps_a_certificate_to_itself_that_nobody_asked_for(
    started: Programs, door: Door, path: str, listener: str, words: str
) -> None:
    """We say whose we want to see; FFmpeg 5.1 with another one is somebody with none."""
    count = door.site.log().count(words)
    run = door.publish(started, FFMPEG5, "wrong", listener, path)
    assert (run.wait() == 0) is (listener == "optional")
    door.site.wait_for(words, times=count + 1)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("listener", ["required", "optional"])
@pytest.mark.parametrize("shown", SHOWN)
def test_openssl_is_told_whose_is_wanted_and_what_is_wrong(
    door: Door, shown: str, listener: str, version: str
) -> None:
    mine = door.files(shown, "-cert", "-key")
    # an answer to what is said comes after the handshake, or else an alert
    told = s_client(door.site.ports[listener], version, "-ign_eof", *mine, say=b"nonsense")
    assert "Acceptable client certificate CA names\nCN = Test CA\n" in told.text
    alert = {
        "none": "handshake failure" if version == "-tls1_2" else "certificate required",
        "right": "",
        "wrong": "unknown ca",
        "expired": "certificate expired",
    }[shown]
    if (listener, shown) == ("optional", "none"):
        alert = ""
    assert (f"alert {alert}" in told.text) is bool(alert)
