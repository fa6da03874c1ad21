"""The settings in force, and how they are exchanged for new ones while mail goes on.

No RFC. New ones are taken as a whole or not at all: everything they name is read before anything
changes. What is bound, opened or started once needs a restart, and a change of it says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from smime_proxy.app.connections import listener_options, upstream_makers

if TYPE_CHECKING:
    from ssl import SSLContext

    from smime_proxy.admin.engine import Outlet
    from smime_proxy.settings import Settings
    from smime_proxy.settings.connections import Listener
    from smime_proxy.smtp.admission import ListenerOptions
    from smime_proxy.stores.declared import Declared

# Tables that are read again, as `service.mode` is; each of the others holds something that is made
# once, at start.
RELOADED = frozenset(
    {
        *("policy", "domains", "partners", "accounts", "trust"),
        *("upstreams", "listeners", "limits", "texts"),
    }
)


_RESTART = "a change needs a restart"


@dataclass(frozen=True, slots=True)
class InForce:
    """Settings, and what was read from the files they name."""

    settings: "Settings"
    listeners: "tuple[ListenerOptions, ...]"
    makers: "Mapping[str, Callable[[], Outlet]]"
    declared: "Declared"

    @classmethod
    def read(cls, settings: "Settings", before: "Declared | None" = None) -> "InForce":
        """Read certificates, keys and passwords. Raises `SmtpError` in one line.

        Declared accounts whose files cannot be used go on with the keys they have in `before`;
        raises `CommandError` for those that have none.
        """
        from smime_proxy.admin.cli.errors import CommandError
        from smime_proxy.admin.declared import read_declared
        from smime_proxy.stores.declared import NOTHING

        declared = read_declared(settings, datetime.now(UTC), before or NOTHING)
        if declared.fatal:
            raise CommandError("\n".join(declared.fatal))
        return cls(settings, listener_options(settings), upstream_makers(settings), declared)


class Reloading:
    """Holds what is in force in this process; a process forked from it begins with the same."""

    def __init__(self, first: InForce, load: "Callable[[], Settings]") -> None:
        """Begin with the settings of the start; `load` gives those that are written down now."""
        self.in_force = first
        self._load = load

    def declared_now(self) -> "Declared":
        """Read the accounts that the settings in force declare; blocks."""
        from smime_proxy.admin.declared import read_declared

        return read_declared(self.in_force.settings, datetime.now(UTC), self.in_force.declared)

    def renew(self, before: "Declared | None" = None) -> InForce:
        """Put the settings in force that are written down now, and give them.

        `before` are the declared accounts now, those of the last settings where it is left out.
        Raises `CommandError` (settings that are wrong, or need a restart) or `SmtpError` (files
        that cannot be used); what was in force stays so.
        """
        from smime_proxy.admin.cli.errors import CommandError

        loaded = self._load()
        if fixed := needs_restart(self.in_force.settings, loaded):
            raise CommandError(f"{', '.join(fixed)}: {_RESTART}")
        self.in_force = _kept_on_sockets(
            self.in_force, InForce.read(loaded, before or self.in_force.declared)
        )
        return self.in_force


def _kept_on_sockets(before: InForce, after: InForce) -> InForce:
    """Keep the TLS context that an smtps socket has, with the new certificate in it.

    Raises `CommandError` when clients are to be asked for other certificates on it.
    """
    from smime_proxy.admin.cli.errors import CommandError

    known = {options.name: options.tls for options in before.listeners}
    listeners = []
    for options in after.listeners:
        table, context = after.settings.listeners[options.name], known.get(options.name)
        if options.protocol == "smtps" and context and table.tls_certificate and table.tls_key:
            table_before = before.settings.listeners[options.name]
            if _client_ca(table_before, context) != _client_ca(table, options.tls):
                raise CommandError(f"listeners.{options.name}.tls_client_ca: {_RESTART}")
            context.load_cert_chain(table.tls_certificate, table.tls_key)
            listeners.append(replace(options, tls=context))
        else:
            listeners.append(options)
    return replace(after, listeners=tuple(listeners))


def _client_ca(listener: "Listener", context: "SSLContext | None") -> object:
    """Give what is equal when clients are asked for the same certificates."""
    if context is None or not (listener.tls_client_logins or listener.tls_client_names):
        return None
    if listener.tls_client_ca is None:
        return "the system's"  # read as they are needed: never the same twice
    return frozenset(context.get_ca_certs(binary_form=True))


def needs_restart(before: "Settings", after: "Settings") -> tuple[str, ...]:
    """Name the tables and keys that differ and are not read again, as the settings file does."""
    service = after.service.model_copy(update={"mode": before.service.mode})
    after_but_mode = after.model_copy(update={"service": service})
    tables = [
        name
        for name in type(before).model_fields
        if name not in RELOADED and getattr(before, name) != getattr(after_but_mode, name)
    ]
    names = before.listeners.keys() | after.listeners.keys()
    return (
        *tables,
        *(f"listeners.{name}" for name in sorted(names) if _moved(before, after, name)),
    )


def _moved(before: "Settings", after: "Settings", name: str) -> bool:
    """Tell whether a listener's socket, its direction or what is spoken on it is another one."""
    one, other = before.listeners.get(name), after.listeners.get(name)
    if one is None or other is None:
        return True
    return _spoken_on(one) != _spoken_on(other)


def _spoken_on(listener: "Listener") -> object:
    return listener.bind, listener.protocol, listener.role, listener.proxy_protocol
