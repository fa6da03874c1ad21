"""Settings that are allowed and will surprise: clear text, names of the demo, listeners' TLS.

RFC 2606 2 and RFC 6761 6 (names nobody has), RFC 8314 (TLS), RFC 9325 3.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import RC2
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from smime_proxy.admin.doctor.finding import HORIZON, Finding, Severity
from smime_proxy.certs.certificate import Certificate
from smime_proxy.settings.checks import mode_notice
from smime_proxy.settings.fields import Scheme
from smime_proxy.settings.model import Settings

_RESERVED = ("test", "example", "invalid", "localhost", "example.com", "example.net", "example.org")


def settings_findings(settings: Settings) -> Iterator[Finding]:
    """Look at settings alone; opens nothing."""
    hostname = settings.service.hostname
    if is_reserved(hostname):
        what = f"service.hostname is {hostname!r}, a name for demonstrations"
        yield Finding(Severity.NOTE, "service.hostname", what, "set the name of this machine")
    if notice := mode_notice(settings):
        todo = 'set mode = "enforce" when what is counted is what you want'
        yield Finding(Severity.NOTE, "service.mode", notice, todo)
    for name, upstream in settings.upstreams.items():
        if upstream.url.scheme is Scheme.MAILDIR:
            what = "mail handed to it stays in a directory of this machine"
            todo = "set the url of a mail server"
            yield Finding(Severity.NOTE, f"upstreams.{name}", what, todo)
        elif upstream.tls == "never" and not is_local(upstream.url.host):
            what = f"mail goes to {upstream.url} in clear text, decrypted mail too"
            yield Finding(Severity.WARNING, f"upstreams.{name}.tls", what, 'set tls = "required"')


def listener_findings(certificates: Mapping[str, Certificate], at: datetime) -> Iterator[Finding]:
    """Look at the server certificates of listeners, by name, at a time, aware UTC."""
    for name, certificate in certificates.items():
        left = certificate.not_after - at
        if left < HORIZON:
            ended = certificate.not_after < at
            severity = Severity.ERROR if ended else Severity.WARNING
            word = "expired" if ended else "expires"
            what = f"its TLS certificate {word} on {certificate.not_after:%Y-%m-%d}"
            todo = "renew it, and send `serve` a SIGHUP"
            yield Finding(severity, f"listeners.{name}.tls_certificate", what, todo)


def upstream_findings(name: str, certificate: Certificate, at: datetime) -> Iterator[Finding]:
    """Look at the certificate an upstream showed, at a time, aware UTC."""
    if certificate.not_after - at < HORIZON:
        what = f"its TLS certificate expires on {certificate.not_after:%Y-%m-%d}: then mail waits"
        todo = "tell who runs it"
        yield Finding(Severity.WARNING, f"upstreams.{name}", what, todo)


def program_findings() -> Iterator[Finding]:
    """Look at what the cryptographic library can do."""
    try:
        Cipher(RC2(bytes(16)), modes.CBC(bytes(8))).encryptor()
    except UnsupportedAlgorithm:
        what = "old PKCS #12 files cannot be opened: OpenSSL's legacy ciphers are switched off"
        todo = "unset CRYPTOGRAPHY_OPENSSL_NO_LEGACY, or have such files written anew"
        yield Finding(Severity.NOTE, "cryptography", what, todo)


def is_reserved(domain: str) -> bool:
    """Tell whether nobody can have this name (RFC 2606 2 and 3, RFC 6761 6)."""
    folded = domain.lower().rstrip(".")
    return any(folded == name or folded.endswith(f".{name}") for name in _RESERVED)


def is_local(host: str) -> bool:
    """Tell whether a host is this machine; a name other than localhost is not looked up."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() in {"localhost", "localhost."}
