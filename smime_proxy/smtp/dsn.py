"""The values of the parameters that ask for delivery status notifications, read strictly.

RFC 3461 4.1 to 4.4 (NOTIFY, ORCPT, RET, ENVID) and 4 (xtext), RFC 6533 3 (utf-8-addr-xtext).
"""

import re

from smime_proxy.envelope import decode_xtext

MAX_ENVID = 100  # characters as sent, RFC 3461 4.4
MAX_ORCPT = 500  # characters as sent, RFC 3461 4.2
MAX_CODE_POINT = 0x10FFFF

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_PRINTABLE = re.compile(r"[ -~\t]+")
_TYPE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+")  # an atom
_UTF8 = re.compile(r"(?:[!-*,-<>-\[\]-~]|\\x\{([0-9A-F]{2,6})\})+")
_EMBEDDED = re.compile(r"\\x\{([0-9A-F]+)\}")


def is_ret(value: str) -> bool:
    """Tell whether a value of RET is one (RFC 3461 4.3)."""
    return value.upper() in {"FULL", "HDRS"}


def is_envid(value: str) -> bool:
    """Tell whether a value of ENVID is one: xtext that stands for printable ASCII (4.4)."""
    return len(value) <= MAX_ENVID and _is_printable_xtext(value)


def is_notify(value: str) -> bool:
    """Tell whether a value of NOTIFY is one: NEVER, or some of SUCCESS, FAILURE, DELAY (4.1)."""
    words = value.upper().split(",")
    return words == ["NEVER"] or {"SUCCESS", "FAILURE", "DELAY"}.issuperset(words)


def is_orcpt(value: str) -> bool:
    """Tell whether a value of ORCPT is one: a type, `;`, and the address in xtext (4.2).

    Of type utf-8 the address is utf-8-addr-xtext (RFC 6533 3); raw UTF-8 is no value here.
    """
    kind, semicolon, address = value.partition(";")
    if not semicolon or not address or len(value) > MAX_ORCPT or not _TYPE.fullmatch(kind):
        return False
    return _is_utf8_address(address) if kind.lower() == "utf-8" else _is_printable_xtext(address)


def _is_printable_xtext(value: str) -> bool:
    return bool(_XTEXT.fullmatch(value) and _PRINTABLE.fullmatch(decode_xtext(value)))


def _is_utf8_address(address: str) -> bool:
    if not _UTF8.fullmatch(address):
        return False
    return all(_is_code_point(digits) for digits in _EMBEDDED.findall(address))


def _is_code_point(digits: str) -> bool:
    """Tell whether digits name a character: shortest form, no control, no surrogate."""
    point = int(digits, 16)
    shortest = len(digits) == 2 or not digits.startswith("0")  # noqa: PLR2004 - 2HEXDIG at least
    control = point < ord(" ") or 0x7F <= point < 0xA0  # noqa: PLR2004 - DEL and C1
    surrogate = 0xD800 <= point < 0xE000  # noqa: PLR2004 - RFC 3629 3
    return shortest and not control and not surrogate and point <= MAX_CODE_POINT
