"""Who reads for whom: mailboxes that get what the keys of another account open.

No RFC; docs/deputies.md says what it is for. It goes one step: who reads for somebody gets nothing
of those for whom that one reads.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping

from smime_proxy.address import Mailbox
from smime_proxy.policy.rules import Account, Kind


def reader_problem(account: Account, find: Callable[[Mailbox], Account | None]) -> str:
    """Say in a line why an account cannot have these readers; "" when it can.

    Teams take no part: theirs is never opened, and nothing is opened for them. `find` gives the
    account of a mailbox, by address, alias or plus address.
    """
    if not account.readers:
        return ""
    if account.kind is Kind.TEAM:
        return f"{account.address} is a team account, whose mail is never opened: no readers for it"
    for reader in sorted(account.readers, key=lambda one: one.key):
        known = find(reader)
        if known is not None and known.kind is Kind.TEAM:
            return f"{reader} is a team account, for which nothing is opened: it cannot be a reader"
    return ""


def by_reader(by_address: Mapping[str, Account]) -> Mapping[str, tuple[Account, ...]]:
    """Give, by mailbox key, the accounts whose mail is opened for that mailbox too.

    `by_address` has every account by the keys of its address and aliases. A reader that is an
    address of an account stands under that account's own address as well.
    """
    found: defaultdict[str, dict[Mailbox, Account]] = defaultdict(dict)
    for key, account in by_address.items():
        if not account.readers or account.kind is Kind.TEAM or key != account.address.key:
            continue
        for reader in account.readers:
            found[reader.key][account.address] = account
            if (known := by_address.get(reader.key)) is not None:
                found[known.address.key][account.address] = account
    return {
        key: tuple(accounts[name] for name in sorted(accounts, key=lambda name: name.key))
        for key, accounts in found.items()
    }
