"""Message identifiers as a header names them: those of the mail itself and of those it refers to.

RFC 5322 3.6.4 (Message-ID, In-Reply-To, References) and 4.5.4 (their obsolete forms), RFC 2047.
"""

import re
from collections.abc import Iterable, Iterator

from smime_proxy.message.encoded_word import decode_text
from smime_proxy.message.header import HeaderBlock

MAX_REFERENCES = 100  # identifiers read of one mail, the newest; threads seen have some fifty
MAX_OWN = 4  # identifiers one mail has for itself; it should be one
MAX_OCTETS = 998  # of an identifier, RFC 5322 2.1.1; longer ones are not read

_OWN = "message-id"
_ANSWERED = "in-reply-to"
# X-Forwarded-Message-Id is Thunderbird's word for what a mail forwards inline.
_REFERENCES = (_ANSWERED, "references", "x-forwarded-message-id")
_BRACKETED = re.compile(r"<([^<>]*+)>")
# 255: longer ones are cut by archives, and folded anew where a line must end.
_PLAIN = re.compile(r"<(?!.*=\?)[!-;=?-~]{1,255}>(?:[ \t]+\([^()<>]*\))?")
_WORD = re.compile(r"[^<>\s]++")
_BLANKS = re.compile(r"\s++")


def own_identifiers(header: HeaderBlock) -> tuple[bytes, ...]:
    """Give the identifiers a mail has, the first `MAX_OWN`, each once; most have one.

    They are without angle brackets and white space, and what is left is compared octet for octet:
    a client quotes it as it was, folded anew at most.
    """
    return tuple(dict.fromkeys(_read(header, (_OWN,))))[:MAX_OWN]


def is_quotable(header: HeaderBlock) -> bool:
    """Tell whether answers of any program will name the mail by its one identifier, as it is.

    Not without one, with several, or with one that programs read, cut or encode each in their way.
    """
    fields = header.starting_unfolded(_OWN)
    own = [field for field in fields if field.unfolded_name == _OWN]
    return len(own) == 1 and bool(own[0].name) and _PLAIN.fullmatch(own[0].value) is not None


def with_identifier(header: HeaderBlock, identifier: str) -> HeaderBlock:
    """Give the header with this Message-ID, without angle brackets, in place of what it has.

    Raises `FieldError` as `HeaderBlock.prepend` does.
    """
    bare = header.remove(lambda field: field.unfolded_name == _OWN)
    return bare.prepend("Message-ID", f"<{identifier}>")


def referenced_identifiers(header: HeaderBlock) -> tuple[bytes, ...]:
    """Give the identifiers of mail that this one answers or forwards, as in `own_identifiers`.

    What In-Reply-To names comes first; of References the last count, which are the newest. No more
    than `MAX_REFERENCES` are read.
    """
    answered = list(_read(header, (_ANSWERED,)))[-MAX_REFERENCES:]
    others = list(_read(header, _REFERENCES[1:]))
    return tuple(dict.fromkeys((*answered, *reversed(others))))[:MAX_REFERENCES]


def _read(header: HeaderBlock, names: Iterable[str]) -> Iterator[bytes]:
    for name in names:
        for field in header.find(name):
            yield from _identifiers(field.value)


def _identifiers(value: str) -> Iterator[bytes]:
    """Give all that may be meant: what is in a comment too, which some readers do not know of."""
    texts = (value, decode_text(value)) if "=?" in value else (value,)
    for text in texts:
        # Some programs leave the brackets out, and others quote that as they find it.
        for found in _BRACKETED.findall(text) or _WORD.findall(text):
            raw = _BLANKS.sub("", found).encode("utf-8", "surrogateescape")
            if 0 < len(raw) <= MAX_OCTETS:
                yield raw
