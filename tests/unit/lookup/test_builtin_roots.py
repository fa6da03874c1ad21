"""Mozilla's roots for mail: counted against NSS's own list, and only what is fit for it."""

import hashlib
import sys
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from smime_proxy.certs.anchors import Anchor
from smime_proxy.lookup.builtin_roots import judge, read_builtin_roots
from smime_proxy.lookup.errors import LookupFailed
from tests import pki
from tests.peers import require

ROOT, OTHER, ALWAYS = (pki.root(name, kind="p256") for name in ("One", "Other", "Always"))
MODULE: Mapping[str, str | None] = {
    "kind": "module",
    "manufacturer": "Mozilla Foundation",
    "version": "2.60",
}
DELEGATOR, MUST_VERIFY, NOT_TRUSTED = (0xCE534350 + number for number in (2, 3, 10))


def certificate(root: pki.Identity, after: bytes = b"\0") -> dict[str, str | None]:
    return {"kind": "certificate", "der": root.der.hex(), "distrust_after": after.hex()}


def sha1(der: bytes) -> str:
    return hashlib.sha1(der, usedforsecurity=False).hexdigest()


def trust(
    root: pki.Identity, email: int, *, by_hash: bool = True, **instead: str
) -> Mapping[str, str | None]:
    number = root.certificate.serial
    octets = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return {
        "kind": "nss-trust",
        "hash": sha1(root.der) if by_hash else "",
        "issuer": root.certificate.x509().issuer.public_bytes().hex(),
        "serial": (bytes([2, len(octets)]) + octets).hex(),
        "email": email.to_bytes(8, sys.byteorder).hex(),
    } | instead


def subjects(*objects: Mapping[str, str | None]) -> list[str]:
    """Give who is trusted beside one who always is."""
    always = (certificate(ALWAYS), trust(ALWAYS, DELEGATOR))
    found = [root.certificate.subject for root in judge([MODULE, *objects, *always]).roots]
    found.remove(ALWAYS.certificate.subject)
    return found


def test_a_root_is_trusted_by_the_bit_for_mail_alone() -> None:
    good = trust(ROOT, DELEGATOR)
    assert subjects(certificate(ROOT), good) == [ROOT.certificate.subject]
    for word in (MUST_VERIFY, NOT_TRUSTED, DELEGATOR - 1, 0):
        assert subjects(certificate(ROOT), trust(ROOT, word)) == []
    assert subjects(certificate(ROOT)) == []
    assert subjects(certificate(OTHER), good) == []
    assert subjects(certificate(ROOT), trust(ROOT, DELEGATOR, by_hash=False)) == []


@pytest.mark.parametrize("digest", ["sha1", "sha256"])
def test_trust_objects_of_the_standard_say_the_same(digest: str) -> None:
    """PKCS #11 3.2: CKT_TRUST_ANCHOR is 2, CKT_NOT_TRUSTED 3."""
    found, name = certificate(ROOT), hashlib.new(digest, ROOT.der).hexdigest()
    assert subjects(found, trust(ROOT, 2, kind="trust", hash=name)) == [ROOT.certificate.subject]
    for word in (0, 1, 3, 4, DELEGATOR):
        assert subjects(found, trust(ROOT, word, kind="trust", hash=name)) == []
    against = trust(ROOT, 3, kind="trust", hash="")
    assert subjects(found, trust(ROOT, DELEGATOR), against) == []
    assert subjects(found, trust(ROOT, 2)) == []


@pytest.mark.parametrize("by_hash", [True, False])
def test_distrust_anywhere_outweighs_trust(by_hash: bool) -> None:
    against = trust(ROOT, NOT_TRUSTED, by_hash=by_hash)
    assert subjects(certificate(ROOT), trust(ROOT, DELEGATOR), against) == []
    other = trust(ROOT, NOT_TRUSTED, by_hash=False, serial="02017f")
    assert len(subjects(certificate(ROOT), trust(ROOT, DELEGATOR), other)) == 1
    odd = trust(ROOT, NOT_TRUSTED, by_hash=False, serial="027f01")
    assert len(subjects(certificate(ROOT), trust(ROOT, DELEGATOR), odd)) == 1


@pytest.mark.parametrize(
    ("said", "date"),
    [
        (b"\0", None),
        (b"", None),
        (b"220831000000Z", datetime(2022, 8, 31, tzinfo=UTC)),
        (b"220831", datetime.min.replace(tzinfo=UTC)),
        (b"2208310000000", datetime.min.replace(tzinfo=UTC)),
        (b"\1", datetime.min.replace(tzinfo=UTC)),
    ],
)
def test_the_date_trust_ends_comes_with_the_root(said: bytes, date: datetime | None) -> None:
    """What cannot be read as a date is the earliest there is: fail closed."""
    found = judge([MODULE, certificate(ROOT, said), trust(ROOT, DELEGATOR)])
    assert found.roots == (Anchor(ROOT.certificate, distrust_after=date),)


def test_what_is_no_certificate_vouches_for_nobody() -> None:
    junk = certificate(ROOT) | {"der": "3000"}
    claimed = trust(ROOT, DELEGATOR, hash=sha1(bytes.fromhex("3000")))
    assert subjects(junk, claimed, certificate(OTHER), trust(OTHER, DELEGATOR)) == [
        OTHER.certificate.subject
    ]


def test_a_list_that_names_nobody_is_refused() -> None:
    with pytest.raises(LookupFailed, match="no authority"):
        judge([MODULE, certificate(ROOT), trust(ROOT, MUST_VERIFY)])


def test_the_roots_of_tls_servers_are_refused() -> None:
    """p11-kit's module of the same name."""
    p11_kit = {**MODULE, "manufacturer": "PKCS#11 Kit"}
    with pytest.raises(LookupFailed, match=r"PKCS#11 Kit.*only 'Mozilla Foundation'"):
        judge([p11_kit, certificate(ROOT), trust(ROOT, DELEGATOR)])


def test_a_token_of_another_kind_is_refused_by_its_maker() -> None:
    require("softhsm")
    with pytest.raises(LookupFailed, match="made by 'SoftHSM'"):
        read_builtin_roots(Path("/usr/lib/softhsm/libsofthsm2.so"))


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os; os.kill(os.getpid(), 11)", r"breaks down \(signal 11\)"),
        ("import sys; sys.exit('no token here')", "no token here"),
        ("raise SystemExit(1)", "says no, and not why"),
        ("print('junk')", "list cannot be read"),
        ("print('[]')", "list cannot be read"),
        ("", "list cannot be read"),
        ("import time; time.sleep(60)", "no answer in 0.5 s"),
    ],
)
def test_a_module_that_breaks_its_process_is_one_line(
    tmp_path: Path, program: str, reason: str
) -> None:
    reader = tmp_path / "reader.py"
    reader.write_text(program)
    patience = 0.5 if "sleep" in program else 30
    with pytest.raises(LookupFailed, match=f"x.so cannot be used: .*{reason}"):
        read_builtin_roots(Path("/x.so"), reader=str(reader), patience=patience)


def test_the_systems_module_is_found_and_says_its_version() -> None:
    require("nss-roots")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cryptography on serial numbers that are not positive
        found = read_builtin_roots()
    assert found.version.split(".")[0].isdigit()
    names = [root.certificate.subject for root in found.roots]
    assert len(set(found.roots)) == len(names) > 50
    assert names == sorted(names)
