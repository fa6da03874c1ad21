"""For whom anchors speak, and that they are found by name (RFC 5280 6.1.1 (d)); rows E04, E82."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.anchors import Anchor, Anchors, Roots, Vouching
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.path import ChainStatus, Purpose, validate
from tests import pki

ROOT = pki.root(kind="p256")
OTHER = pki.root("Other", kind="p256")
ALICE = pki.person(ROOT, "alice@example.test", kind="p256")
BOB = pki.person(None, "bob@example.test", kind="p256")
SCOPED = Anchor(ROOT.certificate, ("example.org",), revoked=frozenset({"ab"}))
FREE = Anchor(ROOT.certificate, revoked=frozenset({"cd"}))
PIN = Anchor(BOB.certificate, pinned=True)


def test_anchors_are_found_by_name_and_pinned_ones_are_no_issuers() -> None:
    anchors = Anchors.of([SCOPED, FREE, PIN])
    assert anchors.named(ROOT.certificate.subject_key) == [SCOPED, FREE]
    assert anchors.named(BOB.certificate.subject_key) == ()
    assert Roots(anchors).named(ROOT.certificate.subject_key) == [ROOT.certificate] * 2
    assert list(anchors.issuing()) == [SCOPED, FREE]
    assert list(anchors) == [SCOPED, FREE, PIN]
    assert len(anchors) == 3
    assert anchors.revoked == {"ab", "cd"}
    assert Anchors.of(anchors) is anchors


def test_one_is_among_them_with_everything_said_of_it() -> None:
    anchors = Anchors.of([SCOPED, PIN])
    assert SCOPED in anchors
    assert PIN in anchors
    assert FREE not in anchors
    assert Anchor(ALICE.certificate, pinned=True) not in anchors
    assert Anchor(BOB.certificate) not in anchors
    bare: object = ROOT.certificate
    assert bare not in anchors


def test_those_of_a_name_speak_or_are_silent_for_a_leaf() -> None:
    name, leaf = ROOT.certificate.subject_key, ALICE.certificate
    anchors = Anchors.of([SCOPED, Anchor(OTHER.certificate)])
    assert Vouching(anchors, leaf, None).named(name) == []
    assert Vouching(anchors, leaf, None, silent=True).named(name) == [ROOT.certificate]
    why = Vouching(anchors, leaf, None).why_silent([name, OTHER.certificate.subject_key])
    assert why == {ROOT.certificate: "trusted only for example.org (`trust add` with --for)"}


def test_a_leaf_is_accepted_itself_when_pinned_or_an_anchor_that_speaks() -> None:
    anchors = Anchors.of([PIN, Anchor(ALICE.certificate, ("example.org",))])
    assert Vouching(anchors, BOB.certificate, None).accept()
    assert not Vouching(anchors, ALICE.certificate, None).accept()
    assert not Vouching(anchors, OTHER.certificate, None).accept()


def test_a_pinned_leaf_is_accepted_for_whom_it_was_pinned() -> None:
    anchors = Anchors.of([Anchor(BOB.certificate, pinned=True, pinned_for={"bob@example.test"})])
    assert Vouching(anchors, BOB.certificate, parse_mailbox("bob@example.test")).accept()
    assert not Vouching(anchors, BOB.certificate, parse_mailbox("ceo@example.test")).accept()


def test_what_is_no_domain_cannot_be_vouched_for() -> None:
    with pytest.raises(CertificateError, match="not a domain"):
        Anchor(ROOT.certificate, unless=("example test",))
    assert Anchor(ROOT.certificate, ("EXÄMPLE.test",)).domains == ("xn--exmple-cua.test",)


@dataclass
class Crowd(Mapping[Certificate, Container[str] | None]):
    """A hundred thousand pinned certificates, of which only the number is real."""

    asked: int = 0

    def __getitem__(self, certificate: Certificate) -> None:
        self.asked += 1
        if certificate != BOB.certificate:
            raise KeyError(certificate)

    def __iter__(self) -> Iterator[Certificate]:
        raise AssertionError("nobody goes through all pinned certificates")

    def __len__(self) -> int:
        return 100_000


def test_a_message_asks_but_once_whether_its_signer_is_pinned() -> None:
    crowd = Crowd()
    anchors = Anchors.of([Anchor(ROOT.certificate)], crowd)
    for leaf, status in (
        (BOB, ChainStatus.TRUSTED),
        (ALICE, ChainStatus.TRUSTED),
        (pki.person(OTHER, "eve@example.test", kind="p256"), ChainStatus.UNTRUSTED),
    ):
        found = validate(leaf.certificate, leaf.chain, anchors, pki.NOW, purpose=Purpose.SIGN)
        assert found.status is status
    assert crowd.asked == 4  # the last one once more, for the reason
