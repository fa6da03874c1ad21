"""Find the CMS object in a file that is no message: DER, BER, PEM, or base64 and nothing else.

RFC 7468 2 and 9 (textual CMS), RFC 5652 3 (ContentInfo).
"""

import binascii
import re

from smime_proxy.message.transfer_encoding import is_bare_base64

_BOM = b"\xef\xbb\xbf"  # some editors put UTF-8's mark before everything
_SEQUENCE = 0x30  # the first octet of every BER ContentInfo; a zero in text
_LONG_FORM = 0x80  # its length octet, unless the object is shorter than any real one
_OBJECT_IDENTIFIER = 0x06  # what a ContentInfo begins with
_LEAST_DER = 3  # octets of the three above
# Beside the labels of RFC 7468 8 and 9 those that gpgsm writes.
_BEGIN = re.compile(
    rb"-----BEGIN (PKCS7|PKCS #7 SIGNED DATA|CMS|SIGNED MESSAGE|ENCRYPTED MESSAGE)-----"
)
_FIELD = re.compile(rb"(?:From [^\n]*+\n)?[!-9;-~]++[ \t]*+:")
# `MI` is a SEQUENCE of 512 octets and more, or of indefinite length, in base64.
_BASE64_SEQUENCE = b"MI"


def without_mark(content: bytes) -> bytes:
    """Leave out a byte order mark."""
    return content.removeprefix(_BOM)


def find_cms(content: bytes) -> bytes | None:
    """Give the octets of a CMS object a file holds alone, None when it holds a message.

    Text before a PEM block is allowed (RFC 7468 5.2), a header is not: that would be a message.
    """
    if is_ber(content):
        return content
    begin = None if _FIELD.match(content.lstrip()) else _BEGIN.search(content)
    if begin is not None:
        end = content.find(b"-----END " + begin[1] + b"-----", begin.end())
        return None if end < 0 else _decoded(content[begin.end() : end])
    text = content.strip()
    if text.startswith(_BASE64_SEQUENCE) and is_bare_base64(text):
        return _decoded(text)
    return None


def is_ber(content: bytes) -> bool:
    """Tell whether octets begin as a ContentInfo does, and as no text would."""
    if len(content) < 2 or content[0] != _SEQUENCE:  # noqa: PLR2004 - identifier and length
        return False
    if content[1] < _LONG_FORM:
        return len(content) >= _LEAST_DER and content[2] == _OBJECT_IDENTIFIER
    # Certificates and PKCS #12 files begin with the same SEQUENCE and go on differently.
    first = content[2 + content[1] - _LONG_FORM :][:1]
    return not first or first[0] == _OBJECT_IDENTIFIER


def _decoded(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text)
    except binascii.Error:
        return b""
