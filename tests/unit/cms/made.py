"""Makes SignedData and EnvelopedData of any shape, well formed or not, for the tests."""

import zlib
from collections.abc import Sequence

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import (
    dsa,
    ec,
    ed448,
    ed25519,
    mldsa,
    padding,
    rsa,
)
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from smime_proxy.cms import algorithms, compress, der, oids
from smime_proxy.cms.algorithms import SHA256
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.ciphers import AES256_CBC, ContentCipher
from smime_proxy.cms.pss import PssParameters
from tests.unit.cms.parties import party

RSA = der.element(der.SEQUENCE, der.object_identifier(algorithms.RSA_ENCRYPTION), der.NULL)
ALICE = read_certificate(party().der).issuer_and_serial


def algorithm(oid: str, parameters: bytes = b"") -> bytes:
    return der.element(der.SEQUENCE, der.object_identifier(oid), parameters)


def attribute(oid: str, *values: bytes) -> bytes:
    return der.element(der.SEQUENCE, der.object_identifier(oid), der.element(der.SET, *values))


CONTENT_TYPE = attribute(oids.CONTENT_TYPE, der.object_identifier(oids.DATA))


def protection(digest: bytes, signature: bytes) -> bytes:
    """Make the CMSAlgorithmProtection attribute of two AlgorithmIdentifiers."""
    value = der.element(der.SEQUENCE, digest, b"\xa1" + signature[1:])
    return attribute(oids.ALGORITHM_PROTECTION, value)


def message_digest(content: bytes, digest: str = "sha256") -> bytes:
    state = hashes.Hash(primitive(digest))
    state.update(content)
    return attribute(oids.MESSAGE_DIGEST, der.element(der.OCTET_STRING, state.finalize()))


def primitive(digest: str) -> hashes.HashAlgorithm:
    if digest == "md5":
        return hashes.MD5()  # noqa: S303 - a bad one on purpose
    found = algorithms.DIGESTS_BY_NAME[digest].primitive
    assert found is not None
    return found


def signer_info(
    attributes: Sequence[bytes] | None,
    *,
    content: bytes = b"",
    digest: str = "sha256",
    signed_with: str = "",
    sid: bytes = ALICE,
    signature_algorithm: bytes = RSA,
    unsigned: bytes = b"",
    as_sent: bytes | None = None,
    key: object = None,
    signature: bytes | None = None,
    digest_parameters: bytes = b"",
    pss: PssParameters | None = None,
) -> bytes:
    """Sign the attributes in their order here (None: the content itself), with alice's key.

    `as_sent`: the [0] element to send in place of these; `signed_with`: the digest really used;
    `signature`: the value to send in place of an own one; `pss`: sign RSASSA-PSS by these.
    """
    key = key or party().key
    octets = content if attributes is None else der.element(der.SET, *attributes)
    if signature is None:
        signature = signature_of(key, octets, primitive(signed_with or digest), pss)
    sent = b"" if attributes is None else b"\xa0" + octets[1:]
    return der.element(
        der.SEQUENCE,
        der.integer(1),
        sid,
        algorithm(algorithms.DIGESTS_BY_NAME[digest].oid, digest_parameters),
        sent if as_sent is None else as_sent,
        signature_algorithm,
        der.element(der.OCTET_STRING, signature),
        unsigned,
    )


def signature_of(
    key: object, octets: bytes, digest: hashes.HashAlgorithm, pss: PssParameters | None = None
) -> bytes:
    """Sign with a key of any kind, over the digest where the kind has one."""
    match key:
        case rsa.RSAPrivateKey() if pss is not None:
            mask = primitive(pss.mask_digest.name)
            scheme = padding.PSS(padding.MGF1(mask), pss.salt_length)
            return key.sign(octets, scheme, digest)
        case rsa.RSAPrivateKey():
            return key.sign(octets, padding.PKCS1v15(), digest)
        case ec.EllipticCurvePrivateKey():
            return key.sign(octets, ec.ECDSA(digest))
        case dsa.DSAPrivateKey():
            return key.sign(octets, digest)
        case ed25519.Ed25519PrivateKey() | ed448.Ed448PrivateKey() | mldsa.MLDSA44PrivateKey():
            return key.sign(octets)
        case _:
            raise AssertionError(key)


def signed_data(
    *signers: bytes,
    content: bytes | None = None,
    content_type: str = oids.DATA,
    certificates: Sequence[bytes] | None = None,
    optional: bytes = b"",
) -> bytes:
    """Wrap signerInfos; alice's certificate unless others are given."""
    octets = b"" if content is None else der.element(0xA0, der.element(der.OCTET_STRING, content))
    bag = (party().der,) if certificates is None else certificates
    return wrap(
        oids.SIGNED_DATA,
        der.integer(1),
        der.element(der.SET, algorithm(SHA256.oid)),
        der.element(der.SEQUENCE, der.object_identifier(content_type), octets),
        der.element(0xA0, *bag) if bag else b"",
        optional,
        der.element(der.SET, *signers),
    )


def wrap(content_type: str, *fields: bytes) -> bytes:
    return der.element(
        der.SEQUENCE,
        der.object_identifier(content_type),
        der.element(0xA0, der.element(der.SEQUENCE, *fields)),
    )


def compressed_data(content: bytes, *, deflated: bytes | None = None, oid: str = "") -> bytes:
    """Write CompressedData; `deflated` are other octets to send, `oid` another algorithm."""
    octets = zlib.compress(content) if deflated is None else deflated
    return wrap(
        oids.COMPRESSED_DATA,
        der.integer(0),
        algorithm(oid or compress.ZLIB_COMPRESS),
        der.element(
            der.SEQUENCE,
            der.object_identifier(oids.DATA),
            der.element(0xA0, der.element(der.OCTET_STRING, octets)),
        ),
    )


def ktri(
    key: bytes,
    *,
    rid: bytes = ALICE,
    name: str = "alice",
    transport: bytes = RSA,
    encrypted: bytes | None = None,
) -> bytes:
    """Write a recipientInfo for a party, or one with any octets for the encrypted key."""
    if encrypted is None:
        own = party("rsa", name).key
        assert isinstance(own, rsa.RSAPrivateKey)
        encrypted = own.public_key().encrypt(key, padding.PKCS1v15())
    return der.element(
        der.SEQUENCE, der.integer(0), rid, transport, der.element(der.OCTET_STRING, encrypted)
    )


def encrypted_content(
    content: bytes, key: bytes, cipher: ContentCipher = AES256_CBC, *, padded: bool = True
) -> bytes:
    """Encrypt under a zero vector; without `padded` the content is whole blocks already."""
    assert cipher.algorithm is not None
    vector = bytes(cipher.block_length)
    pad = cipher.block_length - len(content) % cipher.block_length if padded else 0
    encryptor = Cipher(cipher.algorithm(key), modes.CBC(vector)).encryptor()
    ciphertext = encryptor.update(content + bytes((pad,)) * pad)
    parameters = der.element(der.OCTET_STRING, vector)
    return der.element(
        der.SEQUENCE,
        der.object_identifier(oids.DATA),
        algorithm(cipher.oid, parameters),
        der.element(0x80, ciphertext),
    )


def enveloped_data(
    *infos: bytes, encrypted: bytes, content_type: str = oids.ENVELOPED_DATA, before: bytes = b""
) -> bytes:
    return wrap(content_type, der.integer(0), before, der.element(der.SET, *infos), encrypted)
