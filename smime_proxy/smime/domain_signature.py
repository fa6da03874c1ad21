"""Signatures that a partner's gateway makes in place of the person the mail is from.

RFC 3183 3.1 (domain signatures): the company vouches for its people, whom its own server knows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from smime_proxy.address import Mailbox
from smime_proxy.certs.certificate import Certificate, Validity
from smime_proxy.smime.gateway_signer import GatewaySigner


@dataclass(frozen=True, slots=True)
class DomainSignature:
    """What is to be said of a gateway's signature on mail from somebody of its domain.

    `doubt` says why it does not count at all, `remark` that it is not the person's own; "" when
    there is nothing to say.
    """

    signer: GatewaySigner
    doubt: str = ""
    remark: str = ""


def domain_signature(
    certificate: Certificate,
    sender: Mailbox | None,
    gateways: Mapping[str, GatewaySigner],
    own_of: Callable[[Mailbox], Sequence[Certificate]],
    at: datetime,
) -> DomainSignature | None:
    """Tell whether a certificate is that of the gateway of the sender's domain.

    None when it is not, or is the sender's own. `gateways` by domain, folded; `own_of` gives the
    certificates known of an address: who signs with a key of his own is not spoken for by others.
    """
    if sender is None or certificate.carries(sender):
        return None
    gateway = gateways.get(sender.domain)
    if gateway is None or not certificate.carries(gateway.mailbox):
        return None
    by = f"signed by the gateway of {sender.domain}"
    if any(_signs(own, sender, at) for own in own_of(sender)):
        return DomainSignature(gateway, doubt=f"{by}, but {sender} has a key of its own")
    return DomainSignature(gateway, remark="" if gateway.trusted else f"{by}, not by the person")


def _signs(certificate: Certificate, mailbox: Mailbox, at: datetime) -> bool:
    is_own = certificate.carries(mailbox) and certificate.may_sign
    return is_own and certificate.valid_at(at) is Validity.VALID
