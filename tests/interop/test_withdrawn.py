"""Logins that are taken away while FFmpeg is here by them: over the network, and with its words."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path

import pytest

from rtmptwist.auth.tokenfile import hash_of
from tests.interop.test_operation import forever
from tests.support.logins import password_file, user
from tests.support.programs import (
    PATIENCE,
    SAMPLES,
    Programs,
    Run,
    Site,
    ffmpeg9,
    player,
    program,
    publisher,
    publishing,
    serve,
)
from tests.support.variants import LISTENERS
from tests.support.watchers import FFMPEG9, watch

pytestmark = pytest.mark.interop

SAMPLE = SAMPLES / "h264-b-aac.flv"

APPLICATION = """\
publish = users
grace = 0
logins = file:{folder}/passwd
    token:{folder}/tokens
    memory:dora:geheim

[app closed]
publish = users
play = users
logins = file:{folder}/passwd
"""

ALICE, BOB, CAROL, DORA = (
    *("?user=alice&password=geheim", "?user=bob&password=geheim"),
    *("?token=t0ken", "?user=dora&password=geheim"),
)

WORDS = "Your login was removed or changed"


@pytest.fixture
def site(started: Programs, tmp_path: Path) -> Site:
    password_file(tmp_path / "passwd", user("alice", weak=True), user("bob"))
    (tmp_path / "tokens").write_text(f"carol sha256:{hash_of('t0ken')}\n")
    (tmp_path / "tokens").chmod(0o600)
    return serve(started, APPLICATION.format(folder=tmp_path))


def ended(run: Run) -> str:
    """The words with which a program failed."""
    assert run.wait() != 0
    return run.words()


def test_a_user_who_is_removed(started: Programs, site: Site, tmp_path: Path) -> None:
    """Who has answered a challenge, as OBS does, and who has shown a password; nobody else."""
    watcher = watch(started, FFMPEG9, site.url("live/bob"))
    site.wait_for("plays live/bob ")
    asked = site.url("live/alice").replace("://", "://alice:geheim@")
    alice = publishing(started, SAMPLE, asked, 0.5)
    also = publishing(started, SAMPLE, site.url(f"live{ALICE}/also"), 0.5)
    bob = publishing(started, SAMPLE, site.url(f"live{BOB}/bob"), 1.0)
    password_file(tmp_path / "passwd", user("bob"), user("zoe"))
    assert ended(bob).count(WORDS) == 1  # it has another hash now
    for run in (alice, also):
        assert WORDS in ended(run)
    site.wait_for("no longer publishes live/alice: Your login was removed or changed")
    site.wait_for("connections ended whose logins are gone: 3")
    assert watcher.packets()
    again = started.start(*publisher(program("ffmpeg"), SAMPLE, asked))
    assert "Incorrect username/password" in ended(again)


def test_a_password_is_given_to_encoders_while_its_user_is_on_air(
    started: Programs, site: Site, tmp_path: Path
) -> None:
    """What else changes in the file is nothing to those who are there."""
    line, other = (tmp_path / "passwd").read_text().splitlines()
    bob = publishing(started, SAMPLE, site.url(f"live{BOB}/bob"), 1.0)
    (tmp_path / "passwd").write_text(f"{other}:llnw={'0' * 32}\n")
    assert line.startswith("alice:")
    site.wait_for("passwd has changed and was read again")
    assert bob.wait() == 0, bob.words()


def test_a_token_that_is_removed(started: Programs, site: Site, tmp_path: Path) -> None:
    carol = publishing(started, SAMPLE, site.url(f"live{CAROL}/show"), 0.5)
    (tmp_path / "tokens").write_text("# nobody\n")
    assert WORDS in ended(carol)


def test_a_viewer_who_is_removed(started: Programs, site: Site, tmp_path: Path) -> None:
    url = site.url(f"closed{ALICE}/show")
    bob = publishing(started, SAMPLE, site.url(f"closed{BOB}/show"), 0.5)
    watching = started.start(*player(program("ffmpeg"), url), "-f", "null", "-")
    site.wait_for("plays closed/show as alice")
    (tmp_path / "passwd").write_text((tmp_path / "passwd").read_text().partition("\n")[2])
    watching.wait()
    site.wait_for("left: Your login was removed or changed")
    assert bob.process.poll() is None


def test_a_user_whose_line_of_the_configuration_is_gone(started: Programs, site: Site) -> None:
    dora = publishing(started, SAMPLE, site.url(f"live{DORA}/show"), 0.5)
    alice = publishing(started, SAMPLE, site.url(f"live{ALICE}/other"), 0.5)
    config = site.state / "site.ini"
    config.write_text(config.read_text().replace("    memory:dora:geheim\n", ""))
    site.run.process.send_signal(signal.SIGHUP)
    assert WORDS in ended(dora)
    assert alice.process.poll() is None


OPERATORS = """
[listener admin]
endpoint = tcp:0:interface=127.0.0.1:backlog=20
serve = http
api = token:{folder}/operators
"""


def test_an_operator_who_is_removed_while_watching(started: Programs, tmp_path: Path) -> None:
    """What ffmpeg got until then is whole."""
    tokens = {name: hash_of(name) for name in ("anna", "bert")}
    file = tmp_path / "operators"

    def hand_out(*names: str) -> None:
        file.write_text("".join(f"{name} sha256:{tokens[name]}\n" for name in names))
        file.chmod(0o600)

    hand_out(*tokens)
    site = serve(started, "publish = anyone\n", LISTENERS + OPERATORS.format(folder=tmp_path))
    started.start(*forever("rtmp", site.url("live/show")))
    site.wait_for("publishes live/show")
    api = site.url("api/v1/streams", "http", "admin")
    asked = urllib.request.Request(api, headers={"Authorization": "Bearer anna"})
    with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
        (stream,) = json.load(answer)["items"]

    def look(name: str) -> Run:
        login = ("-headers", f"Authorization: Bearer {name}\r\n")
        url = f"{api}/{stream['id']}/flv"
        return started.start(ffmpeg9(), "-v", "error", *login, "-i", url, "-f", "null", "-")

    anna, bert = look("anna"), look("bert")
    site.wait_for("operator (anna|bert) watches live/show", times=2)
    hand_out("bert")
    assert anna.wait() == 0, anna.words()
    site.wait_for("operator anna sees no more: no such token")
    assert bert.process.poll() is None
    assert "401" in ended(look("anna"))
