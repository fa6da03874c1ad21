"""Certificate files of `cert import`: read before root is given up, then stored one by one.

RFC 7468 (PEM), RFC 8551 3.8 (certs-only PKCS #7).
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from smime_proxy.address import Mailbox
from smime_proxy.admin import queries
from smime_proxy.admin.cli import files
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.output import say, tell
from smime_proxy.certs.certificate import Certificate, read_certificates
from smime_proxy.certs.errors import CertificateError
from smime_proxy.stores import partners
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError


@dataclass(frozen=True, slots=True)
class PartnerFile:
    """The certificates of a file, or why they could not be read."""

    path: Path
    certificates: tuple[Certificate, ...] = ()
    reason: str = ""


def read_certificate_file(path: Path) -> tuple[Certificate, ...]:
    """Read every certificate of a file; raises `CertificateError` that names the file."""
    try:
        return read_certificates(files.read(path))
    except CertificateError as error:
        raise CertificateError(f"{path}: {error}") from error


def read_all(path: Path) -> list[PartnerFile]:
    """Read a certificate file, or all of a directory.

    Raises `CertificateError` for a single file; in a directory the others are read on.
    """
    if not path.is_dir():
        return [PartnerFile(path, read_certificate_file(path))]
    return [_read(one) for one in files.named_files(path, files.CERTIFICATE_SUFFIXES)]


def import_all(
    store: Store,
    act: Act,
    partner_files: list[PartnerFile],
    bound_to: Mailbox | None,
    *,
    pinned: bool,
    domains: tuple[str, ...] = (),
) -> None:
    """Store the certificates of all files and say of each what became of it.

    Raises `CommandError` when some could not be, or `StoreError` when there was one file.
    """
    failed = 0
    taken = []
    by_path = {partner_file.path: partner_file for partner_file in partner_files}
    for path in files.tracked(list(by_path)):
        try:
            one = by_path[path]
            taken.append(_import(store, act, one, bound_to, pinned=pinned, domains=domains))
        except StoreError as error:
            if len(partner_files) == 1:
                raise
            say(f"{path}: {error}")
            failed += 1
    _warn(store, taken, act.at)
    if failed:
        raise CommandError(f"{failed} of {len(partner_files)} files were not imported")


def _warn(store: Store, fingerprints: list[str], at: datetime) -> None:
    """Say which certificates mail is not encrypted to as things stand, and why."""
    if len(fingerprints) == 1:
        views = [queries.partner(store, fingerprints[0], at)]
    else:  # at once: each look reads the whole store
        wanted = set(fingerprints)
        views = [
            view
            for view in queries.partner_list(store, None, at)
            if view.certificate.fingerprint in wanted
        ]
    for view in views:
        if not view.usable:
            say(f"warning: {view.certificate.fingerprint[:16]} is not used: {view.reason}")


def _read(path: Path) -> PartnerFile:
    try:
        return PartnerFile(path, read_certificate_file(path))
    except (CertificateError, CommandError) as error:
        return PartnerFile(path, reason=str(error).removeprefix(f"{path}: "))


def _import(
    store: Store,
    act: Act,
    partner_file: PartnerFile,
    bound_to: Mailbox | None,
    *,
    pinned: bool,
    domains: tuple[str, ...],
) -> str:
    if partner_file.reason:
        raise StoreError(partner_file.reason)
    imported = partners.import_certificate(
        store, act, partner_file.certificates, bound_to, pinned=pinned, domains=domains
    )
    partner = imported.partner
    everybody = (f"all of {domain}" for domain in partner.domains)
    served = ", ".join((*(mailbox.text for mailbox in partner.addresses), *everybody))
    state = "imported" if imported.is_new else "is there already"
    tell(f"{partner.certificate.fingerprint[:16]} for {served}: {state}")
    return partner.certificate.fingerprint
