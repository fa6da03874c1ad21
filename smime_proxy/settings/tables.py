"""The tables of the settings file as frozen models; their defaults live here and nowhere else.

The text under each key is its meaning, unit and default; config/smime-proxy.toml repeats them.
"""

import platform
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from smime_proxy.certs.revocation_mode import Mode
from smime_proxy.gateway.modes import Mode as ListenerMode
from smime_proxy.gateway.spelling import MAX_CONTACT, read_line
from smime_proxy.gateway.texts import Language
from smime_proxy.policy.rules import MAX_GROUPS
from smime_proxy.settings.fields import (
    AccountPattern,
    Bind,
    Domain,
    NetworkText,
    OptionalBind,
    Size,
    choice,
    read_address,
    read_hostname,
    read_key_uri,
    read_list,
    read_network,
    read_size,
)

MAX_WORKERS = 256  # processes; more than any machine's cores, a typing error otherwise
MAX_RECIPIENTS = 1000  # of one message; each may get a copy of his own
MAX_COPIES = 64  # connections for one message; upstreams refuse as many from one client
MAX_NOTICE_DAYS = 365  # certificates for mail last one to three years
LOOPBACK = (read_network("127.0.0.0/8"), read_network("::1"))

OptionalPath = Annotated[
    Path | None,
    BeforeValidator(lambda value: value or None),
    PlainSerializer(lambda path: str(path or "")),
]
Hostname = Annotated[
    str,
    BeforeValidator(lambda value: value or platform.node()),
    AfterValidator(read_hostname),
]
Token = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$", max_length=253)]
Domains = Annotated[tuple[Domain, ...], BeforeValidator(read_list)]
Networks = Annotated[tuple[NetworkText, ...], BeforeValidator(read_list)]
AccountPatterns = Annotated[tuple[AccountPattern, ...], BeforeValidator(read_list)]


OptionalAddress = Annotated[str, AfterValidator(lambda value: read_address(value) if value else "")]
NoticeDays = Annotated[
    tuple[Annotated[int, Field(ge=1, le=MAX_NOTICE_DAYS)], ...], BeforeValidator(read_list)
]


def _each_once(languages: tuple[Language, ...]) -> tuple[Language, ...]:
    if not languages or len(set(languages)) < len(languages):
        raise ValueError("must name at least one language, and each once")
    return languages


Languages = Annotated[tuple[Language, ...], BeforeValidator(read_list), AfterValidator(_each_once)]


class Table(BaseModel):
    """What all tables share: frozen, unknown keys refused, texts under keys are their docs."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, arbitrary_types_allowed=True
    )


class Service(Table):
    """`[service]`: the program as a whole."""

    hostname: Hostname = Field(default_factory=platform.node, validate_default=True)
    """Name in EHLO, banner and Received; default the machine's own name."""
    authserv_id: Token = ""
    """authserv-id of our Authentication-Results (RFC 8601 2.5); default the hostname.
    Must differ from that of the MTA in front."""
    state_dir: Path = Path("/var/lib/smime-proxy")
    """Directory of the SQLite store and the master key, unless they are set below."""
    workers: Annotated[int, Field(ge=0, le=MAX_WORKERS)] = 1
    """Processes sharing the ports; 0 stands for one a core."""
    max_message_size: Annotated[Size, Field(gt=0)] = read_size("50MB")
    """Largest message accepted, in octets, or with a unit: 50MB, 50MiB."""
    max_groups: Annotated[int, Field(ge=1, le=MAX_RECIPIENTS)] = MAX_GROUPS
    """Copies one message may have; of more recipients whose copies differ it is refused."""
    max_parallel_copies: Annotated[int, Field(ge=1, le=MAX_COPIES)] = 8
    """Copies of one message handed on at once, each on an upstream connection of its own; more go
    in waves."""
    mode: ListenerMode = ListenerMode.ENFORCE
    """`enforce`; `soft`: our own refusals of mail are for now only (4yz); `observe`: all mail is
    relayed unchanged, decisions are logged and counted."""

    @property
    def effective_authserv_id(self) -> str:
        """Give the authserv-id to write: the set one, else the hostname."""
        return self.authserv_id or self.hostname


def _store_url(value: str) -> str:
    if value.startswith(("postgresql:", "postgresql+", "postgres:")):
        raise ValueError("postgresql:// is not supported in this version")
    if value != "sqlite":
        raise ValueError("must be sqlite")  # the value may hold a password
    return value


class Store(Table):
    """`[store]`: where accounts, keys and certificates are kept."""

    url: Annotated[str, AfterValidator(_store_url)] = "sqlite"
    """`sqlite`: embedded, in `state_dir`."""


class Keys(Table):
    """`[keys]`: what protects private keys at rest."""

    master_key_file: OptionalPath = None
    """File of the key that wraps private keys; default `master.key` in `state_dir`."""
    master_key: Annotated[str, AfterValidator(read_key_uri)] = ""
    """pkcs11: URI of an AES key of 256 bits on the token; used instead of the file."""


MAX_BUDGET = 20.0  # seconds; discovery and upstreams have theirs before clients give up


class RevocationTable(Table):
    """`[revocation]`: whether certificates were revoked, and whom is asked."""

    mode: Mode = Mode.SOFT
    """off; soft: what is not known counts as good; hard: it does not, and mail to it waits."""
    allow_private: bool = False
    """Fetch from private and local addresses too; certificates of strangers name them as well."""
    allowed_networks: Networks = ()
    """Networks that are not public and may be asked all the same."""
    max_list_size: Annotated[Size, Field(gt=0)] = read_size("64MB")
    """Largest revocation list that is fetched."""
    max_store_size: Annotated[Size, Field(gt=0)] = read_size("1GB")
    """How much is kept of all answers together, in the store and in the memory of each process."""
    budget: Annotated[float, Field(ge=0, le=MAX_BUDGET)] = 0.0
    """Seconds one mail waits for all that is not known when it arrives; 0: none waits."""


class Pkcs11(Table):
    """`[pkcs11]`: the token private keys may lie on (extra `pkcs11`)."""

    module: OptionalPath = None
    """Shared library of the token's maker; empty for no token."""
    token: str = ""
    """Label of the token."""
    pin_file: OptionalPath = None
    """File whose first line is the user's PIN."""


class TrustTable(Table):
    """`[trust]`: what certificates are believed."""

    subject_address: bool = False
    """An e-mail address in the subject of a signer's certificate counts where its subjectAltName
    has none, as old certificates have it."""
    anchor_files: Annotated[tuple[Path, ...], BeforeValidator(read_list)] = ()
    """Files of authorities trusted for addresses everywhere but in our own domains."""
    own_anchor_files: Annotated[tuple[Path, ...], BeforeValidator(read_list)] = ()
    """The same, and for our own domains too."""

    @property
    def files(self) -> tuple[tuple[str, Path], ...]:
        """Give every file of anchors, with the key that names it."""
        return (
            *(("anchor_files", file) for file in self.anchor_files),
            *(("own_anchor_files", file) for file in self.own_anchor_files),
        )


class Admin(Table):
    """`[admin]`: web pages and REST; closed in this version."""

    bind: OptionalBind = Bind("127.0.0.1", 8025)
    """Address and port; empty for off. This version opens nothing here."""


class Status(Table):
    """`[status]`: /livez, /readyz, /metrics and /crl, nothing else."""

    bind: OptionalBind = Bind("127.0.0.1", 8026)
    """Address and port; empty for off."""


class Log(Table):
    """`[log]`: what is written to standard output."""

    level: Annotated[str, AfterValidator(choice("debug", "info", "warning", "error"))] = "info"
    """Least severe lines written: debug, info, warning or error."""
    format: Annotated[str, AfterValidator(choice("text", "json"))] = "text"
    """`text` for people, `json` one object a line."""
    addresses: Annotated[str, AfterValidator(choice("full", "hashed"))] = "full"
    """`hashed` writes mail addresses as keyed hashes."""


class Texts(Table):
    """`[texts]`: how people are told what to do, in replies and reports."""

    languages: Languages = (Language.ENGLISH,)
    """en, de: the first is that of replies, a report has all of them."""
    contact: Annotated[str, AfterValidator(lambda value: read_line(value, MAX_CONTACT))] = ""
    """Whom to ask, behind every refusal: an address, a number or a URL; one line, empty for
    nobody. Written in ASCII in replies."""


class Notify(Table):
    """`[notify]`: who is told by mail that keys, certificates and anchors end."""

    administrator: OptionalAddress = ""
    """Address that is told of everything; empty for nobody."""
    accounts: bool = False
    """Each account is told of its own keys."""
    days: NoticeDays = (30, 14, 7, 1)
    """Days before the end at which they are told, once each, and once when it has come."""
    upstream: str = ""
    """Name of the upstream these mails go to; must be set when anybody is to be told."""
