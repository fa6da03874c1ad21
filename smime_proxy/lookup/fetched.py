"""What was fetched about a revocation, taken only where it is of use and no step back.

RFC 6960 3.2, RFC 5280 5. Lists come without protection on the way, so what holds stays until the
issuer himself says something newer.
"""

from datetime import datetime

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.ocsp import OcspAnswer
from smime_proxy.certs.revocation import CLOCK_SKEW
from smime_proxy.certs.revocation_list import Crl
from smime_proxy.lookup.errors import LookupFailed


def read_answer(
    der: bytes,
    certificate: Certificate,
    issuer: Certificate,
    kept: Crl | OcspAnswer | None,
    at: datetime,
) -> OcspAnswer:
    """Read an OCSP answer about a certificate of an issuer at a time, aware UTC.

    `kept` is the one at hand. Raises `LookupFailed` or `CertificateError`.
    """
    answer = OcspAnswer.from_der(der)
    if not answer.is_about(certificate, issuer):
        raise LookupFailed("an answer about another certificate")
    objection = answer.objection(issuer, at)
    if objection:
        raise LookupFailed(f"an answer that does not count: {objection}")
    _check_day(answer, at)
    _check_younger(answer, kept)
    return answer


def read_list(
    der: bytes,
    certificate: Certificate,
    issuer: Certificate,
    kept: Crl | OcspAnswer | None,
    at: datetime,
) -> Crl:
    """Read a list for a certificate of an issuer at a time, aware UTC.

    `kept` is the one at hand. Raises `LookupFailed` or `CertificateError`.
    """
    crl = Crl.from_der(der)
    if not (crl.is_indirect or crl.issuer_key == certificate.issuer_key):
        raise LookupFailed("a list of another issuer")
    _check_day(crl, at)
    # A list of the issuer's own that holds is not taken away by what anybody on the way to the
    # server may have put in its place. Once it ended, another key may have come to sign.
    holds = isinstance(kept, Crl) and kept.next_update is not None and kept.next_update >= at
    if holds and isinstance(kept, Crl) and kept.signed_by(issuer):
        _check_younger(crl, kept)
        if not crl.signed_by(issuer):
            raise LookupFailed("a list that is not the issuer's, in place of one that is")
    return crl


def _check_day(found: Crl | OcspAnswer, at: datetime) -> None:
    """Refuse an answer of a day to come: it says nothing yet, and none before it would be taken."""
    if found.this_update > at + CLOCK_SKEW:
        raise LookupFailed(f"an answer of {found.this_update:%Y-%m-%d}, a day to come")


def _check_younger(found: Crl | OcspAnswer, kept: Crl | OcspAnswer | None) -> None:
    """Refuse an answer that is older than the one at hand: somebody gave it once more."""
    if kept is not None and found.this_update < kept.this_update:
        raise LookupFailed("an older answer than the one at hand")
