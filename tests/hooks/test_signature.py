from __future__ import annotations

import base64
from pathlib import Path

import pytest

from rtmptwist.auth.files import BadFile
from rtmptwist.hooks.signature import BadSecret, headers, read_secret, secret_file

pytestmark = pytest.mark.usefixtures("logs")


def test_the_example_of_the_specification() -> None:
    """https://github.com/standard-webhooks/standard-webhooks, "Signature scheme"."""
    secret = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    assert headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_secrets() -> None:
    plain = "0123456789abcdef"
    assert read_secret(f"{plain}\n") == plain.encode()
    assert read_secret("whsec_" + base64.b64encode(bytes(range(16))).decode()) == bytes(range(16))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "0 bytes are too short"),
        ("geheimnis", "9 bytes are too short .*openssl"),
        ("whsec_Z2VoZWltbmlz", "9 bytes are too short"),
        ("whsec_geheimnis!", "no base64"),
        ("geheimnisgeheimnis\ngeheimnis", "one line"),
    ],
)
def test_what_is_no_secret(text: str, why: str) -> None:
    with pytest.raises(BadSecret, match=why) as caught:
        read_secret(text)
    assert "geheimnis" not in str(caught.value)


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "hook.secret"
    path.write_text("0123456789abcdef\n")
    path.chmod(0o600)
    file = secret_file(path)
    assert file.value == b"0123456789abcdef"
    path.write_text("another secret of mine")
    assert file.look() is None
    assert file.look() == b"another secret of mine"


def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "hook.secret"
    with pytest.raises(BadFile, match="No such file"):
        secret_file(path)
    path.write_text("geheimnis")
    with pytest.raises(BadFile, match=r"hook\.secret: 9 bytes are too short"):
        secret_file(path)
