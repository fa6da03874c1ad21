"""What was found about a recipient outside the store, as candidates for the choice of his key.

RFC 8550 2.3 (directories as sources), RFC 8162 (records vouch for what is known elsewhere too).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeAlias

from smime_proxy.address import Mailbox
from smime_proxy.certs.discovered import Trust, judged
from smime_proxy.certs.revocation import Revocation
from smime_proxy.certs.selection import PartnerCertificate, choose_recipient
from smime_proxy.gateway.ports import Directory, Findings
from smime_proxy.policy.lacking import Lack

Found: TypeAlias = Mapping[Mailbox, Findings]

NOTHING = Findings()


def candidates(
    findings: Findings, directory: Directory, mailbox: Mailbox, at: datetime
) -> tuple[PartnerCertificate, ...]:
    """Give the certificates that were found, each with the source it is worth now, aware UTC."""
    certificates = [one for answer in findings.answers for one in answer.certificates]
    associations = [one for answer in findings.answers for one in answer.associations]
    if not certificates and not associations:
        return ()
    known = [one.certificate for one in directory.partner_certificates(mailbox)]
    trust = Trust(directory.anchors(), directory.intermediates(), at)
    return judged(certificates, associations, known, mailbox, trust)


def suffices(
    findings: Findings,
    directory: Directory,
    lack: Lack,
    at: datetime,
    revocation: Revocation | None = None,
) -> bool:
    """Tell whether mail could be encrypted with what was found, so that nobody else is asked."""
    found, anchors = candidates(findings, directory, lack.mailbox, at), directory.anchors()
    choice = choose_recipient(found, lack.mailbox, at, anchors, lack.minimum, revocation)
    return choice.chosen is not None


def unreachable(findings: Findings) -> str:
    """Say which sources gave no answer, ``""`` when all did."""
    return "; ".join(map(str, findings.unreachable))
