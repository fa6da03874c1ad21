"""Who signs and who is written to in the tests of this package, and BER that nobody writes now."""

from datetime import UTC, datetime
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.cms.recipient import CmsRecipient
from smime_proxy.cms.schemes import PrivateKey
from smime_proxy.cms.sign import CmsSigner
from tests import pki

CONTENT = b"Content-Type: text/plain\r\n\r\nHello\r\n"
SIGNING_TIME = datetime(2026, 6, 1, 12, 30, tzinfo=UTC)


@cache
def root() -> pki.Identity:
    return pki.root(label="cms root")


def party(kind: str = "rsa", name: str = "alice") -> pki.Identity:
    return _party(kind, name)


@cache
def _party(kind: str, name: str) -> pki.Identity:
    return pki.person(root(), f"{name}@example.test", kind=kind, label=f"cms {name} {kind}")


def signing_key(identity: pki.Identity) -> PrivateKey:
    assert isinstance(identity.key, PrivateKey)
    return identity.key


def private_key(identity: pki.Identity) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    assert isinstance(identity.key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return identity.key


@cache
def signer(kind: str = "rsa", name: str = "alice", *, capabilities: bool = True) -> CmsSigner:
    identity = party(kind, name)
    return CmsSigner.build(
        signing_key(identity), identity.der, (root().der,), capabilities=capabilities
    )


@cache
def recipient(name: str = "alice") -> CmsRecipient:
    return CmsRecipient.from_certificate(party("rsa", name).der)


@cache
def decryption_key(name: str = "alice") -> DecryptionKey:
    identity = party("rsa", name)
    return DecryptionKey.build(private_key(identity), identity.der)


def indefinite(tag: int, *parts: bytes) -> bytes:
    """Give an element of indefinite length."""
    return bytes((tag, 0x80)) + b"".join(parts) + b"\x00\x00"


def zeros(length: int) -> bytes:
    """Stand in for a source of randomness."""
    return bytes(length)
