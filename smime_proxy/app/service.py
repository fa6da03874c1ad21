"""Runs the service: what only root may do, then one engine a process.

No RFC. Parts are imported when they are built: no command pays for what it does not use.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from smime_proxy.app.context import build_context, build_discovery, build_sources
from smime_proxy.app.reloading import InForce, Reloading
from smime_proxy.app.stored import fetching_revocations, open_configured, remembering_decrypted

if TYPE_CHECKING:
    from socket import socket

    from smime_proxy.admin.engine import Remembering, Renewed, ServiceEngine, Way
    from smime_proxy.admin.expiry_watch import Notified
    from smime_proxy.gateway.context import Context
    from smime_proxy.gateway.ports import Upstream
    from smime_proxy.lookup.source import Source
    from smime_proxy.settings import Settings
    from smime_proxy.smtp.service import Overview, ServeStatus


def serve(settings: "Settings", load: "Callable[[], Settings]") -> int:
    """Run the service; what only root may read or bind comes before root is given up.

    `load` gives the settings that are written down when it is called; raises `CommandError`.
    """
    from smime_proxy.admin.cli.errors import CommandError
    from smime_proxy.admin.cli.ownership import ensure
    from smime_proxy.admin.logs import configure
    from smime_proxy.smtp.errors import SmtpError
    from smime_proxy.smtp.notify import Notifier
    from smime_proxy.smtp.service import ServiceOptions
    from smime_proxy.smtp.workers import run_service

    configure(settings.log.level, settings.log.format, settings.log.addresses)
    service = settings.service
    ensure(service.state_dir)
    try:
        reloading = Reloading(InForce.read(settings), load)
        sources = build_sources(settings)
        options = ServiceOptions(
            listeners=reloading.in_force.listeners,
            state_dir=service.state_dir,
            workers=service.workers,
            status_bind=str(settings.status.bind or ""),
            notifier=Notifier.of(os.environ, os.getpid()),
        )
        return run_service(
            options,
            lambda: _engine(reloading, sources),
            _status_server(settings),
            lambda: _prepare(reloading.in_force),
            lambda: _renew_quietly(reloading),
        )
    except SmtpError as error:
        raise CommandError(str(error)) from None


def _renew_quietly(reloading: Reloading) -> None:
    """Let processes that are started from now on begin with the new settings, if they are good.

    Those that serve say what is wrong with them.
    """
    from smime_proxy.admin.cli.errors import CommandError
    from smime_proxy.smtp.errors import SmtpError

    with suppress(CommandError, SmtpError, OSError):
        reloading.renew()


def _status_server(settings: "Settings") -> "ServeStatus":
    """Prepare the status endpoint, which needs no master key for what it publishes."""
    from smime_proxy.admin.publication import Publication
    from smime_proxy.admin.status import serve_status
    from smime_proxy.stores.open import STORE_FILE
    from smime_proxy.stores.revocation_lists import published

    store = settings.service.state_dir / STORE_FILE

    def serve(sock: "socket", overview: "Overview") -> "Coroutine[Any, Any, None]":
        return serve_status(sock, overview, Publication(lambda: published(store)))

    return serve


def _prepare(in_force: InForce) -> None:
    """Give up root and bring the store up to date, or find out that it cannot be used."""
    import structlog

    from smime_proxy.admin.cli.output import say
    from smime_proxy.admin.cli.ownership import act_as_owner
    from smime_proxy.settings.checks import notices
    from smime_proxy.stores import accounts

    settings, declared = in_force.settings, in_force.declared
    act_as_owner(settings.service.state_dir)
    opened = open_configured(settings, declared, migrate=True)
    hidden = declared.notices(one.account for one in accounts.listing(opened.store))
    opened.store.close()
    if opened.notice:
        say(opened.notice)
    log = structlog.get_logger("smime_proxy.service")
    for notice in (*notices(settings), *declared.remarks):
        log.info(notice)
    for notice in hidden:
        log.warning(notice)


async def _engine(reloading: Reloading, sources: "Sequence[Source]") -> "ServiceEngine":
    """Build what one process serves with, in its event loop."""
    return _Workshop(reloading, sources).engine()


class _Workshop:
    """What one process is built from; keeps what new settings are put into."""

    def __init__(self, reloading: Reloading, sources: "Sequence[Source]") -> None:
        from smime_proxy.admin.declared_watch import DeclaredWatch
        from smime_proxy.admin.engine import Remembering
        from smime_proxy.admin.expiry_watch import ExpiryWatch
        from smime_proxy.admin.measuring import PendingWatch
        from smime_proxy.admin.metrics import Counters
        from smime_proxy.gateway.late import Late
        from smime_proxy.gateway.loops import Loops
        from smime_proxy.gateway.pipeline import Gateway
        from smime_proxy.stores.ledger import Ledger
        from smime_proxy.stores.notes import CapabilityNotes, KeyNotes
        from smime_proxy.stores.watch import SnapshotSource

        self._reloading = reloading
        settings = reloading.in_force.settings
        store = self._store = open_configured(settings, reloading.in_force.declared).store
        measures = self._measures = Counters()
        self._declared = DeclaredWatch(settings, store.declared, measures)
        # Processes that are made again begin long after the first one read them.
        self._declared.exchange(settings, reloading.declared_now())
        source = self._source = SnapshotSource(store)
        makers = reloading.in_force.makers
        self._upstreams = {name: Remembering(make()) for name, make in makers.items()}
        self._notes = CapabilityNotes(store)
        self._keys = KeyNotes(
            store, settings.policy.harvest, lambda it: measures.count("keys_found", outcome=it)
        )
        self._memory = remembering_decrypted(store)
        self._ledger = Ledger(settings.service.state_dir, store.vault.derive("ledger"))
        self._late = Late()
        self._loops = Loops(
            store.vault.derive("loops"), settings.service.hostname, settings.listeners
        )
        found = fetching_revocations(settings, store, source, measures)
        self._revocation, self._fetcher = found
        self._discovery = build_discovery(settings, sources, store, measures, self._revocation)
        context = self._context = self._work_with(settings)
        self._gateway = Gateway(context)
        self._pending = PendingWatch(store)
        self._expiry = ExpiryWatch(
            store,
            lambda: source.current,
            context.rules,
            context.hostname,
            _notified(settings, self._upstreams),
        )

    def engine(self) -> "ServiceEngine":
        """Put what was built to work."""
        from smime_proxy.admin.engine import ServiceEngine
        from smime_proxy.stores.revocation_lists import keep_signed

        loop = asyncio.get_running_loop()
        chores = {
            "keys found in mail": self._keys.write_always(),
            "decrypted mail": self._memory.write_always(),
            "revocation lists": keep_signed(self._store),
            "expiry": self._expiry.watch(),
            "pending keys": self._pending.watch(),
            "key files": self._declared.watch(),
            "late answers": self._late.watch(),
            "ledger": self._ledger.purge_always(),
        }
        if self._fetcher is not None:
            chores["revocation"] = self._fetcher.run()
        return ServiceEngine(
            self._gateway,
            self._measures,
            _ways(self._reloading.in_force.settings, self._upstreams),
            background=loop.create_task(self._source.watch()),
            learning=loop.create_task(self._notes.write_always()),
            chores={name: loop.create_task(chore) for name, chore in chores.items()},
            gauges=self._measured,
            reload=self._renew,
            release=self._release,
            discovery=self._discovery,
            greeting=self._loops.name_of,
        )

    def _measured(self) -> "Mapping[str, float]":
        from smime_proxy.admin.measuring import measured

        found = (
            self._expiry.gauges,
            self._pending.gauges,
            self._declared.gauges,
            self._modes,
        )
        return measured(self._upstreams, self._source.age, *found)

    def _modes(self) -> "Mapping[str, float]":
        from smime_proxy.admin.measuring import modes

        return modes({name: route.mode for name, route in self._context.routes.items()})

    def _renew(self) -> "Renewed":
        """Put new settings in force; all that can fail comes first."""
        import structlog

        from smime_proxy.admin.engine import Remembering, Renewed
        from smime_proxy.settings.checks import mode_notice

        found = self._reloading.renew(self._store.declared.current)
        left = tuple(self._upstreams.values())
        self._upstreams = {name: Remembering(make()) for name, make in found.makers.items()}
        after = self._work_with(found.settings)
        before = self._context
        self._context = replace(after, choices=before.choices, rate=before.rate)
        self._gateway.work_with(self._context)
        self._keys.harvest, self._expiry.rules = found.settings.policy.harvest, after.rules
        self._expiry.notified = _notified(found.settings, self._upstreams)
        self._declared.exchange(found.settings, found.declared)
        if notice := mode_notice(found.settings):
            structlog.get_logger("smime_proxy.service").info(notice)
        return Renewed(found.listeners, _ways(found.settings, self._upstreams), left)

    def _work_with(self, settings: "Settings") -> "Context":
        context = build_context(
            settings,
            lambda: self._source.current,
            self._upstreams,
            self._measures,
            self._discovery,
            self._notes.note,
            self._keys.note,
            self._revocation,
        )
        return replace(
            context,
            statuses=self._fetcher,
            memory=self._memory,
            ledger=self._ledger,
            late=self._late,
            loops=self._loops,
        )

    def _release(self) -> None:
        self._store.close()
        self._ledger.close()


def _ways(settings: "Settings", upstreams: "Mapping[str, Remembering]") -> "dict[str, Way]":
    from smime_proxy.admin.engine import Way
    from smime_proxy.settings.checks import encrypts, mode_of, signs_opaque

    opaque, sealed = signs_opaque(settings), encrypts(settings)
    return {
        name: Way(
            one.role,
            upstreams[one.upstream],
            opaque=opaque,
            encrypts=sealed,
            mode=mode_of(settings, one),
        )
        for name, one in settings.listeners.items()
    }


def _notified(settings: "Settings", upstreams: "Mapping[str, Upstream]") -> "Notified":
    from smime_proxy.address import parse_mailbox
    from smime_proxy.admin.expiry_watch import Notified

    table = settings.notify
    return Notified(
        parse_mailbox(table.administrator) if table.administrator else None,
        table.accounts,
        table.days,
        upstreams.get(table.upstream),
    )
