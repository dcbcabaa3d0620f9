"""Challenges that carry themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import integers, text

from rtmptwist.auth import challenges
from rtmptwist.auth.challenges import LENGTH, Challenges, kept_secret
from rtmptwist.auth.errors import Busy
from rtmptwist.auth.files import BadFile


class Time:
    def __init__(self) -> None:
        self.now = 1_800_000_000.5

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def own(time: Time) -> Challenges:
    return Challenges(b"secret", time)


def test_a_challenge_is_for_whom_it_was_made(own: Challenges) -> None:
    challenge = own.new("adobe", "live", "alice")
    assert own.fresh(challenge, "adobe", "live", "alice")
    assert not own.fresh(challenge, "llnw", "live", "alice")
    assert not own.fresh(challenge, "adobe", "live", "bob")
    assert not own.fresh(challenge, "adobe", "livealice", "")
    assert not own.fresh(challenge, "adobe", "live")


def test_no_two_are_the_same(own: Challenges) -> None:
    made = {own.new("alice") for _ in range(100)}
    assert len(made) == 100
    assert {len(challenge) for challenge in made} == {LENGTH}


def test_every_process_with_the_secret_knows_it(own: Challenges, time: Time) -> None:
    challenge = own.new("alice")
    assert Challenges(b"secret", time).fresh(challenge, "alice")
    assert not Challenges(b"another", time).fresh(challenge, "alice")


@pytest.mark.parametrize(("age", "fresh"), [(0, True), (60, True), (61, False), (-1, False)])
def test_it_expires_to_the_second(own: Challenges, time: Time, age: int, fresh: bool) -> None:
    challenge = own.new("alice")
    time.now += age
    assert own.fresh(challenge, "alice") is fresh


def test_it_is_answered_once(own: Challenges, time: Time) -> None:
    challenge, other = own.new("alice"), own.new("alice")
    own.spend(challenge)
    assert not own.fresh(challenge, "alice")
    assert own.fresh(other, "alice")
    time.now += 60
    own.spend(other)
    assert not own.fresh(challenge, "alice")
    assert not own.fresh(other, "alice")


def test_what_has_expired_is_forgotten(own: Challenges, time: Time) -> None:
    own.spend(own.new("alice"))
    time.now += 61
    own.spend(own.new("alice"))
    assert len(own._spent) == 1


def test_its_memory_is_bounded(
    own: Challenges, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is full, nobody is let in twice, and nobody who came before is forgotten."""
    monkeypatch.setattr(challenges, "SPENT", 2)
    first = own.new("alice")
    own.spend(first)
    own.spend(own.new("alice"))
    with pytest.raises(Busy):
        own.spend(own.new("alice"))
    assert not own.fresh(first, "alice")


@given(place=integers(0, LENGTH - 1), letter=text(min_size=1, max_size=2))
def test_whoever_changes_a_letter_has_another(place: int, letter: str) -> None:
    own = Challenges(b"secret", lambda: 1000.0, lambda size: b"\x5a" * size)
    challenge = own.new("alice")
    changed = challenge[:place] + letter + challenge[place + 1 :]
    assert own.fresh(changed, "alice") is (changed == challenge)


@given(text())
def test_anything_may_come(challenge: str) -> None:
    assert not Challenges(b"secret", lambda: 1000.0).fresh(challenge, "alice")


def test_one_spelling_only(own: Challenges) -> None:
    """Base64 that is not strict would make one answer into many."""
    challenge = own.new("alice")
    for other in (f"{challenge}=", f"{challenge[:-2]}\n{challenge[-2:]}", f"-{challenge[1:]}\n"):
        assert not own.fresh(other, "alice")
    assert not own.fresh("!" * LENGTH, "alice")


def test_what_is_stable_tells_nothing(own: Challenges, time: Time) -> None:
    assert own.stable("salt", "alice") == own.stable("salt", "alice")
    assert own.stable("salt", "alice") != own.stable("salt", "bob")
    assert own.stable("salt", "alice") != Challenges(b"another", time).stable("salt", "alice")
    assert len(own.stable("salt", "alice")) == 12


# --------------------------------------------------------------------- the secret


def test_the_secret_is_made_once_for_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "state"
    secret = kept_secret(folder)
    assert len(secret) == 32
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert kept_secret(folder) == secret


@pytest.mark.parametrize("text", ["", "geheim", "0" * 63, "0" * 64 + "\n"])
def test_a_secret_that_is_none_is_made_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "challenges.secret").write_text(text)
    secret = kept_secret(tmp_path)
    assert (tmp_path / "challenges.secret").read_text() == secret.hex()


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    with pytest.raises(BadFile, match="var: File exists"):
        kept_secret(tmp_path / "var")
    with pytest.raises(BadFile, match="var/state: Not a directory"):
        kept_secret(tmp_path / "var" / "state")
