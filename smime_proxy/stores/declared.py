"""Accounts the settings declare, their keys in memory, laid over the accounts of the store.

No RFC. Their keys are never written down and never shown.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from smime_proxy.address import Mailbox
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.keys import PrivateKey
from smime_proxy.policy.rules import Account
from smime_proxy.stores.errors import StoreError


@dataclass(frozen=True, slots=True)
class DeclaredKey:
    """A key of a declared account; `origin` is the file it was read from.

    `former` ones only decrypt, as those do that a file no longer holds.
    """

    key_id: str
    certificate: Certificate
    chain: tuple[Certificate, ...]
    former: bool
    private_key: PrivateKey = field(repr=False)
    origin: Path


@dataclass(frozen=True, slots=True)
class DeclaredAccount:
    """A declared account and its keys, the current first.

    `fault` says in one line why its files cannot be used as they are now, "" when they can: the
    keys are then those of before, none when there were none. `remarks` limit what its keys do.
    `digest` is that of the files as they were read.
    """

    account: Account
    keys: tuple[DeclaredKey, ...] = ()
    fault: str = ""
    remarks: tuple[str, ...] = ()
    digest: bytes = field(default=b"", repr=False)

    @property
    def addresses(self) -> tuple[Mailbox, ...]:
        """Give its address and its aliases."""
        return (self.account.address, *self.account.aliases)


@dataclass(frozen=True, slots=True)
class DeclaredAnchor:
    """An authority the settings trust; with `own_domains` for addresses of ours too."""

    certificate: Certificate
    own_domains: bool
    origin: Path


@dataclass(frozen=True, slots=True)
class DeclaredAnchors:
    """All of them, each once; `fault` and `digest` as those of an account."""

    anchors: tuple[DeclaredAnchor, ...] = ()
    fault: str = ""
    digest: bytes = field(default=b"", repr=False)


NO_ANCHORS = DeclaredAnchors()


@dataclass(frozen=True, eq=False)
class Declared:
    """All declared accounts and anchors; no address is that of two accounts."""

    accounts: tuple[DeclaredAccount, ...] = ()
    trust: DeclaredAnchors = NO_ANCHORS

    @cached_property
    def by_address(self) -> Mapping[str, DeclaredAccount]:
        """Give the accounts by the keys of their addresses and aliases."""
        return {mailbox.key: one for one in self.accounts for mailbox in one.addresses}

    @property
    def domains(self) -> frozenset[str]:
        """Give the domains of all addresses."""
        return frozenset(mailbox.domain for one in self.accounts for mailbox in one.addresses)

    @property
    def issuers(self) -> tuple[Certificate, ...]:
        """Give every certificate that is part of a chain."""
        chains = (key.chain for one in self.accounts for key in one.keys)
        return tuple(dict.fromkeys(issuer for chain in chains for issuer in chain))

    @property
    def logins(self) -> frozenset[str]:
        """Give every login that is granted one of the accounts."""
        return frozenset(login for one in self.accounts for login in one.account.logins)

    @property
    def faults(self) -> tuple[str, ...]:
        """Say which files cannot be used as they are now, one line each."""
        said = (*(one.fault for one in self.accounts), self.trust.fault)
        return tuple(fault for fault in said if fault)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Say what limits the keys, one line each."""
        return tuple(remark for one in self.accounts for remark in one.remarks)

    @property
    def fatal(self) -> tuple[str, ...]:
        """Say the same where there is no key, or no anchor, of before to go on with."""
        said = [one.fault for one in self.accounts if not one.keys]
        said += [self.trust.fault] if not self.trust.anchors else []
        return tuple(fault for fault in said if fault)

    def find(self, mailbox: Mailbox) -> DeclaredAccount | None:
        """Find the declared account with this address or alias."""
        return self.by_address.get(mailbox.key)

    def key(self, account: Account, certificate: Certificate) -> DeclaredKey | None:
        """Find a declared key by its certificate."""
        found = self.find(account.address)
        held = () if found is None else found.keys
        return next((key for key in held if key.certificate == certificate), None)

    def certificates(self) -> Iterator[Certificate]:
        """Give the certificates of all keys."""
        for one in self.accounts:
            for key in one.keys:
                yield key.certificate

    def refuse(self, mailbox: Mailbox) -> None:
        """Refuse to change what is declared; raises `StoreError`."""
        found = self.find(mailbox)
        if found is None:
            return
        address = found.account.address
        whose = "" if mailbox == address else f" is an alias of {address}, which"
        raise StoreError(
            f'{mailbox}{whose} is declared in the settings, [accounts."{address}"]: change it there'
        )

    def notices(self, stored: Iterable[Account]) -> list[str]:
        """Say which of the accounts in the store a declared one hides, or takes an alias from."""
        return [line for account in stored for line in self._hides(account)]

    def _hides(self, account: Account) -> Iterator[str]:
        over = self.find(account.address)
        if over is not None:
            yield (
                f"the account {account.address} in the store is hidden by the declared account"
                f" {over.account.address}: its policy does not count, and its keys only decrypt"
            )
            return
        for alias in sorted(account.aliases, key=lambda one: one.key):
            if (taker := self.find(alias)) is not None:
                yield (
                    f"{alias} is no alias of the account {account.address} in the store any more:"
                    f" it belongs to the declared account {taker.account.address}"
                )


NOTHING = Declared()


@dataclass(slots=True)
class Declarations:
    """What is declared now; exchanged for a new value as a whole."""

    current: Declared = NOTHING
