"""What a TLS server offers and shows, whom it believes, and its failures in words."""

from __future__ import annotations

import re
import subprocess
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL, crypto
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from rtmptwist.net.certificate import CertificateError
from rtmptwist.net.certificates import Certificates, OneFile
from rtmptwist.net.tls import ServerTls, client_tls, in_words, peer_identity, renewal
from rtmptwist.net.tlstransport import TlsFactory
from tests.support.logs import Logs
from tests.support.pki import Signed, authority
from tests.support.programs import program
from tests.support.reactor import reactor_test
from tests.support.tls import (
    CA,
    Answerer,
    Asker,
    Handshake,
    begin,
    ca_file,
    client_context,
    connection,
    issue,
    listening,
    put,
    reactor,
    server_tls,
    shake,
)

pytestmark = pytest.mark.usefixtures("logs")

STRANGER = authority("Somebody", now=time.time())


class Fake:
    """A transport as far as `peer_identity` looks."""

    def __init__(self, connection: SSL.Connection) -> None:
        self.getPeerCertificate = connection.get_peer_certificate


def words(handshake: Handshake, *, client: bool = False) -> str:
    """The error of a handshake that failed, as the log has it."""
    assert handshake.error is not None
    return in_words(Failure(handshake.error), handshake, client=client)


def shown(handshake: Handshake) -> Any:
    """The certificate that the client got."""
    assert handshake.error is None
    return handshake.client.get_peer_certificate(as_cryptography=True)


# ---- versions, ciphers, sessions


@pytest.mark.parametrize(("newest", "version"), [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")])
def test_the_newest_version_can_be_bounded(tmp_path: Path, newest: str, version: str) -> None:
    found = shake(server_tls(tmp_path, newest=newest), client_context())
    assert found.error is None
    assert found.client.get_protocol_version_name() == version
    assert found.say(b"hello") == b"hello"
    assert found.say(b"hello", client=False) == b"hello"


def test_versions_before_1_2_are_refused(tmp_path: Path) -> None:
    old = client_context()
    old.set_min_proto_version(SSL.TLS1_VERSION)
    old.set_max_proto_version(SSL.TLS1_1_VERSION)
    old.set_cipher_list(b"ALL:@SECLEVEL=0")
    found = shake(server_tls(tmp_path), old)
    assert words(found).startswith("TLS: the client speaks no version that we do: 1.2 and")


@pytest.mark.parametrize("cipher", [b"AES128-GCM-SHA256", b"ECDHE-ECDSA-AES128-SHA"])
def test_ciphers_without_secrecy_or_authentication_are_refused(
    tmp_path: Path, cipher: bytes
) -> None:
    weak = client_context()
    weak.set_max_proto_version(SSL.TLS1_2_VERSION)
    weak.set_cipher_list(cipher)
    found = shake(server_tls(tmp_path), weak)
    assert words(found).startswith("TLS: the client knows none of our ciphers")


def test_our_order_of_ciphers_counts(tmp_path: Path) -> None:
    ciphers = ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-GCM-SHA384"]
    for order in (ciphers, ciphers[::-1]):
        client = client_context()
        client.set_max_proto_version(SSL.TLS1_2_VERSION)
        client.set_cipher_list(":".join(order).encode())
        found = shake(server_tls(tmp_path), client)
        assert found.client.get_cipher_name() == "ECDHE-ECDSA-AES256-GCM-SHA384"


def test_no_renegotiation(tmp_path: Path) -> None:
    """It costs the server more than the client, and nobody needs it."""
    found = shake(server_tls(tmp_path, newest="1.2"), client_context())
    found.client.renegotiate()
    found.step(found.client)
    assert found.move(found.client, found.server)
    with pytest.raises(SSL.Error):
        found.server.recv(100)
    found.move(found.server, found.client)
    found.step(found.client)
    assert "no renegotiation" in words(found, client=True)


@reactor_test
async def test_no_session_is_resumed(tmp_path: Path) -> None:
    """TLS 1.3 gives tickets, which are worth nothing; TLS 1.2 gives none."""
    openssl = program("openssl")
    session = tmp_path / "session"
    async with serving_answers(server_tls(tmp_path)) as port:
        assert "you said hello" in await s_client(openssl, port, "-tls1_2", "-sess_out", session)
        assert not session.exists()
        for keep in ("-sess_out", "-sess_in"):
            told = await s_client(openssl, port, "-tls1_3", keep, session)
            assert "you said hello" in told
            assert re.search(r"^New, TLS", told, re.MULTILINE)
            assert not re.search(r"^Reused", told, re.MULTILINE)
        assert session.exists()


# ---- which certificate


def test_a_client_is_shown_what_it_asks_for(tmp_path: Path) -> None:
    made = {name: issue(f"{name}.example") for name in ("a", "b")}
    for name, signed in made.items():
        put(tmp_path, name, signed)
    server = server_tls(tmp_path)
    context = client_context()
    for asked, expected in [
        ("a.example", "a"),
        ("b.example", "b"),
        (None, "a"),
        ("x.example", "a"),
    ]:
        assert shown(shake(server, context, asked)) == made[expected].certificate, asked


def test_the_whole_chain_is_shown(tmp_path: Path) -> None:
    middle = CA.sign(common_name="Test Intermediate", authority=True, now=time.time())
    leaf = middle.sign("localhost", now=time.time())
    path = tmp_path / "site.pem"
    leaf.write(path, middle.pem, leaf.pem, leaf.key_pem(), CA.pem)
    server = ServerTls(Certificates(OneFile(path), time.time))
    found = shake(server, client_context(), "localhost")
    chain = found.client.get_peer_cert_chain(as_cryptography=True)
    assert chain == [leaf.certificate, middle.certificate]


# ---- renewal


def test_new_connections_get_the_new_certificate_and_old_ones_go_on(tmp_path: Path) -> None:
    server = server_tls(tmp_path)
    context = client_context()
    before = shake(server, context, "localhost")
    beginning = shown(before)
    renewed = issue("localhost")
    put(tmp_path, "localhost", renewed)
    server.check()
    assert shown(shake(server, context, "localhost")) == beginning
    server.check()
    assert shown(shake(server, context, "localhost")) == renewed.certificate
    assert shown(shake(server, context)) == renewed.certificate
    assert before.say(b"still here", client=False) == b"still here"
    assert shown(before) == beginning


def test_what_did_not_change_is_not_made_again(tmp_path: Path) -> None:
    """With a hundred names it would keep the streams waiting."""
    server = server_tls(tmp_path)
    kept = server.certificates.all[0]
    put(tmp_path, "other", issue("other.example"))
    before = server._contexts[kept]
    for _ in range(2):
        server.check()
    assert len(server._contexts) == 2
    assert server._contexts[kept] is before


def test_a_renewal_between_hello_and_answer_does_no_harm(tmp_path: Path) -> None:
    """The context of a certificate that is gone must not be looked for."""
    server = server_tls(tmp_path)
    put(tmp_path, "other", issue("other.example"))
    waiting = begin(server)
    for _ in range(2):
        server.check()
    renewed = issue("localhost")
    put(tmp_path, "localhost", renewed)
    for _ in range(2):
        server.check()
    found = Handshake(waiting, connection(client_context(), "localhost"))
    assert shown(found) == renewed.certificate


def test_a_broken_new_file_keeps_the_old_one(tmp_path: Path, logs: Logs) -> None:
    server = server_tls(tmp_path)
    beginning = shown(shake(server, client_context()))
    (tmp_path / "localhost.pem").write_text("nonsense")
    for _ in range(4):
        server.check()
    assert shown(shake(server, client_context())) == beginning
    assert len(logs.lines("error")) == 1


def test_renewal_looks_from_time_to_time_whatever_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    clock = Clock()
    server = server_tls(tmp_path)
    service = renewal([server], clock, interval=5)
    service.startService()
    monkeypatch.setattr(server.certificates, "refresh", lambda: 1 / 0)
    clock.advance(5)
    monkeypatch.undo()
    renewed = issue("localhost")
    put(tmp_path, "localhost", renewed)
    clock.pump([5, 5])
    assert shown(shake(server, client_context())) == renewed.certificate
    service.stopService()
    assert not clock.calls
    (failure,) = logs.forgive()
    assert isinstance(failure, ZeroDivisionError)


def test_what_expires_when_can_be_asked(tmp_path: Path) -> None:
    server = server_tls(tmp_path)
    (certificate,) = server.certificates.all
    assert abs(certificate.expires_at - time.time() - 90 * 86400) < 60


# ---- certificates of clients


def identity(found: Handshake) -> str:
    assert found.say(b"hello") == b"hello"
    return peer_identity(Fake(found.server))


@pytest.mark.parametrize(
    ("signed", "who"),
    [
        (issue(common_name="camera 7"), "camera 7"),
        (issue("camera.example", common_name="camera 7"), "camera 7"),
        (issue("camera.example", emails=["cam@example.org"]), "cam@example.org"),
        (issue("camera.example"), "camera.example"),
        (issue("camera.example", common_name="two\nlines"), "camera.example"),
        (issue(), ""),
    ],
)
@pytest.mark.parametrize("newest", ["1.2", "1.3"])
def test_a_client_is_known_by_its_certificate(
    tmp_path: Path, signed: Signed, who: str, newest: str
) -> None:
    server = server_tls(tmp_path, client_ca=ca_file(tmp_path), newest=newest)
    assert identity(shake(server, client_context(show=signed))) == who


def test_a_certificate_is_optional_unless_required(tmp_path: Path) -> None:
    optional = server_tls(tmp_path, client_ca=ca_file(tmp_path))
    assert identity(shake(optional, client_context())) == ""
    required = server_tls(tmp_path, client_ca=ca_file(tmp_path), client_required=True)
    refused = shake(required, client_context())
    assert words(refused).startswith("TLS: the client showed no certificate, which is required")
    admitted = shake(required, client_context(show=issue(common_name="camera")))
    assert identity(admitted) == "camera"


MIDDLE = CA.sign(common_name="Test Intermediate", authority=True, now=time.time())


@pytest.mark.parametrize("newest", ["1.2", "1.3"])
@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize(
    ("signed", "why"),
    [
        (
            STRANGER.sign(common_name="camera", now=time.time()),
            "CN=camera: signed by nobody in client_ca",
        ),
        (STRANGER, "CN=Somebody: signed by itself, and not in client_ca"),
        (issue(common_name="camera", days=-1, begin=-2), "CN=camera: expired"),
        (issue("camera.example", days=-1, begin=-2), "no name: expired"),
        (issue(common_name="two\nlines", begin=1), "CN=two?lines: not valid yet"),
        (
            issue(common_name="camera", usage=ExtendedKeyUsageOID.SERVER_AUTH),
            "CN=camera: not made for clients (its extended key usage)",
        ),
    ],
)
def test_a_strangers_certificate_ends_the_connection(
    tmp_path: Path, required: bool, newest: str, signed: Signed, why: str
) -> None:
    """Required or not."""
    server = server_tls(
        tmp_path, client_ca=ca_file(tmp_path), client_required=required, newest=newest
    )
    refused = shake(server, client_context(show=signed))
    assert words(refused) == (
        f"TLS: the client's certificate is not to be trusted (certificate verify failed: {why})"
    )


def test_an_odd_certificate_is_told_as_one(tmp_path: Path) -> None:
    """OpenSSL does not look at what it says to be its version."""
    signed = STRANGER.sign(common_name="camera", now=time.time())
    third, sixth = b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05"
    der = signed.certificate.public_bytes(Encoding.DER).replace(third, sixth)
    client = client_context()
    client.use_certificate(crypto.load_certificate(crypto.FILETYPE_ASN1, der))
    client.use_privatekey(signed.key)
    refused = shake(server_tls(tmp_path, client_ca=ca_file(tmp_path)), client)
    assert "verify failed: an odd certificate: signed by nobody in client_ca" in words(refused)


def test_who_shows_a_certificate_that_cannot_be_read_is_nobody() -> None:
    """OpenSSL takes some that others do not."""
    third, sixth = b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05"
    der = issue(common_name="camera").certificate.public_bytes(Encoding.DER).replace(third, sixth)
    odd = crypto.load_certificate(crypto.FILETYPE_ASN1, der)
    with pytest.raises(x509.InvalidVersion):
        odd.to_cryptography()

    class Lines:
        def getPeerCertificate(self) -> crypto.X509:
            return odd

    assert peer_identity(Lines()) == ""


def test_who_signs_need_not_be_a_root(tmp_path: Path) -> None:
    """A company's authority for cameras; other certificates of the company do not count."""
    server = server_tls(tmp_path, client_ca=ca_file(tmp_path, MIDDLE))
    camera = MIDDLE.sign(common_name="camera", now=time.time())
    assert identity(shake(server, client_context(show=camera))) == "camera"
    refused = shake(server, client_context(show=issue(common_name="other")))
    assert "signed by nobody in client_ca" in words(refused)


def test_without_an_authority_nobody_is_asked(tmp_path: Path) -> None:
    """Else anybody could claim to be anybody."""
    found = shake(server_tls(tmp_path), client_context(show=issue(common_name="camera")))
    assert identity(found) == ""


def test_other_transports_have_no_identity() -> None:
    assert peer_identity(StringTransport()) == ""


def test_a_new_authority_is_taken_over(tmp_path: Path, logs: Logs) -> None:
    server = server_tls(tmp_path, client_ca=ca_file(tmp_path))
    stranger = client_context(show=STRANGER.sign(common_name="camera", now=time.time()))
    (tmp_path / "ca.crt").write_text("nonsense")
    for _ in range(3):
        server.check()
    (line,) = logs.lines("error")
    assert line.endswith("the old ones stay in use")
    assert shake(server, stranger).error is not None
    ca_file(tmp_path, STRANGER)
    for _ in range(2):
        server.check()
    assert identity(shake(server, stranger)) == "camera"


def test_an_authority_that_cannot_be_read_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match=r"nowhere\.crt: No such file"):
        server_tls(tmp_path, client_ca=tmp_path / "nowhere.crt")


# ---- our client


def serving_answers(server: ServerTls) -> AbstractAsyncContextManager[int]:
    """A real server."""
    return listening(TlsFactory(server, Factory.forProtocol(Answerer), reactor))


async def ask(port: int, creator: IOpenSSLClientConnectionCreator) -> str:
    """What a client of ours hears, or why it does not."""
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    return await Asker().to(wrapClientTLS(creator, endpoint))


async def s_client(openssl: str, port: int, *options: str | Path) -> str:
    """What openssl's client hears and tells, when it says hello."""
    done = await deferToThread(
        subprocess.run,
        [openssl, "s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof", *options],
        input=b"hello", capture_output=True, timeout=20, check=False,
    )  # fmt: skip
    return (done.stdout + done.stderr).decode(errors="replace")


@reactor_test
async def test_a_server_must_prove_its_name(tmp_path: Path) -> None:
    trusted, other = ca_file(tmp_path), STRANGER.write(tmp_path / "other.crt", STRANGER.pem).path
    async with serving_answers(server_tls(tmp_path)) as port:
        assert await ask(port, client_tls("localhost", ca_file=trusted)) == "you said hello"
        for name in ("other.example", "127.0.0.1"):
            answer = await ask(port, client_tls(name, ca_file=trusted))
            assert "the server's certificate is for another name" in answer
        for untrusted in (client_tls("localhost"), client_tls("localhost", ca_file=other)):
            answer = await ask(port, untrusted)
            assert "the server's certificate is not to be trusted" in answer


@reactor_test
async def test_not_to_check_is_possible_and_warned_of(tmp_path: Path, logs: Logs) -> None:
    """The name is told all the same: a server with many needs it."""
    put(tmp_path, "a", issue("a.example"))
    async with serving_answers(server_tls(tmp_path)) as port:
        for name in ("localhost", "127.0.0.1", "other.example"):
            assert await ask(port, client_tls(name, verify=False)) == "you said hello"
    first, *others = logs.about("is not checked")
    assert first.startswith("the certificate of localhost is not checked: whoever sits between")
    assert len(others) == 2


def test_a_client_tells_which_server_it_wants(tmp_path: Path) -> None:
    localhost = issue("localhost")
    put(tmp_path, "a", issue("a.example"))
    server = server_tls(tmp_path)
    put(tmp_path, "localhost", localhost)
    for _ in range(2):
        server.check()
    for creator in (
        client_tls("localhost", verify=False),
        client_tls("localhost", ca_file=ca_file(tmp_path)),
    ):
        factory = TLSMemoryBIOFactory(creator, True, Factory.forProtocol(Protocol), Clock())
        client = creator.clientConnectionForTLS(factory.buildProtocol(None))
        found = Handshake(begin(server), client)
        assert shown(found) == localhost.certificate


def test_authorities_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("nonsense")
    with pytest.raises(CertificateError, match="no certificate in it"):
        client_tls("localhost", ca_file=tmp_path / "ca.crt")


# ---- words


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"\x03" + bytes(1536), "what came is not TLS, rather RTMP or HTTP without it"),
        (b"GET / HTTP/1.1\r\n\r\n", "what came is HTTP without TLS: use https://"),
    ],
)
def test_what_is_no_tls_is_told(tmp_path: Path, sent: bytes, expected: str) -> None:
    server = begin(server_tls(tmp_path))
    server.set_accept_state()
    server.bio_write(sent)
    with pytest.raises(SSL.Error) as caught:
        server.do_handshake()
    assert expected in in_words(Failure(caught.value))


def test_a_client_that_does_not_trust_us_is_told(tmp_path: Path) -> None:
    found = shake(server_tls(tmp_path), client_context(trust=STRANGER))
    assert words(found).startswith("TLS: the client does not trust our certificate")
    assert "tlsv1 alert unknown ca" in words(found)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (SSL.Error([("SSL routines", "", "something new")]), "TLS: something new"),
        (SSL.Error([]), "TLS: broken off"),
        (SSL.SysCallError(-1, "Unexpected EOF"), "(-1, 'Unexpected EOF')"),
        (ConnectionDone(), "Connection was closed cleanly."),
    ],
)
def test_other_ends_are_told_as_they_are(error: Exception, expected: str) -> None:
    assert in_words(Failure(error)) == expected


# ---- openssl itself


@reactor_test
async def test_openssl_sees_names_chains_and_renewals(tmp_path: Path) -> None:
    openssl = program("openssl")
    server = server_tls(tmp_path)
    put(tmp_path, "b", issue("b.example"))
    for _ in range(2):
        server.check()
    trust = ("-CAfile", ca_file(tmp_path), "-verify_return_error")
    async with serving_answers(server) as port:
        for name in ("localhost", "b.example"):
            wanted = ("-servername", name, "-verify_hostname", name)
            assert "you said hello" in await s_client(openssl, port, *wanted, *trust)
        wrong = ("-servername", "c.example", "-verify_hostname", "c.example")
        assert "hostname mismatch" in await s_client(openssl, port, *wrong, *trust)


@reactor_test
async def test_openssl_shows_a_certificate(tmp_path: Path) -> None:
    openssl = program("openssl")
    camera = issue(common_name="camera")
    camera.write(path := tmp_path / "camera.crt")
    server = server_tls(tmp_path, client_ca=ca_file(tmp_path), client_required=True)
    async with serving_answers(server) as port:
        shows = ("-cert", path, "-key", path)
        assert "camera said hello" in await s_client(openssl, port, *shows)
        assert "alert certificate required" in await s_client(openssl, port)
