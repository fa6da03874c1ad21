"""Accounts, keys and certificates as the mail path asks for them.

RFC 5652 10.2.4 (issuer and serial number), RFC 8551 2.5.2 (capabilities).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from smime_proxy.address import Mailbox
from smime_proxy.certs.anchors import Anchors
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.pool import Issuers
from smime_proxy.certs.selection import KeyEntry, PartnerCertificate
from smime_proxy.cms.capabilities import Capabilities
from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.cms.sign import CmsSigner
from smime_proxy.policy.rules import Account


class KeyUnavailable(Exception):  # noqa: N818 - the state of a key, not an error of ours
    """A private key exists but cannot be loaded now; the client is told 451 4.7.5."""


class Directory(Protocol):
    """Accounts, keys and certificates as one consistent snapshot; no call does I/O."""

    def account(self, mailbox: Mailbox) -> Account | None:
        """Find the account that has this address or alias."""
        ...

    def reads_for(self, mailbox: Mailbox) -> Sequence[Account]:
        """Give the accounts, none a team, whose mail is opened for this reader too.

        By the address as it is named; for an account by its own address, whichever it is named by.
        """
        ...

    def keys(self, account: Account) -> Sequence[KeyEntry]:
        """Give all keys of an account, current and former."""
        ...

    def signer(self, account: Account, entry: KeyEntry, at: datetime) -> CmsSigner:
        """Load (cached) the signer of one key; raises `KeyUnavailable`.

        `at`: its signatures name the certificate to encrypt to that is in use then.
        """
        ...

    def decryption_keys(self, account: Account) -> Sequence[DecryptionKey]:
        """Give every private key the account ever owned, for decryption, loaded and cached.

        Raises `KeyUnavailable` when one exists that cannot be loaded.
        """
        ...

    def partner_certificates(self, mailbox: Mailbox) -> Sequence[PartnerCertificate]:
        """Give the known certificates of a partner, usable or not."""
        ...

    def domain_certificates(self, domain: str) -> Sequence[PartnerCertificate]:
        """Give the certificates that stand for all mailboxes of exactly this domain, folded."""
        ...

    def capabilities(self, mailbox: Mailbox) -> Capabilities | None:
        """Give what a partner said last in signed mail that he can read (RFC 8551 2.5.2)."""
        ...

    def is_declined(self, mailbox: Mailbox, certificate: Certificate) -> bool:
        """Tell whether somebody decided against this certificate for this partner."""
        ...

    def anchors(self) -> Anchors:
        """Give the trust anchors, pinned certificates included."""
        ...

    def intermediates(self) -> Issuers:
        """Give certificates of authorities known from imports, to complete chains."""
        ...

    def is_own_domain(self, domain: str) -> bool:
        """Tell whether a domain, folded, is one we have accounts in or serve, or below one."""
        ...

    def known_certificates(self, issuer: bytes, serial: int) -> Sequence[bytes]:
        """Give the DER of stored certificates with this issuer (DER name) and serial (E58)."""
        ...
