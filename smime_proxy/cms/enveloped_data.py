"""Reads EnvelopedData and AuthEnvelopedData, BER or DER, into values.

RFC 5652 6, RFC 5083 2.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from smime_proxy.cms import ber, ciphers, der, oids
from smime_proxy.cms.ber import Element
from smime_proxy.cms.content_info import parse_content_info, read_algorithm
from smime_proxy.cms.der import Octets
from smime_proxy.cms.errors import MalformedCms
from smime_proxy.cms.identifier import (
    Identifier,
    issuer_and_serial,
    key_identifier,
    read_identifier,
)

MAX_RECIPIENTS = 1000  # recipientInfos; more than mail servers take in one transaction

_0 = 0xA0  # context specific tags; [0] primitive: _0_PRIMITIVE
_0_PRIMITIVE = 0x80
_1, _2, _3, _4 = 0xA1, 0xA2, 0xA3, 0xA4


@dataclass(frozen=True, slots=True)
class RecipientInfo:
    """One recipient; `type` is ktri, kari, kekri, pwri or ori.

    A KeyAgreeRecipientInfo appears once for each key in it. `algorithm` is the dotted name of
    how the CEK is protected, `encoding` the whole structure.
    """

    type: str
    identifier: Identifier
    algorithm: str
    encrypted_key: bytes
    encoding: memoryview

    @property
    def id(self) -> str:
        """Whom it means, for people; empty where the type names nobody."""
        return str(self.identifier)

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


@dataclass(frozen=True, slots=True)
class EnvelopedData:
    """Ciphertext (in pieces; None: carried elsewhere) and who can open it.

    `content_encryption` is the report name of the cipher, `cipher` its dotted one,
    `parameters` the encoded parameters (empty: absent). `authenticated` tells
    AuthEnvelopedData.
    """

    recipients: tuple[RecipientInfo, ...]
    content_type: str
    content_encryption: str
    cipher: str
    parameters: bytes
    ciphertext: tuple[memoryview, ...] | None
    authenticated: bool


def parse_enveloped_data(raw: Octets) -> EnvelopedData:
    """A ContentInfo that holds EnvelopedData or AuthEnvelopedData; raises MalformedCms."""
    info = parse_content_info(raw)
    if info.content_type not in {oids.ENVELOPED_DATA, oids.AUTH_ENVELOPED_DATA}:
        raise MalformedCms("not enveloped-data")
    fields = info.content.expect(der.SEQUENCE).children()
    if len(fields) > 1 and fields[1].tag == _0:  # originatorInfo
        fields = [fields[0], *fields[2:]]
    match fields:
        case [_, recipients, encrypted, *_]:
            content = encrypted.expect(der.SEQUENCE).children()
        case _:
            raise MalformedCms("enveloped-data lacks fields")
    match content:
        case [content_type, algorithm, *ciphertext]:
            cipher, parameters = read_algorithm(algorithm)
        case _:
            raise MalformedCms("encrypted content lacks fields")
    return EnvelopedData(
        tuple(_recipients(recipients)),
        ber.object_identifier(content_type),
        ciphers.cipher_name(cipher),
        cipher,
        parameters,
        _ciphertext(ciphertext),
        info.content_type == oids.AUTH_ENVELOPED_DATA,
    )


def _ciphertext(fields: list[Element]) -> tuple[memoryview, ...] | None:
    match fields:
        case []:
            return None
        case [element] if element.tag in {_0, _0_PRIMITIVE}:
            return tuple(ber.octets(element))
        case _:
            raise MalformedCms("encrypted content is unreadable")


def _recipients(element: Element) -> Iterator[RecipientInfo]:
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
            identifier = read_identifier(recipient)
            yield _recipient("ktri", identifier, algorithm, key, info)
        case _:
            raise MalformedCms("key transport recipient is unreadable")


def _key_agreement(info: Element) -> Iterator[RecipientInfo]:
    # version, originator, [1] ukm OPTIONAL, algorithm, recipientEncryptedKeys
    match info.children():
        case [_, _, *_, algorithm, keys]:
            encrypted_keys = keys.expect(der.SEQUENCE).children()
        case _:
            raise MalformedCms("key agreement recipient is unreadable")
    for encrypted in encrypted_keys:
        match encrypted.expect(der.SEQUENCE).children():
            case [recipient, key]:
                identifier = _key_agreement_identifier(recipient)
                yield _recipient("kari", identifier, algorithm, key, info)
            case _:
                raise MalformedCms("key agreement recipient is unreadable")


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
        case [_, _, algorithm, key]:
            yield _recipient("kekri", Identifier(), algorithm, key, info)
        case _:
            raise MalformedCms("key encryption key recipient is unreadable")


def _password(info: Element) -> Iterator[RecipientInfo]:
    match info.children():
        case [_, *_, algorithm, key]:
            yield _recipient("pwri", Identifier(), algorithm, key, info)
        case _:
            raise MalformedCms("password recipient is unreadable")


def _other(info: Element) -> Iterator[RecipientInfo]:
    match info.children():
        case [oid, _]:
            name = ber.object_identifier(oid)
            yield RecipientInfo("ori", Identifier(), name, b"", info.encoding)
        case _:
            raise MalformedCms("other recipient is unreadable")


def _recipient(
    kind: str, identifier: Identifier, algorithm: Element, key: Element, info: Element
) -> RecipientInfo:
    name = read_algorithm(algorithm)[0]
    return RecipientInfo(kind, identifier, name, ber.octet_string(key), info.encoding)


_READERS: dict[int, Callable[[Element], Iterator[RecipientInfo]]] = {
    der.SEQUENCE: _key_transport,
    _1: _key_agreement,
    _2: _key_encryption_key,
    _3: _password,
    _4: _other,
}
