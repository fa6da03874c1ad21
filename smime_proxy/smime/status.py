"""The fields that tell the recipient how far sender and encryption can be trusted.

RFC 8601 2.2 (Authentication-Results), RFC 7281 (smime method), RFC 4021 2.1.53 (Sensitivity).
"""

import re

from smime_proxy.address import AddressError, Mailbox, fold_domain
from smime_proxy.message.header import Field, HeaderBlock, decode_text
from smime_proxy.smime.classify import Protection
from smime_proxy.smime.report import Report
from smime_proxy.smime.verify import Signer

_RESULTS = "authentication-results"
MAX_REASON = 120  # characters of a reason in a field
ID_DIGITS = 16  # of a fingerprint; as many as commands show
_PIECE = re.compile(r'\\.|[()"\\]|[^()"\\]++', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_OUT_OF_PLACE = re.compile(r"[^\w.\-]+")
# Parentheses are left only in quotes, where they are part of the name and no comment.
_UNQUOTED = str.maketrans({'"': None, "\\": None, "(": "_", ")": "_"})
_ID = re.compile(r'\s*+(?:"((?:[^"\\]|\\.)*)"|([^\s;"]++))', re.DOTALL)


def strip_results(header: HeaderBlock, authserv_id: str) -> HeaderBlock:
    """Remove Authentication-Results that claim to be ours (RFC 8601 5, E08).

    Compared without case, comments and folding; the same object comes back when none is there.
    """
    if not header.starting_unfolded(_RESULTS):
        return header

    def is_ours(field: Field) -> bool:
        return field.unfolded_name == _RESULTS and _claims(field.value, authserv_id)

    return header.remove(is_ours)


def mark_private(header: HeaderBlock) -> HeaderBlock:
    """Mark a message private, whatever its sender says (RFC 4021 2.1.53)."""
    return header.remove({"sensitivity"}).prepend("Sensitivity", "Private")


def result_fields(report: Report, authserv_id: str) -> tuple[tuple[str, str], ...]:
    """Give the fields for a message with S/MIME in it, in order.

    Without a layer around the whole body, every field says `none`.
    """
    if not report.layers:
        return (
            ("Authentication-Results", f"{authserv_id}; smime=none"),
            ("X-SMIME-Signature", "none"),
            ("X-SMIME-Encryption", "none"),
            ("X-SMIME-Badge", "none"),
            ("X-SMIME-Lock", "none"),
        )
    return (
        ("Authentication-Results", _authentication_results(report, authserv_id)),
        ("X-SMIME-Signature", _signature(report)),
        ("X-SMIME-Encryption", _encryption(report)),
        ("X-SMIME-Badge", report.badge),
        ("X-SMIME-Lock", report.lock),
    )


def pending_field(mailbox: Mailbox, fingerprint: str, warning: str) -> tuple[str, str]:
    """Give the field that tells of a key nobody has decided about yet."""
    words = [_shown(mailbox) or "unknown", f"id={fingerprint[:ID_DIGITS]}"]
    if warning:
        words.append(f"warning={warning}")
    return "X-SMIME-Pending-Key", "; ".join(words)


def _claims(value: str, authserv_id: str) -> bool:
    text = _without_comments(value)
    match = _ID.match(text) if text is not None else None
    if match is None:
        # Malformed: readers may disagree about what it says, so our name in it is enough.
        return authserv_id.lower() in value.lower()
    said = match[2] if match[1] is None else _ESCAPED.sub(r"\1", match[1])
    # Beside what it says, what a reader may make of it that drops characters out of place.
    loose = decode_text(match.string.translate(_UNQUOTED)).partition(";")[0].lower()
    words = _OUT_OF_PLACE.split(loose)
    return _folded(authserv_id) in {
        _folded(said),
        _folded("".join(words)),
        *map(_folded, words[:2]),
    }


def _without_comments(value: str) -> str | None:
    """Blank comments out, nested or not (RFC 5322 3.2.2); None when one is not closed."""
    kept: list[str] = []
    depth, quoted = 0, False
    for piece in _PIECE.findall(value):
        if piece == '"' and not depth:
            quoted = not quoted
        elif piece == "(" and not quoted:
            depth += 1
        elif piece == ")" and not quoted:
            depth = max(depth - 1, 0)
            kept.append(" ")
            continue
        if not depth:
            kept.append(piece)
    return None if depth or quoted else "".join(kept)


def _folded(authserv_id: str) -> str:
    """Fold an authserv-id for comparison: no case, one form of an international domain."""
    try:
        return fold_domain(authserv_id.removesuffix("."))
    except AddressError:
        return authserv_id.lower()


def _authentication_results(report: Report, authserv_id: str) -> str:
    words = [f"smime={report.signature}"]
    reason = _plain(report.reason)
    if reason:
        words.append(f"({reason})")
    signer = report.signer
    if signer is not None:
        identifier = _identifier(signer)
        if identifier:
            words.append(f"body.smime-identifier={identifier}")
        words.append(f"body.smime-part={_part(report)}")
    return f"{authserv_id};\r\n\t" + "\r\n\t".join(words)


def _part(report: Report) -> int:
    """Give the part that holds the signature: 2 of a clear-signed message, else the body, 1."""
    for layer in report.layers:
        if report.signer in layer.signers and layer.protection is Protection.CLEAR_SIGNED:
            return 2
    return 1


def _signature(report: Report) -> str:
    signer = report.signer
    if signer is None:
        return report.signature
    via = ("via=gateway",) if signer.via_gateway else ()
    return ";\r\n\t".join(
        (
            report.signature,
            f"integrity={signer.report.integrity.value}",
            f"chain={signer.chain.value}",
            f"identity={signer.identity.value}",
            *via,
            f"signer={_identifier(signer) or 'unknown'}",
            f"validation={signer.validation.value}",
        )
    )


def _encryption(report: Report) -> str:
    if report.encryption == "none":
        return "none"
    authenticated = "yes" if report.authenticated else "no"
    algorithm = report.algorithm or "unknown"
    return f"{report.encryption}; algorithm={algorithm}; authenticated={authenticated}"


def _identifier(signer: Signer) -> str:
    """Give the signer's mailbox: the one that makes the match, else the certificate's first."""
    if signer.certificate is None:
        return ""
    mailbox = signer.mailbox or signer.gateway or next(iter(signer.certificate.mailboxes), None)
    return "" if mailbox is None else _shown(mailbox)


def _shown(mailbox: Mailbox) -> str:
    """Give an address that a field can hold as it is; "" for others."""
    return str(mailbox) if mailbox.is_ascii and _TOKEN.fullmatch(str(mailbox)) else ""


_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+./=?^_`{|}~@\[\]:\-]+")


def _plain(text: str) -> str:
    """Make text fit for a comment: printable ASCII without parentheses and backslashes."""
    kept = "".join(char if " " <= char <= "~" and char not in "()\\" else " " for char in text)
    return " ".join(kept.split())[:MAX_REASON]
