"""Which key on which token: the `pkcs11:` URIs that name it.

RFC 7512 2 (syntax). Module and PIN come from the settings, so a URI may not bring others.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

SCHEME = "pkcs11:"
MAX_URI = 1024  # characters; a label has 32 octets, an identifier a few dozen

_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_KINDS = {"private", "secret-key"}


class UriError(ValueError):
    """The text is no URI of a key on a token, or says more than one may."""


@dataclass(frozen=True, slots=True)
class KeyUri:
    """A key by its label, its identifier or both; `token` and `serial` limit where it may be."""

    object: str = ""
    id: bytes = b""
    token: str = ""
    serial: str = ""

    def __str__(self) -> str:
        parts = (
            ("token", self.token.encode()),
            ("serial", self.serial.encode()),
            ("object", self.object.encode()),
            ("id", self.id),
        )
        return SCHEME + ";".join(
            f"{name}={_quoted(value, binary=name == 'id')}" for name, value in parts if value
        )


def parse_uri(text: str) -> KeyUri:
    """Read a URI; raises `UriError` for what is none, or names no key, or brings a PIN.

    Attributes: `token`, `serial`, `object`, `id`, and `type`, which must be that of a key.
    """
    if not text.startswith(SCHEME) or len(text) > MAX_URI:
        raise UriError(f"not a URI that begins with {SCHEME}")
    path, query, _ = text.removeprefix(SCHEME).partition("?")
    if query:
        raise UriError("module and PIN are set in [pkcs11], not in the URI")
    if _PERCENT.search(path):
        raise UriError("a % that is followed by no two hexadecimal digits")
    found: dict[str, bytes] = {}
    for attribute in filter(None, path.split(";")):
        name, equals, value = attribute.partition("=")
        if not equals or name in found:
            raise UriError(f"{name!a} has no value, or is there twice")
        found[name] = unquote_to_bytes(value)
    if found.pop("type", b"private").decode("ascii", "replace") not in _KINDS:
        raise UriError("the type is not that of a private or secret key")
    try:
        uri = KeyUri(id=found.pop("id", b""), **{n: v.decode() for n, v in found.items()})
    except TypeError:
        raise UriError("only token, serial, object, id and type are known here") from None
    except UnicodeDecodeError:
        raise UriError("an attribute is not UTF-8") from None
    if not (uri.object or uri.id):
        raise UriError("it names no key: give object, id or both")
    return uri


def _quoted(value: bytes, *, binary: bool) -> str:
    # RFC 7512 2.3: identifiers are written in octets, whatever they look like.
    return "".join(f"%{octet:02X}" for octet in value) if binary else quote(value, safe="")
