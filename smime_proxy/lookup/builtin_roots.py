"""The authorities Mozilla trusts for mail, read from the module that NSS brings them in.

NSS pkcs11n.h (CKO_NSS_TRUST, CKA_TRUST_EMAIL_PROTECTION, CKA_NSS_EMAIL_DISTRUST_AFTER), PKCS #11
3.2 (CKO_TRUST, which newer modules have instead). The file of roots for TLS servers says nothing of
mail and is never read.
"""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.names import name_key
from smime_proxy.lookup import token_objects
from smime_proxy.lookup.errors import LookupFailed

MODULE = "libnssckbi.so"  # of libnss3 (Debian), nss (others)
# Where distributions put libraries; the first with the module is taken.
DIRECTORIES = ("/usr/lib/*-linux-gnu*", "/usr/lib/*-linux-gnu*/nss", "/usr/lib64", "/usr/lib")
MANUFACTURERS = ("Mozilla Foundation", "Mozilla Corporation")
READ_SECONDS = 30  # NSS's own takes 0.2 s
UTC_TIME = re.compile(rb"\d{12}Z")
MAX_ANSWER = 32 * 1024 * 1024  # octets; NSS 3.87 gives 420 kB

_NSS = 0x80000000 | 0x4E534350  # CKT_NSS
# An authority whose word on mailboxes is taken: CKT_NSS_TRUSTED_DELEGATOR, CKT_TRUST_ANCHOR.
_TRUSTED = {"nss-trust": _NSS + 2, "trust": 2}
_Object: TypeAlias = Mapping[str, str | None]
_NO_DATE = b"\0"  # CK_FALSE: there is no such date


@dataclass(frozen=True, slots=True)
class BuiltinRoots:
    """The authorities of a module, sorted by subject, and the version of its list."""

    version: str
    roots: tuple[Anchor, ...]


@dataclass(frozen=True, slots=True)
class _Trust:
    """A trust object: what is said of the certificate with this hash, or issuer and serial."""

    digest: bytes
    issuer: bytes
    serial: bytes
    for_mail: bool

    def names(self, certificate: Certificate) -> bool:
        named = bool(self.issuer) and name_key(self.issuer) == certificate.issuer_key
        return named and _integer(self.serial) == certificate.serial


def read_builtin_roots(
    module: Path | None = None,
    *,
    reader: str = token_objects.__file__,
    patience: float = READ_SECONDS,
) -> BuiltinRoots:
    """Read the roots from a module, by default from that of the system's NSS.

    The program `reader` runs the module in a process of its own, for `patience` seconds at most.
    Raises `LookupFailed` with one line when it is not there, is none of Mozilla's, breaks down or
    names nobody for mail.
    """
    path = module or _find()
    command = [sys.executable, "-I", reader, str(path.absolute())]
    try:
        done = subprocess.run(  # noqa: S603 - our own file, and a path that is no option
            command, capture_output=True, check=False, timeout=patience
        )
    except subprocess.TimeoutExpired:
        raise LookupFailed(f"{path} cannot be used: no answer in {patience:g} s") from None
    except OSError as error:
        raise LookupFailed(f"{path} cannot be used: {error.strerror}") from error
    try:
        return judge(_lines(done))
    except LookupFailed as error:
        raise LookupFailed(f"{path} cannot be used: {error}") from error


def judge(lines: Sequence[_Object]) -> BuiltinRoots:
    """Find out of a module's objects the authorities that are trusted for mail.

    One that anything in the module distrusts is left out. Raises `LookupFailed`.
    """
    about, *objects = lines
    _refuse_others(about)
    trusts = [_trust(one) for one in objects if one.get("kind") in _TRUSTED]
    roots = [
        Anchor(certificate, distrust_after=_date(one))
        for one in objects
        if one.get("kind") == "certificate"
        and (certificate := _certificate(_octets(one, "der"), trusts)) is not None
    ]
    if not roots:
        raise LookupFailed("it names no authority that is trusted for mail")
    by_name = sorted(roots, key=lambda r: (r.certificate.subject, r.certificate.fingerprint))
    return BuiltinRoots(f"{about.get('version')}", tuple(by_name))


def _find() -> Path:
    for pattern in DIRECTORIES:
        for directory in sorted(Path("/").glob(pattern.lstrip("/"))):
            if (directory / MODULE).is_file():
                return directory / MODULE
    raise LookupFailed(f"{MODULE} is not installed (Debian: libnss3); --module PATH names another")


def _failure(done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode < 0:
        return f"it breaks down (signal {-done.returncode})"
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return said[-1] if said else "it says no, and not why"


def _refuse_others(about: _Object) -> None:
    made_by = f"{about.get('manufacturer')}"
    if made_by not in MANUFACTURERS:
        # p11-kit puts a module of the same name there, with the roots of TLS servers.
        raise LookupFailed(
            f"it is made by {made_by!a}: only {MANUFACTURERS[0]!a} has Mozilla's list"
        )


def _lines(done: subprocess.CompletedProcess[bytes]) -> list[_Object]:
    answer = done.stdout
    if len(answer) > MAX_ANSWER:
        raise LookupFailed(f"its list has more than {MAX_ANSWER} octets")
    try:
        found = [json.loads(line) for line in answer.splitlines()]
    except ValueError:
        found = []
    readable = bool(found) and all(isinstance(line, dict) for line in found)
    if readable:
        _refuse_others(found[0])  # says more than what another's module then fails at
    if done.returncode:
        raise LookupFailed(_failure(done))
    if not readable:
        raise LookupFailed("its list cannot be read")
    return found


def _octets(one: _Object, name: str) -> bytes:
    return bytes.fromhex(one.get(name) or "")


def _trust(one: _Object) -> _Trust:
    word = int.from_bytes(_octets(one, "email"), sys.byteorder)  # CK_ULONG
    return _Trust(
        digest=_octets(one, "hash"),
        issuer=_octets(one, "issuer"),
        serial=_octets(one, "serial"),
        for_mail=word == _TRUSTED[f"{one['kind']}"],
    )


def _certificate(der: bytes, trusts: Sequence[_Trust]) -> Certificate | None:
    """Read a certificate that is trusted for mail; None for any other."""
    # The standard's name the certificate by SHA-1 or SHA-256, NSS's own by SHA-1.
    digests = {hashlib.sha1(der, usedforsecurity=False).digest(), hashlib.sha256(der).digest()}
    said = [trust.for_mail for trust in trusts if trust.digest in digests]
    if not said:
        return None
    try:
        certificate = Certificate.from_der(der)
    except CertificateError:
        return None  # what cannot be read vouches for nobody
    said += [trust.for_mail for trust in trusts if trust.names(certificate)]
    return certificate if all(said) else None


def _date(one: _Object) -> datetime | None:
    """Read a UTCTime without its header, ``None`` where there is no date."""
    raw = _octets(one, "distrust_after")
    if raw in {b"", _NO_DATE}:
        return None
    if UTC_TIME.fullmatch(raw):
        with suppress(ValueError):
            return datetime.strptime(raw.decode(), "%y%m%d%H%M%SZ").replace(tzinfo=UTC)
    # A date that cannot be read may be any, so nothing it issued is trusted.
    return datetime.min.replace(tzinfo=UTC)


def _integer(der: bytes) -> int:
    """Read a short DER INTEGER; -1 for what is none, which is no serial number of a root."""
    if len(der) < 3 or der[0] != 0x02 or der[1] != len(der) - 2:  # noqa: PLR2004 - DER
        return -1
    return int.from_bytes(der[2:], "big", signed=True)
