"""Signed URLs: what is signed, and what is believed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import hypothesis.strategies as st
import pytest
from hypothesis import assume, given
from twisted.internet.task import Clock

from rtmptwist.auth.brake import FREE, Brake
from rtmptwist.auth.files import BadFile, BadLine, SecretFile
from rtmptwist.auth.options import read_time
from rtmptwist.auth.signing import (
    INCOMPLETE,
    LONGEST,
    WRONG,
    Secret,
    SignedUrls,
    called,
    canonical,
    new_secret,
    parse_secrets,
    read_secret,
    read_secrets,
)
from rtmptwist.live.access import Action
from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.wire.status import StatusCode
from tests.auth.asking import LIVE, application, asked, granted, refusal, unknown
from tests.support.memory import failure_of

pytestmark = pytest.mark.usefixtures("logs")

NOW = int(read_time("2026-06-01"))
PATH = Path("signing")
ONE, OTHER = Secret("a1", "1" * 64), Secret("a2", "2" * 64)


class House:
    """A file with secrets, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "signing"
        self.path.write_text("")
        self.path.chmod(0o600)
        self.file = SecretFile(self.path, read_secrets)
        self.file.take({"a1": ONE, "a2": OTHER})
        self.now = float(NOW)
        self.clock = Clock()
        self.brake = Brake(self.clock)
        self.proof = SignedUrls(self.file, lambda: self.now, self.brake)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def signed(
    name: str = "show",
    action: Action = Action.PUBLISH,
    *,
    app: str = "live",
    exp: int = NOW + 60,
    addr: str = "",
    secret: Secret = ONE,
) -> dict[str, str]:
    """The parameters of a URL."""
    sig = secret.sign(canonical(app, name, action, exp, addr))
    found = {"exp": str(exp), "kid": secret.id, "sig": sig}
    return found | ({"addr": addr} if addr else {})


def query(parameters: dict[str, str]) -> str:
    return "&".join(f"{key}={quote(value, safe='')}" for key, value in parameters.items())


def test_a_url_is_good_for_what_it_says(house: House) -> None:
    grant = granted(house.proof, f"show?{query(signed())}")
    assert (grant.path, grant.account) == ("show", "anyone")
    assert grant.terms.until is None  # it bounds the start only
    viewer = granted(house.proof, f"show?{query(signed(action=Action.PLAY))}", Action.PLAY)
    assert viewer.path == "show"
    assert granted(house.proof, f"show?{query(signed())}", user="alice").account == "alice"


def test_who_has_a_url_for_a_name_is_its_publisher(house: House) -> None:
    """After a break, the web site signs a new one."""
    grants = [
        granted(house.proof, f"show?{query(signed(exp=NOW + 60, secret=ONE))}"),
        granted(house.proof, f"show?{query(signed(exp=NOW + 90, secret=OTHER))}", address="::1"),
    ]
    other = granted(house.proof, f"other?{query(signed('other'))}")
    assert grants[0].identity == grants[1].identity != other.identity


def test_without_a_signature_there_is_nothing_to_say(house: House) -> None:
    assert unknown(house.proof, "show")
    assert unknown(house.proof, "show?exp=1&kid=a1")


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("live", "show?{}"),
        ("live?{}", "show"),
        ("live/?{}", "/show.flv"),
        ("live?{}", "mp4:show.mp4?other=1"),
        ("live?sig=1", "show?{}"),
    ],
)
def test_wherever_the_query_stands(house: House, app: str, said: str) -> None:
    parameters = query(signed())
    assert granted(house.proof, said.format(parameters), app=app.format(parameters)).path == "show"


@pytest.mark.parametrize("names", list(itertools.permutations(["exp", "kid", "sig", "addr"])))
def test_the_order_is_free(house: House, names: tuple[str, ...]) -> None:
    parameters = signed(addr="192.0.2.1")
    assert granted(house.proof, f"show?{query({name: parameters[name] for name in names})}")


@pytest.mark.parametrize("name", ["room/cam1", "größe 1", "a&b=c?d", "100%", "\N{SNOWMAN}"])
def test_names_are_signed_as_they_are(house: House, name: str) -> None:
    parameters = query(signed(name))
    assert granted(house.proof, f"{quote(name)}?{parameters}").path == name


@pytest.mark.parametrize("parameter", ["exp", "kid", "sig", "addr"])
def test_what_stands_twice_is_refused(house: House, parameter: str) -> None:
    """The first would count here, and the last elsewhere."""
    parameters = signed(addr="192.0.2.1")
    again = f"{query(parameters)}&{parameter}={quote(parameters[parameter])}"
    assert refusal(house.proof, f"show?{again}") == (
        StatusCode.PUBLISH_DENIED,
        f"This URL says {parameter} twice.",
    )
    assert granted(house.proof, f"show?{query(parameters)}&other=1&other=2")


def test_the_last_second(house: House) -> None:
    said = f"show?{query(signed(exp=NOW + 60))}"
    house.now = NOW + 60.999
    assert granted(house.proof, said)
    house.now = NOW + 61.0
    words = "This URL expired at 2026-06-01T00:01:00Z: get a new one."
    assert refusal(house.proof, said)[1] == words


def test_no_url_is_good_for_ever(house: House) -> None:
    assert granted(house.proof, f"show?{query(signed(exp=NOW + LONGEST))}")
    for exp in (NOW + LONGEST + 1, 99_999_999_999):
        words = refusal(house.proof, f"show?{query(signed(exp=exp))}")[1]
        assert words == "This URL is good for more than a year, which is too long."


@pytest.mark.parametrize(
    ("addr", "address", "allowed"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.0/24", "192.0.2.2", True),
        ("2001:db8::/64", "2001:db8::7", True),
        ("2001:db8:0:0::1", "2001:db8::1", True),
        ("2001:db8::1", "192.0.2.1", False),
        ("127.0.0.1", "unix", True),
        ("192.0.2.1", "unix", False),
    ],
)
def test_an_address(house: House, addr: str, address: str, allowed: bool) -> None:
    said = f"show?{query(signed(addr=addr))}"
    if allowed:
        assert granted(house.proof, said, address=address)
    else:
        assert refusal(house.proof, said, address=address)[1] == f"This URL is not for {address}."


def test_every_host_has_its_own_urls(house: House) -> None:
    example = application(host="example.org")
    assert refusal(house.proof, f"show?{query(signed())}", where=example)[1] == WRONG
    theirs = query(signed(app="//example.org/live"))
    assert granted(house.proof, f"show?{theirs}", where=example)
    assert refusal(house.proof, f"show?{theirs}")[1] == WRONG


Change = Callable[[dict[str, str]], dict[str, Any]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: {"sig": p["sig"][:-1]}, WRONG),
        (lambda p: {"sig": p["sig"][:-1] + "g"}, WRONG),
        (lambda p: {"sig": p["sig"] + "0"}, WRONG),
        (lambda p: {"sig": p["sig"][::-1]}, WRONG),
        (lambda p: {"sig": ""}, WRONG),
        (lambda p: {"sig": "0" * 64}, WRONG),
        (lambda p: {"sig": "x" * 3000}, WRONG),
        (lambda p: {"sig": "\0\ud800é"}, WRONG),
        (lambda p: {"kid": "a2"}, WRONG),
        (lambda p: {"kid": "a3"}, WRONG),
        (lambda p: {"kid": ""}, WRONG),
        (lambda p: {"kid": None}, WRONG),
        (lambda p: {"exp": str(NOW + 61)}, WRONG),
        (lambda p: {"exp": str(NOW - 1)}, WRONG),  # nothing is said about what was not signed
        (lambda p: {"exp": None}, INCOMPLETE),
        (lambda p: {"exp": ""}, INCOMPLETE),
        (lambda p: {"exp": "0" + p["exp"]}, INCOMPLETE),
        (lambda p: {"exp": "+" + p["exp"]}, INCOMPLETE),
        (lambda p: {"exp": p["exp"] + ".0"}, INCOMPLETE),
        (lambda p: {"exp": p["exp"] + "\n"}, INCOMPLETE),
        (lambda p: {"exp": "9" * 400}, INCOMPLETE),
        (lambda p: {"exp": "١٢٣"}, INCOMPLETE),
        (lambda p: {"addr": "192.0.2.1"}, WRONG),
        (lambda p: {"addr": "\n"}, INCOMPLETE),
        (lambda p: {"addr": "here"}, INCOMPLETE),
        (lambda p: {"addr": "192.0.2.1/24"}, INCOMPLETE),
        (lambda p: {"addr": "fe80::1%eth0\nshow"}, INCOMPLETE),
    ],
)
def test_what_was_changed(house: House, change: Change, words: str) -> None:
    parameters = signed()
    changed = {k: v for k, v in {**parameters, **change(parameters)}.items() if v is not None}
    said = "show?" + "&".join(
        f"{k}={quote(v, safe='', errors='replace')}" for k, v in changed.items()
    )
    assert refusal(house.proof, said) == (StatusCode.PUBLISH_DENIED, words)


@pytest.mark.parametrize(
    ("name", "action", "where"),
    [
        ("other", Action.PUBLISH, LIVE),
        ("show/a", Action.PUBLISH, LIVE),
        ("Show", Action.PUBLISH, LIVE),
        ("show", Action.PLAY, LIVE),
        ("show", Action.PUBLISH, application("other")),
    ],
)
def test_what_it_was_not_signed_for(
    house: House, name: str, action: Action, where: Application
) -> None:
    said = f"{name}?{query(signed())}"
    code, words = refusal(house.proof, said, action, where=where)
    assert words == WRONG
    denied = StatusCode.PUBLISH_DENIED if action is Action.PUBLISH else StatusCode.PLAY_FAILED
    assert code is denied


def test_who_guesses_has_to_wait_and_others_have_not(house: House) -> None:
    for _ in range(FREE):
        refusal(house.proof, "show?sig=0&exp=1")
    waiting = asked(house.proof, "show?sig=0&exp=1")
    assert not waiting.called
    assert granted(house.proof, f"show?{query(signed())}")
    house.clock.advance(10)
    assert isinstance(failure_of(waiting), Refused)


def test_a_secret_that_is_revoked_ends_what_it_signed(house: House) -> None:
    said = f"show?{query(signed())}"
    grant = granted(house.proof, said)
    house.file.take({"a2": OTHER})
    assert refusal(house.proof, said)[1] == WRONG
    assert grant.objection() == ""  # as with the expiry: what runs goes on


@given(st.text(max_size=100), st.text(max_size=100), st.text(max_size=100))
def test_nobody_gets_in_by_chance(
    tmp_path_factory: pytest.TempPathFactory, exp: str, kid: str, sig: str
) -> None:
    house = House(tmp_path_factory.mktemp("signing"))
    parameters = {"exp": exp, "kid": kid, "sig": sig}
    said = "&".join(
        f"{k}={quote(v, safe='', errors='surrogatepass')}" for k, v in parameters.items()
    )
    assert refusal(house.proof, f"show?{said}")[1] in (WRONG, INCOMPLETE)


# --------------------------------------------------------------------- what is signed


def test_the_canonical_text() -> None:
    assert canonical("live", "room/größe 1", "play", 1767225600) == (
        b"live\nroom/gr\xc3\xb6\xc3\x9fe 1\nplay\n1767225600\n\n"
    )
    text = canonical("//example.org/live", "show", "publish", 1767225600, "192.0.2.1")
    assert text == b"//example.org/live\nshow\npublish\n1767225600\n192.0.2.1\n"
    sig = Secret("a", "s" * 32).sign(b"live\nshow\nplay\n1767225600\n\n")
    # printf '%s\n' live show play 1767225600 "" | openssl dgst -sha256 -hmac ssssssss…
    assert sig == "d2a0d457bcde9bcfe3c0edf89efc3a1f070ec80a41eeb4da770e2f5c9ad252f3"


part = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))
signable = st.tuples(part, part, st.sampled_from(["publish", "play"]), st.integers(0), part)


@given(signable, signable)
def test_different_things_are_never_signed_by_the_same_text(
    one: tuple[str, str, str, int, str], other: tuple[str, str, str, int, str]
) -> None:
    assert (canonical(*one) == canonical(*other)) == (one == other)


@given(st.lists(st.sampled_from(["a", "b", "\r", "/", "//", " ", "", "1"]), min_size=10))
def test_what_is_shifted_from_one_part_to_another(pieces: list[str]) -> None:
    """As an attacker would: the same letters, cut elsewhere."""
    half = len(pieces) // 2
    one = canonical("".join(pieces[:half]), "".join(pieces[half:]), "play", 1)
    other = canonical("".join(pieces[: half - 1]), "".join(pieces[half - 1 :]), "play", 1)
    assert (one == other) == (pieces[half - 1] == "")


@given(signable)
def test_it_can_be_taken_apart_again(parts: tuple[str, str, str, int, str]) -> None:
    application, name, action, exp, addr = canonical(*parts).decode()[:-1].split("\n")
    assert (application, name, action, int(exp), addr) == parts


@given(part, part, st.integers(0, 2))
def test_a_line_feed_is_never_signed(before: str, after: str, place: int) -> None:
    parts: list[Any] = ["live", "show", "", 1, ""]
    parts[(0, 1, 4)[place]] = f"{before}\n{after}"
    with pytest.raises(ValueError, match="a line feed"):
        canonical(*parts)


hosts = st.text("abc.-", min_size=1)
apps = st.text("abc.-/", min_size=1).filter(lambda app: not re.search("^/|//|/$", app))


@given(st.tuples(apps, hosts | st.just("")), st.tuples(apps, hosts | st.just("")))
def test_no_two_applications_are_called_the_same(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assume(one != other)
    assert called(*one) != called(*other)


# -------------------------------------------------------------------------- the file


def test_a_secret_in_its_file() -> None:
    secret = Secret("2026-a", "x" * 32, read_time("2026-01-01"), "web site")
    line = f"2026-a {'x' * 32} created=2026-01-01T00:00:00Z note=web site"
    assert read_secret(line) == secret
    assert secret.line() == line
    assert read_secret(f"a\t{'x' * 32}") == Secret("a", "x" * 32)
    assert "xxx" not in repr(secret)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a1", "expected KID SECRET with 32 or more"),
        (f"a1 {'x' * 31}", "expected KID SECRET with 32 or more"),
        (f"a1 {'ä' * 32}", "expected KID SECRET with 32 or more"),
        (f"a&b {'x' * 32}", "expected a KID of up to 32 letters"),
        (f"{'a' * 33} {'x' * 32}", "expected a KID of up to 32 letters"),
        (f"a1 {'x' * 32} more", "expected only created, note here"),
        (f"a1 {'x' * 32} created=now", "expected a time in UTC"),
    ],
)
def test_what_is_no_secret(line: str, words: str) -> None:
    with pytest.raises(BadLine, match=words) as caught:
        read_secret(line)
    assert "xxx" not in str(caught.value)


def test_a_file_of_secrets() -> None:
    text = f"# new below\n{OTHER.line()}\n{ONE.line()}\n"
    assert list(parse_secrets(PATH, text)) == ["a2", "a1"]
    with pytest.raises(BadFile) as caught:
        parse_secrets(PATH, text + ONE.line())
    assert str(caught.value) == "signing:4: there are two secrets a1"


def test_secrets_that_nobody_guesses() -> None:
    made = {new_secret() for _ in range(10)}
    assert len(made) == 10
    assert all(re.fullmatch("[0-9a-f]{64}", secret) for secret in made)
