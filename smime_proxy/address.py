"""Mailboxes as SMTP knows them: parse strictly, compare by one rule, print as written.

RFC 5321 4.1.2 (Mailbox), RFC 6531 3.3 (UTF-8), RFC 5890 (A-labels for comparison).
"""

import ipaddress
import re
from dataclasses import dataclass, field
from functools import lru_cache

import idna

MAX_LOCAL_OCTETS = 64  # RFC 5321 4.5.3.1.1
MAX_DOMAIN_OCTETS = 255  # RFC 5321 4.5.3.1.2
CACHED_MAILBOXES = 8192  # the addresses an organisation uses in an hour; bounds memory

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]"
_DOT_STRING = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_QUOTED_STRING = re.compile(r'"(?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*"')
_QUOTED_PAIR = re.compile(r"\\(.)")
_ASCII_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]*[A-Za-z0-9_])?")
_UPPER_TO_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


class AddressError(ValueError):
    """The text is no Mailbox of RFC 5321 4.1.2 or RFC 6531 3.3."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One mailbox; equal to another when local part and domain are, by the folding of `key`.

    `text` is the address as written, `key` its folded form: ASCII letters of the local part in
    lower case, quoting removed where it says nothing, the domain as lower-case A-labels.
    """

    text: str = field(compare=False)
    key: str

    @property
    def local(self) -> str:
        """Give the local part as written, quotes included."""
        return self.text.rpartition("@")[0]

    @property
    def domain(self) -> str:
        """Give the folded domain: lower-case A-labels, or an address literal."""
        return self.key.rpartition("@")[2]

    @property
    def exact(self) -> str:
        """Give the local part as written and the folded domain, as the DNS wants it."""
        return f"{self.local}@{self.domain}"

    @property
    def untagged(self) -> "Mailbox | None":
        """Give the mailbox without a plus tag (E75); None where there is none to drop."""
        local = self.key.rpartition("@")[0]  # without quotes that say nothing
        if "+" not in local:
            return None
        try:
            return parse_mailbox(f"{local.partition('+')[0]}@{self.domain}")
        except AddressError:
            return None

    @property
    def is_ascii(self) -> bool:
        """Tell whether the address can travel without SMTPUTF8 (RFC 6531 3.1)."""
        return self.text.isascii()

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=CACHED_MAILBOXES)
def parse_mailbox(text: str) -> Mailbox:
    """Read exactly one Mailbox, nothing before or after it (RFC 5321 4.1.2, RFC 6531 3.3).

    Raises `AddressError` for everything else, control characters and blanks included.
    """
    local, at, domain = text.rpartition("@")
    if not at:
        message = "no @ in the address"
        raise AddressError(message)
    # RFC 6531 allows C1 controls, bidirectional marks and odd spaces; no real address has them.
    if not text.isprintable():
        message = "the address holds control characters or blanks"
        raise AddressError(message)
    return Mailbox(text, f"{_fold_local(local)}@{fold_domain(domain)}")


@lru_cache(maxsize=CACHED_MAILBOXES)
def fold_domain(domain: str) -> str:
    """Fold a domain or address literal for comparison: lower-case A-labels (RFC 5890 2.3.2.1).

    Raises `AddressError` when it is neither a domain nor a literal.
    """
    if domain.startswith("["):
        return _fold_literal(domain)
    if len(domain) <= MAX_DOMAIN_OCTETS and not domain.isascii():
        domain = _to_a_labels(domain)
    if len(domain) > MAX_DOMAIN_OCTETS or not all(
        len(label) <= 63 and _ASCII_LABEL.fullmatch(label)  # noqa: PLR2004 - RFC 1035 2.3.4
        for label in domain.split(".")
    ):
        message = "the domain is not valid"
        raise AddressError(message)
    return domain.lower()


def _fold_local(local: str) -> str:
    try:
        length = len(local.encode())
    except UnicodeEncodeError:
        length = MAX_LOCAL_OCTETS + 1  # a lone surrogate: undecodable octets on the wire
    if length > MAX_LOCAL_OCTETS:
        message = "the local part is too long or not UTF-8"
        raise AddressError(message)
    if _DOT_STRING.fullmatch(local):
        return local.translate(_UPPER_TO_LOWER)
    if not _QUOTED_STRING.fullmatch(local):
        message = "the local part is not valid"
        raise AddressError(message)
    # RFC 5321 4.1.2: "joe"@x and joe@x are the same mailbox.
    bare = _QUOTED_PAIR.sub(r"\1", local[1:-1])
    folded = bare.translate(_UPPER_TO_LOWER)
    if _DOT_STRING.fullmatch(bare):
        return folded
    return '"' + folded.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _to_a_labels(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        message = "the domain is not a valid internationalised name"
        raise AddressError(message) from error


def _fold_literal(domain: str) -> str:
    body = domain[1:-1]
    try:
        if not domain.endswith("]") or "%" in body:  # a zone index may hold anything
            raise ValueError  # noqa: TRY301 - one exit for the faults of a literal
        if body[:5].lower() == "ipv6:":
            return f"[ipv6:{ipaddress.IPv6Address(body[5:])}]"
        return f"[{ipaddress.IPv4Address(body)}]"
    except ValueError:
        message = "the address literal is not valid"
        raise AddressError(message) from None
