"""
TLS: who we are (certificates, by host name, renewed while we run), who the peer is, and what went
wrong, in words.

Knows contexts and settings; bytes are `net.tlstransport`'s, files `net.certificate`'s and
`net.certificates`'.

What a server offers: TLS 1.2 and 1.3 with forward secrecy and authenticated encryption only, our
order of ciphers, no compression, no renegotiation. No session is resumed: RTMP's connections are
long, and a handshake with P-256 costs us 0.3 ms of CPU. TLS 1.3 sends session tickets all the
same, which some clients cannot bear: see `net.clienthello`. Who wants none at all can have the
whole process send none, by a file that OPENSSL_CONF names before it starts (seen with OpenSSL
4.0.3):

    openssl_conf = init
    [init]
    ssl_conf = ssl
    [ssl]
    system_default = all
    [all]
    NumTickets = 0
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal, cast

from cryptography import x509
from OpenSSL import SSL, crypto
from service_identity import VerificationError
from twisted.application.internet import TimerService
from twisted.internet import ssl
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IReactorTime,
)
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from rtmptwist.disk.reading import Changes
from rtmptwist.net.certificate import (
    Certificate,
    CertificateError,
    common_names,
    pem_certificates,
    reasons,
)
from rtmptwist.net.certificates import Certificates
from rtmptwist.net.tunnel import Tunnel

CIPHERS: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"Of TLS 1.2; all of TLS 1.3 are good."

RENEWAL_INTERVAL: Final = 1.0
"""
Seconds between two looks at the files; a change is taken over with the second. One costs 0.02 ms
for each host name.
"""

TlsVersion = Literal["1.2", "1.3"]

_VERSIONS: Final[dict[TlsVersion, int]] = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}

_Contexts = dict[Certificate, SSL.Context]

_OPTIONS: Final = (
    SSL.OP_NO_COMPRESSION
    | SSL.OP_NO_RENEGOTIATION
    | SSL.OP_CIPHER_SERVER_PREFERENCE
    | SSL.OP_NO_TICKET
)


@implementer(IOpenSSLServerConnectionCreator)
class ServerTls:
    """
    Our side of the TLS connections of one listener: what `TlsFactory` and Twisted's own take.

    A client shows a certificate of its own only if there is a `client_ca`; one that is not signed
    by it ends the connection.
    """

    log = Logger()

    def __init__(
        self,
        certificates: Certificates,
        *,
        newest: TlsVersion = "1.3",
        client_ca: Path | None = None,
        client_required: bool = False,
    ) -> None:
        """
        `newest`: the newest version offered; `client_ca`: a PEM file of who signs the certificates
        of clients; `client_required`: clients without one are refused.

        Raises:
            CertificateError: `client_ca` cannot be used.
        """
        self.certificates = certificates
        self._newest: TlsVersion = newest
        self._client_ca = client_ca
        self._client_required = client_required
        self._changes = Changes()
        self._signers: list[x509.Certificate] = []
        if client_ca is not None:
            self._changes.note(client_ca)
            self._signers = pem_certificates(client_ca)
        self._contexts = self._make_contexts({})

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Twisted: the beginning of a connection. `protocol` may get an `objection`."""
        connection = SSL.Connection(self._contexts[self.certificates.for_name(None)])
        if self._signers:
            required = SSL.VERIFY_FAIL_IF_NO_PEER_CERT if self._client_required else 0
            connection.set_verify(SSL.VERIFY_PEER | required, partial(_look, protocol))
        return connection

    def check(self) -> None:
        """
        Look whether files have changed; new connections then use what is new.

        Raises nothing: what cannot be used is logged, once, and the old stays.
        """
        try:
            changed = self.certificates.refresh()
            if self._new_signers():
                self._contexts = self._make_contexts({})
            elif changed:
                self._contexts = self._make_contexts(self._contexts)
        except Exception:  # whoever calls this goes on calling
            self.log.failure("looking for new certificates failed")

    def _new_signers(self) -> bool:
        if self._client_ca is None or not self._changes.look(self._client_ca):
            return False
        try:
            self._signers = pem_certificates(self._client_ca)
        except CertificateError as error:
            named = self.certificates.named(self._client_ca)
            self.log.error(
                "{error}; the old ones stay in use{named}", error=str(error), named=named
            )
            return False
        self.log.info("read {path} again", path=self._client_ca)
        return True

    def _make_contexts(self, made: _Contexts) -> _Contexts:
        """Those that are `made` are taken as they are: each costs 0.2 ms, folders may hold many."""
        return {each: made.get(each) or self._context(each) for each in self.certificates.all}

    def _context(self, certificate: Certificate) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_max_proto_version(_VERSIONS[self._newest])
        context.set_options(_OPTIONS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        # 20 KB less for each idle connection, 32 KB less for one that has sent a lot
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_cipher_list(CIPHERS)
        context.set_tlsext_servername_callback(self._choose)
        certificate.install(context)
        if self._signers:
            context.set_session_id(b"rtmptwist")  # OpenSSL insists, beside client certificates
            store = context.get_cert_store()
            assert store is not None
            store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)  # they need not be roots
            for signer in self._signers:
                store.add_cert(crypto.X509.from_cryptography(signer))
                context.add_client_ca(signer)
        return context

    def _choose(self, connection: SSL.Connection) -> None:
        """OpenSSL: the client has said which name it wants; or that it does not care."""
        name = connection.get_servername()
        if name is not None:
            certificate = self.certificates.for_name(name.decode("ascii", "replace"))
            connection.set_context(self._contexts[certificate])


def renewal(
    servers: Collection[ServerTls], clock: IReactorTime, interval: float = RENEWAL_INTERVAL
) -> TimerService:
    """A service that has all of `servers`, as they are then, look for new files."""

    def check() -> None:
        for server in servers:
            server.check()

    service = TimerService(interval, check)
    service.clock = clock
    return service


def peer_identity(transport: object) -> str:
    """
    Who the peer is by its certificate, once the handshake is done; empty without one.

    The common name of its subject, or else the first e-mail address or host name of its alternative
    names; none of those that cannot be printed. The certificate has been verified, or the
    connection would not be there. `transport` may be any: TLS, something around it, a tunnel (then
    whoever opened it counts), or plain.
    """
    if isinstance(transport, Tunnel):
        return transport.identity
    try:
        found = cast("Any", transport).getPeerCertificate()
    except AttributeError:  # not TLS, or lost already
        return ""
    if found is None:
        return ""
    try:
        certificate: x509.Certificate = found.to_cryptography()
        names = common_names(certificate)
    except (ValueError, x509.InvalidVersion):  # which OpenSSL takes as it is
        return ""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        pass
    else:
        names += extension.value.get_values_for_type(x509.RFC822Name)
        names += extension.value.get_values_for_type(x509.DNSName)
    return next((name for name in names if name and name.isprintable()), "")


def _look(
    protocol: Any,
    connection: SSL.Connection,  # noqa: ARG001 - OpenSSL's
    certificate: crypto.X509,
    error: int,
    depth: int,  # noqa: ARG001 - OpenSSL's
    fine: int,
) -> bool:
    """OpenSSL: what it thinks of one certificate of the client's chain. Note why, if it is bad."""
    if not fine:
        try:
            subject = certificate.to_cryptography().subject.rfc4514_string()
        except (ValueError, x509.InvalidVersion):  # which OpenSSL takes as it is
            subject = "an odd certificate"
        subject = "".join(letter if letter.isprintable() else "?" for letter in subject[:100])
        why = _OBJECTIONS.get(error, f"OpenSSL's error {error}")
        protocol.objection = f"{subject or 'no name'}: {why}"
    return bool(fine)


_Code: Final = SSL.X509VerificationCodes
_UNKNOWN_SIGNER: Final = "signed by nobody in client_ca"
_NO_SIGNER: Final = "not allowed to sign others"

_OBJECTIONS: Final = {
    _Code.ERR_UNABLE_TO_GET_ISSUER_CERT: _UNKNOWN_SIGNER,
    _Code.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: _UNKNOWN_SIGNER,
    _Code.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: _UNKNOWN_SIGNER,
    _Code.ERR_SELF_SIGNED_CERT_IN_CHAIN: _UNKNOWN_SIGNER,
    _Code.ERR_DEPTH_ZERO_SELF_SIGNED_CERT: "signed by itself, and not in client_ca",
    _Code.ERR_CERT_NOT_YET_VALID: "not valid yet",
    _Code.ERR_CERT_HAS_EXPIRED: "expired",
    _Code.ERR_INVALID_CA: _NO_SIGNER,
    _Code.ERR_KEYUSAGE_NO_CERTSIGN: _NO_SIGNER,
    _Code.ERR_INVALID_PURPOSE: "not made for clients (its extended key usage)",
}


# ---------------------------------------------------------------------------- client


def client_tls(
    host: str, *, ca_file: Path | None = None, verify: bool = True
) -> IOpenSSLClientConnectionCreator:
    """
    The client's side, for `twisted.internet.endpoints.wrapClientTLS`.

    The server must prove to be `host` (a name or an IP address) by a certificate that leads to
    the CAs of this machine, or those of `ca_file` (PEM) alone.

    Raises:
        CertificateError: `ca_file` cannot be used.
    """
    if not verify:
        _log.warn(
            "the certificate of {host} is not checked: whoever sits between can read and change"
            " everything",
            host=host,
        )
        return _UncheckedClient(host)
    if ca_file is None:
        return ssl.optionsForClientTLS(host)
    trusted = [
        ssl.Certificate(crypto.X509.from_cryptography(each)) for each in pem_certificates(ca_file)
    ]
    return ssl.optionsForClientTLS(host, trustRoot=ssl.trustRootFromCertificates(trusted))


_log: Final = Logger(namespace=__name__)


@implementer(IOpenSSLClientConnectionCreator)
class _UncheckedClient:
    """Encrypts for whoever answers; says whom it wants to talk to, as a server needs to know."""

    def __init__(self, host: str) -> None:
        self._options = ssl.CertificateOptions()
        try:
            ip_address(host)
        except ValueError:
            self._name = host.encode("idna")
        else:
            self._name = b""  # only names can be asked for

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Twisted: the beginning of a connection."""
        connection = self._options.clientConnectionForTLS(protocol)
        if self._name:
            connection.set_tlsext_host_name(self._name)
        return connection


# ---------------------------------------------------------------------------- errors


def in_words(failure: Failure, transport: object = None, *, client: bool = False) -> str:
    """
    Why a connection ended, as a reader of the log can understand it.

    TLS failures are told in words, with what to do about it; others as usual. `transport`: what was
    lost, which may know what is wrong with the client's certificate. `client`: we were the client.
    """
    error = failure.value
    peer = "server" if client else "client"
    if isinstance(error, VerificationError):
        return f"the {peer}'s certificate is for another name: {error}"
    if isinstance(error, SSL.Error) and not isinstance(error, SSL.SysCallError):
        said = reasons(error) or "broken off"
        if objection := getattr(transport, "objection", ""):
            said += f": {objection}"
        for sign, words in _WORDS.items():
            if sign in said:
                return f"TLS: {words.format(peer=peer)} ({said})"
        return f"TLS: {said}"
    message: Any = failure.getErrorMessage()
    return str(message)


_NO_COMMON_VERSION: Final = (
    "the {peer} speaks no version that we do: 1.2 and, unless tls_max is lower, 1.3"
)

_WORDS: Final = {
    "wrong version number": "what came is not TLS, rather RTMP or HTTP without it",
    "http request": "what came is HTTP without TLS: use https://",
    "unsupported protocol": _NO_COMMON_VERSION,
    "version too low": _NO_COMMON_VERSION,
    "alert protocol version": "the {peer} speaks none of our versions",
    "no shared cipher": "the {peer} knows none of our ciphers",
    "alert handshake failure": "the {peer} knows none of our ciphers, or wants a certificate",
    "did not return a certificate": "the {peer} showed no certificate, which is required",
    "alert certificate required": "the {peer} wants a certificate of ours",
    "certificate verify failed": "the {peer}'s certificate is not to be trusted",
    "alert unknown ca": "the {peer} does not trust our certificate",
    "alert bad certificate": "the {peer} does not accept our certificate",
    "alert certificate expired": "the {peer} finds our certificate expired",
    "alert certificate unknown": "the {peer} does not accept our certificate",
}
"What OpenSSL says, and what it means."
