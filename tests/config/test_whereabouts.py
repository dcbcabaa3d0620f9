"""Where something stands that turns out to be wrong later."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtmptwist.config.load import load
from rtmptwist.config.schema import Config
from rtmptwist.config.whereabouts import named, placed

FILE = """\
[listener main]
endpoint = tcp:1935
serve = rtmps
certificate = pem
key = pem/main.key
[app live]
publish = users, keys
logins =
    file:people
    ; a comment
    token:tokens

    memory:anna:geheim
keys = live.keys
outlets = record:a.flv
    record:a.flv:when=asked
[vhost  A.example/app live]
inlet = file:a.flv
keys = other.keys
[app eu/live]
[hook one]
url = http://127.0.0.1/?key=geheim
secret = live.keys
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "site.ini"
    path.write_text(FILE)
    return load(path)


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        ("[app live] outlets: record:a.flv: it is wrong", 15),
        ("[app live] outlets: record:a.flv:when=asked: it is wrong", 16),
        ("[app live] logins: something", 9),
        ("[app live] memory: something about anna", 6),
        ("[app eu/live] outlets: of no section of its own", 20),
        ("[vhost a.example / app live] inlet: file:a.flv: it is wrong", 18),
        ("[vhost a.example / app live] outlets: what all hosts say", 15),
        ("[vhost a.example / app eu/live] swf: what all hosts say", 20),
        ("[listener main] no.pem: no certificate in it", 1),
        ("[listener main] serve: no RTMPE here", 3),
    ],
)
def test_what_says_its_key(config: Config, problem: str, line: int) -> None:
    assert placed(config, problem) == f"{config.path}:{line}: {problem}"


@pytest.mark.parametrize(
    ("section", "words", "line", "key"),
    [
        ("app live", "people:3: expected USER", 9, "logins"),
        ("app live", "tokens: is not there", 11, "logins"),
        ("app live", "live.keys:1: expected NAME", 14, "keys"),
        ("vhost a.example / app live", "other.keys:1: expected NAME", 19, "keys"),
        ("vhost a.example / app live", "people:1: what all hosts say", 9, "logins"),
        ("listener main", "pem/a.pem: expired", 4, "certificate"),
        ("listener main", "pem/main.key: the key belongs to none", 5, "key"),
        ("hook one", "live.keys: expected one line", 23, "secret"),
    ],
)
def test_what_is_wrong_inside_of_a_file(
    config: Config, tmp_path: Path, section: str, words: str, line: int, key: str
) -> None:
    """Which key names it is found out here; the file's own line is in the words."""
    assert placed(config, f"[{section}] {tmp_path}/{words}") == (
        f"{config.path}:{line}: [{section}] {key}: {tmp_path}/{words}"
    )


def test_what_is_nowhere(config: Config) -> None:
    assert placed(config, "[hook x] run: who?") == f"{config.path}: [hook x] run: who?"


def test_a_file_that_is_named(config: Config, tmp_path: Path) -> None:
    site = config.path
    assert named(config, tmp_path / "people") == f" (named in {site}:9: [app live] logins)"
    assert named(config, tmp_path / "pem" / "a.pem") == (
        f" (named in {site}:4: [listener main] certificate)"
    )
    both = named(config, tmp_path / "live.keys")
    assert both == f" (named in {site}:14: [app live] keys and 1 more)"
    assert named(config, tmp_path / "other") == ""
