"""The address that a partner's gateway signs with for everybody of its domain.

RFC 3183 3.1 (domain signatures). For settings and policy; what its word counts is told in
`domain_signature`.
"""

from dataclasses import dataclass

from smime_proxy.address import Mailbox


@dataclass(frozen=True, slots=True)
class GatewaySigner:
    """The address in the certificate; `trusted`: its signature is as good as the person's own."""

    mailbox: Mailbox
    trusted: bool = False
