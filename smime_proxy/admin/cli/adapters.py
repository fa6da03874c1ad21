"""What the composition root builds for commands, and how a command gets at it.

No RFC; the names are those of ARCHITECTURE.md.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

import typer

from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.output import say
from smime_proxy.admin.cli.ownership import act_as_owner, invoker
from smime_proxy.admin.cli.program import Invocation
from smime_proxy.admin.declared import read_declared
from smime_proxy.gateway.context import Context
from smime_proxy.lookup.source import Source
from smime_proxy.settings import Settings, SettingsError, load
from smime_proxy.settings.connections import Upstream
from smime_proxy.smtp.relay import Relay
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.declared import Declarations, Declared
from smime_proxy.stores.open import Opened
from smime_proxy.stores.vault import TokenKeys


class ListedKey(Protocol):
    """A key on a token, as it is listed."""

    @property
    def uri(self) -> object:
        """Its RFC 7512 URI."""
        ...

    @property
    def kind(self) -> str:
        """What kind of key it is: rsa, ec, aes."""
        ...

    @property
    def size(self) -> int:
        """Its size in bits, 0 if the token does not say."""
        ...


class TokenSource(TokenKeys, Protocol):
    """The token of the settings."""

    def listing(self) -> Sequence[ListedKey]:
        """List the keys there; raises `gateway.ports.KeyUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class Adapters:
    """`open_store` opens the store of the settings; `context` is a gateway's that sends nothing.

    `serve` runs the service until it is told to stop, and gives the exit code; the second argument
    gives the settings as they are written down when it is called. `token` is the one
    set in `[pkcs11]`; without the extra for it there is a `CommandError`. `place` says where an
    upstream is, a relay or a Maildir; raises `smtp.errors.SmtpError`. `sources` are
    what `[discovery]` asks, with their secrets read; without them a context only knows their names.
    """

    open_store: Callable[[Settings], Opened]
    context: Callable[[Settings, Store, Sequence[Source] | None], Context]
    serve: Callable[[Settings, Callable[[], Settings]], int]
    token: Callable[[Settings], TokenSource]
    place: Callable[[Upstream], Relay | Path]
    sources: Callable[[Settings], Sequence[Source]]


def adapters(context: typer.Context) -> Adapters:
    """Give what the composition root builds."""
    return cast("Adapters", invocation(context).adapters())


def invocation(context: typer.Context) -> Invocation:
    """Give what every command starts from."""
    return cast("Invocation", context.find_root().obj)


def settings(context: typer.Context) -> Settings:
    """Load the settings; raises `CommandError` with a line for each fault."""
    started = invocation(context)
    try:
        return load(started.config, started.environment)
    except SettingsError as error:
        raise CommandError(str(error)) from None


@contextmanager
def opened_store(
    context: typer.Context, loaded: Settings | None = None, declared: Declared | None = None
) -> Iterator[Store]:
    """Open the store as the owner of the state directory; named files have to be open before.

    Says the one line about a master key that was made just now. `declared` accounts are read here
    unless they are given; what is wrong with their files is then said as a warning.
    """
    found = loaded or settings(context)
    if declared is None:
        declared = read_declared(found, datetime.now(UTC))
        for fault in declared.faults:
            say(f"warning: {fault}")
    act_as_owner(found.service.state_dir)
    opened = adapters(context).open_store(found)
    if opened.notice:
        say(opened.notice)
    try:
        yield replace(
            opened.store,
            own_domains=opened.store.own_domains | declared.domains,
            declared=Declarations(declared),
        )
    finally:
        opened.store.close()


def act(context: typer.Context) -> Act:
    """Say who acts now, for the audit; called before root is given up."""
    sudo_user = invocation(context).environment.get("SUDO_USER", "")
    return Act(f"cli:{invoker(sudo_user)}", datetime.now(UTC))
