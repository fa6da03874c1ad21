"""Say what a message, or a bare CMS object, is: layers, signers, recipients and verdicts.

RFC 8551 3, RFC 7468 (textual CMS); for administrators and tests, in the JSON of the contract.
"""

import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.message.entity import Entity
from smime_proxy.message.errors import MessageError
from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import ENCRYPTED, Protection
from smime_proxy.smime.layers import Layer, open_layers
from smime_proxy.smime.receive import claim_of, protected_in, report_on
from smime_proxy.smime.report import Report, summarise
from smime_proxy.smime.verify import Claim, Signer, Trust

_SEQUENCE = 0x30  # the first octet of every BER ContentInfo
_LONG_FORM = 0x80  # its length octet, unless the object is shorter than any real one
# Beside the labels of RFC 7468 8 and 9 those that gpgsm writes.
_PEM = re.compile(
    rb"-----BEGIN (PKCS7|CMS|SIGNED MESSAGE|ENCRYPTED MESSAGE)-----\s+(.*?)-----END \1-----",
    re.DOTALL,
)
_BINARY = b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: binary\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found. `extracted` are the octets inside the innermost layer opened, if any.

    `error` is empty, or says why CMS or MIME cannot be read.
    """

    report: Report
    content_type: str
    error: str
    extracted: bytes | None

    def as_json(self) -> dict[str, object]:
        """Give the object `inspect --json` prints."""
        return {
            "layers": [
                _layer(layer)
                for layer in self.report.layers
                if layer.protection is not Protection.MALFORMED  # `error` tells of it
            ],
            "signature": self.report.signature,
            "badge": self.report.badge,
            "lock": self.report.lock,
            "content_type": self.content_type,
            "error": self.error,
        }


def inspect(
    content: bytes, *, keys: Sequence[DecryptionKey], trust: Trust, at: datetime
) -> Inspection:
    """Inspect an RFC 5322 message or a CMS object in DER, BER or PEM at a time, aware UTC.

    Never raises for what the octets hold.
    """
    try:
        entity, claim = _entity(content)
    except MessageError as error:
        return Inspection(summarise(()), "", str(error) or "malformed message", None)
    opened = open_layers(entity, keys, trust, claim, at)
    problem = next((layer.problem for layer in opened.layers if layer.problem), "")
    report = report_on(opened, protected_in(opened))
    return Inspection(report, opened.innermost.content_type.full, problem, opened.content)


def _entity(content: bytes) -> tuple[Entity, Claim]:
    der = _bare_cms(content)
    if der is not None:
        return parse(_BINARY + der), Claim(None, None)
    entity = parse(content)
    return entity, claim_of(entity.header)


def _bare_cms(content: bytes) -> bytes | None:
    if len(content) > 1 and content[0] == _SEQUENCE and content[1] >= _LONG_FORM:
        return content
    match = _PEM.match(content.lstrip())
    if match is None:
        return None
    try:
        return binascii.a2b_base64(match[2])
    except binascii.Error:
        return b""


def _layer(layer: Layer) -> dict[str, object]:
    found: dict[str, object] = {"kind": layer.protection.value}
    if layer.protection in ENCRYPTED:
        enveloped = layer.enveloped
        recipients = enveloped.recipients if enveloped else ()
        found |= {
            "content_encryption": enveloped.content_encryption if enveloped else "",
            "recipients": [{"type": item.type, "id": item.id} for item in recipients],
            "decrypted": layer.decrypted,
            "authenticated": layer.decrypted and enveloped is not None and enveloped.authenticated,
        }
        if layer.partial:
            found["partial"] = True
    elif layer.protection in {Protection.CLEAR_SIGNED, Protection.SIGNED_DATA}:
        found["signers"] = [_signer(signer) for signer in layer.signers]
    return found


def _signer(signer: Signer) -> dict[str, object]:
    report, certificate = signer.report, signer.certificate
    return {
        "integrity": report.integrity.value,
        "chain": signer.chain.value,
        "identity": signer.identity.value,
        "email": [str(mailbox) for mailbox in certificate.mailboxes] if certificate else [],
        "subject": certificate.subject if certificate else "",
        "issuer": certificate.issuer if certificate else report.issuer,
        "serial": _hexadecimal(certificate.serial) if certificate else report.serial,
        "digest": report.digest,
        "signature": report.signature,
        "signing_time": _time(report.signing_time),
        "reason": "; ".join(signer.reasons),
    }


def _hexadecimal(serial: int) -> str:
    digits = f"{abs(serial):X}"
    return ("-" if serial < 0 else "") + digits.zfill(len(digits) + len(digits) % 2)


def _time(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else ""
