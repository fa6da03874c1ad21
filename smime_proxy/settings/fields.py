"""Readers of single settings values: sizes, addresses to listen on, networks, domains, URLs.

RFC 3986 3 (URLs), RFC 4632 and RFC 4291 2.3 (networks), RFC 5321 2.3.5 (domains).
"""

import ipaddress
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

from smime_proxy.address import AddressError, fold_domain, parse_mailbox
from smime_proxy.tokens.uri import parse_uri

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNITS = {  # octets; the decimal ones are those of disks and of RFC 1870 offers rounded by people
    "": 1,
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KIB": 1024,
    "MIB": 1024**2,
    "GIB": 1024**3,
}
MAX_PORT = 65535  # RFC 9293 3.1
MAPPED_BITS = 96  # before an IPv4 address written as IPv6, RFC 4291 2.5.5.2
# RFC 5321 4.5.4.2, RFC 8314 3.3; LMTP has none, it must not be 25 (RFC 2033 5), Dovecot takes 24.
DEFAULT_PORTS = {"smtp": 25, "smtps": 465, "lmtp": 24}
_SIZE = re.compile(r"(\d{1,15})\s*([A-Za-z]*)")
_HEXADECIMAL = re.compile(r"[0-9a-f]{32,}")  # another fingerprint, or part of one
_SHA_256 = re.compile(r"[0-9a-f]{64}")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_DOMAIN_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")


def read_key_uri(text: str) -> str:
    """Read the URI of a key on a token (RFC 7512), or nothing; raises ValueError."""
    return str(parse_uri(text)) if text else ""


class Scheme(Enum):
    """How an upstream is spoken to."""

    SMTP = "smtp"
    SMTPS = "smtps"
    LMTP = "lmtp"
    MAILDIR = "maildir"


@dataclass(frozen=True, slots=True)
class Bind:
    """An IP address or host name and a TCP port to listen on."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Tell whether nobody on another machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UpstreamUrl:
    """Where an upstream is: host and port, or `path` for a Maildir or LMTP over a UNIX socket."""

    scheme: Scheme
    host: str = ""
    port: int = 0
    path: Path = Path()

    @property
    def is_local(self) -> bool:
        """Tell whether it is a directory or a socket of this machine."""
        return self.path.is_absolute()

    def __str__(self) -> str:
        if self.is_local:
            return f"{self.scheme.value}://{self.path}"
        return f"{self.scheme.value}://{Bind(self.host, self.port)}"


def read_size(value: Any) -> int:
    """Read octets from a number or a text such as `50MB` (10^6) or `50MiB` (2^20)."""
    match = _SIZE.fullmatch(str(value).strip())
    if match is None or isinstance(value, bool) or match[2].upper() not in UNITS:
        raise ValueError(f"must be a size such as 50MB, not {value!r}")
    return int(match[1]) * UNITS[match[2].upper()]


def show_size(octets: int) -> str:
    """Write octets with the largest decimal unit that divides them."""
    for unit in ("GB", "MB", "KB"):
        if octets and octets % UNITS[unit] == 0:
            return f"{octets // UNITS[unit]}{unit}"
    return f"{octets}B"


def read_bind(value: Any) -> Bind | None:
    """Read `host:port` or `[IPv6]:port`; an empty text means not to listen."""
    if value is None or isinstance(value, Bind) or value == "":
        return value or None
    host, colon, port = str(value).rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) <= MAX_PORT:
        raise ValueError(f"must be host:port with a port from 1 to {MAX_PORT}, not {value!r}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not is_address(host):
            raise ValueError(f"has no IP address between the brackets: {value!r}")
    elif ":" in host or not (is_address(host) or is_domain(host)):
        raise ValueError(f"must be host:port, an IPv6 address in brackets, not {value!r}")
    return Bind(host, int(port))


def read_required_bind(value: Any) -> Bind:
    """Read `host:port`; an empty text is an error."""
    bind = read_bind(value)
    if bind is None:
        raise ValueError("must be host:port, it is empty")
    return bind


def read_network(text: str) -> Network:
    """Read an IP address or a network in CIDR form without host bits (RFC 4632 3.1).

    IPv4 written as IPv6 (RFC 4291 2.5.5.2) is IPv4: so are the clients that come from there.
    """
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"must be an IP address or network, {error}") from None
    first = network.network_address
    mapped = first.ipv4_mapped if isinstance(first, ipaddress.IPv6Address) else None
    if mapped is None or network.prefixlen < MAPPED_BITS:
        return network
    return ipaddress.ip_network((mapped, network.prefixlen - MAPPED_BITS))


def read_list(value: Any) -> Any:
    """Read a list from a variable: JSON, or entries parted by commas; other values stay."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [entry.strip() for entry in value.split(",") if entry.strip()]


def read_domain(text: str) -> str:
    """Fold a mail domain to lower-case A-labels (RFC 5890 2.3.2.1)."""
    try:
        folded = fold_domain(text)
    except AddressError as error:
        raise ValueError(f"must be a domain, not {text!r}: {error}") from None
    return folded


def read_hostname(text: str) -> str:
    """Read a host name for EHLO (RFC 5321 2.3.5): letters, digits and hyphens, parted by dots."""
    if not is_domain(text):
        raise ValueError(f"must be a host name, not {text!r}")
    return text.lower()


def read_account_pattern(text: str) -> str:
    """Fold `*`, `*@domain` or an address, as listeners name the accounts they may use."""
    if text == "*":
        return text
    local, at, domain = text.rpartition("@")
    if at and local == "*":
        return f"*@{read_domain(domain)}"
    return read_address(text)


def read_address(text: str) -> str:
    """Fold a mailbox to its key for comparison (RFC 5321 4.1.2)."""
    try:
        return parse_mailbox(text).key
    except AddressError as error:
        raise ValueError(f"must be an address, not {text!r}: {error}") from None


def read_client_name(text: str) -> str:
    """Read how a client's certificate is told: its SHA-256, a host name or an address, exactly."""
    digits = text.replace(":", "").lower()
    if _SHA_256.fullmatch(digits):
        return digits
    if "@" in text:
        return read_address(text)
    if not is_domain(text) or _HEXADECIMAL.fullmatch(digits):
        raise ValueError(f"must be a SHA-256 fingerprint, a host name or an address, not {text!r}")
    return text.lower()


def read_client_logins(value: Any) -> Any:
    """Fold the names of a table of logins; the same one twice is an error."""
    if not isinstance(value, dict):
        return value
    folded = {read_client_name(str(name)): login for name, login in value.items()}
    if len(folded) < len(value):
        raise ValueError("names the same certificate twice")
    return folded


def read_token_url(value: str) -> str:
    """Read the https:// URL of an OAuth 2 token endpoint (RFC 6749 3.2), or nothing."""
    if not value:
        return value
    url = _split(value)
    if url.scheme != "https" or not url.hostname or url.fragment:
        raise ValueError("must be an https:// URL without #")
    if url.username is not None or url.password is not None:
        raise ValueError("must hold no credentials; use client_id and client_secret_file")
    return value


def read_upstream_url(value: Any) -> UpstreamUrl:
    """Read `smtp://host[:port]`, `smtps://…`, `lmtp://…`, `lmtp:///socket` or `maildir:///path`."""
    if isinstance(value, UpstreamUrl):
        return value
    url = _split(str(value))
    if url.scheme not in {scheme.value for scheme in Scheme}:
        raise ValueError("must start with smtp://, smtps://, lmtp:// or maildir:///")
    if url.username is not None or url.password is not None:
        raise ValueError("must hold no credentials; use username and password_file")
    if url.query or url.fragment:
        raise ValueError("must hold neither ? nor #")
    if url.scheme == Scheme.MAILDIR.value:
        return UpstreamUrl(Scheme.MAILDIR, path=_absolute(url))
    if url.scheme == Scheme.LMTP.value and not url.netloc and url.path not in {"", "/"}:
        return UpstreamUrl(Scheme.LMTP, path=Path(url.path))
    return _smtp_url(url)


def read_sent_copy(value: str) -> str:
    """Check the place of sent copies: nothing, `upstream:NAME`, or `maildir:///path`.

    A path may hold `{address}`, which stands for the account's address.
    """
    if not value or (value.startswith("upstream:") and value != "upstream:"):
        return value
    if not value.startswith("maildir://"):
        raise ValueError(f"must be upstream:NAME or maildir:///path, not {value!r}")
    for name in _PLACEHOLDER.findall(value):
        if name != "address":
            raise ValueError(f"knows {{address}} only, not {{{name}}}")
    path = _absolute(_split(value))
    if ".." in path.parts:
        raise ValueError(f"must be a path without .., not {value!r}")
    return value


def choice(*values: str) -> Callable[[str], str]:
    """Make a check that a text is one of `values`."""

    def check(value: str) -> str:
        if value not in values:
            raise ValueError(f"must be {' or '.join(values) or 'left out'}, not {value!r}")
        return value

    return check


def is_domain(text: str) -> bool:
    """Tell whether a text is a host name of RFC 1123 2.1, at most 253 octets."""
    return 0 < len(text) < 254 and all(  # noqa: PLR2004 - RFC 1035 2.3.4, without the root
        len(label) < 64 and _DOMAIN_LABEL.fullmatch(label)  # noqa: PLR2004 - RFC 1035 2.3.4
        for label in text.split(".")
    )


def is_address(text: str) -> bool:
    """Tell whether a text is an IP address of either version, without brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _split(value: str) -> SplitResult:
    try:
        url = urlsplit(value)
        _ = url.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from None
    return url


def _absolute(url: SplitResult) -> Path:
    if url.netloc or not url.path.startswith("/") or url.path == "/":
        raise ValueError("must name an absolute directory: maildir:///path (three slashes)")
    return Path(url.path)


def _smtp_url(url: SplitResult) -> UpstreamUrl:
    host = url.hostname or ""
    if not (is_address(host) or is_domain(host)) or url.path not in {"", "/"}:
        raise ValueError(f"must be {url.scheme}://host:port without a path")
    if url.port == 0:
        raise ValueError("has port 0")
    return UpstreamUrl(Scheme(url.scheme), host, url.port or DEFAULT_PORTS[url.scheme])


Size = Annotated[int, BeforeValidator(read_size), PlainSerializer(show_size)]
OptionalBind = Annotated[
    Bind | None, BeforeValidator(read_bind), PlainSerializer(lambda b: str(b or ""))
]
RequiredBind = Annotated[Bind, BeforeValidator(read_required_bind), PlainSerializer(str)]
Url = Annotated[UpstreamUrl, BeforeValidator(read_upstream_url), PlainSerializer(str)]
Domain = Annotated[str, AfterValidator(read_domain)]
AccountPattern = Annotated[str, AfterValidator(read_account_pattern)]
SentCopy = Annotated[str, AfterValidator(read_sent_copy)]
NetworkText = Annotated[Network, BeforeValidator(read_network), PlainSerializer(str)]
