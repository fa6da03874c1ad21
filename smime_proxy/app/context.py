"""Builds what a gateway works with: routes, sent copies, sources of certificates.

No RFC. Parts are imported when they are built: no command pays for what it does not use.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from smime_proxy.app.stored import known_decrypted, known_revocations

if TYPE_CHECKING:
    from smime_proxy.address import Mailbox
    from smime_proxy.certs.revocation import Revocation
    from smime_proxy.gateway.context import Context, Route
    from smime_proxy.gateway.ports import (
        Directory,
        Discovery,
        FoundKey,
        Measures,
        SeenCapabilities,
        Upstream,
    )
    from smime_proxy.lookup.source import Source
    from smime_proxy.settings import Settings
    from smime_proxy.stores.connection import Store


def context_without_upstreams(
    settings: "Settings", store: "Store", sources: "Sequence[Source] | None" = None
) -> "Context":
    """Build what a gateway works with, on the store as it is and without a way out.

    `sources` are directories that may be asked; without them it is only known which they would be.
    """
    from smime_proxy.smtp.maildir import MaildirUpstream
    from smime_proxy.stores.snapshot import Snapshot

    with store.reading() as connection:
        snapshot = Snapshot.of(store, connection)
    nowhere = dict.fromkeys(settings.upstreams, MaildirUpstream(Path(os.devnull)))
    revocation = known_revocations(settings, store)
    named = build_sources(settings, only_names=True) if sources is None else sources
    discovery = build_discovery(settings, named, store, _NoMeasures(), revocation, quiet=True)
    context = build_context(
        settings, lambda: snapshot, nowhere, _NoMeasures(), discovery, revocation=revocation
    )
    return replace(context, memory=known_decrypted(store))


class _NoMeasures:
    def count(self, name: str, **labels: str) -> None:
        """Count nothing: no mail is being handled."""


def build_context(
    settings: "Settings",
    directory: "Callable[[], Directory]",
    upstreams: "Mapping[str, Upstream]",
    measures: "Measures",
    discovery: "Discovery | None",
    remember: "Callable[[SeenCapabilities], None]" = lambda _seen: None,
    harvest: "Callable[[FoundKey], None]" = lambda _found: None,
    revocation: "Revocation | None" = None,
) -> "Context":
    """Build what a gateway works with from what the process keeps."""
    from smime_proxy.gateway.choices import RecipientChoices
    from smime_proxy.gateway.context import Context
    from smime_proxy.settings.rules import to_rules, to_wording

    return Context(
        hostname=settings.service.hostname,
        authserv_id=settings.service.effective_authserv_id,
        rules=to_rules(settings),
        routes=build_routes(settings, upstreams),
        directory=directory,
        sent_copy=sent_copies(upstreams),
        measures=measures,
        random=os.urandom,
        remember=remember,
        harvest=harvest,
        discovery=discovery,
        slow_keys=settings.pkcs11.module is not None,
        choices=RecipientChoices(revocation),
        revocation=revocation,
        wording=to_wording(settings),
        max_parallel_copies=settings.service.max_parallel_copies,
    )


def sources_to_ask(settings: "Settings") -> "Sequence[Source]":
    """Prepare the sources of certificates for a command; a fault is one line of its."""
    from smime_proxy.admin.cli.errors import CommandError
    from smime_proxy.smtp.errors import SmtpError

    try:
        return build_sources(settings)
    except SmtpError as error:
        raise CommandError(str(error)) from None


def build_sources(settings: "Settings", *, only_names: bool = False) -> "Sequence[Source]":
    """Prepare the sources of certificates; reads password and CA files. Raises `SmtpError`."""
    if not settings.discovery.sources:
        return ()
    from smime_proxy.admin.sources import sources

    return sources(settings, only_names=only_names)


def build_discovery(
    settings: "Settings",
    sources: "Sequence[Source]",
    store: "Store",
    measures: "Measures",
    revocation: "Revocation | None",
    *,
    quiet: bool = False,
) -> "Discovery | None":
    """Build what asks the sources, if there are any."""
    if not sources:
        return None
    from smime_proxy.admin.sources import discovery

    return discovery(settings, sources, store, measures, revocation, quiet=quiet)


def build_routes(settings: "Settings", upstreams: "Mapping[str, Upstream]") -> "dict[str, Route]":
    """Find the upstream of each listener, and that of its reports."""
    from smime_proxy.envelope import Role
    from smime_proxy.gateway.context import Route
    from smime_proxy.gateway.deadlines import MTA_SECONDS, SUBMISSION_SECONDS, Deadlines
    from smime_proxy.settings.checks import mode_of, reports_upstream

    routes = {}
    for name, listener in settings.listeners.items():
        upstream = upstreams[listener.upstream]
        reports: Upstream | None = upstream
        if listener.role is Role.INBOUND:
            reports = upstreams.get(reports_upstream(settings, listener))
        usual = MTA_SECONDS if listener.role is Role.INBOUND else SUBMISSION_SECONDS
        deadlines = Deadlines.of(listener.patience or usual)
        routes[name] = Route(upstream, reports, deadlines, mode_of(settings, listener))
    return routes


def sent_copies(upstreams: "Mapping[str, Upstream]") -> "Callable[[str, Mailbox], Upstream]":
    """Find where the copy of a mail sent encrypted goes: `upstream:NAME` or `maildir:///path`."""
    from smime_proxy.settings.checks import sent_copy_maildir, sent_copy_upstream
    from smime_proxy.smtp.errors import unreachable
    from smime_proxy.smtp.maildir import MaildirUpstream

    def find(place: str, mailbox: "Mailbox") -> "Upstream":
        name = sent_copy_upstream(place)
        if not name:
            return MaildirUpstream(sent_copy_maildir(place, mailbox))
        if name not in upstreams:  # the account is in the store, the upstream was in the settings
            raise unreachable(f"sent_copy of {mailbox}: there is no upstream {name}")
        return upstreams[name]

    return find
