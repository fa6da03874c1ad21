"""Say what a message, or a bare CMS object, is: layers, signers, recipients and verdicts.

RFC 8551 3, RFC 7468 (textual CMS); for administrators and tests, in the JSON of the contract.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from smime_proxy.cms.algorithms import Strength
from smime_proxy.cms.ciphers import CIPHERS, KEY_TRANSPORTS
from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.cms.key_agreement import SCHEMES
from smime_proxy.cms.key_encapsulation import KEMS
from smime_proxy.cms.structures import RecipientInfo
from smime_proxy.message.entity import Defect, Entity
from smime_proxy.message.errors import MessageError
from smime_proxy.message.parse import parse
from smime_proxy.smime.bare_cms import find_cms, without_mark
from smime_proxy.smime.classify import ENCRYPTED, Protection, parts
from smime_proxy.smime.layers import Layer, Opened, open_layers
from smime_proxy.smime.receive import claim_of, protected_in, report_on
from smime_proxy.smime.report import Report, summarise
from smime_proxy.smime.verify import Claim, Signer, Trust

NEITHER = "neither a message nor a CMS object"
_BROKEN = frozenset({Defect.NO_BOUNDARY, Defect.NO_DELIMITER})
_BINARY = b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: binary\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found. `extracted` are the octets inside the innermost layer opened, if any.

    `error` is empty, or says why CMS or MIME cannot be read. `header_protection` is how the
    header is protected (RFC 9788), or empty.
    """

    report: Report
    content_type: str
    error: str
    extracted: bytes | None
    header_protection: str = ""

    def as_json(self) -> dict[str, object]:
        """Give the object `inspect --json` prints."""
        more = {"header_protection": self.header_protection} if self.header_protection else {}
        return more | {
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
    protected = protected_in(opened)
    return Inspection(
        report_on(opened, protected),
        opened.innermost.content_type.full,
        _fault(opened),
        opened.content,
        protected.scheme.value if protected else "",
    )


def _entity(content: bytes) -> tuple[Entity, Claim]:
    content = without_mark(content)
    der = find_cms(content)
    if der is not None:
        return parse(_BINARY + der), Claim(None, None)
    entity = parse(content)
    if not any(field.name for field in entity.header.fields):
        raise MessageError(NEITHER)
    return entity, claim_of(entity.header)


def _fault(opened: Opened) -> str:
    """Say what cannot be read: a layer, or the MIME structure inside all that could."""
    for layer in opened.layers:
        if layer.problem:
            return layer.problem
    for part in parts(opened.innermost):
        for defect in part.defects:
            if defect in _BROKEN:
                return defect.value
    return ""


def _layer(layer: Layer) -> dict[str, object]:
    found: dict[str, object] = {"kind": layer.protection.value}
    if layer.protection in ENCRYPTED:
        enveloped = layer.enveloped
        recipients = enveloped.recipients if enveloped else ()
        found |= {
            "content_encryption": enveloped.content_encryption if enveloped else "",
            "recipients": [_recipient(item) for item in recipients],
            "decrypted": layer.decrypted,
            "authenticated": layer.decrypted and enveloped is not None and enveloped.authenticated,
        }
        cipher = CIPHERS.get(enveloped.cipher) if enveloped else None
        if cipher and cipher.strength is not Strength.STRONG:
            found["weak"] = True
        if layer.partial:
            found["partial"] = True
    elif layer.protection in {Protection.CLEAR_SIGNED, Protection.SIGNED_DATA}:
        found["signers"] = [_signer(signer) for signer in layer.signers]
    return found


def _recipient(recipient: RecipientInfo) -> dict[str, object]:
    oid = recipient.algorithm
    row = KEY_TRANSPORTS.get(oid) or SCHEMES.get(oid) or KEMS.get(oid)
    return {"type": recipient.type, "id": recipient.id, "algorithm": row.name if row else oid}


def _signer(signer: Signer) -> dict[str, object]:
    report, certificate = signer.report, signer.certificate
    via = {"via": "gateway"} if signer.via_gateway else {}
    return via | {
        "integrity": report.integrity.value,
        "chain": signer.chain.value,
        "identity": signer.identity.value,
        "validation": signer.validation.value,
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
