"""What the server offers over TLS, and does not: versions, ciphers, a certificate of its own."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import (
    IN_A_HURRY,
    PATIENCE,
    SAMPLES,
    Programs,
    Site,
    ffmpeg9,
    packets,
    program,
    programs,
    publisher,
    serve,
    serve_file,
    start_server,
)
from tests.support.secure import checking, s_client, with_tls
from tests.support.tls import CA, issue
from tests.support.watchers import (
    FFMPEG5,
    FFMPEG9,
    RTMPDUMP,
    RTMPSRC,
    by_stream,
    ffmpeg_of,
    payloads,
    watch,
)

pytestmark = pytest.mark.interop

SAMPLE = SAMPLES / "h264-base-aac-25.flv"

LISTENERS = """
[listener plain]
endpoint = tcp:0:interface=127.0.0.1
serve = rtmp

[listener main]
endpoint = tcp:0:interface=127.0.0.1:backlog=51
serve = rtmps, rtmpts

[listener bounded]
endpoint = tcp:0:interface=127.0.0.1:backlog=52
serve = rtmps, rtmpts
tls_max = 1.2
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The server with a certificate that it made itself."""
    with programs() as these:
        yield serve(these, IN_A_HURRY, LISTENERS)


# ---- versions and ciphers


@pytest.mark.parametrize(
    ("version", "listener"), [("-tls1", "main"), ("-tls1_1", "main"), ("-tls1_3", "bounded")]
)
def test_other_versions_are_refused(site: Site, version: str, listener: str) -> None:
    refusal = "127.0.0.1 left: TLS: the client speaks no version that we do: 1.2 and"
    count = site.log().count(refusal)
    told = s_client(site.ports[listener], version, "-cipher", "ALL:@SECLEVEL=0")
    assert told.status == 1
    assert "alert protocol version" in told.text
    site.wait_for(refusal, times=count + 1)


def accepted(port: int, version: str, option: str, separator: str) -> list[str]:
    """All ciphers of openssl that the server accepts, in its order."""
    done = subprocess.run(
        [program("openssl"), "ciphers", "-s", version, "ALL:eNULL:@SECLEVEL=0"],
        capture_output=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    offered = done.stdout.decode().strip().split(":")
    found: list[str] = []
    while offered:
        level = [] if version == "-tls1_3" else ["@SECLEVEL=0"]
        told = s_client(port, version, option, separator.join(offered + level))
        cipher = re.search(r"Cipher is (\S+)", told.text)
        assert cipher is not None
        if cipher[1] == "(NONE)":
            break
        found.append(cipher[1])
        offered.remove(cipher[1])
    return found


@pytest.mark.parametrize("listener", ["main", "bounded"])
def test_ciphers_of_tls_1_2(site: Site, listener: str) -> None:
    """Forward secrecy, authenticated encryption: no others, out of more than a hundred."""
    assert accepted(site.ports[listener], "-tls1_2", "-cipher", ":") == [
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ]


def test_ciphers_of_tls_1_3(site: Site) -> None:
    assert accepted(site.ports["main"], "-tls1_3", "-ciphersuites", ":") == [
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_AES_128_GCM_SHA256",
    ]


def test_no_renegotiation_and_no_compression(site: Site) -> None:
    told = s_client(site.ports["main"], "-tls1_2", "-comp", say=b"R\n")
    assert "Compression: NONE" in told.text
    assert "RENEGOTIATING" in told.text
    assert "no renegotiation" in told.text
    assert told.status == 1


def test_keys_may_be_renewed(site: Site) -> None:
    """TLS 1.3 has that instead."""
    told = s_client(site.ports["main"], "-tls1_3", say=b"K\n")
    assert "KEYUPDATE" in told.text
    assert told.status == 0


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_no_session_is_resumed(site: Site, version: str) -> None:
    told = s_client(site.ports["main"], version, "-reconnect")
    assert len(re.findall("^New, TLS", told.text, re.MULTILINE)) == 6
    assert "Reused" not in told.text


# ---- clients that TLS 1.3 breaks


@pytest.mark.parametrize("listener", ["main", "bounded"])
@pytest.mark.parametrize("kind", [RTMPDUMP, RTMPSRC, FFMPEG5])
def test_gnutls_plays(started: Programs, site: Site, path: str, kind: str, listener: str) -> None:
    """librtmp takes TLS 1.3's session tickets for the end, and so is given 1.2 by itself."""
    watcher = watch(started, kind, site.url(path, "rtmps", listener))
    site.wait_for(f"plays {path} ")
    sending = started.start(*publisher(ffmpeg9(), SAMPLE, site.url(path, listener="plain")))
    assert sending.wait() == 0, sending.words()
    assert payloads(watcher.packets()) == payloads(packets(ffmpeg9(), SAMPLE))


# ---- the wrong port


@pytest.mark.parametrize(
    ("scheme", "listener", "words"),
    [
        ("rtmp", "main", "RTMP is not served by listener main, only TLS: use rtmps:// or https://"),
        ("rtmpt", "main", "HTTP is not served by listener main, only TLS: use rtmps:// or https:/"),
        (
            "rtmps",
            "plain",
            "TLS is not served by listener plain: use another port, or add rtmps, rtmpts or https",
        ),
    ],
)
def test_the_wrong_port_is_refused_with_words(
    started: Programs, scheme: str, listener: str, words: str
) -> None:
    site = serve(started, IN_A_HURRY, LISTENERS)
    watcher = watch(started, FFMPEG9, site.url("live/x", scheme, listener))
    assert watcher.run.wait() != 0
    site.wait_for(f"127.0.0.1 refused: {re.escape(words)}")


# ---- a certificate of its own


def test_a_certificate_is_made_once(started: Programs) -> None:
    """And stays the same when the server starts again, for those who trust it."""
    first = serve(started, listeners=LISTENERS)
    made = first.certificate
    assert made.stat().st_mode & 0o777 == 0o600
    (line,) = re.findall(".*made a self-signed certificate for .*", first.log())
    assert "localhost, " in line
    assert f", 127.0.0.1, ::1, in {made}. " in line
    number = s_client(first.ports["main"]).serial
    assert number == s_client(first.ports["bounded"]).serial
    first.run.stop()
    second = serve_file(started, made.with_name("site.ini"))
    assert s_client(second.ports["main"]).serial == number
    assert "made a self-signed" not in second.log()


@pytest.mark.parametrize("kind", [FFMPEG9, FFMPEG5])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_it_can_be_trusted(
    started: Programs, site: Site, path: str, kind: str, host: str, tmp_path: Path
) -> None:
    """As the log says: without its key."""
    url = site.url(path, "rtmps").replace("127.0.0.1", host)
    command = publisher(ffmpeg_of(kind), SAMPLE, url)
    doubtful = started.start(*with_tls(command, "-tls_verify", "1"))
    assert doubtful.wait() != 0
    assert "verif" in doubtful.words()
    trusted = tmp_path / "server.crt"
    subprocess.run(
        [program("openssl"), "x509", "-in", site.certificate, "-out", trusted],
        timeout=PATIENCE, check=True,
    )  # fmt: skip
    assert b"PRIVATE" not in trusted.read_bytes()
    watcher = watch(started, FFMPEG9, site.url(path, listener="plain"))
    site.wait_for(f"plays {path} ")
    sending = started.start(*with_tls(command, *checking(trusted)))
    assert sending.wait() == 0, sending.words()
    assert by_stream(watcher.packets()) == by_stream(packets(ffmpeg9(), SAMPLE))


# ---- the start


def test_a_server_with_unusable_certificates_does_not_start(
    started: Programs, tmp_path: Path
) -> None:
    """All that is wrong is said at once."""
    late, mixed = tmp_path / "late.pem", tmp_path / "mixed.pem"
    signed = issue("a.example", begin=-9, days=-1)
    signed.write(late, signed.key_pem(), signed.pem, CA.pem)
    signed = issue("a.example")
    signed.write(mixed, issue("b.example").key_pem(), signed.pem)
    config = tmp_path / "site.ini"
    config.write_text(
        "[listener one]\nendpoint = tcp:0\nserve = rtmps\ncertificate = late.pem\n"
        "[listener two]\nendpoint = tcp:0:backlog=51\nserve = rtmps\ncertificate = mixed.pem\n"
        "[app live]\n"
    )
    run = start_server(started, config)
    assert run.wait() == 1
    words = run.words()
    assert re.search(rf":4: \[listener one\] certificate: {late}: expired on \d{{4}}-", words)
    assert f":8: [listener two] certificate: {mixed}: the key belongs to none of the" in words
    assert "Traceback" not in words


def test_a_certificate_that_ends_soon_and_stands_alone_is_warned_of(
    started: Programs, tmp_path: Path
) -> None:
    soon = tmp_path / "soon.pem"
    signed = issue("a.example", days=20.1)
    signed.write(soon, signed.key_pem(), signed.pem)
    site = serve(
        started,
        listeners=f"[listener main]\nendpoint = tcp:0\nserve = rtmps\ncertificate = {soon}\n",
    )
    (alone,) = re.findall(rf"#warn\] {soon}: without its issuer, CN=Test CA: .*", site.log())
    assert alone.endswith("Use the file with the full chain")
    assert re.findall(rf"#warn\] certificate {soon} expires in 20 days", site.log())
