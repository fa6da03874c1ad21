"""Judge one finished path for S/MIME: own checks first, then the library's engine.

RFC 5280 6.1 (path validation), RFC 8550 4.4 (S/MIME extensions), RFC 9598 6 (constraints).
"""

from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import verification

from smime_proxy.certs.certificate import Certificate

REMEMBERED_PATHS = 2048  # distinct chains of a day's correspondents; bounds memory

_CA_POLICY = verification.ExtensionPolicy.permit_all().require_present(
    x509.BasicConstraints, verification.Criticality.AGNOSTIC, None
)
_LEAF_POLICY = verification.ExtensionPolicy.permit_all()
_JUDGED_KEYS = frozenset(
    {"rsa", "secp256r1", "secp384r1", "secp521r1"}
)  # by the engine, in issuers


def window(path: tuple[Certificate, ...]) -> tuple[datetime, datetime]:
    """Give the time in which every certificate of a path is valid; empty if the end is first."""
    return max(c.not_before for c in path), min(c.not_after for c in path)


@lru_cache(maxsize=REMEMBERED_PATHS)
def objection(path: tuple[Certificate, ...]) -> str:
    """Say in one line why a path (leaf first, anchor last) is not good, or ``""``.

    It is judged at the beginning of its `window`, so the answer holds for all of it and can be
    remembered. What the engine cannot judge (brainpool and EdDSA authorities, constraints on
    directory names) is refused.
    """
    start, end = window(path)
    if start > end:
        return "the certificates of the chain were never valid at the same time"
    return _own_objection(path) or _engine_objection(path, start)


def _own_objection(path: tuple[Certificate, ...]) -> str:
    leaf, *between, anchor = path
    # 1. Version 3, or there are no extensions to rely on (RFC 5280 6.1.4 (k)).
    for certificate in path:
        if certificate.version != 3:  # noqa: PLR2004 - the only version with extensions
            return f"{certificate.subject}: version {certificate.version} certificate"
    # 2. An authority does not sign mail with its own key unless it is pinned.
    if leaf.is_ca:
        return "a certificate authority's certificate used as an end entity's"
    # 3. Strength; nothing rests on the signature over an anchor.
    for certificate in (leaf, *between):
        if certificate.weak:
            return f"{certificate.subject}: {certificate.weak}"
    for issuer in (*between, anchor):
        # 4. Issuers may issue: cA, keyCertSign, extendedKeyUsage.
        if not issuer.may_issue:
            return f"{issuer.subject}: may not issue certificates for mail"
        # 5. Their keys are of a kind the engine takes; it would say so less clearly.
        if (issuer.curve or issuer.key_type) not in _JUDGED_KEYS:
            kind = issuer.curve or issuer.key_type
            return f"{issuer.subject}: issuers with keys of type {kind} are not supported"
    # 6. Addresses that the engine does not hold against name constraints.
    return _unconstrained_address(leaf, (*between, anchor))


def _unconstrained_address(leaf: Certificate, issuers: tuple[Certificate, ...]) -> str:
    only_subject = not leaf.mailboxes and leaf.dn_mailboxes
    if not only_subject and all(mailbox.is_ascii for mailbox in leaf.mailboxes):
        return ""
    if any(_has_name_constraints(issuer) for issuer in issuers):
        return "name constraints over an address in the subject or in SmtpUTF8Mailbox"
    return ""


def _has_name_constraints(issuer: Certificate) -> bool:
    return any(e.oid == x509.NameConstraints.oid for e in issuer.x509().extensions)


def _engine_objection(path: tuple[Certificate, ...], at: datetime) -> str:
    leaf, *between, anchor = (certificate.x509() for certificate in path)
    try:
        (
            verification.PolicyBuilder()
            .store(verification.Store([anchor]))
            .time(at)
            .max_chain_depth(len(path))
            .extension_policies(ca_policy=_CA_POLICY, ee_policy=_LEAF_POLICY)
            .build_client_verifier()
            .verify(leaf, between)
        )
    except (verification.VerificationError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        # x509.UnsupportedGeneralNameType comes wrapped; a name in an odd form is a ValueError.
        return _one_line(error)
    return ""


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    for prefix in ("validation failed: ", "candidates exhausted: ", "fatal error: "):
        text = text.removeprefix(prefix)
    return text.partition(" (encountered processing")[0][:200] or "the chain is not valid"
