"""Runs the service: what only root may do, then one engine a process.

No RFC. Parts are imported when they are built: no command pays for what it does not use.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from smime_proxy.app.connections import listener_options, reload_certificates, upstream_makers
from smime_proxy.app.context import build_context, build_discovery, build_sources
from smime_proxy.app.stored import fetching_revocations, open_configured

if TYPE_CHECKING:
    from socket import socket

    from smime_proxy.admin.engine import Outlet, ServiceEngine
    from smime_proxy.admin.expiry_watch import Notified
    from smime_proxy.gateway.ports import Upstream
    from smime_proxy.lookup.source import Source
    from smime_proxy.settings import Settings
    from smime_proxy.smtp.admission import ListenerOptions
    from smime_proxy.smtp.service import Overview, ServeStatus


def serve(settings: "Settings") -> int:
    """Run the service; what only root may read or bind comes before root is given up."""
    from smime_proxy.admin.cli.errors import CommandError
    from smime_proxy.admin.cli.ownership import ensure
    from smime_proxy.admin.logs import configure
    from smime_proxy.smtp.errors import SmtpError
    from smime_proxy.smtp.service import ServiceOptions
    from smime_proxy.smtp.workers import run_service

    configure(settings.log.level, settings.log.format, settings.log.addresses)
    service = settings.service
    ensure(service.state_dir)
    try:
        listeners, makers = listener_options(settings), upstream_makers(settings)
        sources = build_sources(settings)
        options = ServiceOptions(
            listeners=listeners,
            state_dir=service.state_dir,
            workers=service.workers,
            status_bind=str(settings.status.bind or ""),
        )
        return run_service(
            options,
            lambda: _engine(settings, makers, listeners, sources),
            _status_server(settings),
            lambda: _prepare(settings),
        )
    except SmtpError as error:
        raise CommandError(str(error)) from None


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


def _prepare(settings: "Settings") -> None:
    """Give up root and bring the store up to date, or find out that it cannot be used."""
    import structlog

    from smime_proxy.admin.cli.output import say
    from smime_proxy.admin.cli.ownership import act_as_owner
    from smime_proxy.settings.checks import notices

    act_as_owner(settings.service.state_dir)
    opened = open_configured(settings, migrate=True)
    opened.store.close()
    if opened.notice:
        say(opened.notice)
    for notice in notices(settings):
        structlog.get_logger("smime_proxy.service").info(notice)


async def _engine(
    settings: "Settings",
    makers: "Mapping[str, Callable[[], Outlet]]",
    listeners: "Sequence[ListenerOptions]",
    sources: "Sequence[Source]",
) -> "ServiceEngine":
    """Build what one process serves with, in its event loop."""
    from smime_proxy.admin.engine import Remembering, ServiceEngine, Way
    from smime_proxy.admin.expiry_watch import ExpiryWatch
    from smime_proxy.admin.metrics import Counters
    from smime_proxy.gateway.pipeline import Gateway
    from smime_proxy.settings.checks import signs_opaque
    from smime_proxy.stores.notes import CapabilityNotes, KeyNotes
    from smime_proxy.stores.revocation_lists import keep_signed
    from smime_proxy.stores.watch import SnapshotSource

    store = open_configured(settings).store
    source = SnapshotSource(store)
    upstreams = {name: Remembering(make()) for name, make in makers.items()}
    measures = Counters()
    notes = CapabilityNotes(store)
    keys = KeyNotes(
        store, settings.policy.harvest, lambda it: measures.count("keys_found", outcome=it)
    )
    revocation, fetcher = fetching_revocations(settings, store, source, measures)
    learning = notes.note, keys.note
    discovery = build_discovery(settings, sources, store, measures, revocation)
    context = replace(
        build_context(
            settings, lambda: source.current, upstreams, measures, discovery, *learning, revocation
        ),
        statuses=fetcher,
    )
    tables, loop = settings.listeners, asyncio.get_running_loop()
    notified = _notified(settings, upstreams)
    expiry = ExpiryWatch(store, lambda: source.current, context.rules, context.hostname, notified)
    chores = {
        "keys found in mail": keys.write_always(),
        "revocation lists": keep_signed(store),
        "expiry": expiry.watch(),
    }
    if fetcher is not None:
        chores["revocation"] = fetcher.run()
    return ServiceEngine(
        Gateway(context),
        measures,
        {
            name: Way(one.role, upstreams[one.upstream], opaque=signs_opaque(settings))
            for name, one in tables.items()
        },
        background=loop.create_task(source.watch()),
        learning=loop.create_task(notes.write_always()),
        chores={name: loop.create_task(chore) for name, chore in chores.items()},
        gauges=expiry.gauges,
        reload=lambda: reload_certificates(settings, listeners),
        release=store.close,
        discovery=discovery,
    )


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
