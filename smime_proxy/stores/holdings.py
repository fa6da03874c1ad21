"""All accounts and their keys as administrators see them: those of the store and the declared.

No RFC. A declared account wins its addresses, as it does on the mail path.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from smime_proxy.address import Mailbox
from smime_proxy.certs.certificate import Certificate
from smime_proxy.policy.rules import Account
from smime_proxy.stores import accounts, keys
from smime_proxy.stores.connection import Store
from smime_proxy.stores.declared import DeclaredAccount, DeclaredKey
from smime_proxy.stores.keys import StoredKey

STORE = "store"
SETTINGS = "settings"
DECLARED = "declared"  # how a key came to be here; stored ones are imported or issued


@dataclass(frozen=True, slots=True)
class HeldAccount:
    """An account; `origin` is store or settings, `created_at` None for one of the settings."""

    account: Account
    origin: str
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class HeldKey:
    """What is said of a key, without the key; `origin` is store or the file it was read from.

    `former` ones only decrypt. Of keys from files nobody knows when they came: the times are None.
    """

    key_id: str
    certificate: Certificate
    chain: tuple[Certificate, ...]
    former: bool
    retired_at: datetime | None
    imported_at: datetime | None
    provenance: str
    origin: str


def listing(store: Store) -> tuple[HeldAccount, ...]:
    """Give all accounts, sorted by address; raises `StoreError` when the store cannot be read."""
    declared = store.declared.current
    stored = (one for one in accounts.listing(store) if declared.find(one.account.address) is None)
    found = [
        *(HeldAccount(_without(store, one.account), STORE, one.created_at) for one in stored),
        *(HeldAccount(one.account, SETTINGS, None) for one in declared.accounts),
    ]
    return tuple(sorted(found, key=lambda held: held.account.address.key))


def find(store: Store, mailbox: Mailbox) -> HeldAccount:
    """Give the account with this address or alias; raises `StoreError` when there is none."""
    declared = store.declared.current.find(mailbox)
    if declared is not None:
        return HeldAccount(declared.account, SETTINGS, None)
    stored = accounts.find(store, mailbox)
    hiding = store.declared.current.find(stored.account.address)
    if hiding is not None:
        raise accounts.unknown(mailbox)
    return HeldAccount(_without(store, stored.account), STORE, stored.created_at)


def keys_of(store: Store, mailbox: Mailbox) -> tuple[HeldKey, ...]:
    """Give all keys of an account, the current first, then the newest certificate.

    Raises `StoreError` for an unknown account.
    """
    owner = find(store, mailbox)
    declared = store.declared.current.find(mailbox)
    if declared is None:
        return tuple(map(_stored, keys.listing(store, owner.account.address)))
    found = [*map(_declared, declared.keys), *_adopted(store, declared)]
    by_age = sorted(found, key=lambda key: key.certificate.not_before, reverse=True)
    return tuple(sorted(by_age, key=lambda key: key.former))


def _adopted(store: Store, declared: DeclaredAccount) -> list[HeldKey]:
    """Give the keys of the accounts in the store that the declared one hides; they only decrypt."""
    ours = {mailbox.key for mailbox in declared.addresses}
    hidden = (one for one in accounts.listing(store) if one.account.address.key in ours)
    return [
        replace(_stored(key), former=True)
        for one in hidden
        for key in keys.listing(store, one.account.address)
    ]


def _without(store: Store, account: Account) -> Account:
    """Leave out the aliases that belong to declared accounts."""
    taken = store.declared.current
    aliases = frozenset(alias for alias in account.aliases if taken.find(alias) is None)
    return replace(account, aliases=aliases)


def _stored(key: StoredKey) -> HeldKey:
    return HeldKey(
        key_id=key.key_id,
        certificate=key.certificate,
        chain=key.chain,
        former=key.former,
        retired_at=key.retired_at,
        imported_at=key.imported_at,
        provenance=key.provenance,
        origin=STORE,
    )


def _declared(key: DeclaredKey) -> HeldKey:
    return HeldKey(
        key_id=key.key_id,
        certificate=key.certificate,
        chain=key.chain,
        former=key.former,
        retired_at=None,
        imported_at=None,
        provenance=DECLARED,
        origin=str(key.origin),
    )
