"""`rtmptwist keys`, as an operator uses it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rtmptwist.auth import keycommand
from rtmptwist.auth.keyfile import hash_of, read_keys
from rtmptwist.auth.options import show_time
from rtmptwist.cli import main

KEY = r"key_[a-z2-7]{26}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "show.keys"


class Shell:
    """Runs the command, and keeps what it said."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object, status: int = 0) -> str:
        assert main(["keys", *map(str, words)]) == status
        out, err = self._capsys.readouterr()
        return err if status else out

    def error(self, *words: object) -> str:
        return self(*words, status=1)

    def misuse(self, *words: object) -> str:
        with pytest.raises(SystemExit) as caught:
            self(*words)
        assert caught.value.code == 2
        return self._capsys.readouterr().err


@pytest.fixture
def keys(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


def test_what_is_printed_is_an_url(keys: Shell, path: Path) -> None:
    said = keys("make", path, "room/a b", "--server", "rtmp://example.org")
    assert "Viewers watch     rtmp://example.org/live/room/a%20b\n" in said


def test_a_key_is_shown_once_and_kept_as_a_hash(keys: Shell, path: Path) -> None:
    said = keys("make", path, "room/cam1", "--server", "rtmp://example.org/")
    (secret,) = set(re.findall(KEY, said))
    assert f"    Server      rtmp://example.org/live\n    Stream Key  {secret}\n" in said
    assert f"Elsewhere send to rtmp://example.org/live/{secret}\n" in said
    assert "Viewers watch     rtmp://example.org/live/room/cam1\n" in said
    assert secret not in path.read_text()
    key = read_keys(path)[hash_of(secret)]
    assert key.name == "room/cam1"
    assert key.created
    assert f"It is key {key.id} in" in said
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().startswith("# Stream keys of rtmptwist")


def test_a_key_for_scripts(keys: Shell, path: Path) -> None:
    said = keys("make", path, "show", "--quiet")
    assert re.fullmatch(KEY + "\n", said)
    assert hash_of(said.strip()) in read_keys(path)


def test_everything_that_bounds_a_key(keys: Shell, path: Path) -> None:
    keys(
        *("make", path, "show", "--networks", "192.0.2.0/24,2001:db8::/32", "--bitrate", "6M"),
        *("--codecs", "avc1,mp4a", "--size", "1280x720", "--expires", "2030-01-01"),
        *("--note", "Anna's laptop"),
    )
    (key,) = read_keys(path).values()
    assert list(map(str, key.networks)) == ["192.0.2.0/24", "2001:db8::/32"]
    assert key.terms.bitrate == 6_000_000
    assert key.terms.codecs == frozenset({"avc1", "mp4a"})
    assert (key.terms.width, key.terms.height) == (1280, 720)
    assert show_time(key.expires or 0) == "2030-01-01T00:00:00Z"
    assert key.note == "Anna's laptop"
    line = keys("list", path).split("\n")[1]
    assert line.startswith(f"{key.id}  show  20")
    assert line.endswith(
        "2030-01-01T00:00:00Z  192.0.2.0/24 2001:db8::/32 6M avc1 mp4a 1280x720  Anna's laptop"
    )


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("12h", 43200), ("90d", 7776000)])
def test_an_expiry_from_now_on(keys: Shell, path: Path, text: str, seconds: int) -> None:
    keys("make", path, "show", "--expires", text)
    (key,) = read_keys(path).values()
    assert key.created is not None
    assert key.expires is not None
    assert key.expires - key.created == pytest.approx(seconds, abs=30)


def test_several_keys_of_one_name(keys: Shell, path: Path) -> None:
    made = [keys("make", path, name, "-q").strip() for name in ("show", "other", "show")]
    assert len(set(made)) == 3
    rows = [line.split()[1] for line in keys("list", path).splitlines()]
    assert rows == ["NAME", "other", "show", "show"]
    said = keys("list", path)
    assert not [secret for secret in made if secret in said]


def test_a_list_tells_what_is_over(keys: Shell, path: Path) -> None:
    keys("make", path, "show", "--expires", "2020-01-01")
    path.write_text(path.read_text() + f"old sha256:{'0' * 64}\n")
    old, show = keys("list", path).splitlines()[1:]
    assert old.split() == ["00000000", "old", "-", "never", "-"]
    assert "2020-01-01T00:00:00Z (over)" in show


def test_a_revoked_key_is_gone_and_all_else_stays(keys: Shell, path: Path) -> None:
    for name in ("show", "other", "third"):
        keys("make", path, name)
    text = path.read_text() + "# by hand\u2028\n\n"
    path.write_text(text)
    gone = [key.id for key in read_keys(path).values() if key.name != "show"]
    said = keys("revoke", path, *gone, gone[0])
    assert said == f"{gone[0]} of other is revoked\n{gone[1]} of third is revoked\n"
    lines = text.split("\n")
    assert path.read_text().split("\n") == [
        line for line in lines if not line.startswith(("other", "third"))
    ]


def test_of_an_unknown_key_nothing_is_revoked(keys: Shell, path: Path) -> None:
    keys("make", path, "show")
    (key,) = read_keys(path).values()
    text = path.read_text()
    assert keys.error("revoke", path, key.id, "ffffffff", ".*") == (
        f"rtmptwist: {path}: there is no key ffffffff\n{path}: there is no key .*\n"
    )
    assert path.read_text() == text


@pytest.mark.parametrize("words", [("make", "show"), ("list",), ("revoke", "ffffffff")])
def test_a_file_that_cannot_be_used_is_not_touched(
    keys: Shell, path: Path, words: tuple[str, ...]
) -> None:
    path.write_text("garbage\n")
    error = keys.error(words[0], path, *words[1:])
    assert error.startswith(f"rtmptwist: {path}:1: expected NAME sha256:HASH")
    assert path.read_text() == "garbage\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("key_lime",), "argument NAME: no part of a name can begin with key_, as keys do"),
        (("a//b",), "argument NAME: the stream name has an empty part"),
        (("show", "--bitrate", "fast"), "argument --bitrate: expected bits per second"),
        (("show", "--expires", "soon"), "or how long until then, such as 12h and 90d"),
        (("show", "--note", "a\nb"), "argument --note: expected up to 200 letters"),
    ],
)
def test_misuse(keys: Shell, path: Path, words: tuple[str, ...], error: str) -> None:
    assert error in keys.misuse("make", path, *words)
    assert not path.exists()


def test_loose_permissions_are_warned_of(
    keys: Shell, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys("make", path, "show")
    (key,) = read_keys(path).values()
    path.chmod(0o644)
    for words in (("make", path, "other"), ("list", path), ("revoke", path, key.id)):
        assert main(["keys", *map(str, words)]) == 0
        assert "others may read" in capsys.readouterr().err


def test_two_keys_are_never_called_the_same(
    keys: Shell, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = iter(["key_a", "key_a", "key_b"])
    monkeypatch.setattr(keycommand, "new_key", lambda: next(made))
    assert keys("make", path, "show", "-q") == "key_a\n"
    assert keys("make", path, "show", "-q") == "key_b\n"
