"""The keys of accounts as the mail path uses them: stored ones unwrapped, declared ones at hand.

RFC 5652 5.1 (chains in signatures), RFC 8551 2.5.3 (the certificate to encrypt to).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.keys import PrivateKey
from smime_proxy.certs.selection import PartnerCertificate, choose_recipient
from smime_proxy.cms import decrypt, schemes
from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.cms.errors import CmsError
from smime_proxy.cms.sign import CmsSigner
from smime_proxy.gateway.ports import KeyUnavailable
from smime_proxy.policy.rules import Account, Kind
from smime_proxy.stores.declared import NOTHING, Declared
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.keys import unwrapped
from smime_proxy.stores.rows import KeyRow
from smime_proxy.stores.shelf import Shelf
from smime_proxy.stores.vault import PRIVATE_KEY, Vault


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of an account as the selection sees it; the key itself stays where it is.

    `stored` is its row in the store, None for a declared one.
    """

    key_id: str
    certificate: Certificate
    chain: tuple[Certificate, ...]
    former: bool
    stored: KeyRow | None = None


# Key id, kind of the account, and the certificate its signatures ask to encrypt to, if another.
_Signing: TypeAlias = tuple[str, Kind, str]


@dataclass(frozen=True, slots=True)
class Opened:
    """What was made of private keys, by key id; kept over reloads as long as the key is."""

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
class Keyring:
    """All keys of all accounts; `rows` are those of the store by the address of the account."""

    vault: Vault = field(repr=False)
    shelf: Shelf = field(repr=False)
    rows: Mapping[str, tuple[KeyRow, ...]] = field(repr=False)
    declared: Declared = field(repr=False, default=NOTHING)
    opened: Opened = field(default_factory=Opened, repr=False)

    def kept(self, before: "Keyring | None") -> Opened:
        """Give what was made of the keys that are the same as before."""
        if before is None:
            return Opened()
        ids = {row.key_id for some in self.rows.values() for row in some}
        if before.declared is self.declared:
            ids |= {key.key_id for one in self.declared.accounts for key in one.keys}
        return before.opened.of(frozenset(ids))

    def of(self, account: Account) -> tuple[Entry, ...]:
        """Give all keys of an account, current and former, the declared first."""
        found = self.declared.find(account.address)
        declared = (
            Entry(key.key_id, key.certificate, key.chain, key.former)
            for key in (found.keys if found is not None else ())
        )
        stored = (
            Entry(
                row.key_id,
                self.shelf.certificate(row.certificate_id),
                self.shelf.chain(row.certificate_id),
                row.former,
                row,
            )
            for row in self.rows.get(account.address.key, ())
        )
        return (*declared, *stored)

    def find(self, account: Account, certificate: Certificate) -> Entry:
        """Find a key by its certificate; raises `KeyUnavailable`."""
        for entry in self.of(account):
            if entry.certificate == certificate:
                return entry
        raise KeyUnavailable(f"{account.address} no longer has this key")

    def private_key(self, account: Account, entry: Entry) -> PrivateKey:
        """Give the private key itself; raises `KeyUnavailable`."""
        if entry.stored is None:
            declared = self.declared.key(account, entry.certificate)
            if declared is None:
                raise KeyUnavailable(f"{account.address} no longer has this key")
            return declared.private_key
        row = entry.stored
        try:
            return unwrapped(
                self.vault, row.wrapped, PRIVATE_KEY, row.key_id, row.version, entry.certificate
            )
        except StoreError as error:
            raise KeyUnavailable(str(error)) from error

    def signer(self, account: Account, entry: Entry, at: datetime) -> CmsSigner:
        """Load (cached) the signer of one key at a time; raises `KeyUnavailable`."""
        encryption = self._encryption(account, entry, at)
        fingerprint = "" if encryption is None else encryption.certificate.fingerprint
        name = (entry.key_id, account.kind, fingerprint)
        known = self.opened.signers.get(name)
        if known is None:
            known = self.opened.signers[name] = self._signer(account, entry, encryption)
        return known

    def decryption_keys(self, account: Account) -> Sequence[DecryptionKey]:
        """Give every private key that decrypts, loaded and cached; raises `KeyUnavailable`."""
        found = (self._decryption_key(account, entry) for entry in self.of(account))
        return tuple(key for key in found if key is not None)

    def _encryption(self, account: Account, signing: Entry, at: datetime) -> Entry | None:
        """Find the certificate to encrypt to for who signs, unless it is the same (E72)."""
        entries = [entry for entry in self.of(account) if not entry.former]
        # Nobody is invited to encrypt to a mailbox several people read.
        if len(entries) < 2 or account.kind is not Kind.PERSONAL:  # noqa: PLR2004 - alone it is its own
            return None
        by_certificate = {entry.certificate: entry for entry in entries}
        own = [
            PartnerCertificate(one, pinned=True, bound_to=(account.address,))
            for one in by_certificate
        ]
        chosen = choose_recipient(own, account.address, at, ()).chosen
        if chosen is None or chosen.certificate == signing.certificate:
            return None
        return by_certificate[chosen.certificate]

    def _signer(self, account: Account, entry: Entry, encryption: Entry | None) -> CmsSigner:
        key = self.private_key(account, entry)
        if not isinstance(key, schemes.PrivateKey):
            raise KeyUnavailable(f"key {entry.key_id} is of a kind that signs nothing")
        der, *issuers = _with_chain(entry)
        try:
            return CmsSigner.build(
                key,
                der,
                tuple(issuers),
                capabilities=account.kind is Kind.PERSONAL,
                encryption=() if encryption is None else _with_chain(encryption),
            )
        except CmsError as error:
            raise KeyUnavailable(f"key {entry.key_id} cannot sign: {error}") from error

    def _decryption_key(self, account: Account, entry: Entry) -> DecryptionKey | None:
        """Load (cached) a key for decryption; None for one of a kind that only signs."""
        if entry.key_id in self.opened.decryption:
            return self.opened.decryption[entry.key_id]
        key, made = self.private_key(account, entry), None
        if isinstance(key, decrypt.PrivateKey):
            try:
                made = DecryptionKey.build(key, entry.certificate.der)
            except CmsError as error:
                raise KeyUnavailable(f"key {entry.key_id} cannot decrypt: {error}") from error
        self.opened.decryption[entry.key_id] = made
        return made


def _with_chain(entry: Entry) -> tuple[bytes, ...]:
    # A root in the signature says nothing to who does not have it (RFC 5652 5.1).
    issuers = (one.der for one in entry.chain if not one.is_self_signed)
    return (entry.certificate.der, *issuers)
