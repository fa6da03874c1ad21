"""`doctor`: looks for what will hurt, says what to do about it, and changes nothing.

No RFC; exit 1 when something hurts or will. What only root may read comes before root is given up.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from smime_proxy.admin.cli.adapters import act, adapters, opened_store, settings
from smime_proxy.admin.cli.arguments import Json
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.output import emit_json, tell
from smime_proxy.admin.cli.partner_import import read_certificate_file
from smime_proxy.admin.cli.program import FAILED, noun
from smime_proxy.admin.declared import read_declared
from smime_proxy.admin.doctor.anchors import anchor_findings
from smime_proxy.admin.doctor.declared import file_findings
from smime_proxy.admin.doctor.discovery import discovery_findings
from smime_proxy.admin.doctor.finding import Finding, Severity
from smime_proxy.admin.doctor.keys import key_findings
from smime_proxy.admin.doctor.partners import partner_findings
from smime_proxy.admin.doctor.revocation import (
    Asked,
    Pair,
    own_pairs,
    silence_findings,
    status_findings,
)
from smime_proxy.admin.doctor.settings import (
    listener_findings,
    program_findings,
    settings_findings,
    upstream_findings,
)
from smime_proxy.admin.doctor.state import Place, state_findings
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.revocation_mode import Mode
from smime_proxy.lookup.http import AddressRule, Http
from smime_proxy.lookup.source import Source
from smime_proxy.settings import Settings
from smime_proxy.settings.checks import check_serving
from smime_proxy.settings.rules import to_rules
from smime_proxy.smtp.errors import SmtpError
from smime_proxy.smtp.probe import probe
from smime_proxy.smtp.relay import Relay
from smime_proxy.stores import anchors
from smime_proxy.stores.answers import AnswerShelf
from smime_proxy.stores.connection import Store
from smime_proxy.stores.open import MASTER_KEY_FILE
from smime_proxy.stores.snapshot import Snapshot
from smime_proxy.stores.volatile import in_memory

app = noun()

_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}


@app.command()
def doctor(
    context: typer.Context,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask nobody: no upstream, directory or authority.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look for what will hurt: keys, certificates, trust, upstreams, files; exit 1 if anything."""
    loaded, at = settings(context), act(context).at
    declared = read_declared(loaded, at)
    found = [_fault(one) for one in (*map(str, check_serving(loaded)), *declared.faults)]
    found += settings_findings(loaded)
    places, faults = _upstreams(context, loaded)
    shown, unreadable = _listeners(loaded)
    sources, unprepared = _sources(context, loaded)
    found += unprepared
    found += [*faults, *unreadable, *listener_findings(shown, at), *program_findings()]
    with opened_store(context, loaded, declared) as store:
        found += [*state_findings(_place(loaded, store)), *file_findings(loaded)]
        snapshot, kept = _loaded(store)
        found += _of_store(loaded, store, snapshot, at)
        asked = Asked(kept)
        if not offline:
            found += asyncio.run(
                _outside(loaded, places, sources, own_pairs(snapshot, at), asked, at)
            )
        if loaded.revocation.mode is not Mode.OFF:
            found += silence_findings(asked, loaded.revocation.mode)
            found += status_findings(snapshot, asked, loaded.revocation.mode, at)
    _show(sorted(found, key=lambda one: _RANK[one.severity]), as_json=as_json)


def _show(found: list[Finding], *, as_json: bool) -> None:
    hurts = any(one.severity is not Severity.NOTE for one in found)
    if as_json:
        emit_json({"healthy": not hurts, "findings": found})
    for one in () if as_json else found:
        tell(f"{one.severity}: {one.where}: {one.what}")
        tell(f"    {one.todo}")
    if not as_json and not hurts:
        tell("nothing found that hurts")
    if hurts:
        raise typer.Exit(FAILED)


def _fault(text: str) -> Finding:
    where, _, what = text.partition(": ")
    return Finding(Severity.ERROR, where, what, "`serve` does not start like this")


def _place(loaded: Settings, store: Store) -> Place:
    key_file = loaded.keys.master_key_file or loaded.service.state_dir / MASTER_KEY_FILE
    return Place(
        loaded.service.state_dir,
        store.path,
        None if loaded.keys.master_key else key_file,
        in_memory(loaded.service.state_dir),
    )


def _loaded(store: Store) -> tuple[Snapshot, AnswerShelf]:
    """Read what the service would judge by."""
    with store.reading() as connection:
        snapshot = Snapshot.of(store, connection)
    kept = AnswerShelf(store)
    kept.refresh()
    return snapshot, kept


def _of_store(
    loaded: Settings, store: Store, snapshot: Snapshot, at: datetime
) -> Iterator[Finding]:
    rules = to_rules(loaded)
    yield from key_findings(snapshot, rules, at)
    yield from partner_findings(snapshot, rules, at)
    yield from anchor_findings(anchors.listing(store), snapshot.intermediates(), at)


def _upstreams(
    context: typer.Context, loaded: Settings
) -> tuple[dict[str, Relay | Path], list[Finding]]:
    """Prepare every upstream on its own: one that is set up wrongly hides no other."""
    prepare, places, faults = adapters(context).place, {}, []
    for name, table in loaded.upstreams.items():
        try:
            places[name] = prepare(table)
        except (SmtpError, CommandError) as error:
            todo = "`check-config` says what settings are in effect"
            faults.append(Finding(Severity.ERROR, f"upstreams.{name}", str(error), todo))
    return places, faults


def _sources(context: typer.Context, loaded: Settings) -> tuple[Sequence[Source], list[Finding]]:
    try:
        return adapters(context).sources(loaded), []
    except CommandError as error:
        todo = "`check-config` says what settings are in effect"
        return (), [Finding(Severity.ERROR, "discovery", str(error), todo)]


def _listeners(loaded: Settings) -> tuple[dict[str, Certificate], list[Finding]]:
    found, faults = {}, []
    for name, listener in loaded.listeners.items():
        if listener.tls_certificate is None:
            continue
        try:
            found[name] = read_certificate_file(listener.tls_certificate)[0]
        except (CertificateError, CommandError) as error:
            where = f"listeners.{name}.tls_certificate"
            faults.append(Finding(Severity.ERROR, where, str(error), "name a PEM file"))
    return found, faults


async def _outside(
    loaded: Settings,
    places: Mapping[str, Relay | Path],
    sources: Sequence[Source],
    pairs: Sequence[Pair],
    asked: Asked,
    at: datetime,
) -> list[Finding]:
    """Ask everybody at once, so that it takes no longer than the slowest."""
    table = loaded.revocation
    web = Http(AddressRule(table.allowed_networks, allow_private=table.allow_private))
    try:
        found, more, _ = await asyncio.gather(
            _probed(places, loaded.service.hostname, at),
            discovery_findings(sources),
            asked.ask(() if table.mode is Mode.OFF else pairs, web, table.max_list_size, at),
        )
    finally:
        await web.close()
    return [*found, *more]


async def _probed(places: Mapping[str, Relay | Path], hostname: str, at: datetime) -> list[Finding]:
    answers = await asyncio.gather(*(probe(place, hostname) for place in places.values()))
    found = []
    for (name, place), answer in zip(places.items(), answers, strict=True):
        if answer.fault:
            what = f"{place} cannot be used: {answer.fault}"
            todo = "until it can, mail for it is answered 451 and waits with who sent it"
            found.append(Finding(Severity.ERROR, f"upstreams.{name}", what, todo))
        elif answer.certificate:
            found += upstream_findings(name, Certificate.from_der(answer.certificate), at)
    return found
