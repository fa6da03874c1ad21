"""The accounts: whose mailboxes they are, who may use them, their own policy.

No RFC; the words are those of the settings file.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from smime_proxy.address import Mailbox
from smime_proxy.policy.rules import Account, Encrypt, Kind, Override, Sign
from smime_proxy.stores import certificates, schema
from smime_proxy.stores.connection import Act, Store, Writing
from smime_proxy.stores.errors import StoreError


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account with what the store knows besides; `number` is its row."""

    number: int
    account: Account
    created_at: datetime


def add(store: Store, act: Act, account: Account) -> bool:
    """Add an account; False when an identical one is there already.

    Raises `StoreError` when one with other values is, another account has one of the addresses, or
    the settings declare one.
    """
    for mailbox in (account.address, *account.aliases):
        store.declared.current.refuse(mailbox)
    is_login_default = not account.logins
    account = _tidied(account)
    with store.writing(act) as writing:
        known = _by_key(writing.connection, account.address.key)
        if known is not None:
            return _is_same(known.account, account, is_login_default=is_login_default)
        values = {**_columns(account), "created_at": act.at}
        returned = insert(schema.account).values(values).returning(schema.account.c.id)
        number = writing.connection.execute(returned).scalar_one()
        _write_names(writing.connection, number, account)
        writing.record("account add", _described(account))
        return True


def change(
    store: Store, act: Act, mailbox: Mailbox, edit: Callable[[Account], Account]
) -> StoredAccount:
    """Replace what an account says by what `edit` makes of it; its address stays.

    Raises `StoreError` for an unknown account, one that the settings declare, or an alias that
    another account has.
    """
    declared = store.declared.current
    declared.refuse(mailbox)
    with store.writing(act) as writing:
        known = at_address(writing.connection, mailbox)
        account = _tidied(replace(edit(known.account), address=known.account.address))
        for alias in account.aliases - known.account.aliases:
            declared.refuse(alias)
        if account != known.account:
            _replace(writing, known.number, account)
        return replace(known, account=account)


def disable(store: Store, act: Act, mailbox: Mailbox) -> StoredAccount:
    """Let an account sign no more; it still decrypts. Raises `StoreError` when unknown."""
    return change(store, act, mailbox, lambda account: replace(account, enabled=False))


def remove(store: Store, act: Act, mailbox: Mailbox, *, destroy_keys: bool) -> None:
    """Remove an account.

    Raises `StoreError` when unknown or declared in the settings, or when it has keys and
    `destroy_keys` is not given: what was encrypted to them could be read by nobody any more.
    """
    store.declared.current.refuse(mailbox)
    with store.writing(act) as writing:
        connection, known = writing.connection, at_address(writing.connection, mailbox)
        keys = select(schema.key.c.id, schema.key.c.certificate_id)
        rows = connection.execute(keys.where(schema.key.c.account_id == known.number)).all()
        if rows and not destroy_keys:
            raise StoreError(
                f"{known.account.address} has {len(rows)} key(s), and mail encrypted to them could"
                " never be read again: disable the account instead, or repeat with --destroy-keys"
            )
        for row in rows:
            connection.execute(delete(schema.key).where(schema.key.c.id == row.id))
            certificates.release(connection, row.certificate_id)
            writing.record("account destroy-key", f"{known.account.address} {row.id}")
        connection.execute(delete(schema.account).where(schema.account.c.id == known.number))
        writing.record("account remove", known.account.address.text)


def find(store: Store, mailbox: Mailbox) -> StoredAccount:
    """Give the account with this address or alias; raises `StoreError` when there is none."""
    with store.reading() as connection:
        return at_address(connection, mailbox)


def listing(store: Store) -> tuple[StoredAccount, ...]:
    """Give all accounts, sorted by address."""
    with store.reading() as connection:
        return load(connection)


def at_address(connection: Connection, mailbox: Mailbox) -> StoredAccount:
    """Give the account with this address or alias, inside a transaction.

    Raises `StoreError` when there is none.
    """
    known = _by_key(connection, mailbox.key)
    if known is None:
        raise unknown(mailbox)
    return known


def unknown(mailbox: Mailbox) -> StoreError:
    """Say that there is no account with this address or alias."""
    return StoreError(f"there is no account {mailbox}: add it with `account add`")


def load(connection: Connection, number: int | None = None) -> tuple[StoredAccount, ...]:
    """Give all accounts, or the one of this number, sorted by address."""
    mailboxes: dict[int, Mailbox] = {}
    aliases: defaultdict[int, set[Mailbox]] = defaultdict(set)
    logins: defaultdict[int, set[str]] = defaultdict(set)
    wanted = (select(schema.account), select(schema.account_address), select(schema.account_login))
    if number is not None:
        wanted = (
            wanted[0].where(schema.account.c.id == number),
            wanted[1].where(schema.account_address.c.account_id == number),
            wanted[2].where(schema.account_login.c.account_id == number),
        )
    for key, text, account_id, is_alias in connection.execute(wanted[1]):
        if is_alias:
            aliases[account_id].add(Mailbox(text, key))
        else:
            mailboxes[account_id] = Mailbox(text, key)
    for account_id, login in connection.execute(wanted[2]):
        logins[account_id].add(login)
    accounts = [
        StoredAccount(
            row.id,
            Account(
                address=mailboxes[row.id],
                kind=Kind(row.kind),
                aliases=frozenset(aliases[row.id]),
                logins=frozenset(logins[row.id]),
                override=Override(
                    sign=None if row.sign is None else Sign(row.sign),
                    encrypt=None if row.encrypt is None else Encrypt(row.encrypt),
                    sent_copy=row.sent_copy,
                ),
                enabled=row.enabled,
                refusal_text=row.refusal_text,
            ),
            row.created_at,
        )
        for row in connection.execute(wanted[0])
    ]
    return tuple(sorted(accounts, key=lambda stored: stored.account.address.key))


def _by_key(connection: Connection, key: str) -> StoredAccount | None:
    table = schema.account_address
    number = connection.execute(select(table.c.account_id).where(table.c.key == key)).scalar()
    return None if number is None else load(connection, number)[0]


def _tidied(account: Account) -> Account:
    """Fill in the login that is the address, and leave out an alias that is."""
    return replace(
        account,
        aliases=account.aliases - {account.address},
        logins=account.logins or frozenset({account.address.text}),
    )


def _is_same(known: Account, account: Account, *, is_login_default: bool) -> bool:
    if known.address != account.address:
        raise StoreError(f"{account.address} is an alias of the account {known.address}")
    if is_login_default:  # the address written with other capitals is the same address
        account = replace(account, logins=frozenset({known.address.text}))
    if known != account:
        raise StoreError(
            f"the account {known.address} exists with other values: change it with `account set`"
        )
    return False


def _columns(account: Account) -> dict[str, object]:
    override = account.override
    return {
        "kind": account.kind.value,
        "sign": None if override.sign is None else override.sign.value,
        "encrypt": None if override.encrypt is None else override.encrypt.value,
        "sent_copy": override.sent_copy,
        "enabled": account.enabled,
        "refusal_text": account.refusal_text,
    }


def _replace(writing: Writing, number: int, account: Account) -> None:
    connection = writing.connection
    row = schema.account.c.id == number
    connection.execute(update(schema.account).where(row).values(_columns(account)))
    for table in (schema.account_address, schema.account_login):
        connection.execute(delete(table).where(table.c.account_id == number))
    _write_names(connection, number, account)
    writing.record("account set", _described(account))


def _write_names(connection: Connection, number: int, account: Account) -> None:
    names = [
        {"key": m.key, "text": m.text, "account_id": number, "is_alias": m != account.address}
        for m in (account.address, *sorted(account.aliases, key=lambda alias: alias.key))
    ]
    table = schema.account_address
    for name in names:
        taken = connection.execute(select(table).where(table.c.key == name["key"])).first()
        if taken is not None:
            holder = load(connection, taken.account_id)[0].account.address
            raise StoreError(f"{name['text']} already belongs to the account {holder}")
    connection.execute(insert(table), names)
    logins = [{"account_id": number, "login": login} for login in sorted(account.logins)]
    connection.execute(insert(schema.account_login), logins)


def _described(account: Account) -> str:
    override = account.override
    said = {
        "kind": account.kind.value,
        "aliases": ",".join(sorted(alias.text for alias in account.aliases)),
        "logins": ",".join(sorted(account.logins)),
        "sign": override.sign.value if override.sign else "",
        "encrypt": override.encrypt.value if override.encrypt else "",
        "sent_copy": override.sent_copy or "",
        "enabled": "" if account.enabled else "no",
        "refusal_text": account.refusal_text,
    }
    words = (f"{name}={value}" for name, value in said.items() if value)
    return " ".join((account.address.text, *words))
