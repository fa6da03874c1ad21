"""What a sender asks of the proxy by header fields and subject words, and taking that out again.

RFC 5322 3.6.5 (Subject, `Re:`), RFC 2047 (encoded Subjects), RFC 4021 2.1.55 (Sensitivity).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from smime_proxy.message.encoded_word import encode_text
from smime_proxy.message.errors import BadRequest
from smime_proxy.message.header import Field, HeaderBlock, decode_text

OWN_PREFIX = "x-smime-"  # fields that are ours alone, removed wherever they arrive
SENSITIVE = "company-confidential"  # the value of Sensitivity that can ask for encryption


class Request(Enum):
    """One thing a sender can ask for."""

    SIGN = "sign"
    ENCRYPT = "encrypt"
    PLAIN = "plain"


DEFAULT_WORDS: Mapping[str, Request] = {
    "[sign]": Request.SIGN,
    "[encrypt]": Request.ENCRYPT,
    "[plain]": Request.PLAIN,
}
NO_WORDS: Mapping[str, Request] = {}

_FIELDS = {"x-smime-sign": Request.SIGN, "x-smime-encrypt": Request.ENCRYPT}
# Reply and forward marks of mail programs in the languages of their users, numbered or not.
_MARKS = (
    "re|r|aw|antw|antwort|sv|vs|vá|ref|réf|rif|ris|res|odp|ynt|atb|bls|rép|απ|σχετ|"
    "fw|fwd|wg|wtr|doorst|vl|vb|tr|rv|enc|i|pd|továbbítás|fs|trs|yml|ilt|i̇lt|πρθ|"
    "回复|转发|答复|回覆|轉寄|返信|転送|رد|إعادة توجيه|תגובה|השב|הועבר"
)
_BLANK = r"[\s\u200b\ufeff]*+"  # French and Asian programs write others than the space
_REPLY_MARK = re.compile(
    rf"(?:{_MARKS})\.?{_BLANK}(?:(?:[\[(]\d{{1,3}}[\])]|\^\d{{1,3}}){_BLANK})?[:\uff1a]",
    re.IGNORECASE,
)
_BLANKS = re.compile(_BLANK)


@dataclass(frozen=True, slots=True)
class Requests:
    """What the sender asked for."""

    sign: bool = False
    encrypt: bool = False
    plain: bool = False

    def __bool__(self) -> bool:
        return self.sign or self.encrypt or self.plain


def read_requests(header: HeaderBlock, words: Mapping[str, Request]) -> Requests:
    """Read the request fields and the subject words at the start or behind reply marks.

    `words` maps each word, brackets included, to what it asks; empty when they are off. Raises
    `BadRequest` when a request field says anything but `yes`.
    """
    asked = set()
    for name, request in _FIELDS.items():
        for field in header.starting_unfolded(name):
            if field.unfolded_name != name:
                continue
            if field.value.lower() != "yes":
                raise BadRequest(f"{name} must say yes")
            asked.add(request)
    for field in header.find("subject"):
        asked.update(request for _, _, request in _word_spans(decode_text(field.value), words))
    return Requests(Request.SIGN in asked, Request.ENCRYPT in asked, Request.PLAIN in asked)


def strip_requests(header: HeaderBlock, words: Mapping[str, Request]) -> HeaderBlock:
    """Remove all `X-SMIME-*` fields and the subject words; every other octet stays.

    Only the words and the blanks behind them go. A Subject with a word inside an encoded word is
    encoded again as UTF-8, and decodes to the same text without the word.
    """
    header = strip_own_fields(header)
    if not words or not any(read_subject_words(field, words) for field in header.find("subject")):
        return header
    return HeaderBlock(
        b"".join(
            _without_words(field, words) if field.name == "subject" else field.raw
            for field in header.fields
        )
    )


def strip_own_fields(header: HeaderBlock) -> HeaderBlock:
    """Remove all `X-SMIME-*` fields, however folded, and nothing else."""
    if not header.starting_unfolded(OWN_PREFIX):
        return header
    return header.remove(lambda field: field.unfolded_name.startswith(OWN_PREFIX))


def asks_by_sensitivity(header: HeaderBlock) -> bool:
    """Tell whether the sender marked the mail company-confidential (RFC 4021 2.1.55)."""
    return any(field.value.lower() == SENSITIVE for field in header.find("sensitivity"))


def read_subject_words(subject: Field, words: Mapping[str, Request]) -> frozenset[Request]:
    """Give what the words of one Subject field ask for."""
    return frozenset(request for _, _, request in _word_spans(decode_text(subject.value), words))


def _word_spans(text: str, words: Mapping[str, Request]) -> Iterator[tuple[int, int, Request]]:
    """Give start and end, blanks behind included, of each word before the subject proper."""
    folded = {word.casefold(): request for word, request in words.items()}
    position = _after_blanks(text, 0)
    while position < len(text):
        mark = _REPLY_MARK.match(text, position)
        if mark:
            position = _after_blanks(text, mark.end())
            continue
        for word, request in folded.items():
            end = position + len(word)
            if text[position:end].casefold() == word:
                after = _after_blanks(text, end)
                yield position, after, request
                position = after
                break
        else:
            return


def _after_blanks(text: str, position: int) -> int:
    match = _BLANKS.match(text, position)
    return match.end() if match else position


def _without_words(subject: Field, words: Mapping[str, Request]) -> bytes:
    if not read_subject_words(subject, words):
        return subject.raw
    name, colon, body = subject.raw.decode("utf-8", "surrogateescape").partition(":")
    plain = _cut(body, words)
    if read_subject_words(Field(f"{name}{colon}{plain}".encode("utf-8", "surrogateescape")), words):
        plain = f" {encode_text(_cut(decode_text(subject.value), words))}\r\n"
    return f"{name}{colon}{plain}".encode("utf-8", "surrogateescape")


def _cut(text: str, words: Mapping[str, Request]) -> str:
    kept = []
    position = 0
    for start, end, _ in _word_spans(text, words):
        kept.append(text[position:start])
        position = end
    rest = text[position:]
    if rest or not position:
        return "".join((*kept, rest))
    # Nothing is left behind the words: no line of blanks may stay, only the line end.
    line_end = "\r\n" if text.endswith("\r\n") else "\n" if text.endswith("\n") else ""
    return "".join(kept).rstrip(" \t\r\n") + line_end
