"""`[accounts."invoices@example.com"]`: accounts as data, whose keys lie in files.

The text under each key is its meaning, unit and default; config/smime-proxy.toml repeats them.
RFC 5321 4.1.2 (addresses).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from smime_proxy.address import AddressError, Mailbox, parse_mailbox
from smime_proxy.gateway.spelling import MAX_REFUSAL_TEXT, read_line
from smime_proxy.policy.rules import Account, Encrypt, Kind, Override, Sign
from smime_proxy.settings.errors import KeyPath, dotted
from smime_proxy.settings.fields import SentCopy, read_list
from smime_proxy.settings.tables import OptionalPath, Table

TABLE = "accounts"


def read_account_address(text: str) -> str:
    """Check an account's address and keep its spelling; raises ValueError."""
    try:
        parse_mailbox(text)
    except AddressError as error:
        raise ValueError(f"must be an address, not {text!r}: {error}") from None
    return text


def _required(value: Any) -> Any:
    if not value:
        raise ValueError("must name a file")
    return value


AccountAddress = Annotated[str, AfterValidator(read_account_address)]
RequiredPath = Annotated[Path, BeforeValidator(_required)]
RefusalText = Annotated[str, AfterValidator(lambda value: read_line(value, MAX_REFUSAL_TEXT))]


class AccountTable(Table):
    """`[accounts."invoices@example.com"]`: one account whose keys lie in files."""

    key_file: RequiredPath
    """PKCS#12 or PEM: private key, certificate and chain; must be set."""
    password_file: OptionalPath = None
    """File whose first line is the password of the key files; empty where they have none."""
    former_key_files: Annotated[tuple[RequiredPath, ...], BeforeValidator(read_list)] = ()
    """Files of earlier keys, which sign no more and go on decrypting."""
    kind: Kind = Kind.PERSONAL
    """personal, or team: read by several, never encrypted to."""
    sign: Sign | None = None
    """always, on_request or never; default as [domains] and [policy] have it."""
    encrypt: Encrypt | None = None
    """required, when_possible, on_request or never; default as [domains] and [policy] have it."""
    aliases: Annotated[tuple[AccountAddress, ...], BeforeValidator(read_list)] = ()
    """Further addresses of the mailbox."""
    logins: Annotated[tuple[str, ...], BeforeValidator(read_list)] = ()
    """Logins granted to it; default its address."""
    sent_copy: SentCopy | None = None
    """As in [policy]."""
    refusal_text: RefusalText = ""
    """What senders of encrypted mail to a team are told to do, one line; empty for the usual."""

    @property
    def files(self) -> tuple[tuple[str, Path], ...]:
        """Give every file that is read for it, with the key that names it."""
        password = () if self.password_file is None else (("password_file", self.password_file),)
        former = (("former_key_files", file) for file in self.former_key_files)
        return (("key_file", self.key_file), *password, *former)


def to_account(address: str, table: AccountTable) -> Account:
    """Give a declared account as policy knows it."""
    mailbox = parse_mailbox(address)
    return Account(
        address=mailbox,
        kind=table.kind,
        aliases=frozenset(map(parse_mailbox, table.aliases)) - {mailbox},
        logins=frozenset(table.logins) or frozenset({mailbox.text}),
        override=Override(sign=table.sign, encrypt=table.encrypt, sent_copy=table.sent_copy),
        refusal_text=table.refusal_text,
    )


def account_faults(tables: Mapping[str, AccountTable]) -> Iterator[tuple[KeyPath, str]]:
    """Find addresses that two declared accounts claim: nobody could tell whose key is used."""
    holders: dict[str, str] = {}
    claims: list[tuple[KeyPath, str, Mailbox]] = [
        ((TABLE, name), name, parse_mailbox(name)) for name in tables
    ]
    claims += [
        ((TABLE, name, "aliases"), name, parse_mailbox(alias))
        for name, table in tables.items()
        for alias in table.aliases
    ]
    for path, name, mailbox in claims:
        holder = holders.setdefault(mailbox.key, name)
        if holder != name:
            yield path, f"{mailbox} belongs to {dotted((TABLE, holder))} already"
