"""Header protection: fields put into what is signed or encrypted, and given back from there.

RFC 9788 4 (receiving), 4.10 (the older wrapping of RFC 8551 3.1) and 5 (sending), RFC 9787 1.1.2
(user-facing fields) and 4.2 (payload), draft-autocrypt-lamps-protected-headers; E07, E40-E42.

Of what arrives only the root of the payload counts; a parameter anywhere else is ignored.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from smime_proxy.message.content_type import is_plain
from smime_proxy.message.encoded_word import encode_text
from smime_proxy.message.entity import Defect, Entity
from smime_proxy.message.errors import FieldError, FromError
from smime_proxy.message.header import (
    Field,
    HeaderBlock,
    decode_text,
    field_line,
    has_loose_lines,
)
from smime_proxy.message.mailboxes import from_mailbox
from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import Protection, classify

FROM_DIFFERS = "the From inside differs from the outer one"
SUBJECT_DIFFERS = "the Subject is not the signed one"
REPLY_DIFFERS = "the Reply-To is not the signed one"

# What RFC 9787 1.1.2 calls user-facing, and the two more that RFC 9788 3.2.1 takes from outside.
# Not From: the outer one is what the signature is held against (E40). Not Resent-*: they are
# traces of whoever resent it, and inside nobody did.
_RESTORED = (
    "subject",
    "to",
    "cc",
    "date",
    "reply-to",
    "followup-to",
    "sender",
    "keywords",
    "comments",
)
# Whoever sends a ciphertext on could add these and be answered with its text (RFC 9788 6.2).
_NEVER_FROM_OUTSIDE = frozenset({"subject", "to", "cc", "reply-to", "followup-to"})
_SPELLED = {"reply-to": "Reply-To", "followup-to": "Followup-To"}
_UNSTRUCTURED = frozenset({"subject", "keywords", "comments"})  # may be encoded words throughout
_ONCE = frozenset(_RESTORED) - {"keywords", "comments"}  # RFC 5322 3.6

_UNCLEAR = frozenset({Defect.SEVERAL_CONTENT_TYPES, Defect.NOT_A_FIELD, Defect.NO_BLANK_LINE})
_BLANKS = re.compile(r"\s+")

# Written on the way or by us, or nobody's business: never copied inside (E07, E20). All other
# fields of the header are, for a reader takes none from outside beside them (RFC 9788 4.2).
_NEVER_INSIDE = frozenset(
    {
        "",  # no field at all
        "mime-version",
        "bcc",
        "resent-bcc",
        "received",
        "return-path",
        "delivered-to",
        "x-original-to",
        "received-spf",
        "authentication-results",
        "dkim-signature",
        "domainkey-signature",
        "hp-outer",
    }
)
_NEVER_INSIDE_PREFIXES = ("content-", "x-smime-", "arc-", "x-google-dkim-")
OBSCURED_SUBJECT = b"Subject: [...]\r\n"  # hcp_baseline, RFC 9788 3.2.1
# Beside those of hcp_baseline: Outlook and others repeat the Subject in Thread-Topic.
_REMOVED_OUTSIDE = frozenset({"keywords", "comments", "thread-topic"})
_HP_OUTER = b"HP-Outer: "
_MAX_LINE = 998  # octets, RFC 5322 2.1.1
_MEDIA_TYPE = re.compile(rb"(?i)content-type[ \t]*+:\s*+[!#$%&'*+\-.0-9A-Z^_`a-z{|}~/]++", re.ASCII)
# Ours, or of a payload this one quotes: on this root they would speak of our header.
_MARKS = re.compile(
    rb'(?i);\s*+(?:hp|hp-legacy-display|protected-headers)[ \t]*+=[ \t]*+(?:"[^"]*+"|[^\s;"]++)'
)


class Scheme(Enum):
    """How the fields were protected."""

    CIPHER = "cipher"  # RFC 9788 2.1.1
    CLEAR = "clear"
    V1 = "v1"  # protected-headers="v1"
    WRAPPED = "wrapped"  # the whole message as message/rfc822


@dataclass(frozen=True, slots=True)
class Protected:
    """A payload with protected fields: `header` holds them, `body` is the entity people read."""

    scheme: Scheme
    header: HeaderBlock
    body: Entity


def find_protected(root: Entity, outer: HeaderBlock) -> Protected | None:
    """Give what the root of a cryptographic payload protects, None without header protection.

    A wrapped message says `forwarded=no`, or nothing: then it is taken for one only when it has
    the outer From, for a message that somebody forwards looks the same.
    """
    kind = root.content_type
    if not _UNCLEAR.isdisjoint(root.defects):
        return None
    found = kind.parameters.get("hp", "").lower()
    if found in {Scheme.CIPHER.value, Scheme.CLEAR.value}:
        return Protected(Scheme(found), root.header, root)
    if kind.parameters.get("protected-headers", "").lower() == Scheme.V1.value:
        return Protected(Scheme.V1, root.header, root)
    if kind.full == "message/rfc822" and len(root.children) == 1:
        wrapped = root.children[0]
        forwarded = kind.parameters.get("forwarded", "").lower()
        if has_loose_lines(wrapped.header) or not wrapped.header.find("from"):
            return None
        attached = bool(forwarded) or root.disposition == "attachment"
        if forwarded == "no" or not (attached or _from_differs(wrapped.header, outer)):
            return Protected(Scheme.WRAPPED, wrapped.header, wrapped)
    return None


def restored(outer: HeaderBlock, protected: Protected) -> HeaderBlock:
    """Give the outer header with the protected fields in the places of those they stand for.

    From stays. Of a field with several occurrences inside the first counts where one is allowed.
    """
    inside = {name: tuple(_lines(protected.header, name)) for name in _RESTORED}
    waiting = {name: lines for name, lines in inside.items() if lines}
    gone = frozenset(waiting)
    # Where the whole header is inside, and not only what its writer thought of (RFC 5322 3.6.2).
    if protected.scheme is not Scheme.V1 and protected.header.find("from"):
        gone |= {name for name in _NEVER_FROM_OUTSIDE if not protected.header.find(name)}
    written: list[bytes] = []
    for field in outer.fields:
        if field.name in waiting:
            written += waiting.pop(field.name)
        elif field.name not in gone:
            written.append(field.raw if field.raw.endswith(b"\n") else field.raw + b"\r\n")
    for lines in waiting.values():
        written += lines
    return HeaderBlock(b"".join(written))


def disagreement(outer: HeaderBlock, protected: Protected) -> str:
    """Say what is wrong between outer and protected From; empty when nothing is (RFC 9788 4.4)."""
    if not protected.header.find("from"):
        return ""
    return FROM_DIFFERS if _from_differs(protected.header, outer) else ""


def altered(outer: HeaderBlock, protected: Protected) -> str:
    """Say which fields differ from the protected ones, in one short line; empty when none does.

    For mail that is only signed, where both are visible and a difference arose on the way.
    """
    names = [
        name.title()
        for name in _RESTORED
        if protected.header.find(name) and _values(outer, name) != _values(protected.header, name)
    ]
    return f"differs from what was signed: {', '.join(names)}" if names else ""


def misleading(outer: HeaderBlock, protected: Protected) -> str:
    """Say what only-signed mail shows otherwise than its signer wrote; empty when nothing.

    A Subject that still holds the signed one may have been tagged on the way (`[list]`), one that
    does not was written by somebody else, and so was a Reply-To the signer did not write.
    """
    inner = protected.header
    signed = "".join(decode_text(value) for value in _values(inner, "subject"))
    shown = [_BLANKS.sub(" ", decode_text(field.value)) for field in outer.find("subject")]
    tagged = all(text == signed or (signed and signed in text) for text in shown)
    if inner.find("subject") and not tagged:
        return SUBJECT_DIFFERS
    whole = protected.scheme is not Scheme.V1 and inner.find("from")
    judged = outer.find("reply-to") and (whole or inner.find("reply-to"))
    differs = judged and _values(inner, "reply-to") != _values(outer, "reply-to")
    return REPLY_DIFFERS if differs else ""


def _from_differs(inner: HeaderBlock, outer: HeaderBlock) -> bool:
    try:
        return from_mailbox(inner) != from_mailbox(outer)
    except FromError:
        return True


def _values(header: HeaderBlock, name: str) -> list[str]:
    found = header.find(name)
    return [_BLANKS.sub(" ", field.value) for field in (found[:1] if name in _ONCE else found)]


def _lines(header: HeaderBlock, name: str) -> Iterator[bytes]:
    """Write the fields of a name for the delivered header; what could break out of one is left."""
    found = header.find(name)
    for field in found[:1] if name in _ONCE else found:
        value = _folded(field)
        if name in _UNSTRUCTURED and not value.isascii():
            value = encode_text(value.decode("utf-8", "replace")).encode("ascii")
        try:
            yield field_line(_SPELLED.get(name, name.title()), value)
        except FieldError:  # NUL, or a line end no reader agrees about
            continue


def _folded(field: Field) -> bytes:
    """Give the value with its folding in CRLF, up to a bare CR, without blank lines in it (E07)."""
    value = field.raw[field.raw.find(b":") + 1 :].replace(b"\r\n", b"\n").partition(b"\r")[0]
    first, *more = value.split(b"\n")
    kept = (line.rstrip(b" \t") for line in more if line.strip(b" \t"))
    return b"\r\n".join((first.strip(b" \t"), *kept))


def protect_signed(part: bytes, header: HeaderBlock) -> bytes:
    """Give an entity that is going to be signed with the fields of its message in it, `hp="clear"`.

    `part` is canonical, with CRLF; `header` is the message's as it would be sent (RFC 9788 5.2).
    What a client signed or encrypted itself comes back as it is: its payload is not ours to mark.
    """
    return _protected(part, _copied(header), b"clear")


def protect_encrypted(part: bytes, header: HeaderBlock) -> tuple[bytes, HeaderBlock]:
    """Give an entity that is going to be encrypted with all fields in it, and the header outside.

    Outside the Subject becomes `[...]`, Keywords and Comments go (hcp_baseline, RFC 9788 3.2.1),
    and so does Thread-Topic. Inside `hp="cipher"` and `HP-Outer` say what was left. The part may
    be signed before it is encrypted. What a client signed or encrypted itself comes back as it
    is, with its header.
    """
    outside = _obscured(header)
    fields = _copied(header)
    fields += [_hp_outer(raw) for raw in _copied(outside)]
    inner = _protected(part, fields, b"cipher")
    return (inner, outside) if inner is not part else (part, header)


def _obscured(header: HeaderBlock) -> HeaderBlock:
    kept = header.remove(_REMOVED_OUTSIDE)
    raws = [OBSCURED_SUBJECT if field.name == "subject" else field.raw for field in kept.fields]
    return HeaderBlock(b"".join(raws))


def _copied(header: HeaderBlock) -> list[bytes]:
    return [_with_crlf(field.raw) for field in header.fields if _goes_inside(field.name)]


def _goes_inside(name: str) -> bool:
    return name not in _NEVER_INSIDE and not name.startswith(_NEVER_INSIDE_PREFIXES)


def _with_crlf(raw: bytes) -> bytes:
    """Give a field for a part that is signed: no blanks at line ends, relays cut these (E32)."""
    lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    kept = (line.rstrip(b" \t") for line in lines)
    return b"\r\n".join(line for line in kept if line) + b"\r\n"


def _hp_outer(raw: bytes) -> bytes:
    first, _, _ = raw.partition(b"\r\n")
    fits = len(_HP_OUTER) + len(first) <= _MAX_LINE
    return _HP_OUTER + raw if fits else _HP_OUTER.rstrip() + b"\r\n " + raw


def _protected(part: bytes, fields: list[bytes], scheme: bytes) -> bytes:
    entity = parse(part)
    if classify(entity) is not Protection.NONE or entity.content_type.full in _FOREIGN:
        return part
    own = [field.raw for field in entity.header.fields if field.name != "content-type"]
    found = entity.header.find("content-type")
    marked = _marked(found[0].raw if found else b"", scheme)
    rest = part[entity.header_end :]
    return b"".join((*fields, marked, *own, rest if rest.startswith(b"\r\n") else b"\r\n" + rest))


# PGP/MIME: a payload of its own, or none that can be read (RFC 3156).
_FOREIGN = frozenset({"multipart/signed", "multipart/encrypted"})


def _marked(content_type: bytes, scheme: bytes) -> bytes:
    """Give the Content-Type field with our parameter, before all others that may be broken."""
    if is_plain(Field(content_type).value):
        content_type = _MARKS.sub(b"", content_type)
    media = _MEDIA_TYPE.match(content_type)
    if media is None or media[0].count(b"/") != 1:
        # RFC 2045 5.2: what has no readable type is text.
        return b'Content-Type: text/plain; charset=us-ascii; hp="' + scheme + b'"\r\n'
    rest = content_type[media.end() :]
    return media[0] + b'; hp="' + scheme + b'"' + rest
