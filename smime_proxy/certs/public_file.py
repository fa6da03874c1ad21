"""Certificates in the files other people's programs take: PEM, DER, PKCS #7, vCard.

RFC 7468 (PEM), RFC 8551 3.8 (certs-only PKCS #7), RFC 2426 3.7.2 (KEY of a vCard).
"""

import base64
from collections.abc import Sequence
from enum import StrEnum

from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from smime_proxy.address import Mailbox
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError

_FOLD = 75  # octets of a line, RFC 2426 2.6


class Form(StrEnum):
    """What kind of file."""

    PEM = "pem"
    DER = "der"
    P7C = "p7c"
    VCARD = "vcard"


def public_file(
    form: Form, mailbox: Mailbox, people: Sequence[Certificate], chain: Sequence[Certificate]
) -> bytes:
    """Write the certificates of a mailbox and of the authorities that vouch for them.

    DER and vCard have no place for authorities. Raises `CertificateError` where DER would have to
    hold more than one.
    """
    match form:
        case Form.PEM:
            return b"".join(_pem(one) for one in (*people, *chain))
        case Form.DER:
            if len(people) != 1:
                raise CertificateError(
                    f"{mailbox} has {len(people)} certificates, and DER holds one: use pem or p7c"
                )
            return people[0].der
        case Form.P7C:
            held = [one.x509() for one in (*people, *chain)]
            return pkcs7.serialize_certificates(held, Encoding.DER)
        case Form.VCARD:
            return _vcard(mailbox, people)


def _pem(certificate: Certificate) -> bytes:
    return certificate.x509().public_bytes(Encoding.PEM)


def _vcard(mailbox: Mailbox, people: Sequence[Certificate]) -> bytes:
    address = _escaped(mailbox.text)
    lines = [
        "BEGIN:VCARD",
        "VERSION:3.0",
        f"N:{address};;;;",
        f"FN:{address}",
        f"EMAIL;TYPE=INTERNET:{address}",
        *(f"KEY;TYPE=X509;ENCODING=b:{base64.b64encode(one.der).decode()}" for one in people),
        "END:VCARD",
    ]
    return b"".join(_folded(line.encode()) for line in lines)


def _escaped(text: str) -> str:
    for special in "\\,;":
        text = text.replace(special, f"\\{special}")
    return text


def _folded(line: bytes) -> bytes:
    if not line.isascii():  # folding might part the octets of a character
        return line + b"\r\n"
    first, rest = line[:_FOLD], line[_FOLD:]
    pieces = [rest[at : at + _FOLD - 1] for at in range(0, len(rest), _FOLD - 1)]
    return b"\r\n ".join((first, *pieces)) + b"\r\n"
