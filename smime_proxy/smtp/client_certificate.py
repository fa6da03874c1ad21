"""What a verified TLS certificate says of the client that showed it.

RFC 8446 4.4.2 (client certificates), RFC 5280 4.2.1.6 (subjectAltName), RFC 4422 A (EXTERNAL).
Whether a certificate is believed is TLS's business: here come only those it verified.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography import x509

from smime_proxy.address import AddressError, parse_mailbox
from smime_proxy.certs.certificate import LIBRARY_ERRORS

CACHED_CERTIFICATES = 256  # names of those shown last; bounds memory


@dataclass(frozen=True, slots=True)
class ClientCertificates:
    """What a listener makes of the certificates of its clients; by default nothing.

    `logins` maps SHA-256 fingerprints (64 hexadecimal digits in lower case) and names to logins;
    `names` are such of which clients of trusted networks must have. Names are exact dNSNames
    in lower case and rfc822Names as `Mailbox.key` folds them.
    """

    logins: Mapping[str, str] = field(default_factory=dict)
    names: frozenset[str] = frozenset()

    def login_of(self, certificate: bytes) -> str | None:
        """Give the login a verified certificate (DER) stands for, None for none.

        Its fingerprint goes before its names; names that stand for several logins for none.
        """
        if not certificate or not self.logins:
            return None
        fingerprint = hashlib.sha256(certificate).hexdigest()
        if fingerprint in self.logins:
            return self.logins[fingerprint]
        found = {self.logins[name] for name in names_of(certificate) if name in self.logins}
        return found.pop() if len(found) == 1 else None

    def trusts(self, certificate: bytes) -> bool:
        """Tell whether nothing is asked of certificates, or this one (DER) has such a name."""
        if not self.names:
            return True
        fingerprint = hashlib.sha256(certificate).hexdigest()
        return bool(certificate) and not self.names.isdisjoint(
            {fingerprint, *names_of(certificate)}
        )


@lru_cache(CACHED_CERTIFICATES)
def names_of(certificate: bytes) -> frozenset[str]:
    """Give dNSNames and rfc822Names of a certificate in DER (RFC 5280 4.2.1.6).

    The subject's CN is never one; what cannot be read has no names.
    """
    if not certificate:
        return frozenset()
    try:
        read = x509.load_der_x509_certificate(certificate)
        found = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = found.get_values_for_type(x509.DNSName)
        people = found.get_values_for_type(x509.RFC822Name)
    except (*LIBRARY_ERRORS, x509.ExtensionNotFound):
        return frozenset()
    folded = {_fold(name) for name in people}
    return frozenset({name.lower() for name in hosts if name.isascii()} | folded - {""})


def _fold(address: str) -> str:
    try:
        return parse_mailbox(address).key
    except AddressError:
        return ""
