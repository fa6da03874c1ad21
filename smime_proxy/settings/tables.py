"""The tables of the settings file as frozen models; their defaults live here and nowhere else.

The text under each key is its meaning, unit and default; config/smime-proxy.toml repeats them.
"""

import platform
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from smime_proxy.certs.revocation_mode import Mode
from smime_proxy.certs.source import MinimumSource
from smime_proxy.envelope import Role
from smime_proxy.policy.algorithms import (
    ContentEncryption,
    HeaderProtection,
    KeyTransport,
    Signature,
)
from smime_proxy.policy.rules import (
    Encrypt,
    Harvest,
    Internal,
    OnLapsedCertificate,
    OnMissingCertificate,
    OnMissingKey,
    Sign,
)
from smime_proxy.settings.algorithms import (
    ContentEncryptionName,
    HeaderProtectionName,
    KeyTransportName,
    SignatureName,
)
from smime_proxy.settings.fields import (
    AccountPattern,
    Bind,
    Domain,
    Network,
    NetworkText,
    OptionalBind,
    RequiredBind,
    SentCopy,
    Size,
    Url,
    choice,
    read_address,
    read_hostname,
    read_key_uri,
    read_list,
    read_network,
    read_size,
)
from smime_proxy.smime.unwrap import Unwrap

MAX_WORKERS = 256  # processes; more than any machine's cores, a typing error otherwise
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
    mode: Annotated[str, AfterValidator(choice("enforce", later=("soft", "observe")))] = "enforce"
    """`enforce`: refusals are final."""

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


class Upstream(Table):
    """`[upstreams.NAME]`: a place mail is handed on to."""

    url: Url
    """smtp://host:port, smtps://host:port or maildir:///path."""
    tls: Annotated[str, AfterValidator(choice("never", "required"))] = "required"
    """`required`: certificate verified, for smtp:// by STARTTLS; `never`: clear text."""
    tls_ca_file: OptionalPath = None
    """PEM file of authorities that vouch for the upstream; default the system's."""
    username: str = ""
    """Service credentials, with password_file; only over verified TLS."""
    password_file: OptionalPath = None
    """File whose first line is the password."""


class Listener(Table):
    """`[listeners.NAME]`: a port that takes mail."""

    role: Role
    """`outbound` signs and encrypts, `inbound` decrypts and verifies."""
    bind: RequiredBind
    """Address and port to listen on."""
    protocol: Annotated[str, AfterValidator(choice("smtp", "smtps", later=("lmtp",)))] = "smtp"
    """`smtp`, or `smtps` for TLS from the first octet."""
    upstream: str
    """Name of the upstream that gets the mail."""
    auth: Annotated[str, AfterValidator(choice("none", later=("upstream", "local")))] = "none"
    """How clients prove who they are."""
    trusted_networks: Networks | None = None
    """Networks that may relay without authentication; default loopback when auth is none."""
    accounts: AccountPatterns = ("*",)
    """Whose keys this listener may use: addresses, *@domain or *."""
    envelope_match: bool = True
    """Without authentication a key is used only if the reverse-path is the From mailbox
    or an alias of its account."""
    domains: Domains = ()
    """Inbound: domains of the recipients served; all others are refused."""
    reports: str = ""
    """Inbound: upstream for notices to outside senders; default that of the only outbound
    listener."""
    tls_certificate: OptionalPath = None
    """PEM file with the server's certificate and chain; with tls_key offers STARTTLS."""
    tls_key: OptionalPath = None
    """PEM file with the server's private key."""

    @property
    def relaying_networks(self) -> tuple[Network, ...]:
        """Give the networks that may relay without authentication, the default filled in."""
        if self.trusted_networks is not None:
            return self.trusted_networks
        return LOOPBACK if self.auth == "none" else ()


class SubjectWords(Table):
    """`[policy.subject_words]`: words a sender may put before the Subject; empty for off."""

    sign: str = "[sign]"
    """Asks for a signature."""
    encrypt: str = "[encrypt]"
    """Asks for encryption."""
    plain: str = "[plain]"
    """Turns `when_possible` off for this mail."""


class PolicyTable(Table):
    """`[policy]`: what holds where no domain, account or partner says otherwise."""

    sign: Sign = Sign.ALWAYS
    """always, on_request or never."""
    encrypt: Encrypt = Encrypt.WHEN_POSSIBLE
    """required, when_possible, on_request or never."""
    on_missing_key: OnMissingKey = OnMissingKey.SEND_UNSIGNED
    """send_unsigned or reject, for an account without a valid key."""
    on_missing_certificate: OnMissingCertificate = OnMissingCertificate.REJECT_ALL
    """reject_all or reject_those, for recipients without a usable certificate."""
    on_lapsed_certificate: OnLapsedCertificate = OnLapsedCertificate.REJECT
    """reject or send_clear, where encryption was possible once and no longer is."""
    internal: Internal = Internal.SIGN
    """sign or encrypt: what recipients that are our own accounts get."""
    minimum_source: MinimumSource = MinimumSource.HARVESTED
    """discovered, harvested, verified or manual: the least source of a certificate mail is
    encrypted to. Better sources are taken first. `discovered` takes what nothing vouches for."""
    harvest: Harvest = Harvest.ASK
    """ask, trusted or never: certificates found in mail whose signature passes wait for a decision,
    are accepted at once, or are left."""
    sent_copy: SentCopy = ""
    """Where the unencrypted copy of mail sent encrypted goes: upstream:NAME or maildir:///path;
    {address} allowed in the path."""
    request_by_sensitivity: bool = False
    """Sensitivity: Company-Confidential asks for encryption."""
    unwrap: Annotated[tuple[Unwrap, ...], BeforeValidator(read_list)] = ()
    """Verified mail that is delivered without its signature: `opaque` what is signed opaque,
    `meetings` invitations and answers."""
    signature: SignatureName = Signature.RSASSA_PKCS1V15
    """rsassa_pkcs1v15 or rsassa_pss; for RSA keys, others have only one."""
    key_transport: KeyTransportName = KeyTransport.RSAES_PKCS1V15
    """rsaes_pkcs1v15 or rsaes_oaep; to RSA keys. Capabilities of the recipient may raise it."""
    content_encryption: ContentEncryptionName = ContentEncryption.AES256_CBC
    """aes256_cbc, aes192_cbc, aes128_cbc, aes256_gcm, aes192_gcm, aes128_gcm or
    chacha20_poly1305. Capabilities of the recipient may raise it."""
    opaque: bool = False
    """Sign opaque: readable only with S/MIME, and by no line end on the way to be broken."""
    header_protection: HeaderProtectionName = HeaderProtection.OFF
    """off or baseline: header fields signed with the text, the Subject encrypted with it."""
    subject_words: SubjectWords = SubjectWords()
    """Words a sender may put before the Subject."""


class DomainTable(Table):
    """`[domains."example.com"]`: what senders of one domain do otherwise than `[policy]`."""

    sign: Sign | None = None
    """As in [policy]."""
    encrypt: Encrypt | None = None
    """As in [policy]."""
    on_missing_key: OnMissingKey | None = None
    """As in [policy]."""
    on_missing_certificate: OnMissingCertificate | None = None
    """As in [policy]."""
    on_lapsed_certificate: OnLapsedCertificate | None = None
    """As in [policy]."""
    internal: Internal | None = None
    """As in [policy]."""
    minimum_source: MinimumSource | None = None
    """As in [policy]."""
    sent_copy: SentCopy | None = None
    """As in [policy]."""
    request_by_sensitivity: bool | None = None
    """As in [policy]."""
    signature: SignatureName | None = None
    """As in [policy]."""
    key_transport: KeyTransportName | None = None
    """As in [policy]."""
    content_encryption: ContentEncryptionName | None = None
    """As in [policy]."""
    opaque: bool | None = None
    """As in [policy]."""
    header_protection: HeaderProtectionName | None = None
    """As in [policy]."""


class PartnerTable(Table):
    """`[partners."example.org"]`: what mail to an address or a domain asks for."""

    sign: Sign | None = None
    """always, on_request or never; the stricter wins."""
    encrypt: Encrypt | None = None
    """required, when_possible, on_request or never; the stricter wins."""
    minimum_source: MinimumSource | None = None
    """discovered, harvested, verified or manual; the stricter wins."""
    signature: SignatureName | None = None
    """rsassa_pkcs1v15 or rsassa_pss; instead of what the sender has."""
    key_transport: KeyTransportName | None = None
    """rsaes_pkcs1v15 or rsaes_oaep; instead of what the sender has, whatever capabilities say."""
    content_encryption: ContentEncryptionName | None = None
    """As in [policy]; instead of what the sender has, whatever capabilities say."""
    opaque: bool | None = None
    """As in [policy]; instead of what the sender has."""
    header_protection: HeaderProtectionName | None = None
    """As in [policy]; instead of what the sender has."""
    gateway_signer: OptionalAddress = ""
    """Of a domain: the address in it whose signature counts for everybody there."""
    gateway_trusted: bool = False
    """Its signature is as good as the person's own; without, it is yellow and says whose it is."""
