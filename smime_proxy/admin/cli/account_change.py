"""What options of `account add` and `account set` say of an account, applied to one.

Names and meanings are those of docs/commands.md; `default` leaves the settings in force.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from smime_proxy.admin.cli.arguments import mailbox, refusal_text, sent_copy
from smime_proxy.admin.cli.errors import CommandError
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

    def apply(self, account: Account, settings: Settings) -> Account:
        """Give the account as the options want it.

        One empty alias or login takes all away, an empty refusal text restores the usual one.
        Raises `CommandError` for what cannot be used.
        """
        aliases, logins = account.aliases, account.logins
        if self.aliases:
            aliases = frozenset(mailbox(alias) for alias in self.aliases if alias)
        if self.logins:
            logins = frozenset(login for login in self.logins if login)
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


def refuse_readers(readers: list[str] | None) -> None:
    """Refuse --reader: ignoring it would leave people without their mail."""
    if readers:
        raise CommandError("--reader is not supported in this version")


def _policy(word: Enum | None, values: type[T], before: T | None) -> T | None:
    if word is None:
        return before
    return None if word.value == DEFAULT else values(word.value)
