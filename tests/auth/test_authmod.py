"""Adobe's and Limelight's challenges, against what real clients answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import binary, dictionaries, text

from rtmptwist.auth.authmod import SCHEMES, Adobe, Llnw, Scheme, app_itself
from rtmptwist.auth.challenges import LENGTH
from rtmptwist.auth.passwords import USER_LENGTH, adobe_verifier, llnw_verifier
from rtmptwist.live.names import parse_connect

VECTORS = Path(__file__).parents[1] / "vectors" / "auth"
EXCHANGES = sorted(path for path in VECTORS.glob("*.json") if path.stem != "units")
UNITS = json.loads((VECTORS / "units.json").read_text())
PASSWORD = b"s3cret-pass"


def query_of(step: dict[str, Any]) -> dict[str, str]:
    return dict(parse_connect(step["app"], step["tcUrl"]).query)


@pytest.fixture(params=EXCHANGES, ids=[path.stem for path in EXCHANGES])
def recorded(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request.param.read_text())
    return found


def test_the_texts_are_those_that_clients_understood(recorded: dict[str, Any]) -> None:
    for step in recorded["exchange"]:
        said = step.get("description")
        if said is None:
            continue
        query = query_of(step)
        scheme = SCHEMES["adobe" if "authmod=adobe" in said else "llnw"]
        if "need auth" in said:
            assert scheme.need() == said
        elif "reason=needauth" in said:
            challenge = recorded["opaque"] or recorded["nonce"]
            asked = scheme.ask(query["user"], recorded["salt"], challenge)
            # that server's challenge had eight letters and two signs more
            assert asked.replace("&challenge=aGVsbG8x&", "&challenge=aGVsbG8xMg==&") == said
        else:
            assert scheme.failed(query) == said.replace(recorded["opaque"] or "-", "")


def test_the_answers_fit_the_password_that_was_typed(recorded: dict[str, Any]) -> None:
    for step in recorded["exchange"]:
        if "expected_response" not in step:
            continue
        query = query_of(step)
        scheme = SCHEMES[query["authmod"]]
        answer = scheme.answer(query, recorded["salt"] or "", step["app"])
        assert answer.username == b"alice"
        assert answer.challenge == (recorded["opaque"] or recorded["nonce"])
        assert answer.checkPassword(PASSWORD) is step["ok"]
        assert answer.checkPassword(PASSWORD.decode()) is step["ok"]
        assert not answer.checkPassword(b"another")
        verifier = (
            adobe_verifier(b"alice", recorded["salt"].encode(), PASSWORD)
            if isinstance(scheme, Adobe)
            else llnw_verifier(b"alice", PASSWORD)
        )
        assert answer.fits(verifier) is step["ok"]


@pytest.mark.parametrize("unit", [unit for unit in UNITS["adobe"] if unit["opaque"]])
def test_computed_adobe_answers(unit: dict[str, str]) -> None:
    query = {
        "user": unit["user"],
        "challenge": unit["client_challenge"],
        "response": unit["response"],
        "opaque": unit["opaque"],
    }
    assert Adobe().answer(query, unit["salt"], "live").checkPassword(unit["password"])


@pytest.mark.parametrize("unit", UNITS["llnw"])
def test_computed_llnw_answers(unit: dict[str, str]) -> None:
    query = {key: unit[key] for key in ("user", "nonce", "cnonce", "nc", "response")}
    assert Llnw().answer(query, "", unit["app"]).checkPassword(unit["password"])


def test_an_app_with_a_query_of_its_own() -> None:
    """FFmpeg hashes it all, librtmp the name alone."""
    query = {"user": "alice", "nonce": "n", "cnonce": "c", "nc": "1", "response": ""}
    responses = {
        Llnw().answer(query, "", app)._response(b"verifier", hashed)
        for app in ("live?k=v?authmod=llnw&user=alice", "live?k=v&authmod=llnw&user=alice")
        for hashed in ("live?k=v", "live")
    }
    assert len(responses) == 2
    for response in responses:
        said = {**query, "response": response.decode()}
        assert Llnw().answer(said, "", "live?k=v?authmod=llnw&user=alice").fits(b"verifier")
        assert not Llnw().answer(said, "", "other?k=w?authmod=llnw").fits(b"verifier")


@pytest.mark.parametrize(
    ("app", "plain"),
    [
        ("live", "live"),
        ("live/inst?authmod=adobe&user=a", "live/inst"),
        ("live?k=v?authmod=adobe", "live?k=v"),
        ("live?k=v&authmod=adobe", "live?k=v"),
        ("", ""),
    ],
)
def test_the_app_itself(app: str, plain: str) -> None:
    assert app_itself(app) == plain


def test_no_text_is_longer_than_ffmpeg_reads() -> None:
    user, challenge = "u" * USER_LENGTH, "c" * LENGTH
    for scheme in SCHEMES.values():
        assert len(scheme.ask(user, "s" * 32, challenge)) <= 255
        assert len(scheme.failed({"opaque": challenge})) <= 255


def test_what_a_stranger_says_is_not_repeated() -> None:
    for opaque in ("x", "c" * (LENGTH + 1), "\0" * LENGTH, "]" * LENGTH, "ü" * LENGTH):
        assert Adobe().failed({"opaque": opaque}).endswith("&opaque=")
    ours = "c" * LENGTH
    assert Adobe().failed({"opaque": ours}).endswith(f"&opaque={ours}")


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@given(said=dictionaries(text(), text()), app=text(), verifier=binary())
def test_anything_may_come(scheme: Scheme, said: dict[str, str], app: str, verifier: bytes) -> None:
    assert not scheme.answer(said, "salt", app).fits(verifier)


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_nothing_secret_shows(scheme: Scheme) -> None:
    keys = ("opaque", "challenge", "response", "nonce", "cnonce", "nc")
    said = {key: f"geheim-{key}" for key in keys}
    assert "geheim" not in repr(scheme.answer({"user": "alice", **said}, "geheim", "live"))
