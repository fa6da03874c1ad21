"""Mutations of mail by its structure: fields, boundaries, encodings, nesting, the CMS inside.

RFC 5322 2, RFC 2045, RFC 2046 5.1.
"""

import base64
import quopri
import re
from collections.abc import Callable, Sequence
from random import Random

from tests.fuzz import ber_tree
from tests.fuzz.octets import ANY

WORDS: Sequence[bytes] = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\r\n ", b"\0", b"--", b"\r\n--", b"\r\n.\r\n", b"From ",
    b"\r\nFrom: Mallory <mallory@example.test>", b"\r\nFrom: alice@example.test, b@example.org",
    b"\r\nSender: x@y", b"\r\nSubject: =?utf-8?q?=5Bencrypt=5D?= x", b"\r\nSubject: [plain] Re:",
    b"\r\nX-SMIME-Encrypt: yes", b"\r\nX-SMIME-Sign: no", b"\r\nX-SMIME-Signature: pass",
    b"\r\nAuthentication-Results: proxy.example.test; smime=pass", b"\r\nBcc: hidden@example.org",
    b"\r\nContent-Type: multipart/mixed; boundary=b", b"\r\nContent-Type: text/plain",
    b"\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m",
    b"\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data",
    b'\r\nContent-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=b',
    b'\r\nContent-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=b',
    b"\r\nContent-Type: message/rfc822", b"\r\nContent-Type: message/partial; id=1; number=1",
    b'\r\nContent-Type: text/plain; hp="cipher"; protected-headers=v1',
    b"\r\nHP-Outer: Subject: x", b"\r\nContent-Type: text/calendar; method=REQUEST",
    b"METHOD:REQUEST", b"BEGIN:VCALENDAR",
    b"\r\nContent-Transfer-Encoding: base64", b"\r\nContent-Transfer-Encoding: quoted-printable",
    b"\r\nContent-Transfer-Encoding: 8bit", b"\r\nContent-Transfer-Encoding: x-unknown",
    b"\r\nContent-Disposition: attachment; filename=smime.p7m", b"; name=winmail.dat",
    b"; boundary=", b"; boundary*0=a; boundary*1=b", b"; charset*=utf-8'en'%FF%00", b"(((((", b"\\",
    b'"', b"=?utf-8?b?", b"?=", b"=\r\n", b"=3D", b"\xff\xfe", "ü€\u2028".encode(), b" " * 100,
    b"-----BEGIN PGP MESSAGE-----\r\n\r\nabcd\r\n-----END PGP MESSAGE-----", b"<x@y>", b"@", b",;:",
)  # fmt: skip
_BASE64_BLOCK = re.compile(rb"(?:[A-Za-z0-9+/]{40,76}\r?\n){2,}[A-Za-z0-9+/]*={0,2}")
_PART = b"--%b\r\nContent-Type: text/plain\r\n\r\nbeside\r\n"

Step = Callable[[Random, bytes, bytes], bytes]


def mutated(rng: Random, raw: bytes, other: bytes) -> bytes:
    """Change the structure once; `other` is where foreign lines and CMS come from."""
    return rng.choice(_STEPS)(rng, raw, other)


def _line(rng: Random, raw: bytes, other: bytes) -> bytes:
    """Delete, repeat, swap, borrow or change a line."""
    lines = raw.split(b"\r\n")
    at, with_ = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines[at:at] = [lines[with_]] * rng.choice((1, 1, 2, 200))
        case 2:
            lines[at], lines[with_] = lines[with_], lines[at]
        case 3:
            lines.insert(at, rng.choice(other.split(b"\r\n")))
        case 4:
            lines[at] = rng.choice(ANY)(rng, lines[at])
        case _:
            lines.insert(at, b"")
    return b"\r\n".join(lines)


def _word(rng: Random, raw: bytes, _other: bytes) -> bytes:
    """Put a word of mail somewhere, fields at the end of a line."""
    word = rng.choice(WORDS)
    ends = [match.start() for match in re.finditer(rb"\r\n", raw)] or [0]
    at = rng.choice(ends) if rng.random() < 0.6 else rng.randrange(len(raw) + 1)
    return raw[:at] + word + raw[at:]


def _top_field(rng: Random, raw: bytes, _other: bytes) -> bytes:
    return rng.choice(WORDS).removeprefix(b"\r\n") + b"\r\n" + raw


def _boundary(rng: Random, raw: bytes, _other: bytes) -> bytes:
    """Change one delimiter, or what the header says it is."""
    delimiters = list(re.finditer(rb"(?m)^--[^\r\n]+", raw))
    if not delimiters or rng.random() < 0.2:
        return raw.replace(b"boundary=", rng.choice((b"boundry=", b'boundary=" ', b"boundary=x")))
    found = rng.choice(delimiters)
    line = found[0]
    changed = rng.choice(
        (line + b"--", line.removesuffix(b"--"), line + b" \t", b" " + line, line[:-1], line + b"x",
         line + b"\r\n" + line, b"", line.upper())
    )  # fmt: skip
    return raw[: found.start()] + changed + raw[found.end() :]


def _recoded(rng: Random, raw: bytes, _other: bytes) -> bytes:
    """Encode the body another way and say so, or only one of both."""
    head, blank, body = raw.partition(b"\r\n\r\n")
    name, encoded = rng.choice(
        ((b"base64", base64.encodebytes(body).replace(b"\n", b"\r\n")),
         (b"quoted-printable", quopri.encodestring(body)), (b"binary", body))
    )  # fmt: skip
    kept = body if rng.random() < 0.3 else encoded
    return head + b"\r\nContent-Transfer-Encoding: " + name + blank + kept


def _nested(rng: Random, raw: bytes, other: bytes) -> bytes:
    """Put the mail into another structure, once or many times."""
    head, _, body = raw.partition(b"\r\n\r\n")
    outside = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-")]
    inside = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-")]
    entity = b"\r\n".join(inside) + b"\r\n\r\n" + body
    for number in range(rng.choice((1, 1, 1, 2, 60))):
        mark = b"n%d" % number
        kind = rng.choice((b"mixed", b"mixed", b"alternative", b"signed", b"digest"))
        parts = [b"--" + mark + b"\r\n" + entity + b"\r\n"]
        parts.insert(rng.randrange(2), _PART % mark)
        if rng.random() < 0.2:
            message = b"From: x@example.org\r\n" + entity
            parts = [b"--" + mark + b"\r\nContent-Type: message/rfc822\r\n\r\n" + message + b"\r\n"]
        if rng.random() < 0.2:
            parts.append(b"--" + mark + b"\r\n" + other.partition(b"\r\n\r\n")[2][:2000] + b"\r\n")
        head_of = b"Content-Type: multipart/" + kind + b"; boundary=" + mark + b"\r\n\r\n"
        entity = head_of + b"".join(parts) + b"--" + mark + b"--\r\n"
    return b"\r\n".join(outside) + b"\r\n" + entity


def _folded(rng: Random, raw: bytes, _other: bytes) -> bytes:
    head, blank, body = raw.partition(b"\r\n\r\n")
    at = rng.randrange(len(head) + 1)
    fold = rng.choice((b"\r\n ", b"\r\n\t", b"\r\n \r\n ", b"\n ", b"\r "))
    return head[:at] + fold + head[at:] + blank + body


def _inner(rng: Random, raw: bytes, other: bytes) -> bytes:
    """Change the CMS, or what else is in base64, by its own structure."""
    blocks = list(_BASE64_BLOCK.finditer(raw))
    if not blocks:
        return _word(rng, raw, other)
    block = rng.choice(blocks)
    foreign = _BASE64_BLOCK.search(other)
    changed = ber_tree.mutated(rng, _decoded(block[0]), _decoded(foreign[0] if foreign else b""))
    text = base64.encodebytes(changed).replace(b"\n", b"\r\n").removesuffix(b"\r\n")
    return raw[: block.start()] + text + raw[block.end() :]


def _decoded(text: bytes) -> bytes:
    bare = text.translate(None, b"\r\n=")
    return base64.b64decode(bare[: len(bare) - len(bare) % 4])


def _line_ends(rng: Random, raw: bytes, _other: bytes) -> bytes:
    return raw.replace(b"\r\n", rng.choice((b"\n", b"\r", b"\r\r\n", b" \r\n")))


_STEPS: Sequence[Step] = (
    _line, _line, _word, _word, _top_field, _boundary, _recoded, _nested, _folded,
    _inner, _inner, _inner, _line_ends,
)  # fmt: skip
