"""What `ca` makes has the shape that mail programs take."""

from datetime import timedelta

import pytest

from smime_proxy.admin.cli import ca_issue
from smime_proxy.admin.cli.ca_issue import mint_issuing, mint_root, published_at, uses_of
from smime_proxy.certs.authority import KeyUses, PublishedAt
from smime_proxy.certs.certificate import read_certificates
from smime_proxy.stores.issued import Issued
from tests import pki
from tests.pki import NOW

from .conftest import Cli

SOMEONE = pki.person(None, "a@example.test", kind="p256").certificate
BOTH, SIGNING, ENCRYPTION = KeyUses.BOTH, KeyUses.SIGNING, KeyUses.ENCRYPTION


def test_keys_lengths_and_serial_numbers_last(cli: Cli) -> None:
    pem = "".join(cli.done("ca", "issue", "alice@example.test").out for _ in range(3))
    made = read_certificates(pem.encode())
    for certificate in made:
        life = certificate.not_after - certificate.not_before
        assert timedelta(days=700) < life < timedelta(days=825)
        assert (certificate.key_type, certificate.key_size, certificate.weak) == ("rsa", 2048, "")
        assert certificate.serial.bit_length() > 64
    assert len({certificate.serial for certificate in made}) == 3


def test_an_issuing_authority_says_where_its_roots_list_is() -> None:
    root = mint_root("Root", NOW)
    below = mint_issuing(root, "Below", NOW, ["example.test"], "http://pki.example.test")
    here = published_at(root.certificate, "http://pki.example.test")
    name = f"http://pki.example.test/crl/{root.certificate.fingerprint[:16]}"
    assert here == PublishedAt(f"{name}.crl", f"{name}.cer")
    assert here.crl.encode() in below.certificate.der
    assert published_at(root.certificate, "") is None
    assert (root.certificate.key_size, below.certificate.key_size) == (3072, 3072)


@pytest.mark.parametrize(
    ("known", "again"),
    [
        ([], []),
        ([None], []),
        ([BOTH, SIGNING], [BOTH]),
        ([SIGNING, BOTH], [SIGNING]),
        ([ENCRYPTION, SIGNING], [SIGNING, ENCRYPTION]),
        ([SIGNING, SIGNING, ENCRYPTION], [SIGNING, ENCRYPTION]),
    ],
)
def test_what_is_issued_again_is_what_the_newest_is_with_its_other_half(
    known: list[KeyUses | None], again: list[KeyUses]
) -> None:
    listed = [Issued(SOMEONE, "a@example.test", uses, NOW, None, None) for uses in known]
    assert uses_of(listed) == again


def test_domains_are_folded_and_said_once() -> None:
    assert ca_issue.folded(["Example.TEST", "example.test", "b\u00fccher.test"]) == (
        "example.test",
        "xn--bcher-kva.test",
    )
