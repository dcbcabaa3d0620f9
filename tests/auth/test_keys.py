"""Who sends a stream key, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given
from twisted.internet.task import Clock

from rtmptwist.auth.brake import FREE, Brake
from rtmptwist.auth.files import SecretFile
from rtmptwist.auth.keyfile import StreamKey, hash_of, new_key, read_keys
from rtmptwist.auth.keys import UNKNOWN, NoKeys, StreamKeys
from rtmptwist.auth.options import read_time
from rtmptwist.live.access import Action, Terms
from rtmptwist.live.errors import Refused
from rtmptwist.wire.status import StatusCode
from tests.auth.asking import asked, granted, refusal, unknown
from tests.support.memory import failure_of, result_of

pytestmark = pytest.mark.usefixtures("logs")

NOW = read_time("2026-06-01")


class House:
    """A table of keys, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys"
        self.path.write_text("")
        self.path.chmod(0o600)
        self.file = SecretFile(self.path, read_keys)
        self.now = NOW
        self.clock = Clock()
        self.brake = Brake(self.clock)
        self.proof = StreamKeys(self.file, lambda: self.now, self.brake)

    def key(self, name: str = "show", **limits: object) -> str:
        """A new key for a name."""
        secret = new_key()
        key = replace(StreamKey(name, hash_of(secret)), **limits)  # type: ignore[arg-type]
        self.file.take({**self.file.value, key.hash: key})
        return secret

    def change(self, secret: str, **limits: object) -> None:
        """What the file says of a key is another thing now."""
        key = replace(self.file.value[hash_of(secret)], **limits)  # type: ignore[arg-type]
        self.file.take({**self.file.value, key.hash: key})

    def revoke(self, secret: str) -> None:
        left = {h: key for h, key in self.file.value.items() if h != hash_of(secret)}
        self.file.take(left)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_key_stands_for_its_name(house: House) -> None:
    terms = Terms(bitrate=6_000_000, codecs=frozenset({"avc1"}), width=1920, height=1080)
    secret = house.key(terms=terms)
    grant = granted(house.proof, secret)
    assert (grant.path, grant.terms) == ("show", terms)
    assert grant.account == f"key {hash_of(secret)[:8]}"
    assert grant.objection() == ""
    assert secret not in repr(grant) + grant.account + str(grant.identity)


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("live", "{key}"),
        ("live/room", "{key}"),
        ("live", "room/{key}"),
        ("live", "mp4:{key}"),
        ("live", "{key}.flv"),
        ("live/", "/{key}?other=1"),
        ("live", "room/cam 1?key={key}"),
        ("live", "room/cam%201.flv?key={key}"),
        ("live/room?key={key}", "cam 1"),
        ("live?key=key_old", "room/cam 1?key={key}"),
        ("live?key=key_old", "{key}"),
    ],
)
def test_wherever_a_client_puts_it(house: House, app: str, said: str) -> None:
    secret = house.key("room/cam 1")
    grant = granted(house.proof, said.format(key=secret), app=app.format(key=secret))
    assert grant.path == "room/cam 1"


@pytest.mark.parametrize("said", ["other?key={key}", "other/{key}", "room/cam1/{key}"])
def test_a_key_is_for_one_name_only(house: House, said: str) -> None:
    secret = house.key("room/cam1")
    code, words = refusal(house.proof, said.format(key=secret))
    assert code is StatusCode.PUBLISH_DENIED
    assert words == "This stream key is for room/cam1, not for this name."


def test_the_public_name_is_no_key(house: House) -> None:
    house.key()
    assert unknown(house.proof, "show")
    assert unknown(house.proof, "show?keys=x")


@pytest.mark.parametrize(
    "said",
    [
        "key_",
        "key_abc",
        "key_" + "a" * 26,
        "key_" + "a" * 190,
        "key_größe",
        "key_abc/show",
        "{key}/show",
        "show?key=",
        "show?key",
        "show?key=%00",
        "show?key=show",
        "show?key=" + "x" * 4000,
        "show?key=\ud800",
        "show?key=%ff",
        "show?key=key_geheim&key={key}",
    ],
)
def test_keys_that_are_not_known(house: House, said: str) -> None:
    secret = house.key()
    code, words = refusal(house.proof, said.format(key=secret))
    assert (code, words) == (StatusCode.PUBLISH_DENIED, UNKNOWN)


@given(name=st.text(st.characters(exclude_characters="?&/\\"), min_size=1, max_size=40))
def test_nobody_publishes_without_a_key(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    house = House(tmp_path_factory.mktemp("keys"))
    house.key()
    for said in (f"show?key={name}", f"{new_key()}?key={name}"):
        assert refusal(house.proof, said)[1] == UNKNOWN


def test_a_key_almost_right(house: House) -> None:
    secret = house.key()
    for wrong in (secret[:-1], secret + "a", secret.upper(), secret[:-1] + "1", hash_of(secret)):
        assert refusal(house.proof, f"show?key={wrong}")[1] == UNKNOWN


def test_who_guesses_has_to_wait_and_others_have_not(house: House) -> None:
    secret = house.key()
    for _ in range(FREE):
        refusal(house.proof, "key_wrong")
    waiting = asked(house.proof, "key_wrong")
    assert not waiting.called
    assert granted(house.proof, secret)
    assert refusal(house.proof, "key_wrong", address="192.0.2.2")
    house.clock.advance(10)
    assert isinstance(failure_of(waiting), Refused)


def test_who_knows_a_key_is_not_guessing(house: House) -> None:
    """An encoder tries again and again by itself."""
    old = house.key(expires=NOW)
    for _ in range(FREE + 1):
        refusal(house.proof, old)
        refusal(house.proof, f"other?key={old}")
        assert unknown(house.proof, "show")


def test_several_keys_of_one_name_are_one_publisher(house: House) -> None:
    """A new key replaces the old one while it is on air."""
    old, new, other = house.key(), house.key(), house.key("other")
    first, second = granted(house.proof, old), granted(house.proof, new, address="192.0.2.2")
    assert first.identity == second.identity
    assert first.account != second.account
    assert granted(house.proof, other).identity != first.identity
    house.revoke(old)
    assert first.objection() == "This stream key was revoked: ask for a new one."
    assert second.objection() == ""
    assert refusal(house.proof, old)[1] == UNKNOWN


def test_a_key_that_is_given_to_another_name(house: House) -> None:
    secret = house.key()
    grant = granted(house.proof, secret)
    house.change(secret, name="other")
    assert grant.objection() == "This stream key was revoked: ask for a new one."


def test_another_table_takes_the_place_of_one(house: House, tmp_path: Path) -> None:
    """However often: who came by the first is judged by the last."""
    kept, gone = house.key(), house.key()
    first, second = granted(house.proof, kept), granted(house.proof, gone)
    proof = house.proof
    for turn in range(3):
        path = tmp_path / f"keys{turn}"
        path.write_text(f"{house.file.value[hash_of(kept)].line()}\n" if turn < 2 else "")
        path.chmod(0o600)
        successor = StreamKeys(SecretFile(path, read_keys), lambda: house.now, house.brake)
        successor.succeed(proof)
        proof = successor
        assert second.objection() == "This stream key was revoked: ask for a new one."
        assert bool(first.objection()) is (turn == 2)
    assert refusal(proof, kept)[1] == UNKNOWN


def test_a_key_expires_while_it_is_used(house: House) -> None:
    secret = house.key(expires=NOW + 10)
    grant = granted(house.proof, secret)
    house.now += 9.9
    assert grant.objection() == ""
    house.now += 0.1
    words = "This stream key expired at 2026-06-01T00:00:10Z: ask for a new one."
    assert grant.objection() == words
    assert refusal(house.proof, secret)[1] == words
    house.change(secret, expires=NOW + 20)
    assert grant.objection() == ""
    assert granted(house.proof, secret)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("192.0.2.1", True), ("192.0.3.1", False), ("2001:db8::1", True), ("unix", False)],
)
def test_a_key_is_bound_to_networks(house: House, address: str, allowed: bool) -> None:
    secret = house.key(networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")))
    if allowed:
        grant = granted(house.proof, secret, address=address)
        house.change(secret, networks=(ip_network("198.51.100.0/24"),))
        assert grant.objection() == f"This stream key may not be used from {address}."
    else:
        words = refusal(house.proof, secret, address=address)[1]
        assert words == f"This stream key may not be used from {address}."


def test_a_local_socket_is_this_machine(house: House) -> None:
    assert granted(house.proof, house.key(networks=(ip_network("127.0.0.1"),)), address="unix")


def test_a_long_name_leaves_room_for_the_rest_of_the_sentence(house: House) -> None:
    secret = house.key("/".join(["x" * 100] * 4))
    assert refusal(house.proof, f"other?key={secret}")


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("said", ["key_abc", "room/key_abc", "mp4:key_abc.mp4", "key_abc/show"])
def test_a_key_is_no_name(action: Action, said: str) -> None:
    """Or it would be shown to everybody who may see what is on air."""
    words = refusal(NoKeys(), said, action)[1]
    assert words.startswith("This is a stream key, which is secret")
    assert "abc" not in words


def test_names_are_no_keys() -> None:
    for said in ("show", "key", "key-1", "mykey_1", "key/show", "show?key=key_abc"):
        assert result_of(asked(NoKeys(), said, Action.PLAY)) is None
