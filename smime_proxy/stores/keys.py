"""The private keys of accounts: imported with their certificates, wrapped, never forgotten.

RFC 5958 (PKCS #8, what is wrapped), RFC 8550 3 and 4 (addresses and uses of certificates).
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from sqlalchemy import Connection, insert, select, update

from smime_proxy.address import Mailbox
from smime_proxy.certs.certificate import Certificate, Validity
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.keys import PrivateKey
from smime_proxy.certs.pkcs12 import KeyBundle, KeyPair
from smime_proxy.cms import decrypt
from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.cms.errors import CmsError
from smime_proxy.policy.rules import Account, Kind
from smime_proxy.stores import accounts, certificates, schema
from smime_proxy.stores.accounts import StoredAccount
from smime_proxy.stores.connection import Act, Store, Writing
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.vault import KEY_VERSION, PRIVATE_KEY, Vault

KEY_ID_OCTETS = 4  # short enough to type; unique in one store, tried again if ever not

TOKEN_URI = b"pkcs11:"  # RFC 7512: what is wrapped in place of a key that lies on a token

IMPORTED = "imported"
ISSUED = "issued"


@runtime_checkable
class OnToken(Protocol):
    """A private key that lies on a token."""

    @property
    def reference(self) -> str:
        """Give the URI that finds it there."""
        ...


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What the store says of a key, without the key; `former` ones only decrypt."""

    key_id: str
    address: Mailbox
    certificate: Certificate
    chain: tuple[Certificate, ...]
    former: bool
    retired_at: datetime | None
    imported_at: datetime
    provenance: str


@dataclass(frozen=True, slots=True)
class ImportedKey:
    """A key after its import, whether it is new, and what the administrator should know."""

    key: StoredKey
    is_new: bool
    warnings: tuple[str, ...]


def import_key(
    store: Store, act: Act, mailbox: Mailbox, bundle: KeyBundle, provenance: str = IMPORTED
) -> tuple[ImportedKey, ...]:
    """Give an account the keys of a file; the newest comes first in the result.

    Keys that are expired or weak come in as former ones. The same key again changes nothing.
    Raises `StoreError` for an unknown account or one that the settings declare, and when no key of
    the file fits the account or can be used for mail at all.
    """
    store.declared.current.refuse(mailbox)
    with store.writing(act) as writing:
        owner = accounts.at_address(writing.connection, mailbox)
        reasons = [refusal(pair, owner.account) for pair in bundle.pairs]
        taken = [pair for pair, reason in zip(bundle.pairs, reasons, strict=True) if not reason]
        if not taken:
            raise StoreError(reasons[0])
        refused = tuple(f"left out: {reason}" for reason in reasons if reason)
        imported = [_import(writing, owner, pair, bundle, provenance) for pair in taken]
        first = imported[0]
        imported[0] = ImportedKey(first.key, first.is_new, first.warnings + refused)
        return tuple(imported)


def listing(store: Store, mailbox: Mailbox) -> tuple[StoredKey, ...]:
    """Give all keys of an account, the current first, then the newest certificate.

    Raises `StoreError` for an unknown account.
    """
    with store.reading() as connection:
        found = _load(connection, accounts.at_address(connection, mailbox))
    by_age = sorted(found, key=lambda key: key.certificate.not_before, reverse=True)
    return tuple(sorted(by_age, key=lambda key: key.former))


def retire(store: Store, act: Act, mailbox: Mailbox, key_id: str) -> StoredKey:
    """Make a key a former one: it goes on decrypting. A former one is left as it is.

    Raises `StoreError` when the account or the key is unknown, or the settings declare them.
    """
    store.declared.current.refuse(mailbox)
    with store.writing(act) as writing:
        owner = accounts.at_address(writing.connection, mailbox)
        known = next((k for k in _load(writing.connection, owner) if k.key_id == key_id), None)
        if known is None:
            raise StoreError(f"{owner.account.address} has no key {key_id!a}: see `account keys`")
        if not known.former:
            row = schema.key.c.id == key_id
            former = update(schema.key).where(row).values(former=True, retired_at=act.at)
            writing.connection.execute(former)
            writing.record("account retire-key", f"{owner.account.address} {key_id}")
        return next(k for k in _load(writing.connection, owner) if k.key_id == key_id)


def pkcs8(private_key: PrivateKey) -> bytes:
    """Give a private key as it is wrapped: PKCS #8 in DER, not encrypted by itself.

    Of one on a token its URI, which is authenticated like a key: it decides who signs.
    """
    if isinstance(private_key, OnToken):
        return private_key.reference.encode()
    return private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def unwrapped(
    vault: Vault,
    wrapped: bytes,
    purpose: str,
    identifier: str,
    version: int,
    certificate: Certificate | None = None,
) -> PrivateKey:
    """Give a private key that `pkcs8` and the vault made storable.

    `certificate` is needed where the key may lie on a token. Raises `StoreError` when it does not
    open, `gateway.ports.KeyUnavailable` when it cannot be used there.
    """
    der = vault.unwrap(wrapped, purpose, identifier, version)
    if der.startswith(TOKEN_URI):
        return _on_token(vault, der.decode(), certificate)
    # It was validated when it came in, which costs 40 ms, and is authenticated since.
    key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, PrivateKey):
        raise StoreError(f"the {purpose.replace('-', ' ')} {identifier} is of an unknown type")
    return key


def _on_token(vault: Vault, reference: str, certificate: Certificate | None) -> PrivateKey:
    if vault.tokens is None or certificate is None:
        raise StoreError(f"{reference} lies on a token, and [pkcs11] names none")
    try:
        return vault.tokens.key(reference, certificate.public_key())
    except CertificateError as error:
        raise StoreError(f"{reference}: {error}") from error


def refusal(pair: KeyPair, account: Account) -> str:
    """Say why a key cannot serve an account at all, or ``""``."""
    certificate = pair.certificate
    addresses = {account.address, *account.aliases}
    # An address in the subject alone is enough to decrypt old mail (RFC 8550 3).
    identities = certificate.identities(dn_address=True)
    if addresses.isdisjoint(identities):
        carried = ", ".join(m.text for m in identities) or "no address"
        return (
            f"the certificate {_named(certificate)} carries {carried}, not {account.address} or an"
            " alias of it"
        )
    if not (certificate.may_sign or certificate.may_encrypt):
        return (
            f"the certificate {_named(certificate)} may neither sign nor be encrypted to: its key"
            " usage or extended key usage is for something other than mail"
        )
    try:
        # What fails here would make all mail to the account wait for a key that never comes.
        if isinstance(pair.private_key, decrypt.PrivateKey):
            DecryptionKey.build(pair.private_key, certificate.der)
    except CmsError as error:
        return f"the certificate {_named(certificate)} cannot be used: {error}"
    return ""


def _named(certificate: Certificate) -> str:
    return f"{certificate.subject or 'without a subject'} ({certificate.fingerprint[:16]})"


def standing(certificate: Certificate, account: Account, at: datetime) -> tuple[bool, list[str]]:
    """Decide whether a key comes in as a former one, and say what limits it."""
    limits = []
    if certificate.valid_at(at) is Validity.EXPIRED:
        limits.append(f"the certificate expired on {certificate.not_after:%Y-%m-%d}")
    if certificate.weak_key:
        limits.append(f"the certificate is weak: {certificate.weak_key}")
    if not any(certificate.carries(m) for m in (account.address, *account.aliases)):
        limits.append("the certificate has the address in its subject only")
    if limits:
        return True, [f"{limit}; the key comes in as a former one: it decrypts" for limit in limits]
    if certificate.valid_at(at) is Validity.NOT_YET_VALID:
        limits.append(f"the certificate is valid only from {certificate.not_before:%Y-%m-%d}")
    if not certificate.may_sign:
        limits.append("the certificate is not for signing; the key only decrypts")
    if not certificate.may_encrypt and account.kind is Kind.PERSONAL:
        limits.append("the certificate is not for encryption; the key only signs")
    return False, limits


def _import(
    writing: Writing,
    owner: StoredAccount,
    pair: KeyPair,
    bundle: KeyBundle,
    provenance: str,
) -> ImportedKey:
    former, warnings = standing(pair.certificate, owner.account, writing.act.at)
    known = _load(writing.connection, owner)
    same = next((key for key in known if key.certificate == pair.certificate), None)
    if same is not None:
        return ImportedKey(same, is_new=False, warnings=tuple(warnings))
    # Other pairs of the file are no part of this one's chain.
    chain = issuers_of(pair.certificate, bundle.chain)
    number = certificates.keep(writing.connection, pair.certificate, chain)
    key_id = _new_id(writing.connection)
    row = {
        "id": key_id,
        "account_id": owner.number,
        "certificate_id": number,
        "wrapped": writing.vault.wrap(pkcs8(pair.private_key), PRIVATE_KEY, key_id),
        "key_version": KEY_VERSION,
        "former": former,
        "retired_at": writing.act.at if former else None,
        "imported_at": writing.act.at,
        "provenance": provenance,
    }
    writing.connection.execute(insert(schema.key).values(row))
    what = f"{owner.account.address} {key_id} {pair.certificate.fingerprint}"
    writing.record("account import-key", f"{what} former" if former else what)
    key = next(k for k in _load(writing.connection, owner) if k.key_id == key_id)
    return ImportedKey(key, is_new=True, warnings=tuple(warnings))


def issuers_of(
    certificate: Certificate, candidates: Sequence[Certificate]
) -> tuple[Certificate, ...]:
    """Follow the issuers as far as the file has them, without the root (RFC 5652 5.1)."""
    issuers: list[Certificate] = []
    last = certificate
    for _ in candidates:
        above = (c for c in candidates if c.subject_key == last.issuer_key and c not in issuers)
        issuer = next((c for c in above if not c.is_self_signed), None)
        if issuer is None:
            break
        issuers.append(issuer)
        last = issuer
    return tuple(issuers)


def _new_id(connection: Connection) -> str:
    while True:
        key_id = secrets.token_hex(KEY_ID_OCTETS)
        if connection.execute(select(schema.key.c.id).where(schema.key.c.id == key_id)).first():
            continue
        return key_id


def _load(connection: Connection, owner: StoredAccount) -> list[StoredKey]:
    table = schema.key
    rows = connection.execute(
        select(table, schema.certificate.c.der)
        .join(schema.certificate, schema.certificate.c.id == table.c.certificate_id)
        .where(table.c.account_id == owner.number)
    )
    return [
        StoredKey(
            key_id=row.id,
            address=owner.account.address,
            certificate=certificates.stored(row.der),
            chain=certificates.chain_of(connection, row.certificate_id),
            former=row.former,
            retired_at=row.retired_at,
            imported_at=row.imported_at,
            provenance=row.provenance,
        )
        for row in rows
    ]
