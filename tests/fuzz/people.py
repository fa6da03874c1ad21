"""Who takes part, with keys kept in files so that what was found once can be run again."""

from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.certificate import Certificate, read_certificates
from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.cms.decrypt import PrivateKey as OpeningKey
from smime_proxy.cms.recipient import CmsRecipient
from smime_proxy.cms.schemes import PrivateKey as SigningKey
from smime_proxy.cms.sign import CmsSigner
from smime_proxy.smime.verify import Trust
from tests import pki
from tests.fakes import World

FOLDER = Path(__file__).parent / "people"
ALICE, BOB, PARTNER = "alice@example.test", "bob@example.test", "partner@example.org"
STRANGER = "stranger@example.net"  # of whom nobody knows a certificate


@cache
def identity(name: str) -> pki.Identity:
    """Give `root`, `alice` (RSA), `bob` (P-256) or `partner` (RSA)."""
    raw = (FOLDER / f"{name}.pem").read_bytes()
    key = serialization.load_pem_private_key(raw, None)
    assert isinstance(key, SigningKey)
    return pki.Identity(certificate(raw), key)


def certificate(raw: bytes) -> Certificate:
    """Give the certificate of a PEM file that holds other things too."""
    begin = raw.index(b"-----BEGIN CERTIFICATE")
    return read_certificates(raw[begin:])[0]


@cache
def signer(name: str) -> CmsSigner:
    made = identity(name)
    assert isinstance(made.key, SigningKey)
    return CmsSigner.build(made.key, made.der, (identity("root").der,), capabilities=True)


@cache
def recipient(name: str) -> CmsRecipient:
    return CmsRecipient.from_certificate(identity(name).der)


@cache
def opening_keys() -> tuple[DecryptionKey, ...]:
    """Give the keys the proxy opens with: those of alice and bob."""
    made = []
    for name in ("alice", "bob"):
        own = identity(name)
        assert isinstance(own.key, OpeningKey)
        made.append(DecryptionKey.build(own.key, own.der))
    return tuple(made)


@cache
def anchor() -> Anchor:
    return Anchor(identity("root").certificate)


def trust() -> Trust:
    return Trust((anchor(),), (), lambda _issuer, _serial: ())


def world() -> World:
    """Make a gateway's surroundings: alice and bob persons, partner known and trusted."""
    made = World()
    made.directory.roots.append(anchor())
    made.directory.add(ALICE, identity("alice"))
    made.directory.add(BOB, identity("bob"))
    made.directory.know(PARTNER, identity("partner"))
    return made
