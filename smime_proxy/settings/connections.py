"""The tables of the way mail takes: `[listeners]` it comes in by, `[upstreams]` it leaves to.

The text under each key is its meaning, unit and default; config/smime-proxy.toml repeats them.
"""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from smime_proxy.envelope import Role
from smime_proxy.gateway.modes import Mode
from smime_proxy.settings.fields import (
    Network,
    RequiredBind,
    Url,
    choice,
    read_client_logins,
    read_client_name,
    read_list,
    read_token_url,
)
from smime_proxy.settings.tables import (
    LOOPBACK,
    AccountPatterns,
    Domains,
    Networks,
    OptionalPath,
    Table,
)

ClientLogins = Annotated[
    dict[str, Annotated[str, Field(min_length=1)]], BeforeValidator(read_client_logins)
]
ClientNames = Annotated[
    tuple[Annotated[str, AfterValidator(read_client_name)], ...], BeforeValidator(read_list)
]
FieldName = Annotated[str, Field(pattern=r"^[!-9;-~]+$", max_length=76)]  # RFC 5322 3.6.8
HeaderValues = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
BareLineEnds = Annotated[
    str, AfterValidator(lambda value: value and choice("refuse", "normalise")(value))
]
OptionalMode = Annotated[
    Mode | None,
    BeforeValidator(lambda value: value or None),
    PlainSerializer(lambda mode: mode.value if mode else ""),
]
MAX_PATIENCE = 600  # seconds of a client for its final dot, RFC 5321 4.5.3.2.6
Patience = Annotated[float, Field(gt=0, le=3600)]  # an hour: longer than any client waits


class UpstreamTimeouts(Table):
    """`[upstreams.NAME.timeouts]`: seconds the upstream is waited for; RFC 5321 4.5.3.2.

    Below the defaults an upstream that is only slow is taken for one that is lost.
    """

    connect: Patience = 30.0
    """The TCP connection, all addresses of the name together."""
    greeting: Patience = 300.0
    """The greeting once connected."""
    command: Patience = 300.0
    """The replies to EHLO, STARTTLS with its handshake, AUTH and RSET."""
    mail: Patience = 300.0
    """The reply to MAIL."""
    rcpt: Patience = 300.0
    """The reply to each RCPT."""
    data: Patience = 120.0
    """The reply to DATA."""
    block: Patience = 180.0
    """Until a piece of the content is taken."""
    dot: Patience = 600.0
    """The reply to the final dot. Without it the mail may have been sent, and the client is told
    to send it again: the shorter, the more duplicates."""


class UpstreamOauth(Table):
    """`[upstreams.NAME.oauth]`: access tokens instead of a password; RFC 6749 4.4."""

    token_url: Annotated[str, AfterValidator(read_token_url)] = ""
    """https:// URL of the token endpoint; empty for none."""
    client_id: str = ""
    """Who we are there."""
    client_secret_file: OptionalPath = None
    """File whose first line is the secret of the client."""
    scope: str = ""
    """What the token is for, as the endpoint names it; empty for what it gives by default."""
    tls_ca_file: OptionalPath = None
    """PEM file of authorities that vouch for the endpoint; default the system's."""


class Upstream(Table):
    """`[upstreams.NAME]`: a place mail is handed on to."""

    url: Url
    """smtp://host:port, smtps://host:port, lmtp://host:port, lmtp:///path of a UNIX socket, or
    maildir:///path."""
    tls: Annotated[str, AfterValidator(choice("never", "required"))] = "required"
    """`required`: certificate verified, for smtp:// and lmtp:// by STARTTLS; `never`: clear
    text. On a UNIX socket there is never TLS."""
    tls_ca_file: OptionalPath = None
    """PEM file of authorities that vouch for the upstream; default the system's."""
    username: str = ""
    """Service credentials, with password_file; only over verified TLS."""
    password_file: OptionalPath = None
    """File whose first line is the password."""
    oauth: UpstreamOauth = Field(default_factory=UpstreamOauth)
    """Access tokens in place of password_file, by AUTH OAUTHBEARER or XOAUTH2."""
    timeouts: UpstreamTimeouts = Field(default_factory=UpstreamTimeouts)
    """How long to wait for it."""
    client_info: Annotated[str, AfterValidator(choice("none", "xforward", "xclient", "proxy"))] = (
        "none"
    )
    """How it is told whose mail it gets: `none`; `xforward`, for its log; `xclient`, also for its
    access rules; `proxy`, a PROXY header (version 2) in front of each connection. The first two
    only where it offers them. With the last two clients share no connections."""


class Listener(Table):
    """`[listeners.NAME]`: a port that takes mail."""

    role: Role
    """`outbound` signs and encrypts, `inbound` decrypts and verifies."""
    bind: RequiredBind
    """Address and port to listen on."""
    protocol: Annotated[str, AfterValidator(choice("smtp", "smtps", "lmtp"))] = "smtp"
    """`smtp`, `smtps` for TLS from the first octet, or `lmtp`, which has a reply for each
    recipient: the best way to be a content filter."""
    upstream: str
    """Name of the upstream that gets the mail."""
    mode: OptionalMode = None
    """enforce, soft or observe; empty for that of the service."""
    auth: Annotated[str, AfterValidator(choice("none", "upstream", "local"))] = "none"
    """How clients prove who they are: `none`; `upstream`: AUTH PLAIN and LOGIN, under TLS or on
    loopback, with credentials that the upstream checks and that are used towards it; `local`: the
    same, checked by passwords of the store."""
    trusted_networks: Networks | None = None
    """Networks that may relay without authentication; default loopback when auth is none."""
    trusted_peers: Networks = ()
    """Servers in front of this one that may say who their clients are, by XCLIENT, XFORWARD and
    PROXY headers: they can take on any client's address and any login."""
    proxy_protocol: bool = False
    """Each connection begins with a PROXY header (version 1 or 2) of one of trusted_peers; others
    are closed. Before TLS, on smtps too."""
    require_header: dict[FieldName, HeaderValues] = Field(default_factory=dict)
    """Outbound: fields that mail of trusted networks must have, each once, with one of the values
    (letter case aside); else it is refused. For networks that a mail service shares among its
    customers, and only with a field that the service sets itself."""
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
    prdr: bool = True
    """SMTP clients that ask for it hear of each recipient by himself (PRDR, as Exim does); they
    must wait ten minutes for it, and a retry after a crash may double copies."""
    patience: Annotated[int, Field(ge=0, le=MAX_PATIENCE)] = 0
    """Seconds the clients wait for the reply to a message; 0 stands for 100 outbound and 600
    inbound. Shortly before they give up they are told 451."""
    bare_line_ends: BareLineEnds = ""
    """What becomes of content with a bare CR or LF: `refuse` (554), or `normalise` (made CRLF);
    never sent on as it is. Default by role: refuse inbound, normalise outbound."""
    tls_certificate: OptionalPath = None
    """PEM file with the server's certificate and chain; with tls_key offers STARTTLS."""
    tls_key: OptionalPath = None
    """PEM file with the server's private key."""
    tls_client_ca: OptionalPath = None
    """PEM file of the authorities that vouch for certificates of clients; default the system's,
    for tls_client_names only. Who shows one they do not vouch for is not let in."""
    tls_client_logins: ClientLogins = Field(default_factory=dict)
    """Outbound: logins that certificates of clients stand for, each by its SHA-256 fingerprint or
    by a DNS name or address of its subjectAltName, exactly. Such a client is logged in; he may
    also say AUTH EXTERNAL."""
    tls_client_names: ClientNames = ()
    """Outbound: clients of trusted networks must show a certificate with one of these names (or
    fingerprints)."""

    @property
    def relaying_networks(self) -> tuple[Network, ...]:
        """Give the networks that may relay without authentication, the default filled in."""
        if self.trusted_networks is not None:
            return self.trusted_networks
        return LOOPBACK if self.auth == "none" else ()
