"""Who somebody is: asked, challenged, let in or refused."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, sampled_from, text
from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import Clock

from rtmptwist.amf.values import Value
from rtmptwist.auth import challenges as challenges_module
from rtmptwist.auth.authmod import SCHEMES
from rtmptwist.auth.brake import Brake
from rtmptwist.auth.challenges import Challenges
from rtmptwist.auth.checkers import WITHDRAWN, BadChecker, CertificateName, Checker, from_plugin
from rtmptwist.auth.errors import Undecided
from rtmptwist.auth.files import SecretFile
from rtmptwist.auth.gate import GUEST
from rtmptwist.auth.identity import Identity
from rtmptwist.auth.login import Logins, Way
from rtmptwist.auth.passwordfile import PasswordFile
from rtmptwist.auth.passwords import adobe_salt
from rtmptwist.auth.tokenfile import TokenFile, hash_of, read_tokens
from rtmptwist.live.access import Action, Visitor
from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.live.names import parse_connect
from rtmptwist.wire.client import CLIENT_VERSION
from tests.support.live import Settings
from tests.support.logins import SALT, Encoder, Threads, password_file, user
from tests.support.logs import Logs
from tests.support.memory import failure_of, result_of

LIVE = Application("live", Settings(), Clock())
ELSEWHERE = Application("live", Settings(), Clock(), host="example.org")

ENCODER: dict[str, Value] = {"type": "nonprivate", "flashVer": "FMLE/3.0 (compatible; FMSc/1.0)"}
FLASH: dict[str, Value] = {"flashVer": "WIN 32,0,0,465"}
"What players say, and what Flash said to publish as well."

LOGIN = Way(users=True)
OPEN = Way(later=True)
CLOSED = Way()

MEMORY = from_plugin("memory", "alice:geheim:carol:s3cret")

ADOBE = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "
LLNW = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=llnw ] : "
FAILED = "[ AccessManager.Reject ] : [ authmod={} ] : ?reason=authfailed"


class Door:
    """The logins of an application, and somebody before them."""

    def __init__(
        self,
        *checkers: Checker,
        publish: Way = LOGIN,
        play: Way = LOGIN,
        scheme: str = "adobe",
    ) -> None:
        self.now = 1_800_000_000.0
        self.clock = Clock()
        self.brake = Brake(self.clock)
        self.challenges = Challenges(b"secret", lambda: self.now)
        self.logins = Logins(
            checkers or (MEMORY,),
            {Action.PUBLISH: publish, Action.PLAY: play},
            self.challenges,
            self.brake,
            SCHEMES.get(scheme),
        )

    def asks(
        self,
        app: str = "live",
        *arguments: Value,
        properties: Mapping[str, Value] = ENCODER,
        address: str = "192.0.2.1",
        application: Application = LIVE,
        certificate: str = "",
        url: str = "rtmp://example.org/live",
    ) -> Deferred[Identity]:
        """Somebody connects."""
        target = parse_connect(app, url)
        said = {"app": app, "tcUrl": url, **properties}
        visitor = Visitor(address, application, target.query, said, arguments, certificate)
        return Deferred.fromCoroutine(self.logins.user(visitor))

    def user(self, app: str = "live", *arguments: Value, **more: Any) -> str:
        return result_of(self.asks(app, *arguments, **more)).name

    def refusal(self, app: str = "live", *arguments: Value, **more: Any) -> Refused:
        asking = self.asks(app, *arguments, **more)
        if not asking.called:
            self.clock.advance(60)
        refused = failure_of(asking)
        assert isinstance(refused, Refused)
        assert refused.status.code == "NetConnection.Connect.Rejected"
        assert len(refused.status.description.encode()) <= 255
        return refused

    def says(self, app: str = "live", *arguments: Value, **more: Any) -> str:
        return self.refusal(app, *arguments, **more).status.description

    def challenge(self, encoder: Encoder, **more: Any) -> str:
        """What it adds to its app on its third connection."""
        assert self.says(encoder.app, **more) == (ADOBE if encoder.scheme == "adobe" else LLNW)
        return encoder.second(self.says(encoder.app + encoder.first(), **more))


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def people(tmp_path: Path) -> Checker:
    file = password_file(tmp_path / "passwd", user("alice", weak=True), user("bob"))
    return Checker("file", PasswordFile(file, Threads(), lambda: 0.0))


# --------------------------------------------------------------------- who is asked at all


@pytest.mark.parametrize(
    ("publish", "play", "encoder", "player"),
    [
        (LOGIN, LOGIN, True, True),
        (LOGIN, CLOSED, True, True),
        (CLOSED, LOGIN, True, True),
        (LOGIN, OPEN, True, False),
        (OPEN, LOGIN, False, True),
        (OPEN, OPEN, False, False),
        (CLOSED, CLOSED, False, False),
        (CLOSED, OPEN, False, False),
        (Way(users=True, later=True), OPEN, False, False),
        (Way(users=True, networks=(ip_network("192.0.2.0/24"),)), LOGIN, False, True),
        (Way(users=True, networks=(ip_network("198.51.100.0/24"),)), LOGIN, True, True),
        (Way(networks=(ip_network("198.51.100.0/24"),)), LOGIN, True, True),
        (Way(networks=(ip_network("192.0.2.0/24"),)), LOGIN, False, True),
    ],
)
def test_those_who_get_nowhere_without_are_asked(
    publish: Way, play: Way, encoder: bool, player: bool
) -> None:
    door = Door(publish=publish, play=play)
    for asked, properties in ((encoder, ENCODER), (player, FLASH)):
        if asked:
            assert door.says(properties=properties) == ADOBE
        else:
            assert door.user(properties=properties) == ""


@pytest.mark.parametrize(
    ("properties", "asked"),
    [
        ({"type": "nonprivate"}, True),  # librtmp, GStreamer
        ({"flashVer": "FMLE/3.0 (compatible; Lavf63.1.102)"}, True),
        ({"flashVer": "LNX 9,0,124,2"}, False),
        ({"flashVer": CLIENT_VERSION, "type": "nonprivate"}, False),
        ({"flashVer": 7.0, "type": None}, False),
        ({}, False),
    ],
)
def test_who_looks_like_an_encoder(properties: dict[str, Value], asked: bool) -> None:
    door = Door(play=OPEN)
    if asked:
        assert door.says(properties=properties) == ADOBE
    else:
        assert door.user(properties=properties) == ""


def test_how_they_are_asked(people: Checker) -> None:
    assert Door(people, scheme="llnw").says() == LLNW
    assert Door(people, scheme="none").says() == (
        "live needs a login: ?user=NAME&password=WORD after the application in the server's URL."
    )


def test_whom_a_challenge_is_of_no_use_is_told_in_words(tmp_path: Path) -> None:
    tokens = Checker("token", TokenFile(_tokens(tmp_path)))
    assert Door(tokens, Checker("certificate", CertificateName())).says() == (
        "live needs a login: ?token=TOKEN after the application in the server's URL or a client"
        " certificate."
    )


def test_where_nothing_can_be_said_in_words() -> None:
    class Hashed:
        credentialInterfaces = (IUsernameHashedPassword,)

    said = Door(Checker("hashed", Hashed()), scheme="none").says()
    assert said == "live needs a login: see its manual."


def test_the_log_hears_of_it_in_words(door: Door) -> None:
    assert door.refusal().reason == "asked for a login (authmod=adobe)"
    assert door.refusal("live?authmod=adobe&user=alice").reason == "challenged (authmod=adobe)"


# ------------------------------------------------------------------------------ encoders


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("app", ["live", "live/inst", "live?k=v"])
def test_the_three_connections_of_an_encoder(people: Checker, scheme: str, app: str) -> None:
    for checker in (people, MEMORY):
        door = Door(checker, scheme=scheme)
        encoder = Encoder(scheme=scheme, app=app)
        assert door.user(app + door.challenge(encoder)) == "alice"
        wrong = Encoder(password=b"Geheim", scheme=scheme, app=app)
        refused = door.refusal(app + door.challenge(wrong))
        assert refused.status.description.startswith(FAILED.format(scheme))
        assert refused.reason.startswith("login failed: ")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_challenge_is_answered_once(door: Door, scheme: str) -> None:
    door = Door(scheme=scheme)
    said = door.challenge(Encoder(scheme=scheme))
    assert door.user(f"live{said}") == "alice"
    refused = door.refusal(f"live{said}")
    assert refused.status.description.startswith(FAILED.format(scheme))
    assert refused.reason == "login failed: no answer to a challenge of the last minute"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_challenge_expires_to_the_second(scheme: str) -> None:
    for age, let_in in ((60, True), (61, False)):
        door = Door(scheme=scheme)
        said = door.challenge(Encoder(scheme=scheme))
        door.now += age
        if let_in:
            assert door.user(f"live{said}") == "alice"
        else:
            assert "reason=authfailed" in door.says(f"live{said}")


def test_a_challenge_is_for_one_user_of_one_application(door: Door) -> None:
    said = door.challenge(Encoder())
    assert "reason=authfailed" in door.says(f"live{said}", application=ELSEWHERE)
    assert "reason=authfailed" in door.says(f"live{said}".replace("user=alice", "user=carol"))
    assert door.user(f"live{said}", address="2001:db8::1") == "alice"


@pytest.mark.parametrize("key", ["challenge", "response", "opaque"])
@pytest.mark.parametrize("value", ["", "x", "\0", "\u00fc" * 40, "x" * 3000, "=" * 40])
def test_whatever_an_answer_says(door: Door, key: str, value: str) -> None:
    said = door.challenge(Encoder())
    head, mark, rest = said.partition(f"&{key}=")
    assert mark
    broken = f"{head}{mark}{value}{rest[rest.find('&') :] if '&' in rest else ''}"
    assert door.says(f"live{broken}").startswith(FAILED.format("adobe"))


def test_an_answer_without_what_we_call_opaque(door: Door) -> None:
    """Then the challenge would be hashed, which is only a part of it."""
    said = door.challenge(Encoder())
    assert "reason=authfailed" in door.says("live" + said.partition("&opaque=")[0])


@pytest.mark.parametrize("name", ["", "a" * 65, "a\0b", "al\tice", "\u00fc" * 33])
def test_nobody_can_be_called_that(door: Door, name: str) -> None:
    """And it is not repeated."""
    for more in ("", "&response=x&opaque=y&challenge=z"):
        refused = door.refusal(f"live?authmod=adobe&user={name}{more}")
        assert refused.status.description == f"{FAILED.format('adobe')}&opaque="
        assert refused.reason == "login failed: no user can be called that"


def salt(door: Door, name: str) -> str:
    """What somebody is challenged with."""
    return door.says(f"live?authmod=adobe&user={name}").partition("&salt=")[2].partition("&")[0]


def test_salts_do_not_tell_in_which_application_somebody_is_known(
    people: Checker, tmp_path: Path
) -> None:
    """Who is in one file only has two salts, and so has whoever is in none."""
    file = password_file(tmp_path / "others", user("carol"))
    others = Door(Checker("file", PasswordFile(file, Threads(), lambda: 0.0)))
    more = Door(people, MEMORY)
    for name in ("alice", "bob", "carol", "nobody"):
        assert salt(Door(people), name) == salt(more, name) != salt(others, name)


def test_nobody_can_be_called_as_guests_are() -> None:
    """They would be counted, banned and told in the log as nobody in particular."""
    door = Door(Checker("certificate", CertificateName()))
    refused = door.refusal(certificate=GUEST)
    assert refused.reason == f"login failed: {GUEST} is what guests are called"


def test_unknown_users_are_challenged_as_known_ones(people: Checker) -> None:
    door = Door(people)
    assert salt(door, "alice") == SALT
    assert salt(door, "bob") == salt(door, "bob") != salt(door, "nobody") == salt(door, "nobody")
    found = {len(salt(door, name)) for name in ("alice", "bob", "nobody")}
    assert found == {len(adobe_salt(bytes(12)))}
    answers = [
        door.says("live" + door.challenge(Encoder(name, b"Geheim")))
        for name in ("alice", "bob", "nobody")
    ]
    assert {answer.partition("opaque=")[0] for answer in answers} == {f"{FAILED.format('adobe')}&"}


def test_an_answer_nobody_asked_for_is_none(tmp_path: Path) -> None:
    """Where no checker knows passwords, `authmod=` is a part of the query like others."""
    door = Door(Checker("token", TokenFile(_tokens(tmp_path))), publish=OPEN)
    assert door.user("live?authmod=adobe&user=alice") == ""
    assert Door(publish=OPEN).user("live?authmod=other&user=alice") == ""


def test_more_logins_than_can_be_remembered(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(challenges_module, "SPENT", 1)
    assert door.user("live" + door.challenge(Encoder())) == "alice"
    refused = door.refusal("live" + door.challenge(Encoder()))
    assert refused.status.description == "Logins cannot be checked at present. Try again later."
    assert refused.reason == "1 challenges were answered within 60 s"


def test_one_answer_on_two_connections(people: Checker) -> None:
    """Both are looked at before either is let in."""

    class Slow:
        credentialInterfaces = MEMORY.checker.credentialInterfaces

        def __init__(self) -> None:
            self.waiting: list[Deferred[bytes]] = []

        def requestAvatarId(self, credentials: object) -> Deferred[bytes]:
            self.waiting.append(Deferred())
            return self.waiting[-1]

    slow = Slow()
    door = Door(Checker("slow", slow))
    said = door.challenge(Encoder())
    first, second = door.asks(f"live{said}"), door.asks(f"live{said}")
    for waiting in slow.waiting:
        waiting.callback(b"alice")
    assert result_of(first).name == "alice"
    error = failure_of(second)
    assert isinstance(error, Refused)
    assert error.reason == "login failed: a challenge was answered twice"


# --------------------------------------------------------------------------- plain words


def _tokens(folder: Path) -> SecretFile[Mapping[str, str]]:
    path = folder / "tokens"
    path.write_text(f"alice sha256:{hash_of('t0ken')}\n")
    path.chmod(0o600)
    return SecretFile(path, read_tokens)


@pytest.mark.parametrize("way", [LOGIN, OPEN])
def test_what_is_shown_counts_even_where_anyone_may_come(
    people: Checker, tmp_path: Path, way: Way
) -> None:
    tokens = Checker("token", TokenFile(_tokens(tmp_path)))
    door = Door(people, tokens, Checker("certificate", CertificateName()), publish=way, play=way)
    assert door.user("live?user=alice&password=geheim") == "alice"
    assert door.user(url="rtmp://bob:geheim@example.org/live") == "bob"
    assert door.user("live", "alice", "geheim") == "alice"
    assert door.user("live?token=t0ken") == "alice"
    assert door.user(certificate="dora") == "dora"
    assert door.user("live?token=t0ken", certificate="dora") == "alice"
    for app in (
        "live?user=alice&password=Geheim",
        "live?user=nobody&password=geheim",
        "live?user=alice&password=",
        f"live?user={'a' * 100}&password=geheim",
        "live?user=alice&password=Geheim&token=t0ken",
        "live?token=Token",
        f"live?token={'t' * 1000}",
    ):
        assert door.says(app) == "The login is wrong."
    assert door.says(certificate="x" * 100) == "The login is wrong."
    assert door.says("live", "alice", "Geheim") == "The login is wrong."


def test_what_nobody_can_check_was_not_meant_for_us(tmp_path: Path) -> None:
    """A stream key may be called `token` too."""
    door = Door(Checker("token", TokenFile(_tokens(tmp_path))), publish=OPEN)
    assert door.user("live?user=alice&password=Geheim") == ""
    assert Door(publish=OPEN).user("live?token=Token") == ""


# ----------------------------------------------------------------------------- several


class Broken:
    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def requestAvatarId(self, credentials: object) -> Deferred[bytes]:
        return fail(self.error)


class Absurd(Broken):
    def __init__(self, avatar: object) -> None:
        self.avatar = avatar

    def requestAvatarId(self, credentials: object) -> Any:
        return self.avatar


def test_the_first_that_accepts_knows(people: Checker) -> None:
    door = Door(people, MEMORY)
    assert door.user("live?user=bob&password=geheim") == "bob"
    assert door.user("live?user=carol&password=s3cret") == "carol"
    refused = door.refusal("live?user=carol&password=geheim")
    assert refused.reason == "login failed: no such user, wrong for memory"
    assert door.user("live" + door.challenge(Encoder())) == "alice"
    carol = Encoder("carol", b"s3cret")
    assert door.user("live" + door.challenge(carol)) == "carol"


def test_a_login_holds_as_long_as_one_of_the_checkers_keeps_it(people: Checker) -> None:
    """Cred's say a name only: theirs holds as long as they are asked."""
    both = Door(people, MEMORY)
    filed = result_of(both.asks("live?user=bob&password=geheim"))
    plain = result_of(both.asks("live?user=carol&password=s3cret"))
    for identity, door, words in (
        (filed, both, ""),
        (plain, both, ""),
        (filed, Door(people), ""),
        (plain, Door(people), WITHDRAWN),
        (filed, Door(MEMORY), WITHDRAWN),
    ):
        assert door.logins.objection(identity) == words


def test_who_cannot_be_checked_is_not_let_in_nor_slowed_down() -> None:
    door = Door(Checker("http", Broken(Undecided("it is away"))), publish=OPEN)
    for _ in range(20):
        refused = door.refusal("live?user=alice&password=geheim")
        assert refused.status.description == "Logins cannot be checked at present. Try again later."
        assert refused.reason == "it is away"
    assert door.clock.calls == []


def test_another_may_know_when_one_fails(logs: Logs) -> None:
    door = Door(Checker("http", Broken(ZeroDivisionError())), MEMORY)
    assert door.user("live?user=alice&password=geheim") == "alice"
    refused = door.refusal("live?user=alice&password=Geheim")
    assert refused.reason == "http failed"
    assert [type(error) for error in logs.forgive()] == [ZeroDivisionError] * 2
    assert logs.lines("critical")[0] == "a login could not be checked by http"


@pytest.mark.parametrize("avatar", [(), None, "", b"", b"\xff", "a\nb", "a" * 257, 7])
def test_checkers_that_say_nothing(logs: Logs, avatar: object) -> None:
    door = Door(Checker("absurd", Absurd(avatar)))
    assert door.refusal("live?user=alice&password=geheim").reason == "absurd failed"
    assert len(logs.forgive()) == 1


def test_who_leaves_is_forgotten(logs: Logs) -> None:
    waiting: Deferred[bytes] = Deferred()
    asking = Door(Checker("slow", Absurd(waiting))).asks("live?user=a&password=b")
    asking.cancel()
    assert isinstance(failure_of(asking), CancelledError)


def test_plugins() -> None:
    assert from_plugin("anonymous", "").kind == "anonymous"
    with pytest.raises(BadChecker) as caught:
        from_plugin("memory", "geheim")
    assert "geheim" not in f"{caught.value} {caught.value.__cause__}"


def test_checkers_that_do_not_wait() -> None:
    assert Door(Checker("quick", Absurd("dora"))).user("live?user=a&password=b") == "dora"


# --------------------------------------------------------------------------- slowed down


def test_who_fails_again_and_again_waits(door: Door) -> None:
    for _ in range(20):
        door.brake.failed("192.0.2.1")
    held = [door.asks("live?user=alice&password=geheim") for _ in range(8)]
    assert not any(each.called for each in held)
    refused = door.refusal("live?user=alice&password=geheim")
    assert refused.status.description == (
        "Too many logins from your address were wrong. Try again in a minute."
    )
    assert door.user("live?user=alice&password=geheim", address="192.0.2.2") == "alice"
    door.clock.advance(8)
    assert [result_of(each).name for each in held] == ["alice"] * 8


@pytest.mark.parametrize(
    "app",
    [
        "live?user=alice&password=falsch",
        "live?user=alice&password=",
        f"live?user=alice&password={'x' * 1000}",
        "live?authmod=adobe&user=alice&response=x",
        "live?authmod=llnw&user=alice&nonce=x&response=x",
        "live?authmod=adobe&user=",
        "live?authmod=adobe&user=&response=x",
    ],
)
def test_whatever_is_wrong_is_slowed_down(door: Door, app: str) -> None:
    """Or it would be a way to keep the server busy."""
    for _ in range(20):
        door.brake.failed("192.0.2.1")
    held = [door.asks(app) for _ in range(8)]
    assert not any(each.called for each in held)
    assert door.says(app).startswith("Too many logins")
    door.clock.advance(8)
    for each in held:
        assert isinstance(failure_of(each), Refused)


def test_wrong_answers_count_as_well(door: Door) -> None:
    for _ in range(6):
        door.says("live" + door.challenge(Encoder(password=b"Geheim")))
    assert not door.asks("live" + door.challenge(Encoder())).called


# ---------------------------------------------------------------------------- anything


KEYS = sampled_from(
    ["authmod", "user", "password", "token", "response", "challenge", "opaque", "nonce", "nc"]
)


@given(query=dictionaries(KEYS, text() | sampled_from(["adobe", "llnw", "alice"])))
def test_anything_may_come(query: dict[str, str]) -> None:
    door = Door()
    visitor = Visitor("192.0.2.1", LIVE, query, {"app": "live"})
    asking = Deferred.fromCoroutine(door.logins.user(visitor))
    error = failure_of(asking)
    assert isinstance(error, Refused)
    assert len(error.status.description.encode()) <= 255
    assert error.status.description.isprintable()


def test_no_secret_is_told(people: Checker, logs: Logs) -> None:
    door = Door(people, MEMORY)
    refusals = [
        door.refusal("live?user=alice&password=s3cr3t"),
        door.refusal(url="rtmp://s3cr3t:s3cr3t@example.org/live"),
        door.refusal("live", "s3cr3t", "s3cr3t"),
        door.refusal("live?authmod=adobe&user=alice&response=s3cr3t&challenge=s3cr3t"),
        door.refusal("live?authmod=llnw&user=s3cr3t&response=s3cr3t&nonce=s3cr3t"),
    ]
    for refused in refusals:
        told = f"{refused} {refused.reason} {refused.status!r} {refused.__cause__}"
        assert "s3cr3t" not in told
    assert not any("s3cr3t" in line for line in logs.about(""))
