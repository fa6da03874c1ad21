"""What `ca` makes: authorities and certificates with their keys, and files of them.

RFC 5280 4 (profile), RFC 7292 (PKCS #12), RFC 7468 (PEM).
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from smime_proxy.address import AddressError, Mailbox, fold_domain
from smime_proxy.admin.cli import files
from smime_proxy.admin.cli.arguments import to_pem
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.output import say
from smime_proxy.certs.authority import (
    Issuer,
    KeyUses,
    PublishedAt,
    create_authority,
    create_issuing,
    issue,
    write_pkcs12,
)
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.pkcs12 import KeyBundle
from smime_proxy.policy.rules import Kind
from smime_proxy.stores import accounts, authority, issued, keys
from smime_proxy.stores.accounts import StoredAccount
from smime_proxy.stores.authority import StoredAuthority
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.issued import Issued
from smime_proxy.stores.revocation_lists import list_id

AUTHORITY_BITS = 3072  # RSA; lasts ten years (NIST SP 800-57 part 1, table 4)
KEY_BITS = 2048  # RSA; read by every client, and what signing speed is measured with
EXPONENT = 65537
AUTHORITY_YEARS = 10
ROOT_LEFT = timedelta(days=365)  # with less, what is issued below it would soon be cut short
CERTIFICATE_DAYS = 365 * 2  # within the 825 days some clients insist on
SERIAL_BITS = 127  # random, as CA/Browser S/MIME requirements 7.1 ask for 64 at least
PKCS12_SUFFIXES = frozenset({".p12", ".pfx"})


@dataclass(frozen=True, slots=True)
class Target:
    """An open file that gets key and certificate; `password` None means PEM."""

    descriptor: int
    password: bytes | None

    @classmethod
    def open(cls, path: Path, password_file: Path | None) -> "Target":
        """Open the file, asking for a password when its name says PKCS #12."""
        password = files.read_password(password_file) if password_file else None
        if path.suffix.lower() in PKCS12_SUFFIXES and password is None:
            password = files.ask_password(f"password for {path}", confirm=True)
        return cls(files.open_private(path), password)

    def write(self, bundle: KeyBundle) -> None:
        """Write PKCS #12 with the password, else PEM: key, certificate, chain."""
        if self.password is not None:
            raw = write_pkcs12(bundle.private_key, bundle.certificate, bundle.chain, self.password)
        else:
            key = bundle.private_key.private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            )
            raw = key + "".join(map(to_pem, (bundle.certificate, *bundle.chain))).encode()
        files.write(self.descriptor, raw)


def mint_root(name: str, at: datetime) -> Issuer:
    """Make a root with a new key."""
    key = rsa.generate_private_key(EXPONENT, AUTHORITY_BITS)
    return Issuer(create_authority(name, at, AUTHORITY_YEARS, key, serial=_serial()), key)


def mint_issuing(
    root: Issuer, name: str, at: datetime, domains: Sequence[str], base_url: str
) -> Issuer:
    """Make an issuing authority with a new key below a root."""
    key = rsa.generate_private_key(EXPONENT, AUTHORITY_BITS)
    above = replace(root, published=published_at(root.certificate, base_url))
    certificate = create_issuing(
        above, name, key.public_key(), at, serial=_serial(), domains=domains
    )
    return Issuer(certificate, key)


def published_at(issuer: Certificate, base_url: str) -> PublishedAt | None:
    """Give where the status port shows an issuer's list and certificate, if people reach it."""
    if not base_url:
        return None
    name = f"{base_url}/crl/{list_id(issuer)}"
    return PublishedAt(f"{name}.crl", f"{name}.cer")


def folded(domains: Sequence[str]) -> tuple[str, ...]:
    """Fold domains as certificates write them; raises `CommandError`."""
    try:
        return tuple(dict.fromkeys(map(fold_domain, domains)))
    except AddressError as error:
        raise CommandError(f"--domain takes a domain: {error}") from None


def issuer(store: Store) -> StoredAuthority:
    """Give what issues; raises `CommandError` when there is no authority."""
    known = authority.find(store)
    if known is None:
        raise CommandError("there is no authority: make it with `ca init`")
    return known


def any_authority(store: Store) -> None:
    """Raise `CommandError` when there is no authority; what issues may be revoked."""
    if authority.find_root(store) is None:
        raise CommandError("there is no authority: make it with `ca init`")


def uses_of(known: Sequence[Issued]) -> list[KeyUses]:
    """Tell what an address has certificates for: what the newest is, with its other half."""
    given = [one.uses for one in known if one.uses is not None]
    if not given or given[0] is KeyUses.BOTH:
        return given[:1]
    return [uses for uses in (KeyUses.SIGNING, KeyUses.ENCRYPTION) if uses in given]


def account(store: Store, wanted: Mailbox, *, required: bool) -> StoredAccount | None:
    """Find the account of an address; None for no account where none is required.

    One that the settings declare takes no keys from here: raises `StoreError` where it has to.
    """
    if store.declared.current.find(wanted) is not None and not required:
        return None
    store.declared.current.refuse(wanted)
    try:
        return accounts.find(store, wanted)
    except StoreError:
        if required:
            raise
        return None


def fitting(uses: KeyUses, owner: StoredAccount | None) -> KeyUses:
    """Give what a certificate for an account may be for: a team's is for signing only.

    Raises `CommandError` for a team's that is not.
    """
    if owner is None or owner.account.kind is not Kind.TEAM:
        return uses
    if uses is KeyUses.ENCRYPTION:
        raise CommandError(f"{owner.account.address} is a team: it is never encrypted to")
    return KeyUses.SIGNING


def certify(
    store: Store,
    acting: Act,
    wanted: Mailbox,
    uses: KeyUses,
    owner: StoredAccount | None,
    base_url: str,
) -> KeyBundle:
    """Issue a certificate for a new key, note it, and give it to the account if there is one."""
    above = issuer(store)
    key = rsa.generate_private_key(EXPONENT, KEY_BITS)
    certificate = issue(
        Issuer(above.certificate, above.private_key, published_at(above.certificate, base_url)),
        wanted,
        key.public_key(),
        acting.at,
        CERTIFICATE_DAYS,
        serial=_serial(),
        uses=uses,
    )
    bundle = KeyBundle(key, certificate, (above.certificate, *above.chain), (), ())
    issued.record(store, acting, above, wanted, uses, certificate)
    if owner is not None:
        imported = keys.import_key(store, acting, wanted, bundle, keys.ISSUED)[0]
        say(f"{owner.account.address}: issued key {imported.key.key_id}")
    return bundle


def _serial() -> int:
    return secrets.randbits(SERIAL_BITS) | 1
