"""Trust anchors that end, are weak, or vouch for more than anybody meant.

RFC 5280 6.1.1 (d) (trust anchors).
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from smime_proxy.admin.doctor.finding import HORIZON, Finding, Severity
from smime_proxy.certs.certificate import Certificate
from smime_proxy.stores.anchors import MOZILLA, StoredAnchor

_TODO = "get the successor from the authority and take it in with `trust add`"


def anchor_findings(
    anchors: Iterable[StoredAnchor], intermediates: Iterable[Certificate], at: datetime
) -> Iterator[Finding]:
    """Look at anchors, and at the authorities below them that are kept, at a time, aware UTC.

    Authorities of Mozilla's list come and go with it: `trust add --mozilla` again.
    """
    for anchor in anchors:
        certificate = anchor.certificate
        where = f"anchor {certificate.subject or certificate.fingerprint[:16]}"
        if certificate.not_after - at < HORIZON:
            own = anchor.source != MOZILLA
            severity = Severity.WARNING if own else Severity.NOTE
            yield Finding(severity, where, _ends(certificate, at), _TODO)
        if certificate.weak_key:
            what = f"weak: {certificate.weak_key}; who breaks it can vouch for anybody"
            yield Finding(Severity.WARNING, where, what, "see `trust remove`")
    for certificate in intermediates:
        if certificate.not_after - at < HORIZON:
            where = f"authority {certificate.subject or certificate.fingerprint[:16]}"
            todo = "certificates of it that are renewed bring the new one with them"
            yield Finding(Severity.NOTE, where, _ends(certificate, at), todo)


def _ends(certificate: Certificate, at: datetime) -> str:
    word = "expired" if certificate.not_after < at else "expires"
    return f"{word} on {certificate.not_after:%Y-%m-%d}: then nothing it issued is trusted"
