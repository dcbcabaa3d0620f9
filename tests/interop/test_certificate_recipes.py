"""README's commands for certificates, with the real openssl, sh and FFmpeg."""

from __future__ import annotations

import grp
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.pki import Signed
from tests.support.programs import (
    AT_ONCE,
    PATIENCE,
    SAMPLES,
    Programs,
    ffmpeg9,
    program,
    publisher,
    serve,
)
from tests.support.secure import checking, s_client, serial, with_tls
from tests.support.tls import CA, ca_file, issue, put

pytestmark = pytest.mark.interop

README = (Path(__file__).parents[2] / "README.md").read_text()

SAMPLE = SAMPLES / "h264-base-aac-25.flv"

LISTENER = """
[listener main]
endpoint = tcp:0:interface=127.0.0.1
serve = rtmps
certificate = {certificate}
{more}
"""


def commands(beginning: str) -> list[str]:
    """Those of README that begin so."""
    found = re.findall(rf"^({beginning} .*)$", README, re.MULTILINE)
    assert found
    return found


class Lineage:
    """What certbot keeps of one certificate, and the hook that it calls after each renewal."""

    def __init__(self, folder: Path, hook: str) -> None:
        self._folder = folder
        self._hook = hook
        self._number = 0
        (folder / "archive").mkdir()
        (folder / "live").mkdir()

    def renew(self, signed: Signed) -> None:
        """As certbot does: new files, links turned to them, then the hook."""
        self._number += 1
        parts = {"fullchain": [signed.pem, CA.pem], "privkey": [signed.key_pem()]}
        for kind, data in parts.items():
            name = f"{kind}{self._number}.pem"
            signed.write(self._folder / "archive" / name, *data)
            link = self._folder / "live" / f"{kind}.pem"
            link.unlink(missing_ok=True)
            link.symlink_to(f"../archive/{name}")
        subprocess.run(
            ["sh", "-c", self._hook],
            env={**os.environ, "RENEWED_LINEAGE": str(self._folder / "live")},
            timeout=PATIENCE, check=True,
        )  # fmt: skip


def test_certbot_hands_its_renewals_over(started: Programs, tmp_path: Path) -> None:
    (command,) = commands("certbot certonly")
    words = shlex.split(command)
    hook = words[words.index("--deploy-hook") + 1]
    group = grp.getgrgid(os.getgid()).gr_name
    certificates = tmp_path / "certificates"
    for old, new in (
        ("-g rtmptwist", f"-g {group}"),
        ("/etc/rtmptwist/certificates", str(certificates)),
    ):
        assert old in hook
        hook = hook.replace(old, new)
    lineage = Lineage(tmp_path, hook)
    first, second = issue("live.example.org"), issue("live.example.org")
    lineage.renew(first)
    site = serve(started, AT_ONCE, LISTENER.format(certificate=certificates, more=""))
    assert s_client(site.ports["main"]).serial == serial(first)
    lineage.renew(second)
    site.wait_for("fullchain.pem for live.example.org", times=2)
    assert s_client(site.ports["main"]).serial == serial(second)
    assert "#warn" not in site.log()
    assert "#error" not in site.log()


def openssl(folder: Path, *commands: str) -> None:
    """Run them there."""
    for command in commands:
        words = [program("openssl"), *shlex.split(command)[1:]]
        subprocess.run(words, cwd=folder, capture_output=True, timeout=PATIENCE, check=True)


def test_an_authority_of_ones_own_and_a_camera_s_certificate(
    started: Programs, tmp_path: Path
) -> None:
    recipe = commands("openssl (?:req|x509 -req)")
    openssl(tmp_path, *recipe)
    listener = LISTENER.format(
        certificate=put(tmp_path, "site", issue("localhost", addresses=["127.0.0.1"])),
        more=f"client_ca = {tmp_path / 'ca.crt'}\nclient_certificate = required",
    )
    site = serve(started, AT_ONCE, listener)
    (tmp_path / "trusted").mkdir()
    trust = checking(ca_file(tmp_path / "trusted"))
    (shown,) = re.findall("(-cert_file .*) -f flv rtmps", README)
    mine = [str(tmp_path / word) if "." in word else word for word in shown.split()]
    url = site.url("live/x", "rtmps")
    sending = started.start(*with_tls(publisher(ffmpeg9(), SAMPLE, url), *trust, *mine))
    assert sending.wait() == 0, sending.words()
    site.wait_for(r"connected to live as \S+ \(.*, certificate of camera 7\)")
    # whoever has the camera's key cannot make more of it
    (ask,) = (line for line in recipe if "camera7.csr" in line and "req -new" in line)
    (sign,) = (line for line in recipe if "x509 -req" in line)
    openssl(
        tmp_path,
        ask.replace("camera 7", "boss").replace("camera7", "boss"),
        sign.replace("camera7", "boss").replace("ca.", "camera7."),
    )
    forged = ("-cert", "boss.crt", "-key", "boss.key", "-cert_chain", "camera7.crt")
    files = [tmp_path / word if "." in word else word for word in forged]
    assert "alert" in s_client(site.ports["main"], "-ign_eof", *files, say=b"x").text
    site.wait_for("CN=camera 7: not allowed to sign others")
