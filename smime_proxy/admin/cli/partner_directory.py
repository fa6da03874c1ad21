"""A directory of partner certificates, taken in by the thousand.

RFC 7468 (PEM), RFC 8551 3.8 (certs-only PKCS #7), RFC 8550 3 (addresses).
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from smime_proxy.admin.cli import files
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.import_report import Line, Outcome
from smime_proxy.certs.certificate import Certificate, read_certificates
from smime_proxy.certs.errors import CertificateError
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.partner_batch import BATCH, Candidate, import_batch


def read_directory(directory: Path) -> dict[Path, bytes | str]:
    """Read all certificate files of a directory, or say why one cannot be read."""
    if not directory.is_dir():
        raise CommandError(f"{directory}: not a directory")
    found: dict[Path, bytes | str] = {}
    for path in files.named_files(directory, files.CERTIFICATE_SUFFIXES):
        try:
            found[path] = files.read(path)
        except CommandError as error:
            found[path] = str(error).removeprefix(f"{path}: ")
    return found


def import_directory(store: Store, act: Act, contents: Mapping[Path, bytes | str]) -> list[Line]:
    """Take in what the files hold, batch by batch; gives a line for each certificate or fault."""
    lines: list[Line] = []
    waiting = _read(contents, lines)
    while batch := list(islice(waiting, BATCH)):
        taken = import_batch(store, act, [candidate for _, candidate in batch])
        for (name, candidate), is_new in zip(batch, taken, strict=True):
            certificate = candidate.certificate
            addresses = tuple(mailbox.text for mailbox in certificate.identities())
            outcome = Outcome.IMPORTED if is_new else Outcome.KNOWN
            lines.append(Line(name, outcome, "", certificate.fingerprint, addresses))
    return sorted(lines, key=lambda line: (line.file, line.fingerprint))


def _read(
    contents: Mapping[Path, bytes | str], refused: list[Line]
) -> Iterator[tuple[str, Candidate]]:
    for path in files.tracked(list(contents)):
        raw = contents[path]
        if isinstance(raw, str):
            refused.append(Line(path.name, Outcome.REFUSED, raw))
            continue
        try:
            yield from ((path.name, one) for one in candidates(read_certificates(raw)))
        except CertificateError as error:
            refused.append(Line(path.name, Outcome.REFUSED, str(error)))


def candidates(file: tuple[Certificate, ...]) -> list[Candidate]:
    """Give everybody in a file, each with the authorities in it.

    Raises `CertificateError` when nobody there has an address.
    """
    people = [one for one in file if one.identities() and not one.is_ca]
    # People who sign their own certificate often make it one of an authority.
    people = people or [one for one in file if one.identities() and one.is_self_signed]
    if not people:
        raise CertificateError(
            "no certificate in it carries an e-mail address: `cert import --address` says whose it"
            " is, `trust add` is for authorities"
        )
    authorities = [one for one in file if one not in people]
    return [Candidate(one, tuple(authorities)) for one in people]
