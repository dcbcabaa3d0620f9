"""Passwords at rest, and the verifiers beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rtmptwist.auth.passwords import (
    BadHash,
    Cost,
    PasswordHash,
    adobe_salt,
    adobe_verifier,
    llnw_verifier,
    normal,
)

CHEAP = Cost(log_n=2)

UNITS = json.loads((Path(__file__).parents[1] / "vectors" / "auth" / "units.json").read_text())


def test_a_password_fits_its_hash_and_no_other() -> None:
    made = PasswordHash.of(b"geheim", CHEAP)
    assert made.matches(b"geheim")
    assert not made.matches(b"Geheim")
    assert not made.matches(b"")


def test_each_hash_has_its_own_salt() -> None:
    assert PasswordHash.of(b"geheim", CHEAP) != PasswordHash.of(b"geheim", CHEAP)


def test_a_hash_is_a_line_and_the_line_is_the_hash() -> None:
    made = PasswordHash.of(b"geheim", Cost(3, 4, 2))
    text = str(made)
    assert text.startswith("$scrypt$ln=3,r=4,p=2$")
    assert PasswordHash.parse(text) == made
    assert ":" not in text


def test_hashes_of_other_programs() -> None:
    """As passlib writes them (its documentation's own example)."""
    text = (
        "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E"
    )
    assert PasswordHash.parse(text).matches(b"password")
    assert str(PasswordHash.parse(text)) == text


SALT = "c2FsdHNhbHQ"
DIGEST = "A" * 43


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no scrypt hash"),
        ("geheim", "is no scrypt hash"),
        ("$2b$12$abcdefghijklmnopqrstuv", "is no scrypt hash"),
        (f"$scrypt$ln=15,r=8,p=1${SALT}${DIGEST}x", "is no scrypt hash"),
        (f"$scrypt$ln=15,r=8,p=1$${DIGEST}", "is no scrypt hash"),
        (f"$scrypt$ln=30,r=8,p=1${SALT}${DIGEST}", "takes more than 256 MB, or nothing"),
        (f"$scrypt$ln=18,r=8,p=1${SALT}${DIGEST}", "takes more than 256 MB, or nothing"),
        (f"$scrypt$ln=0,r=8,p=1${SALT}${DIGEST}", "takes more than 256 MB, or nothing"),
        (f"$scrypt$ln=15,r=0,p=1${SALT}${DIGEST}", "takes more than 256 MB, or nothing"),
        (f"$scrypt$ln=2,r=8,p=17${SALT}${DIGEST}", "takes more than 256 MB, or nothing"),
        (f"$scrypt$ln=2,r=8,p=1${SALT}AA${DIGEST}", "has a salt or hash that is no base64"),
    ],
)
def test_what_is_no_hash(text: str, why: str) -> None:
    with pytest.raises(BadHash) as caught:
        PasswordHash.parse(text)
    assert str(caught.value).startswith(why)
    assert "geheim" not in str(caught.value)


def test_nothing_secret_shows() -> None:
    made = PasswordHash.of(b"geheim", CHEAP)
    assert str(made).rpartition("$")[2] not in repr(made)


def test_the_same_letters_are_the_same_bytes() -> None:
    assert normal("u\u0308ber") == normal("\u00fcber") == "\u00fcber".encode()
    assert normal("\ud800")  # a lone surrogate is no reason to fail


@pytest.mark.parametrize("unit", UNITS["adobe"])
def test_adobe_verifiers(unit: dict[str, Any]) -> None:
    user, salt, password = (unit[key].encode() for key in ("user", "salt", "password"))
    assert adobe_verifier(user, salt, password) == unit["inner"].encode()


@pytest.mark.parametrize("unit", UNITS["llnw"])
def test_llnw_verifiers(unit: dict[str, Any]) -> None:
    assert llnw_verifier(unit["user"].encode(), unit["password"].encode()) == unit["ha1"].encode()


def test_salts_have_one_form() -> None:
    assert adobe_salt(bytes(range(12))) == "AAECAwQFBgcICQoL"
