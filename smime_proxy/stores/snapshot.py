"""Accounts, keys and certificates as the mail path reads them: all in memory, nothing parsed yet.

Implements `gateway.ports.Directory`. RFC 5652 10.2.4 (issuer and serial number), 5.1 (chains),
RFC 8551 2.5.2 (capabilities).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias

from sqlalchemy import Connection

from smime_proxy.address import Mailbox
from smime_proxy.certs.anchors import Anchors
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.keys import PrivateKey
from smime_proxy.certs.names import name_key
from smime_proxy.certs.path import Purpose, validate
from smime_proxy.certs.pool import Issuers, Pool
from smime_proxy.certs.revocation import Revocation
from smime_proxy.certs.selection import KeyEntry, PartnerCertificate, choose_recipient
from smime_proxy.certs.source import Source
from smime_proxy.cms import decrypt, schemes
from smime_proxy.cms.capabilities import Capabilities, parse_capabilities
from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.cms.errors import CmsError, MalformedCms
from smime_proxy.cms.sign import CmsSigner
from smime_proxy.gateway.ports import KeyUnavailable
from smime_proxy.policy.readers import by_reader
from smime_proxy.policy.rules import Account, Kind
from smime_proxy.stores import (
    authority,
    capabilities,
    certificates,
)
from smime_proxy.stores.connection import revision
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.keys import unwrapped
from smime_proxy.stores.rows import (
    KeyRow,
    Partners,
    domains_of,
    load_accounts,
    load_anchors,
    load_partners,
)
from smime_proxy.stores.shelf import Shelf, load_shelf
from smime_proxy.stores.vault import PRIVATE_KEY, Vault


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of an account as the selection sees it; the key itself stays wrapped."""

    key_id: str
    certificate: Certificate
    chain: tuple[Certificate, ...]
    former: bool


# Key id, kind of the account, and the certificate its signatures ask to encrypt to, if another.
_Signing: TypeAlias = tuple[str, Kind, int | None]


@dataclass(frozen=True, slots=True)
class Opened:
    """What was made of unwrapped keys, by key id; kept over reloads as long as the key is."""

    signers: dict[_Signing, CmsSigner] = field(default_factory=dict, repr=False)
    decryption: dict[str, DecryptionKey | None] = field(default_factory=dict, repr=False)

    def of(self, key_ids: frozenset[str]) -> "Opened":
        """Give those of the keys that still exist."""
        # Copies in one step: other threads may be adding to them.
        signers, decryption = dict(self.signers), dict(self.decryption)
        return Opened(
            {name: signer for name, signer in signers.items() if name[0] in key_ids},
            {key_id: key for key_id, key in decryption.items() if key_id in key_ids},
        )


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One state of the store, complete and unchanging; every lookup is one in a dict."""

    revision: int
    vault: Vault = field(repr=False)
    shelf: Shelf = field(repr=False)
    accounts_by_address: Mapping[str, Account] = field(repr=False)
    rows: Mapping[str, tuple[KeyRow, ...]] = field(repr=False)
    partners: Partners = field(repr=False)
    remembered: Mapping[str, bytes] = field(repr=False)
    trusted: Anchors = field(repr=False)
    issuers: Issuers = field(repr=False)
    opened: Opened = field(default_factory=Opened, repr=False)
    own_domains: frozenset[str] = field(repr=False, default=frozenset())
    readers: Mapping[str, tuple[Account, ...]] = field(repr=False, default_factory=dict)

    @classmethod
    def load(
        cls,
        connection: Connection,
        vault: Vault,
        before: "Snapshot | None" = None,
        *,
        own_domains: frozenset[str] = frozenset(),
    ) -> "Snapshot":
        """Read the store in the transaction the connection is in; blocks.

        What `before` has parsed and unwrapped is taken over as far as it is still there.
        `own_domains` are ours beside those of the accounts.
        """
        number = revision(connection)
        shelf = load_shelf(connection, before.shelf if before else None)
        by_address, rows = load_accounts(connection)
        partners = load_partners(connection)
        ours = own_domains | domains_of(by_address)
        key_ids = frozenset(row.key_id for some in rows.values() for row in some)
        return cls(
            revision=number,
            vault=vault,
            shelf=shelf,
            accounts_by_address=by_address,
            rows=rows,
            partners=partners,
            remembered=capabilities.load(connection),
            trusted=load_anchors(connection, shelf, partners, ours),
            issuers=Issuers.of((*shelf.issuers(), *authority.certificates_of(connection))),
            opened=before.opened.of(key_ids) if before else Opened(),
            own_domains=ours,
            readers=by_reader(by_address),
        )

    def account(self, mailbox: Mailbox) -> Account | None:
        """Find the account that has this address or alias."""
        return self.accounts_by_address.get(mailbox.key)

    def reads_for(self, mailbox: Mailbox) -> Sequence[Account]:
        """Give the accounts, none a team, that name this address as reader."""
        return self.readers.get(mailbox.key, ())

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
        return tuple(
            Entry(
                row.key_id,
                self.shelf.certificate(row.certificate_id),
                self.shelf.chain(row.certificate_id),
                row.former,
            )
            for row in self.rows.get(account.address.key, ())
        )

    def open_key(self, account: Account, entry: KeyEntry) -> PrivateKey:
        """Load a private key, to see whether it opens; raises `KeyUnavailable`."""
        return self._private_key(self._row(account, entry.certificate))

    def signer(self, account: Account, entry: KeyEntry, at: datetime) -> CmsSigner:
        """Load (cached) the signer of one key at a time; raises `KeyUnavailable`."""
        row = self._row(account, entry.certificate)
        name = (row.key_id, account.kind, self._encryption(account, row, at))
        known = self.opened.signers.get(name)
        if known is None:
            known = self.opened.signers[name] = self._signer(account, row, name[2])
        return known

    def decryption_keys(self, account: Account) -> Sequence[DecryptionKey]:
        """Give every private key the account ever owned, for decryption, loaded and cached.

        Raises `KeyUnavailable` when one exists that cannot be loaded.
        """
        rows = self.rows.get(account.address.key, ())
        return tuple(key for key in map(self._decryption_key, rows) if key is not None)

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
        """Give the DER of stored certificates with this issuer (DER name) and serial (E58)."""
        name = certificates.locator(name_key(issuer), serial)
        return tuple(self.shelf.ders[number] for number in self.shelf.by_locator.get(name, ()))

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

    def _row(self, account: Account, certificate: Certificate) -> KeyRow:
        for row in self.rows.get(account.address.key, ()):
            if self.shelf.certificate(row.certificate_id) == certificate:
                return row
        raise KeyUnavailable(f"{account.address} no longer has this key")

    def _encryption(self, account: Account, signing: KeyRow, at: datetime) -> int | None:
        """Find the certificate to encrypt to for who signs, unless it is the same (E72)."""
        rows = [row for row in self.rows.get(account.address.key, ()) if not row.former]
        # Nobody is invited to encrypt to a mailbox several people read.
        if len(rows) < 2 or account.kind is not Kind.PERSONAL:  # noqa: PLR2004 - alone it is its own
            return None
        numbers = {self.shelf.certificate(row.certificate_id): row.certificate_id for row in rows}
        own = [PartnerCertificate(c, pinned=True, bound_to=(account.address,)) for c in numbers]
        chosen = choose_recipient(own, account.address, at, ()).chosen
        number = None if chosen is None else numbers[chosen.certificate]
        return None if number == signing.certificate_id else number

    def _signer(self, account: Account, row: KeyRow, encryption: int | None) -> CmsSigner:
        key = self._private_key(row)
        if not isinstance(key, schemes.PrivateKey):
            raise KeyUnavailable(f"key {row.key_id} is of a kind that signs nothing")
        der, *issuers = self._with_chain(row.certificate_id)
        try:
            return CmsSigner.build(
                key,
                der,
                tuple(issuers),
                capabilities=account.kind is Kind.PERSONAL,
                encryption=() if encryption is None else self._with_chain(encryption),
            )
        except CmsError as error:
            raise KeyUnavailable(f"key {row.key_id} cannot sign: {error}") from error

    def _with_chain(self, number: int) -> tuple[bytes, ...]:
        # A root in the signature says nothing to who does not have it (RFC 5652 5.1).
        issuers = (one.der for one in self.shelf.chain(number) if not one.is_self_signed)
        return (self.shelf.ders[number], *issuers)

    def _decryption_key(self, row: KeyRow) -> DecryptionKey | None:
        """Load (cached) a key for decryption; None for one of a kind that only signs."""
        if row.key_id in self.opened.decryption:
            return self.opened.decryption[row.key_id]
        key, made = self._private_key(row), None
        if isinstance(key, decrypt.PrivateKey):
            try:
                made = DecryptionKey.build(key, self.shelf.ders[row.certificate_id])
            except CmsError as error:
                raise KeyUnavailable(f"key {row.key_id} cannot decrypt: {error}") from error
        self.opened.decryption[row.key_id] = made
        return made

    def _private_key(self, row: KeyRow) -> PrivateKey:
        certificate = self.shelf.certificate(row.certificate_id)
        try:
            return unwrapped(
                self.vault, row.wrapped, PRIVATE_KEY, row.key_id, row.version, certificate
            )
        except StoreError as error:
            raise KeyUnavailable(str(error)) from error


@lru_cache(maxsize=1024)  # mail programs of one kind say the same
def _read_capabilities(encoded: bytes) -> Capabilities | None:
    try:
        return parse_capabilities(encoded)
    except MalformedCms:  # written by a version that knew more
        return None
