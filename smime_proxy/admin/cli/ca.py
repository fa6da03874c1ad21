"""`ca`: the built-in certificate authority, for internal use and trials.

RFC 5280 4 (profile), RFC 7292 (PKCS #12), RFC 7468 (PEM).
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from smime_proxy.address import Mailbox
from smime_proxy.admin.cli import files
from smime_proxy.admin.cli.adapters import act, opened_store
from smime_proxy.admin.cli.arguments import Address, PasswordFile, mailbox, to_pem
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.output import say
from smime_proxy.admin.cli.program import noun
from smime_proxy.certs.authority import create_authority, issue, write_pkcs12
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.pkcs12 import KeyBundle
from smime_proxy.policy.rules import Kind
from smime_proxy.stores import accounts, authority, keys
from smime_proxy.stores.accounts import StoredAccount
from smime_proxy.stores.authority import StoredAuthority
from smime_proxy.stores.connection import Store
from smime_proxy.stores.errors import StoreError

AUTHORITY_BITS = 3072  # RSA; lasts ten years (NIST SP 800-57 part 1, table 4)
KEY_BITS = 2048  # RSA; read by every client, and what signing speed is measured with
EXPONENT = 65537
AUTHORITY_YEARS = 10
CERTIFICATE_DAYS = 365 * 2  # within the 825 days some clients insist on
SERIAL_BITS = 127  # random, as CA/Browser S/MIME requirements 7.1 ask for 64 at least
PKCS12_SUFFIXES = frozenset({".p12", ".pfx"})

app = noun("The built-in certificate authority.")


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


@app.command()
def init(
    context: typer.Context,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Common name of the authority.")
    ] = "smime-proxy internal CA",
) -> None:
    """Make the authority, trust it, and print its certificate as PEM; again: print it."""
    acting = act(context)
    with opened_store(context) as store:
        known = authority.find(store)
        if known is None:
            key = rsa.generate_private_key(EXPONENT, AUTHORITY_BITS)
            certificate = create_authority(name, acting.at, AUTHORITY_YEARS, key, serial=_serial())
            authority.init(store, acting, certificate, key)
            say(f"made the authority {certificate.subject} and trust it")
        else:
            certificate = known.certificate
            say(f"the authority {certificate.subject} is there already")
    typer.echo(to_pem(certificate), nl=False)


@app.command(name="issue")
def issue_(
    context: typer.Context,
    address: Address,
    signing_only: Annotated[
        bool,
        typer.Option("--signing-only", help="Not for encryption; team accounts always get this."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write key, certificate and chain there too: .p12 or .pfx with a password, else"
            " PEM. Without an account of that address this is the only place.",
        ),
    ] = None,
    password_file: PasswordFile = None,
) -> None:
    """Certify a new key, give it to the account, and print the certificate as PEM."""
    acting, wanted = act(context), mailbox(address)
    target = Target.open(out, password_file) if out is not None else None
    with opened_store(context) as store:
        root = _authority(store)
        account = _account(store, wanted, required=target is None)
        team = account is not None and account.account.kind is Kind.TEAM
        bundle = _issue(root, wanted, acting.at, signing_only=signing_only or team)
        if account is not None:
            imported = keys.import_key(store, acting, wanted, bundle, keys.ISSUED)[0]
            say(f"{account.account.address}: issued key {imported.key.key_id}")
    if target is not None:
        target.write(bundle)
    typer.echo(to_pem(bundle.certificate), nl=False)


def _authority(store: Store) -> StoredAuthority:
    known = authority.find(store)
    if known is None:
        raise CommandError("there is no authority: make it with `ca init`")
    return known


def _account(store: Store, wanted: Mailbox, *, required: bool) -> StoredAccount | None:
    try:
        return accounts.find(store, wanted)
    except StoreError:
        if required:
            raise
        return None


def _issue(
    root: StoredAuthority, wanted: Mailbox, at: datetime, *, signing_only: bool
) -> KeyBundle:
    key = rsa.generate_private_key(EXPONENT, KEY_BITS)
    certificate = issue(
        root.certificate,
        root.private_key,
        wanted,
        key.public_key(),
        at,
        CERTIFICATE_DAYS,
        signing_only=signing_only,
        serial=_serial(),
    )
    chain: tuple[Certificate, ...] = (root.certificate,)
    return KeyBundle(key, certificate, chain, (), ())


def _serial() -> int:
    return secrets.randbits(SERIAL_BITS) | 1
