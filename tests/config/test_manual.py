"""conf/site.ini is the manual: it must say what the schema says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rtmptwist.config.convert import Choice, Words
from rtmptwist.config.load import SECTIONS, load
from rtmptwist.config.schema import Key, keys

SITE = Path(__file__).parents[2] / "conf" / "site.ini"


@dataclass
class Article:
    """A key as the manual has it."""

    off: bool
    value: str
    text: str


def manual() -> dict[tuple[type[Any], str], Article]:
    """The keys of the manual, each with the comment above it."""
    articles: dict[tuple[type[Any], str], Article] = {}
    kind: type[Any] | None = None
    comment: list[str] = []
    for line in SITE.read_text().split("\n"):
        if header := re.match(r";?\[(.+)\]", line):
            kind = next(kind for _, shape, kind in SECTIONS if re.fullmatch(shape, header[1]))
        elif entry := re.match(r"(;?)(\w+) = ?(.*)", line):
            assert kind
            article = Article(bool(entry[1]), entry[3], " ".join(comment))
            articles.setdefault((kind, entry[2]), article)
        elif line.startswith("#"):
            comment.append(line.lstrip("# "))
        if not line.startswith("#"):
            comment = []
    return articles


KEYS = [
    pytest.param(kind, key, id=f"{kind.__name__}.{key.name}")
    for kind in dict.fromkeys(kind for _, _, kind in SECTIONS)
    for key in keys(kind).values()
]


@pytest.mark.parametrize(("kind", "key"), KEYS)
def test_every_key_is_explained_with_its_default(kind: type[Any], key: Key) -> None:
    article = manual().get((kind, key.name))
    assert article, "is missing"
    assert len(article.text) > 20, "needs a sentence"
    default = "" if key.name == "endpoint" else key.converter.show(key.default)
    if article.off and "No default." in article.text:
        assert key.converter.read(article.value), "an example"
    elif article.off:
        assert key.converter.read(article.value) == key.default
    else:
        assert f"Default: {default}" in article.text or "No default." in article.text
    if isinstance(key.converter, Choice | Words):
        assert [word for word in key.converter.words if word not in article.text] == []


def test_it_explains_nothing_else() -> None:
    assert [name for kind, name in manual() if name not in keys(kind)] == []


def test_it_works_as_it_stands() -> None:
    config = load(SITE)
    assert config.server.state == SITE.parents[1] / "var"
    assert {listener.endpoint: listener.serve for listener in config.listeners} == {
        ("tcp6:1935:backlog=1024",): {"rtmp", "rtmpe", "rtmpt", "rtmpte"},
        ("tcp6:8443:backlog=1024",): {"rtmps", "rtmpts"},
    }
    (vhost,) = config.vhosts
    assert list(vhost.apps) == ["live"]
    assert vhost.apps["live"].publish.anyone
    assert vhost.apps["live"].play.anyone


def test_it_works_with_everything_switched_on(tmp_path: Path) -> None:
    everything = tmp_path / "site.ini"
    everything.write_text(re.sub(r"(?m)^;", "", SITE.read_text()))
    plain, other = load(everything).vhosts
    assert plain.apps == load(SITE).vhosts[0].apps
    assert other.name == "example.org"
    assert not other.apps["live"].publish.anyone
    assert other.apps["live"].play.anyone


def test_anyone_is_said_plainly() -> None:
    """The first server on the internet with this file must not surprise its owner."""
    text = SITE.read_text()
    assert "On the internet, strangers" in text[: text.index("publish = anyone")]
