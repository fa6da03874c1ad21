"""What options of `account add` and `account set` say of an account, applied to one.

Names and meanings are those of docs/commands.md; `default` leaves the settings in force.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from smime_proxy.address import Mailbox
from smime_proxy.admin.cli.arguments import mailbox, refusal_text, sent_copy
from smime_proxy.envelope import Role
from smime_proxy.policy.rules import Account, Encrypt, Kind, Override, Sign
from smime_proxy.settings import Settings

DEFAULT = "default"


class SignWord(Enum):
    """Values of --sign."""

    ALWAYS = "always"
    ON_REQUEST = "on_request"
    NEVER = "never"
    DEFAULT = DEFAULT


class EncryptWord(Enum):
    """Values of --encrypt."""

    REQUIRED = "required"
    WHEN_POSSIBLE = "when_possible"
    ON_REQUEST = "on_request"
    NEVER = "never"
    DEFAULT = DEFAULT


T = TypeVar("T", bound=Enum)


@dataclass(frozen=True, slots=True)
class Change:
    """The options as given; None and empty lists change nothing."""

    kind: Kind | None = None
    sign: SignWord | None = None
    encrypt: EncryptWord | None = None
    aliases: tuple[str, ...] = ()
    logins: tuple[str, ...] = ()
    sent_copy: str | None = None
    enable: bool = False
    refusal_text: str | None = None
    readers: tuple[str, ...] = ()

    def apply(self, account: Account, settings: Settings) -> Account:
        """Give the account as the options want it.

        One empty alias, login or reader takes all away, an empty refusal text restores the usual
        one. Raises `CommandError` for what cannot be used.
        """
        aliases, logins = account.aliases, account.logins
        if self.aliases:
            aliases = frozenset(mailbox(alias) for alias in self.aliases if alias)
        if self.logins:
            logins = frozenset(login for login in self.logins if login)
        readers = account.readers
        if self.readers:
            readers = frozenset(mailbox(reader) for reader in self.readers if reader)
        said = account.refusal_text
        if self.refusal_text is not None:
            said = refusal_text(self.refusal_text)
        return replace(
            account,
            kind=self.kind or account.kind,
            aliases=aliases,
            logins=logins,
            override=self._override(account.override, settings),
            enabled=account.enabled or self.enable,
            refusal_text=said,
            readers=readers,
        )

    def _override(self, override: Override, settings: Settings) -> Override:
        place = override.sent_copy
        if self.sent_copy is not None:
            place = None if self.sent_copy == DEFAULT else sent_copy(self.sent_copy, settings)
        return replace(
            override,
            sign=_policy(self.sign, Sign, override.sign),
            encrypt=_policy(self.encrypt, Encrypt, override.encrypt),
            sent_copy=place,
        )


def unserved(readers: Iterable[Mailbox], settings: Settings) -> Iterator[str]:
    """Say of whom no inbound listener takes mail, so that nothing is ever opened for him.

    That is no reason to refuse: the domain may be served tomorrow, or by another machine that has
    the same store.
    """
    inbound = [one for one in settings.listeners.values() if one.role is Role.INBOUND]
    served = {domain for one in inbound for domain in one.domains}
    for reader in sorted(readers, key=lambda one: one.key):
        if reader.domain not in served:
            yield f"{reader}: no inbound listener serves {reader.domain}, nothing is opened for it"


def _policy(word: Enum | None, values: type[T], before: T | None) -> T | None:
    if word is None:
        return before
    return None if word.value == DEFAULT else values(word.value)
