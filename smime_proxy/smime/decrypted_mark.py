"""The mark on mail that was decrypted here, and finding it again in what leaves.

RFC 2104 (HMAC) and RFC 5869 (HKDF) with SHA-256. Whoever has not the secret cannot make a mark, and
cannot tell from what is kept of a Message-ID which mail it was.
"""

import base64
import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from smime_proxy.message.entity import Entity, decode_octets, decode_start
from smime_proxy.message.errors import TooComplex
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.message_ids import is_quotable, own_identifiers, with_identifier
from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import Protection, classify, inner_entity
from smime_proxy.smime.delivery import closed_above

FIELD = "X-SMIME-Decrypted"
SECRET_OCTETS = 32  # as many as SHA-256 gives
DIGEST_OCTETS = 16  # nobody finds another mail with one of 128 bits
MAX_MARKS = 4  # fields of one header that are compared
MAX_HIDDEN = 1_000  # messages behind an encoding or an opaque signature that are looked into
MAX_HIDDEN_RATIO = (
    3  # of their octets to those of the mail; base64 in base64 without end comes to it
)
LEAST_HIDDEN_OCTETS = 10_000_000  # looked into however small the mail is, for what is compressed

_VALUE = re.compile(r"v=1;[ \t]*h=([A-Za-z0-9_-]{22})")
_BEFORE_MESSAGE = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+")
_MESSAGE = re.compile(
    _BEFORE_MESSAGE.pattern + rb"(?:>?From [^\n]*+\n)?[A-Za-z][A-Za-z0-9-]*+[ \t]*+:[^\n]*+\n"
)
_CLOSED = frozenset({Protection.SIGNED_DATA, Protection.COMPRESSED_DATA})


@dataclass(frozen=True, slots=True)
class MarkKeys:
    """The keys of marks, of what is kept of Message-IDs, and of those we give mail that has none.

    Each is of no use in place of another.

    They are of no account: a mark is to be known again wherever the mail went meanwhile.
    """

    mark: bytes = field(repr=False)
    memory: bytes = field(repr=False)
    names: bytes = field(repr=False)

    @classmethod
    def derive(cls, secret: bytes) -> "MarkKeys":
        """Derive them from the secret of the store, `SECRET_OCTETS` of good randomness."""
        labels = (b"mark", b"memory", b"names")
        return cls(*(_expand(secret, label) for label in labels))

    def named(self, header: HeaderBlock, content: bytes, host: str) -> HeaderBlock:
        """Give the header of decrypted mail with a Message-ID by which answers will be known.

        It stays as it is where any program can quote what it has. Else whoever sends a ciphertext
        on would only have to leave it out, or write it so that each reads it in his way, to be
        answered in clear. The same `content` gets the same one; `host` is our name.
        """
        if is_quotable(header):
            return header
        name = hmac.digest(self.names, content, "sha256")[:DIGEST_OCTETS]
        text = base64.urlsafe_b64encode(name).rstrip(b"=").decode()
        return with_identifier(closed_above(header), f"{text}@{host}")

    def mark_of(self, header: HeaderBlock) -> tuple[str, str]:
        """Give the field that marks a mail as decrypted, bound to its Message-ID if it has one."""
        identifier = next(iter(own_identifiers(header)), b"")
        return FIELD, f"v=1; h={self._mark(identifier).decode()}"

    def is_marked(self, header: HeaderBlock) -> bool:
        """Tell whether a header carries a mark made here for a mail with its Message-ID.

        That of a mail without one holds for any: it gets one on its way.
        """
        fields = header.find(FIELD)[:MAX_MARKS]
        if not fields:
            return False
        own = (b"", *own_identifiers(header))
        expected = [self._mark(identifier) for identifier in own]
        said = [match[1].encode() for one in fields if (match := _VALUE.fullmatch(one.value))]
        return any(hmac.compare_digest(one, other) for one in said for other in expected)

    def digests(self, identifiers: Sequence[bytes]) -> tuple[bytes, ...]:
        """Give what is kept of Message-IDs: `DIGEST_OCTETS` of each, in their order."""
        return tuple(
            hmac.digest(self.memory, identifier, "sha256")[:DIGEST_OCTETS]
            for identifier in identifiers
        )

    def _mark(self, identifier: bytes) -> bytes:
        digest = hmac.digest(self.mark, identifier, "sha256")[:DIGEST_OCTETS]
        return base64.urlsafe_b64encode(digest).rstrip(b"=")


def headers_inside(entity: Entity) -> Iterator[HeaderBlock]:
    """Give the headers of all that is inside, attached messages at any depth.

    They are looked into in any encoding, and inside signatures that hold their content (RFC 8551
    3.5.2). Raises `TooComplex` for more than can be looked into: nobody knows what it carries.
    """
    waiting = [entity]
    left, octets = MAX_HIDDEN, max(LEAST_HIDDEN_OCTETS, MAX_HIDDEN_RATIO * len(entity.content))
    while waiting:
        for part in waiting.pop().walk():
            if part is not entity:
                yield part.header
            if not part.is_leaf or (inner := _opened(part)) is None:
                continue
            left, octets = left - 1, octets - len(inner.content)
            if left < 0 or octets < 0:
                raise TooComplex("the message has too many parts")
            waiting.append(inner)


def _opened(leaf: Entity) -> Entity | None:
    """Give the message a leaf holds in an encoding, as a file or opaquely signed; None for others.

    RFC 2046 5.2.1 forbids the first and clients do it; the second is Outlook's .eml, or a file of
    any name and type but text that begins as a message does. Raises `TooComplex`.
    """
    protection = classify(leaf)
    if protection in _CLOSED:
        return inner_entity(leaf, protection)
    kind = leaf.content_type.type
    named = kind == "message" or leaf.filename.strip().lower().endswith(".eml")
    if not named and (kind == "text" or not _MESSAGE.match(decode_start(leaf))):
        return None
    decoded = decode_octets(leaf.body, leaf.transfer_encoding)
    before = _BEFORE_MESSAGE.match(decoded)
    try:
        return parse(decoded[before.end() :] if before else decoded)
    except TooComplex:
        if named:
            raise
        return None  # a file of settings or a log, which may be as long as it likes


def _expand(secret: bytes, label: bytes) -> bytes:
    return HKDFExpand(SHA256(), SECRET_OCTETS, b"smime-proxy decrypted " + label).derive(secret)
