"""The few messages of LDAP that a search needs: written and read as octets, nothing is sent.

RFC 4511 4.1 (envelope), 4.2 (bind), 4.5 (search), 4.14 (StartTLS); RFC 4513 5.1 (simple bind).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from smime_proxy.cms import ber, der
from smime_proxy.cms.ber import Element
from smime_proxy.cms.errors import MalformedCms
from smime_proxy.lookup.errors import LookupFailed

SUCCESS, SIZE_LIMIT_EXCEEDED, REFERRAL, NO_SUCH_OBJECT = 0, 4, 10, 32  # RFC 4511 appendix A
BIND_RESPONSE, SEARCH_ENTRY, SEARCH_DONE = 0x61, 0x64, 0x65
SEARCH_REFERENCE, EXTENDED_RESPONSE = 0x73, 0x78
MAX_DIAGNOSTIC = 200  # characters of what a server says about a failure; for the log

_BIND, _SEARCH, _EXTENDED, _UNBIND = 0x60, 0x63, 0x77, b"\x42\x00"
_VERSION = 3
_SIMPLE, _REQUEST_NAME = 0x80, 0x80
_START_TLS = b"1.3.6.1.4.1.1466.20037"
_ENUMERATED, _BOOLEAN = 0x0A, 0x01
_WHOLE_SUBTREE, _NEVER_DEREFERENCE = 2, 0


@dataclass(frozen=True, slots=True)
class Response:
    """One message of a server: whose answer it is, its kind by tag, and what it holds."""

    identifier: int
    kind: int
    operation: Element = field(repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """How an operation ended: a code of RFC 4511 appendix A, and what the server says to it."""

    code: int
    diagnostic: str


def bind_request(identifier: int, name: str, password: str) -> bytes:
    """Write a simple bind; without a name it is the anonymous one (RFC 4513 5.1.1)."""
    operation = der.element(
        _BIND,
        der.integer(_VERSION),
        _string(name.encode()),
        der.element(_SIMPLE, password.encode() if name else b""),
    )
    return _message(identifier, operation)


def start_tls_request(identifier: int) -> bytes:
    """Ask to go on with TLS (RFC 4511 4.14.1)."""
    return _message(identifier, der.element(_EXTENDED, der.element(_REQUEST_NAME, _START_TLS)))


def search_request(
    identifier: int, base: str, encoded_filter: bytes, attributes: Sequence[str], limits: "Limits"
) -> bytes:
    """Ask for the attributes of what the filter finds below `base`; aliases are not followed."""
    operation = der.element(
        _SEARCH,
        _string(base.encode()),
        der.element(_ENUMERATED, bytes((_WHOLE_SUBTREE,))),
        der.element(_ENUMERATED, bytes((_NEVER_DEREFERENCE,))),
        der.integer(limits.entries),
        der.integer(limits.seconds),
        der.element(_BOOLEAN, b"\x00"),
        encoded_filter,
        der.element(der.SEQUENCE, *(_string(name.encode()) for name in attributes)),
    )
    return _message(identifier, operation)


def unbind_request(identifier: int) -> bytes:
    """Say that the session is over; there is no answer (RFC 4511 4.3)."""
    return _message(identifier, _UNBIND)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server is asked to keep to: entries, and seconds of its own time."""

    entries: int
    seconds: int


def read_response(raw: bytes) -> Response:
    """Read one message of a server; raises `LookupFailed` for what is none."""
    try:
        identifier, operation, *_controls = ber.read_only(raw).expect(der.SEQUENCE).children()
        return Response(ber.integer(identifier), operation.tag, operation)
    except (MalformedCms, ValueError):
        raise LookupFailed("the answer is not LDAP") from None


def read_result(response: Response) -> Result:
    """Read how an operation ended; raises `LookupFailed`."""
    try:
        code, _matched, diagnostic, *_more = response.operation.children()
        number = int.from_bytes(code.expect(_ENUMERATED).contents, signed=True)
        text = bytes(diagnostic.contents).decode(errors="replace")
    except (MalformedCms, ValueError):
        raise LookupFailed("the answer is not LDAP") from None
    return Result(number, " ".join(text.split())[:MAX_DIAGNOSTIC])


def read_entry(response: Response) -> dict[str, list[bytes]]:
    """Read the attributes of an entry by their description in lower case; raises `LookupFailed`."""
    found: dict[str, list[bytes]] = {}
    try:
        _name, attributes = response.operation.children()
        for attribute in attributes.children():
            description, values = attribute.children()
            name = bytes(description.contents).decode("ascii").lower()
            found.setdefault(name, []).extend(
                ber.octet_string(value) for value in values.children()
            )
    except (MalformedCms, ValueError):
        raise LookupFailed("the answer is not LDAP") from None
    return found


def _message(identifier: int, operation: bytes) -> bytes:
    return der.element(der.SEQUENCE, der.integer(identifier), operation)


def _string(octets: bytes) -> bytes:
    return der.element(der.OCTET_STRING, octets)
