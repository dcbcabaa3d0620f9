"""`rtmptwist secrets` and `rtmptwist sign`, and how README says that others sign."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from rtmptwist.auth.brake import Brake
from rtmptwist.auth.files import SecretFile
from rtmptwist.auth.signing import SignedUrls, read_secrets
from rtmptwist.cli import main
from rtmptwist.live.access import Action
from tests.auth.asking import application, granted, refusal
from tests.support.programs import program

pytestmark = pytest.mark.usefixtures("logs")

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signing"


Shell = Callable[..., str]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    def run(*words: object, status: int = 0) -> str:
        try:
            found = main([str(word) for word in words])
        except SystemExit as end:
            found = int(end.code or 0)
        out, err = capsys.readouterr()
        assert found == status, err
        return err if status else out

    return run


def proof(path: Path, at: float = 0.0) -> SignedUrls:
    """The server, so many seconds from now."""
    return SignedUrls(SecretFile(path, read_secrets), lambda: time.time() + at, Brake(Clock()))


def behind(url: str, beginning: str = "rtmp://HOST/live/") -> str:
    """The stream's name of a URL, with its query."""
    assert url.startswith(beginning)
    assert url.endswith("\n")
    return url.removeprefix(beginning).strip()


def test_a_secret_is_made_and_printed(shell: Shell, path: Path) -> None:
    said = shell("secrets", "make", path, "a1", "--note", "web site")
    assert re.fullmatch("a1 [0-9a-f]{64}\n", said)
    assert said.strip() in path.read_text()
    assert path.read_text().startswith("# Secrets of rtmptwist")
    assert path.stat().st_mode & 0o777 == 0o600
    listed = shell("secrets", "list", path)
    assert listed.split()[:4] == ["KID", "CREATED", "NOTE", "a1"]
    assert listed.endswith("Z  web site\n")
    assert said.split()[1] not in listed


def test_secrets_are_revoked(shell: Shell, path: Path) -> None:
    for kid in ("a1", "a2"):
        shell("secrets", "make", path, kid)
    error = shell("secrets", "revoke", path, "a3", status=1)
    assert error == f"rtmptwist: {path}: there is no secret a3\n"
    assert shell("secrets", "revoke", path, "a1") == "a1 is revoked\n"
    assert list(read_secrets(path)) == ["a2"]


def test_two_secrets_are_never_called_the_same(shell: Shell, path: Path) -> None:
    shell("secrets", "make", path, "a1")
    error = shell("secrets", "make", path, "a1", status=1)
    assert error == f"rtmptwist: {path}: there is a secret a1 already\n"
    assert "expected a KID" in shell("secrets", "make", path, "a&b", status=2)


def test_a_list_of_what_was_written_by_hand(shell: Shell, path: Path) -> None:
    path.write_text(f"mine {'x' * 32}\n")
    path.chmod(0o600)
    assert shell("secrets", "list", path).split("\n")[1] == "mine  -"


@pytest.mark.parametrize("action", list(Action))
def test_a_url_is_signed(shell: Shell, path: Path, action: Action) -> None:
    shell("secrets", "make", path, "a1")
    words = ("--app", "live", "--name", "room/größe 1", "--action", action, "--for", "1h")
    said = behind(shell("sign", path, *words))
    assert said.startswith("room/gr%C3%B6%C3%9Fe%201?exp=")
    assert granted(proof(path), said, action).path == "room/größe 1"
    assert granted(proof(path, 3590), said, action)
    assert "expired" in refusal(proof(path, 3602), said, action)[1]


def test_a_url_for_an_address_on_a_host(shell: Shell, path: Path) -> None:
    shell("secrets", "make", path, "a1")
    words = ("--app", "live", "--name", "show", "--action", "publish", "--for", "30s")
    more = ("--vhost", "example.org", "--address", "2001:db8::/64", "--server", "rtmps://x:1/")
    said = behind(shell("sign", path, *words, *more), "rtmps://x:1/live/")
    assert "/" not in said
    where = application(host="example.org")
    assert granted(proof(path), said, where=where, address="2001:db8::5")
    assert "is not for" in refusal(proof(path), said, where=where)[1]


def test_the_newest_secret_signs(shell: Shell, path: Path) -> None:
    for kid in ("a2", "a1"):
        shell("secrets", "make", path, kid)
    words = ("--app", "live", "--name", "show", "--action", "play", "--for", "1h")
    assert "&kid=a1&" in shell("sign", path, *words)
    said = shell("sign", path, *words, "--kid", "a2")
    assert "&kid=a2&" in said
    assert granted(proof(path), behind(said), Action.PLAY)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--for", "400d"), "expected at most 366d"),
        (("--for", "soon"), "expected seconds, minutes, hours or days such as 90s, 30m, 12h and"),
        (("--for", ""), "expected seconds"),
        (("--address", "here"), "expected an address, or a network such as 192.0.2.0/24"),
        (("--address", "192.0.2.1/24"), "has host bits set"),
        (("--name", ""), "the stream name is empty"),
        (("--name", "a\nb"), "contains the character U+000A"),
        (("--app", "a\nb"), "on one line"),
        (("--action", "watch"), "invalid choice"),
    ],
)
def test_misuse(shell: Shell, path: Path, words: tuple[str, ...], error: str) -> None:
    shell("secrets", "make", path, "a1")
    right = ("--app", "live", "--name", "show", "--action", "play", "--for", "1h")
    assert error in shell("sign", path, *right, *words, status=2)


def test_nothing_to_sign_with(shell: Shell, path: Path) -> None:
    words = ("--app", "live", "--name", "show", "--action", "play", "--for", "1h")
    assert "No such file" in shell("sign", path, *words, status=1)
    path.write_text("")
    assert "there is no secret; `rtmptwist secrets make`" in shell("sign", path, *words, status=1)
    error = shell("sign", path, *words, "--kid", "a1", status=1)
    assert "there is no secret a1; " in error


# ---------------------------------------------------------------- as README says it


def example(language: str) -> str:
    """The line of README that signs."""
    blocks = re.findall(rf"(?ms)^```{language}\n(.*?)^```", README)
    (found,) = (str(block) for block in blocks if "exp=$((" in block or "exp =" in block)
    return found.strip()


def check(path: Path, url: bytes) -> None:
    said = behind(url.decode(), "rtmp://example.org/live/")
    assert granted(proof(path, 3590), said, Action.PLAY).path == "show"
    assert "expired" in refusal(proof(path, 3610), said, Action.PLAY)[1]


def run(*command: str, secret: str) -> bytes:
    environment = {**os.environ, "secret": secret}
    return subprocess.run(
        command, env=environment, capture_output=True, check=True, timeout=60
    ).stdout


def test_others_sign_in_python(shell: Shell, path: Path) -> None:
    secret = shell("secrets", "make", path, "a1").split()[1]
    code = f"import hmac, time, os; secret = os.environ['secret']\n{example('python')}\nprint(url)"
    check(path, run(sys.executable, "-c", code, secret=secret))


def test_others_sign_in_a_shell(shell: Shell, path: Path) -> None:
    program("openssl")
    secret = shell("secrets", "make", path, "a1").split()[1]
    check(path, run("sh", "-c", f'{example("sh")}\necho "$url"', secret=secret))


def test_others_sign_in_php(shell: Shell, path: Path) -> None:
    secret = shell("secrets", "make", path, "a1").split()[1]
    code = f"$secret = getenv('secret'); {example('php')} echo $url, \"\\n\";"
    check(path, run(program("php"), "-r", code, secret=secret))
