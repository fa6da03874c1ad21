from typing import cast

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from smime_proxy.cms import der
from smime_proxy.cms.algorithms import MAX_RSA_BITS, MGF1
from smime_proxy.cms.enveloped_data import RecipientInfo, parse_enveloped_data
from smime_proxy.cms.errors import CmsError
from smime_proxy.cms.key_transport import SPECIFIED, transported_key
from tests import pki
from tests.unit.cms import made
from tests.unit.cms.parties import CONTENT
from tests.unit.cms.ways import SHA1, oaep, octet_string

KEY = bytes(range(32))
SEALED = made.encrypted_content(CONTENT, KEY)
_SHA2 = "2.16.840.1.101.3.4.2."
DIGESTS = {
    "1.3.14.3.2.26": SHA1,
    _SHA2 + "4": hashes.SHA224(),
    _SHA2 + "1": hashes.SHA256(),
    _SHA2 + "2": hashes.SHA384(),
    _SHA2 + "3": hashes.SHA512(),
}


def recipient(info: bytes) -> RecipientInfo:
    (only,) = parse_enveloped_data(made.enveloped_data(info, encrypted=SEALED)).recipients
    return only


def alice() -> rsa.RSAPrivateKey:
    key = pki.key("rsa", "cms alice rsa")
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def parameters(digest: str = "", mask: str = "", label: bytes | None = None) -> bytes:
    """Write RSAES-OAEP-params, of which each may be absent."""
    fields = b""
    if digest:
        fields += der.element(0xA0, made.algorithm(digest, der.NULL))
    if mask:
        fields += der.element(0xA1, made.algorithm(MGF1, made.algorithm(mask, der.NULL)))
    if label is not None:
        fields += der.element(0xA2, made.algorithm(SPECIFIED, octet_string(label)))
    return der.element(der.SEQUENCE, fields)


def test_pkcs1_opens() -> None:
    assert transported_key(recipient(made.ktri(KEY)), alice()) == KEY


@pytest.mark.parametrize("digest", DIGESTS)
@pytest.mark.parametrize("mask", DIGESTS)
@pytest.mark.parametrize("label", [None, b"", b"label"])
def test_oaep_opens_with_every_digest_mask_and_label(
    digest: str, mask: str, label: bytes | None
) -> None:
    """E52."""
    info = oaep(KEY, parameters(digest, mask, label), DIGESTS[digest], DIGESTS[mask], label or None)
    assert transported_key(recipient(info), alice()) == KEY


@pytest.mark.parametrize(
    ("encoded", "digest", "mask"),
    [
        (b"", SHA1, SHA1),
        (der.NULL, SHA1, SHA1),
        (parameters(), SHA1, SHA1),
        (parameters(_SHA2 + "1"), hashes.SHA256(), SHA1),
        (parameters(mask=_SHA2 + "1"), SHA1, hashes.SHA256()),
        (der.element(der.SEQUENCE, der.element(0xA2, made.algorithm(SPECIFIED))), SHA1, SHA1),
    ],
)
def test_what_is_absent_has_its_default(
    encoded: bytes, digest: hashes.HashAlgorithm, mask: hashes.HashAlgorithm
) -> None:
    """E52, RFC 8017 A.2.1."""
    assert transported_key(recipient(oaep(KEY, encoded, digest, mask)), alice()) == KEY


@pytest.mark.parametrize(
    "encoded",
    [
        parameters(label=b"another"),
        parameters(_SHA2 + "1"),
        parameters("1.2.3"),
        parameters("1.2.840.113549.2.5"),
        parameters(mask="1.2.3"),
        der.element(der.SEQUENCE, der.element(0xA1, made.algorithm("1.2.3", der.NULL))),
        der.element(der.SEQUENCE, der.element(0xA1, made.algorithm(MGF1))),
        parameters(mask="1.3.14.3.2.26").replace(
            der.object_identifier(MGF1), der.object_identifier(SPECIFIED)
        ),
        der.element(der.SEQUENCE, der.element(0xA2, made.algorithm("1.2.3", octet_string(b"")))),
        der.element(der.SEQUENCE, der.element(0xA0)),
        der.element(der.SEQUENCE, der.element(0xA3, der.NULL)),
        octet_string(b""),
    ],
)
def test_other_parameters_open_nothing(encoded: bytes) -> None:
    with pytest.raises(CmsError):
        transported_key(recipient(oaep(KEY, encoded)), alice())


@pytest.mark.parametrize("encrypted", [b"", b"short", bytes(256), b"\xff" * 256])
def test_what_is_no_ciphertext_raises_nothing_else(encrypted: bytes) -> None:
    transport = made.algorithm("1.2.840.113549.1.1.7")
    with pytest.raises(CmsError):
        transported_key(
            recipient(made.ktri(KEY, transport=transport, encrypted=encrypted)), alice()
        )


def test_other_transports_open_nothing() -> None:
    with pytest.raises(CmsError):
        transported_key(recipient(made.ktri(KEY, transport=made.algorithm("1.2.3"))), alice())


class Oversized:
    """Stands in for a key that would take minutes to make, and seconds to use."""

    key_size = MAX_RSA_BITS + 1

    def decrypt(self, *_: object) -> bytes:
        raise AssertionError


def test_keys_beyond_the_limits_are_not_used() -> None:
    with pytest.raises(CmsError):
        transported_key(recipient(made.ktri(KEY)), cast("rsa.RSAPrivateKey", Oversized()))
