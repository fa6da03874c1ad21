"""Where a certificate says that its status can be asked: OCSP responders and revocation lists.

RFC 5280 4.2.1.13 (cRLDistributionPoints), 4.2.1.15 (freshestCRL), 4.2.2.1 (id-ad-ocsp); RFC 6960
4.1 (requests).
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from smime_proxy.certs.certificate import LIBRARY_ERRORS, Certificate

MAX_URLS = 4  # of each kind in one certificate; more would make us ask for others
MAX_URL = 2048  # characters; distribution points have about 100, and answers are kept by them
REMEMBERED = 4096  # certificates; bounds memory


@dataclass(frozen=True, slots=True)
class StatusSources:
    """URLs as they stand in a certificate, in its order; only such as are fetched (RFC 9110)."""

    ocsp: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()


@lru_cache(maxsize=REMEMBERED)
def status_sources(certificate: Certificate) -> StatusSources:
    """Read the sources of a certificate; none of one that cannot be read."""
    responders: list[str] = []
    lists: list[str] = []
    try:
        for extension in certificate.x509().extensions:
            match extension.value:
                case x509.AuthorityInformationAccess() as access:
                    responders += _urls(
                        one.access_location
                        for one in access
                        if one.access_method == AuthorityInformationAccessOID.OCSP
                    )
                case x509.CRLDistributionPoints() | x509.FreshestCRL() as points:
                    lists += _urls(name for point in points for name in point.full_name or ())
                case _:
                    pass
    except LIBRARY_ERRORS:
        return StatusSources()
    return StatusSources(tuple(responders[:MAX_URLS]), tuple(lists[:MAX_URLS]))


def ocsp_request(certificate: Certificate, issuer: Certificate) -> bytes:
    """Make a request for one certificate, without a nonce, so that answers can be kept (RFC 5019).

    Raises ValueError for certificates the library cannot read.
    """
    digest = hashes.SHA1()  # noqa: S303 - RFC 5019 2.1.1: what every responder has
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate.x509(), issuer.x509(), digest)
    return builder.build().public_bytes(Encoding.DER)


def ocsp_name(certificate: Certificate, issuer: Certificate) -> str:
    """Name what an OCSP answer about a certificate of an issuer is kept under."""
    digest = hashlib.sha256(f"{certificate.fingerprint}{issuer.fingerprint}".encode())
    return f"ocsp:{digest.hexdigest()}"


def _urls(names: Iterable[x509.GeneralName]) -> Iterator[str]:
    # Nothing but web addresses: answers are kept by other names too, which no URL may look like.
    for name in names:
        if isinstance(name, x509.UniformResourceIdentifier) and _is_fetched(name.value):
            yield name.value


def _is_fetched(url: str) -> bool:
    return len(url) <= MAX_URL and url.lower().startswith(("http://", "https://"))
