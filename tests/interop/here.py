"""The gateway's end of the matrix: what it writes and how it judges what peers write."""

import os
from datetime import datetime

from smime_proxy.cms.decrypt import DecryptionKey, PrivateKey
from smime_proxy.cms.der import object_identifier
from smime_proxy.cms.schemes import PrivateKey as SigningKey
from smime_proxy.cms.sign import CmsSigner
from smime_proxy.message.parse import parse
from smime_proxy.smime.encrypt import encrypt_entity, recipient_of
from smime_proxy.smime.receive import Received, receive
from smime_proxy.smime.sign import sign_entity, sign_entity_opaque
from tests import pki
from tests.interop import exchange
from tests.interop.algorithms import DIGEST_OCTETS, Encryption, Recipient, Signature
from tests.interop.bouncycastle import CIPHERS, SCHEMES, WRAPS

ENVELOPED_DATA = "1.2.840.113549.1.7.3"
AUTH_ENVELOPED_DATA = "1.2.840.113549.1.9.16.1.23"
RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
RSAES_OAEP = "1.2.840.113549.1.1.7"

# The digest that agreement with a key goes by, RFC 5753 and RFC 8418.
AGREEMENTS = {
    "p256": "sha256",
    "p384": "sha384",
    "p521": "sha512",
    "brainpool": "sha256",
    "brainpool384": "sha384",
    "brainpool512": "sha512",
    "x25519": "hkdf-sha256",
    "x448": "hkdf-sha512",
}
READ_ONLY = {
    "tripledes_3key",
    "rc2_40",
    "rc2_64",
    "rc2_128",
    *(f"aes{n}_ccm" for n in (128, 192, 256)),
}


class NotOurs(Exception):  # noqa: N818 - an answer, not a fault
    """The gateway does not write or open this, on purpose; the argument is the reason printed."""


def signer(kind: str, *, pss: bool = False) -> CmsSigner:
    """Give a signer as accounts have it."""
    person = exchange.sender(kind)
    chain = tuple(certificate.der for certificate in person.chain)
    assert isinstance(person.key, SigningKey)
    made = CmsSigner.build(person.key, person.der, chain, capabilities=True)
    return made.using("rsassa_pss") if pss else made


def signed(how: Signature, content: bytes, at: datetime | None = None) -> bytes:
    """Sign as the gateway does, as a bare object; raises NotOurs for what it never writes."""
    if how.kind == "dsa":
        raise NotOurs("DSA is verified, never written")
    made = signer(how.kind, pss=how.pss)
    if made.digest_name.replace("_", "-") != how.digest:
        raise NotOurs("the digest goes with the key")
    if how.pss and (how.salt, how.mgf) != (DIGEST_OCTETS[how.digest], how.digest):
        raise NotOurs("PSS is written with the digest in MGF1 and its length of salt")
    when = at or exchange.now()
    if how.opaque:
        return exchange.cms_of(sign_entity_opaque(content, made, signing_time=when))
    entity = sign_entity(content, made, signing_time=when, boundary_seed=os.urandom(16))
    return exchange.split_signed(entity)[1]


def verify(how: Signature, der: bytes, content: bytes) -> None:
    """Assert that a peer's object passes, as mail from its signer."""
    report = _received(how, der, content).report
    told = f"{report.signature}: {report.reason}"
    (layer,) = report.layers
    assert layer.signers, told
    for one in layer.signers:
        assert one.report.integrity.value == "intact", told
        digest = one.report.digest.replace("_", "-")
        assert digest == how.digest, f"digest {digest}"
    weak = how.digest == "sha1" or how.kind == "dsa"
    assert report.signature == ("policy" if weak else "pass"), told


def refuse(how: Signature, der: bytes, content: bytes) -> None:
    """Assert that an altered object fails."""
    report = _received(how, der, content).report
    assert report.signature == "fail", f"altered, and still {report.signature}: {report.reason}"


def _received(how: Signature, der: bytes, content: bytes) -> Received:
    if how.opaque:
        return exchange.received(exchange.opaque(how.kind, der))
    return exchange.received(exchange.clear_signed(how.kind, content, der))


def encrypted(how: Encryption, content: bytes) -> bytes:
    """Encrypt as the gateway does, as a bare object; raises NotOurs for what it never writes."""
    _check_cipher(how)
    for reader in how.readers:
        _check_reader(how, reader)
    recipients = [
        recipient_of(exchange.sender(one.kind).der, oaep=one.way == "oaep") for one in how.readers
    ]
    cipher = how.cipher or "aes256_cbc"
    entity = encrypt_entity(content, recipients, content_encryption=cipher, random=os.urandom)
    der = exchange.cms_of(entity)
    _check_names(how, der)
    return der


def _check_names(how: Encryption, der: bytes) -> None:
    """Assert that what was written is what the row says, and nothing that is read as well."""
    names = [AUTH_ENVELOPED_DATA if how.authenticated else ENVELOPED_DATA]
    names.append(CIPHERS[how.cipher or "aes256_cbc"])
    for reader in how.readers:
        match reader.way:
            case "ecdh":
                names += [SCHEMES[reader.digest, reader.cofactor], WRAPS[reader.wrap]]
            case "oaep" | "pkcs1v15":
                names.append(RSAES_OAEP if reader.way == "oaep" else RSA_ENCRYPTION)
    absent = [name for name in names if object_identifier(name) not in der]
    assert not absent, f"not written: {absent}"


def _check_cipher(how: Encryption) -> None:
    if how.cipher in READ_ONLY:
        raise NotOurs("read, never written")
    if how.structure:
        raise NotOurs("written as AuthEnvelopedData")
    if how.attributes:
        raise NotOurs("written without authenticated attributes")


def _check_reader(how: Encryption, reader: Recipient) -> None:
    if reader.way in {"kek", "password"}:
        raise NotOurs("written to certificates only")
    if reader.way == "oaep" and (reader.digest, reader.mgf, reader.label) != ("sha256",) * 2 + (
        "",
    ):
        raise NotOurs("OAEP is written with SHA-256 twice and no label")
    wrap = "aes128" if "128" in how.cipher else "aes256"
    if reader.way == "ecdh" and (
        (reader.digest, reader.wrap) != (AGREEMENTS[reader.kind], wrap)
        or reader.cofactor
        or reader.ukm
    ):
        raise NotOurs("key agreement is written in one way a key")


def open_all(how: Encryption, der: bytes, content: bytes) -> None:
    """Assert that every reader opens a peer's object, and for AEAD nobody an altered one."""
    for reader in how.readers:
        if reader.way in {"kek", "password"}:
            _name(reader, der)
        found = opened(how, der, reader)
        report = found.report
        assert report.encryption == "decrypted", f"{report.encryption} for {reader.kind}"
        assert found.opened.content == content, "another text"
        name = how.cipher if not how.cipher.startswith("rc2") else "rc2"  # of any length
        assert not name or report.algorithm == name, report.algorithm
        assert report.authenticated == how.aead, f"authenticated: {report.authenticated}"
        if how.aead and not der.endswith(b"\0\0"):  # the tag is the end of the object
            changed = der[:-1] + bytes([der[-1] ^ 1])
            told = opened(how, changed, reader).report.encryption
            assert told == "undecryptable", f"altered, and {told}"


def _name(reader: Recipient, der: bytes) -> None:
    layers = exchange.received(exchange.opaque("rsa", der, "enveloped-data")).report.layers
    (layer,) = layers
    assert layer.enveloped is not None
    kinds = [one.type for one in layer.enveloped.recipients]
    assert kinds == [{"kek": "kekri", "password": "pwri"}[reader.way]], kinds
    raise NotOurs("named, not opened: no such keys are kept")


def opened(how: Encryption, der: bytes, reader: Recipient) -> Received:
    """Receive a peer's object with the key of a reader."""
    smime_type = "authEnveloped-data" if how.authenticated else "enveloped-data"
    return received(exchange.opaque("rsa", der, smime_type), reader.kind)


def received(message: bytes, *kinds: str) -> Received:
    """Receive a message with the keys of kinds."""
    keys = [decryption_key(exchange.sender(kind)) for kind in kinds]
    return receive(parse(message), keys, exchange.trust(), exchange.now())


def decryption_key(person: pki.Identity) -> DecryptionKey:
    """Give a key as accounts have it."""
    assert isinstance(person.key, PrivateKey)
    return DecryptionKey.build(person.key, person.der)
