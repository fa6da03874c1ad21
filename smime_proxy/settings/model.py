"""All settings as one frozen value."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from smime_proxy.settings.accounts import AccountAddress, AccountTable
from smime_proxy.settings.authority import Authority
from smime_proxy.settings.connections import Listener, Upstream
from smime_proxy.settings.discovery import DiscoveryTable
from smime_proxy.settings.fields import Domain, is_domain, read_address, read_domain
from smime_proxy.settings.limits import Limits
from smime_proxy.settings.policy import DomainTable, PartnerTable, PolicyTable
from smime_proxy.settings.tables import (
    Admin,
    Keys,
    Log,
    Notify,
    Pkcs11,
    RevocationTable,
    Service,
    Status,
    Store,
    Texts,
    TrustTable,
)

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]


def read_partner(text: str) -> str:
    """Fold an address or a domain, as partners are named.

    `*@example.org`, which listeners know, is refused: as an address it would match nobody, and mail
    that must be encrypted would leave in clear.
    """
    local, at, domain = text.rpartition("@")
    if at and local == "*":
        hint = f"; write {domain!r} for all its addresses" if is_domain(domain) else ""
        raise ValueError(f"must be an address or a domain, not {text!r}{hint}")
    return read_address(text) if "@" in text else read_domain(text)


Partner = Annotated[str, AfterValidator(read_partner)]


def distinct(table: Any) -> Any:
    """Refuse two names that are one when upper and lower case are not told apart."""
    seen: dict[str, str] = {}
    for name in table if isinstance(table, dict) else ():
        if (other := seen.setdefault(str(name).lower(), str(name))) != name:
            raise ValueError(f"holds {other!r} and {name!r}, which are the same")
    return table


class Settings(BaseSettings):
    """Every setting of the program; built by `load` or, for the defaults alone, without arguments.

    Names of upstreams and listeners are at most 32 letters, digits, hyphens and underscores.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=False
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the hook's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - same
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - same
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what `load` laid together: to name each unknown variable it reads them all."""
        return (init_settings,)

    service: Service = Field(default_factory=Service)
    """The program as a whole."""
    store: Store = Field(default_factory=Store)
    """Where accounts, keys and certificates are kept."""
    keys: Keys = Field(default_factory=Keys)
    """What protects private keys at rest."""
    authority: Authority = Field(default_factory=Authority)
    """The built-in certificate authority."""
    pkcs11: Pkcs11 = Field(default_factory=Pkcs11)
    """The token private keys may lie on."""
    trust: TrustTable = Field(default_factory=TrustTable)
    """What certificates are believed."""
    admin: Admin = Field(default_factory=Admin)
    """Web pages and REST."""
    status: Status = Field(default_factory=Status)
    """Health and metrics."""
    log: Log = Field(default_factory=Log)
    """Logging."""
    revocation: RevocationTable = Field(default_factory=RevocationTable)
    """Whether certificates were revoked."""
    notify: Notify = Field(default_factory=Notify)
    """Who is told that keys end."""
    limits: Limits = Field(default_factory=Limits)
    """How much clients may ask for, and how long they may take."""
    texts: Texts = Field(default_factory=Texts)
    """How people are told what to do."""
    upstreams: Annotated[dict[Name, Upstream], BeforeValidator(distinct)] = Field(
        default_factory=dict
    )
    """Places mail is handed on to, by name."""
    listeners: Annotated[dict[Name, Listener], BeforeValidator(distinct)] = Field(
        default_factory=dict
    )
    """Ports that take mail, by name."""
    policy: PolicyTable = Field(default_factory=PolicyTable)
    """Defaults of signing and encrypting."""
    domains: Annotated[dict[Domain, DomainTable], BeforeValidator(distinct)] = Field(
        default_factory=dict
    )
    """What senders of a domain do otherwise, by domain."""
    partners: Annotated[dict[Partner, PartnerTable], BeforeValidator(distinct)] = Field(
        default_factory=dict
    )
    """What mail to a partner asks for, by address or domain."""
    accounts: Annotated[dict[AccountAddress, AccountTable], BeforeValidator(distinct)] = Field(
        default_factory=dict
    )
    """Accounts as data, by address."""
    discovery: DiscoveryTable = Field(default_factory=DiscoveryTable)
    """Where certificates of recipients are looked for who have none here."""
