"""Reads the recipientInfos of EnvelopedData and AuthEnvelopedData, BER or DER, into values.

RFC 5652 6.2, RFC 5753 3.1 (key agreement), RFC 9629 3 (key encapsulation).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from smime_proxy.cms import ber, der, oids
from smime_proxy.cms.ber import Element
from smime_proxy.cms.content_info import read_algorithm
from smime_proxy.cms.errors import MalformedCms
from smime_proxy.cms.identifier import (
    MAX_KEY_IDENTIFIER,
    Identifier,
    issuer_and_serial,
    key_identifier,
    read_identifier,
)

MAX_RECIPIENTS = 1000  # recipientInfos; more than mail servers take in one transaction

_0 = 0xA0  # context specific tags
_1, _2, _3, _4 = 0xA1, 0xA2, 0xA3, 0xA4


@dataclass(frozen=True, slots=True)
class Agreement:
    """What key agreement needs; `public_key` is empty where the originator sent none.

    `public_key` are the octets of the BIT STRING, `ukm` is None where absent.
    """

    public_key: bytes
    ukm: bytes | None


@dataclass(frozen=True, slots=True)
class Encapsulation:
    """What key encapsulation needs: `kdf` is a dotted name, `wrap` an AlgorithmIdentifier (DER).

    `kek_length` is in octets, `ukm` None where absent.
    """

    ciphertext: bytes
    kdf: str
    kek_length: int
    ukm: bytes | None
    wrap: bytes


@dataclass(frozen=True, slots=True)
class RecipientInfo:
    """One recipient; `type` is ktri, kari, kekri, pwri or ori.

    A KeyAgreeRecipientInfo appears once for each key in it. `algorithm` is the dotted name of
    how the CEK is protected (of a KEMRecipientInfo the KEM), `parameters` its encoded parameters
    (DER, empty: absent), `encoding` the whole structure. `secret` names the shared secret of a
    kekri, which is nobody's certificate.
    """

    type: str
    identifier: Identifier
    algorithm: str
    encrypted_key: bytes
    encoding: memoryview
    parameters: bytes = b""
    agreement: Agreement | None = None
    encapsulation: Encapsulation | None = None
    secret: bytes = b""

    @property
    def id(self) -> str:
        """Whom it means, for people: of a kekri its secret's name, of an unknown ori its kind.

        Empty for a pwri.
        """
        if self.secret:
            return f"key {self.secret.hex()}"
        return str(self.identifier) or (self.algorithm if self.type == "ori" else "")

    @property
    def issuer(self) -> bytes | None:
        """Issuer (DER), where it is named."""
        return self.identifier.issuer

    @property
    def serial(self) -> int | None:
        """Serial number, where it is named."""
        return self.identifier.serial

    @property
    def ski(self) -> bytes | None:
        """Subject key identifier, where it is named."""
        return self.identifier.ski


def read_recipients(element: Element) -> Iterator[RecipientInfo]:
    """The recipients of a RecipientInfos SET, at most MAX_RECIPIENTS; raises MalformedCms."""
    count = 0
    for info in element.expect(der.SET).children():
        read = _READERS.get(info.tag)
        if read is None:
            raise MalformedCms("unknown kind of recipient")
        for recipient in read(info):
            count += 1
            if count > MAX_RECIPIENTS:
                raise MalformedCms("too many recipients")
            yield recipient


def _key_transport(info: Element) -> Iterator[RecipientInfo]:
    match info.children():
        case [_, recipient, algorithm, key]:
            name, parameters = _read_algorithm(algorithm)
            yield RecipientInfo(
                "ktri",
                read_identifier(recipient),
                name,
                ber.octet_string(key),
                info.encoding,
                parameters,
            )
        case _:
            raise MalformedCms("key transport recipient is unreadable")


def _key_agreement(info: Element) -> Iterator[RecipientInfo]:
    # version, originator, [1] ukm OPTIONAL, algorithm, recipientEncryptedKeys
    match info.children():
        case [_, originator, *optional, algorithm, keys]:
            encrypted_keys = keys.expect(der.SEQUENCE).children()
        case _:
            raise MalformedCms("key agreement recipient is unreadable")
    name, parameters = _read_algorithm(algorithm)
    agreement = Agreement(_originator_key(originator), _ukm(optional, _1))
    for encrypted in encrypted_keys:
        match encrypted.expect(der.SEQUENCE).children():
            case [recipient, key]:
                yield RecipientInfo(
                    "kari",
                    _key_agreement_identifier(recipient),
                    name,
                    ber.octet_string(key),
                    info.encoding,
                    parameters,
                    agreement,
                )
            case _:
                raise MalformedCms("key agreement recipient is unreadable")


def _originator_key(originator: Element) -> bytes:
    """Octets of the originator's public key; empty for a certificate's, which is not at hand."""
    match originator.expect(_0).children():
        case [key] if key.tag == _1:
            match key.children():
                case [_, bits] if bits.tag & ~0x20 == der.BIT_STRING:
                    return ber.read_only(ber.to_der(bits)).contents[1:].tobytes()
                case _:
                    raise MalformedCms("originator's key is unreadable")
        case _:
            return b""


def _ukm(fields: list[Element], tag: int) -> bytes | None:
    match fields:
        case []:
            return None
        case [ukm] if ukm.tag == tag and len(ukm.children()) == 1:
            return ber.octet_string(ukm.children()[0])
        case _:
            raise MalformedCms("user keying material is unreadable")


def _key_agreement_identifier(element: Element) -> Identifier:
    match element.children():
        case [issuer, serial] if element.tag == der.SEQUENCE:
            return issuer_and_serial(issuer, serial)
        case [ski, *_] if element.tag == _0:  # rKeyId: subjectKeyIdentifier, date, other
            return Identifier(ski=key_identifier(ber.octet_string(ski)))
        case _:
            raise MalformedCms("key agreement recipient names nobody")


def _key_encryption_key(info: Element) -> Iterator[RecipientInfo]:
    # The name of a shared secret in it means no certificate, so it identifies nobody here.
    match info.children():
        case [_, secret, algorithm, key]:
            name, parameters = _read_algorithm(algorithm)
            yield RecipientInfo(
                "kekri",
                Identifier(),
                name,
                ber.octet_string(key),
                info.encoding,
                parameters,
                secret=_secret(secret),
            )
        case _:
            raise MalformedCms("key encryption key recipient is unreadable")


def _secret(identifier: Element) -> bytes:
    match identifier.expect(der.SEQUENCE).children():
        case [name, *_]:
            return ber.octet_string(name)[:MAX_KEY_IDENTIFIER]  # for people only
        case _:
            raise MalformedCms("key encryption key has no name")


def _password(info: Element) -> Iterator[RecipientInfo]:
    match info.children():
        case [_, *_, algorithm, key]:
            name, parameters = _read_algorithm(algorithm)
            encrypted_key = ber.octet_string(key)
            yield RecipientInfo(
                "pwri", Identifier(), name, encrypted_key, info.encoding, parameters
            )
        case _:
            raise MalformedCms("password recipient is unreadable")


def _other(info: Element) -> Iterator[RecipientInfo]:
    match info.children():
        case [oid, value]:
            name = ber.object_identifier(oid)
        case _:
            raise MalformedCms("other recipient is unreadable")
    if name == oids.KEM_RECIPIENT:
        yield _key_encapsulation(value, info)
    else:
        yield RecipientInfo("ori", Identifier(), name, b"", info.encoding)


def _key_encapsulation(value: Element, info: Element) -> RecipientInfo:
    # version, rid, kem, kemct, kdf, kekLength, [0] ukm OPTIONAL, wrap, encryptedKey
    match value.expect(der.SEQUENCE).children():
        case [_, recipient, kem, ciphertext, kdf, kek_length, *optional, wrap, key]:
            name, parameters = _read_algorithm(kem)
            encapsulation = Encapsulation(
                ber.octet_string(ciphertext),
                read_algorithm(kdf)[0],
                ber.integer(kek_length),
                _ukm(optional, _0),
                ber.to_der(wrap),
            )
        case _:
            raise MalformedCms("key encapsulation recipient is unreadable")
    return RecipientInfo(
        "ori",
        read_identifier(recipient),
        name,
        ber.octet_string(key),
        info.encoding,
        parameters,
        encapsulation=encapsulation,
    )


def _read_algorithm(element: Element) -> tuple[str, bytes]:
    """Dotted name and parameters in DER, as key derivation takes them in."""
    name, parameters = read_algorithm(element)
    return name, ber.to_der(ber.read_only(parameters)) if parameters else b""


_READERS: dict[int, Callable[[Element], Iterator[RecipientInfo]]] = {
    der.SEQUENCE: _key_transport,
    _1: _key_agreement,
    _2: _key_encryption_key,
    _3: _password,
    _4: _other,
}
