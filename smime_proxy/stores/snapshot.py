"""Accounts, keys and certificates as the mail path reads them: all in memory, nothing parsed yet.

Implements `gateway.ports.Directory`. RFC 5652 10.2.4 (issuer and serial number), 5.1 (chains),
RFC 8551 2.5.2 (capabilities).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache

from sqlalchemy import Connection

from smime_proxy.address import Mailbox
from smime_proxy.certs.anchors import Anchors
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.keys import PrivateKey
from smime_proxy.certs.names import name_key
from smime_proxy.certs.path import Purpose, validate
from smime_proxy.certs.pool import Issuers, Pool
from smime_proxy.certs.revocation import Revocation
from smime_proxy.certs.selection import KeyEntry, PartnerCertificate
from smime_proxy.certs.source import Source
from smime_proxy.cms.capabilities import Capabilities, parse_capabilities
from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.cms.errors import MalformedCms
from smime_proxy.cms.sign import CmsSigner
from smime_proxy.policy.rules import Account
from smime_proxy.stores import (
    authority,
    capabilities,
    certificates,
)
from smime_proxy.stores.connection import Store, revision
from smime_proxy.stores.declared import NOTHING, Declared
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.keyring import Entry, Keyring
from smime_proxy.stores.rows import (
    Partners,
    domains_of,
    laid_over,
    load_accounts,
    load_anchors,
    load_partners,
)
from smime_proxy.stores.shelf import Shelf, load_shelf
from smime_proxy.stores.vault import Vault


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One state of the store, complete and unchanging; every lookup is one in a dict."""

    revision: int
    shelf: Shelf = field(repr=False)
    accounts_by_address: Mapping[str, Account] = field(repr=False)
    keyring: Keyring = field(repr=False)
    partners: Partners = field(repr=False)
    remembered: Mapping[str, bytes] = field(repr=False)
    trusted: Anchors = field(repr=False)
    issuers: Issuers = field(repr=False)
    own_domains: frozenset[str] = field(repr=False, default=frozenset())

    @classmethod
    def load(
        cls,
        connection: Connection,
        vault: Vault,
        before: "Snapshot | None" = None,
        *,
        own_domains: frozenset[str] = frozenset(),
        declared: Declared = NOTHING,
    ) -> "Snapshot":
        """Read the store in the transaction the connection is in; blocks.

        What `before` has parsed and unwrapped is taken over as far as it is still there.
        `own_domains` are ours beside those of the accounts. `declared` accounts are laid over those
        of the store.
        """
        number = revision(connection)
        shelf = load_shelf(connection, before.shelf if before else None)
        by_address, rows = laid_over(*load_accounts(connection), declared)
        partners = load_partners(connection)
        ours = own_domains | domains_of(by_address)
        keyring = Keyring(vault, shelf, rows, declared)
        made = keyring.kept(before.keyring if before else None)
        return cls(
            revision=number,
            shelf=shelf,
            accounts_by_address=by_address,
            keyring=replace(keyring, opened=made),
            partners=partners,
            remembered=capabilities.load(connection),
            trusted=load_anchors(connection, shelf, partners, ours, declared),
            issuers=Issuers.of(
                (*shelf.issuers(), *authority.certificates_of(connection), *declared.issuers)
            ),
            own_domains=ours,
        )

    @classmethod
    def of(
        cls, store: Store, connection: Connection, before: "Snapshot | None" = None
    ) -> "Snapshot":
        """Read a store as `load` does, with what it says is ours; raises `StoreError`."""
        return cls.load(
            connection,
            store.vault_now(connection),
            before,
            own_domains=store.own_domains,
            declared=store.declared.current,
        )

    @property
    def declared(self) -> Declared:
        """Give the accounts the settings declare."""
        return self.keyring.declared

    def account(self, mailbox: Mailbox) -> Account | None:
        """Find the account that has this address or alias."""
        return self.accounts_by_address.get(mailbox.key)

    def is_own_domain(self, domain: str) -> bool:
        """Tell whether a domain, folded, is one we have accounts in or serve, or below one."""
        labels = domain.split(".")
        return any(".".join(labels[start:]) in self.own_domains for start in range(len(labels)))

    def all_accounts(self) -> Sequence[Account]:
        """Give every account once."""
        named = self.accounts_by_address.items()
        return tuple(account for key, account in named if key == account.address.key)

    def keys(self, account: Account) -> tuple[Entry, ...]:
        """Give all keys of an account, current and former."""
        return self.keyring.of(account)

    def open_key(self, account: Account, entry: KeyEntry) -> PrivateKey:
        """Load a private key, to see whether it opens; raises `KeyUnavailable`."""
        return self.keyring.private_key(account, self.keyring.find(account, entry.certificate))

    def signer(self, account: Account, entry: KeyEntry, at: datetime) -> CmsSigner:
        """Load (cached) the signer of one key at a time; raises `KeyUnavailable`."""
        return self.keyring.signer(account, self.keyring.find(account, entry.certificate), at)

    def decryption_keys(self, account: Account) -> Sequence[DecryptionKey]:
        """Give every private key the account ever owned, for decryption, loaded and cached.

        Raises `KeyUnavailable` when one exists that cannot be loaded.
        """
        return self.keyring.decryption_keys(account)

    def partner_certificates(self, mailbox: Mailbox) -> Sequence[PartnerCertificate]:
        """Give the known certificates of a partner, usable or not."""
        numbers = self.partners.by_address.get(mailbox.key, ())
        return tuple(self._partner(number, mailbox.key) for number in numbers)

    def domain_certificates(self, domain: str) -> Sequence[PartnerCertificate]:
        """Give the certificates that stand for all mailboxes of exactly this domain, folded."""
        return tuple(map(self._partner, self.partners.by_domain.get(domain, ())))

    def partner_mailboxes(self) -> Iterator[Mailbox]:
        """Give every address partner certificates are known for."""
        for key in self.partners.by_address:
            yield Mailbox(key, key)

    def capabilities(self, mailbox: Mailbox) -> Capabilities | None:
        """Give what a partner said last in signed mail that he can read."""
        encoded = self.remembered.get(mailbox.key)
        return None if encoded is None else _read_capabilities(encoded)

    def is_declined(self, mailbox: Mailbox, certificate: Certificate) -> bool:
        """Tell whether somebody decided against this certificate for this partner."""
        return (mailbox.key, certificate.fingerprint) in self.partners.declined

    def anchors(self) -> Anchors:
        """Give the trust anchors, pinned certificates included."""
        return self.trusted

    def intermediates(self) -> Issuers:
        """Give certificates of authorities known from imports, to complete chains."""
        return self.issuers

    def known_certificates(self, issuer: bytes, serial: int) -> Sequence[bytes]:
        """Give the DER of known certificates with this issuer (DER name) and serial (E58)."""
        key = name_key(issuer)
        numbers = self.shelf.by_locator.get(certificates.locator(key, serial), ())
        declared = self.keyring.declared.certificates()
        return (
            *(self.shelf.ders[number] for number in numbers),
            *(one.der for one in declared if (one.issuer_key, one.serial) == (key, serial)),
        )

    def _partner(self, number: int, key: str = "") -> PartnerCertificate:
        return PartnerCertificate(
            certificate=self.shelf.certificate(number),
            chain=self.shelf.chain(number),
            pinned=number in self.partners.pinned,
            bound_to=self.partners.bound.get(number, ()),
            source=self.partners.sources.get((key, number), Source.MANUAL),
            domains=self.partners.domains.get(number, ()),
        )

    def judge_own(self, revocation: Revocation) -> None:
        """Judge our own current certificates, so that what is not known of them is wanted.

        Those whose chain leads to no anchor are not asked about.
        """
        at = datetime.now(UTC)
        for account in self.all_accounts():
            with suppress(StoreError):  # damaged: told when mail needs it, and no other's concern
                self._judge(self.keys(account), revocation, at)

    def _judge(self, entries: Sequence[Entry], revocation: Revocation, at: datetime) -> None:
        for entry in entries:
            if not entry.former:
                validate(
                    entry.certificate,
                    Pool.of(entry.chain, self.issuers),
                    self.trusted,
                    at,
                    purpose=Purpose.SIGN if entry.certificate.may_sign else Purpose.ENCRYPT,
                    revocation=revocation,
                )


@lru_cache(maxsize=1024)  # mail programs of one kind say the same
def _read_capabilities(encoded: bytes) -> Capabilities | None:
    try:
        return parse_capabilities(encoded)
    except MalformedCms:  # written by a version that knew more
        return None
