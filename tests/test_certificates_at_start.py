"""What is said of certificates before a server starts, by `--check` and by the start itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtmptwist.config.load import load
from rtmptwist.plan import SiteError, check
from tests.support.logs import Logs
from tests.support.pki import Signed
from tests.support.tls import CA, issue

pytestmark = pytest.mark.usefixtures("logs")

CONFIG = """\
[listener secure]
endpoint = tcp:0
serve = rtmps
{keys}
[app live]
"""


def checked(folder: Path, **keys: object) -> None:
    """Check a configuration whose listener has these keys."""
    path = folder / "site.ini"
    lines = "\n".join(f"{key} = {value}" for key, value in keys.items())
    path.write_text(CONFIG.format(keys=lines))
    check(load(path))


def refusal(folder: Path, **keys: object) -> str:
    """What is wrong with it."""
    with pytest.raises(SiteError) as caught:
        checked(folder, **keys)
    place, _, words = str(caught.value).replace(f"{folder}/", "").partition(": ")
    key = words.partition("] ")[2].partition(":")[0]
    assert place == f"site.ini:{4 + list(keys).index(key)}"
    return words


def written(folder: Path, name: str, signed: Signed, *parts: bytes) -> Path:
    return signed.write(folder / name, *(parts or (signed.key_pem(), signed.pem, CA.pem))).path


def test_a_key_of_its_own(tmp_path: Path) -> None:
    signed = issue("a.example")
    written(tmp_path, "fullchain.pem", signed, signed.pem, CA.pem)
    written(tmp_path, "privkey.pem", signed, signed.key_pem())
    checked(tmp_path, certificate="fullchain.pem", key="privkey.pem")
    assert refusal(tmp_path, certificate="fullchain.pem") == (
        "[listener secure] certificate: fullchain.pem: no key in it (-----BEGIN PRIVATE KEY-----);"
        " put it there, beside the certificate and its chain, or name its file (key = FILE)"
    )
    assert refusal(tmp_path, certificate="fullchain.pem", key="nowhere.pem") == (
        "[listener secure] key: nowhere.pem: No such file or directory"
    )


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    signed, other = issue("a.example", common_name="a.example"), issue("b.example")
    written(tmp_path, "cert.pem", signed, signed.pem, CA.pem)
    written(tmp_path, "key.pem", other, other.key_pem())
    assert refusal(tmp_path, certificate="cert.pem", key="key.pem") == (
        "[listener secure] key: key.pem: the key belongs to none of the certificates in cert.pem"
        " (the first is for CN=a.example)"
    )


def test_a_folder_knows_its_keys(tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    written(folder, "a.pem", issue("a.example"))
    checked(tmp_path, certificate="certificates")
    words = refusal(tmp_path, certificate="certificates", key="key.pem")
    assert words.startswith(
        "[listener secure] key: means nothing beside the folder certificates: the key of its"
    )


def test_an_expired_certificate(tmp_path: Path) -> None:
    written(tmp_path, "late.pem", issue("a.example", begin=-9, days=-1))
    assert refusal(tmp_path, certificate="late.pem").startswith(
        "[listener secure] certificate: late.pem: expired on 20"
    )


def test_one_that_expires_soon_and_one_without_its_chain(tmp_path: Path, logs: Logs) -> None:
    signed = issue("a.example", days=20.1)
    path = written(tmp_path, "soon.pem", signed, signed.key_pem(), signed.pem)
    checked(tmp_path, certificate="soon.pem")
    first, second = logs.lines("warn")
    assert first.startswith(f"{path}: without its issuer, CN=Test CA: clients that do not know")
    assert second == f"certificate {path} expires in 20 days"


def test_an_authority_that_is_none(tmp_path: Path) -> None:
    written(tmp_path, "cert.pem", issue("a.example"))
    (tmp_path / "ca.pem").write_text("nonsense")
    for certificate in ("cert.pem", "auto"):
        words = refusal(tmp_path, certificate=certificate, client_ca="ca.pem")
        assert words == (
            "[listener secure] client_ca: ca.pem: no certificate in it"
            " (-----BEGIN CERTIFICATE-----)"
        )
    assert not (tmp_path / "var").exists()
