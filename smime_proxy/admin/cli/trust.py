"""`trust`: the authorities whose certificates are believed.

RFC 5280 6.1.1 (d) (trust anchors).
"""

from pathlib import Path
from typing import Annotated

import typer

from smime_proxy.admin import queries
from smime_proxy.admin.cli.adapters import act, opened_store
from smime_proxy.admin.cli.arguments import Json
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.output import emit_json, emit_table, say, tell
from smime_proxy.admin.cli.partner_import import read_certificate_file
from smime_proxy.admin.cli.program import noun
from smime_proxy.admin.queries import AnchorView
from smime_proxy.lookup.builtin_roots import read_builtin_roots
from smime_proxy.lookup.errors import LookupFailed
from smime_proxy.stores import anchor_list, anchors
from smime_proxy.stores.anchor_list import ListChange
from smime_proxy.stores.anchors import Scope
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError

app = noun("Trust anchors for S/MIME.")

Mozilla = Annotated[
    bool, typer.Option("--mozilla", help="The authorities Mozilla trusts for mail, from NSS.")
]


@app.command()
def add(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="PEM, DER or PKCS#7.", readable=False)
    ] = None,
    domains: Annotated[
        list[str] | None,
        typer.Option("--for", metavar="DOMAIN", help="Vouches only for addresses there."),
    ] = None,
    *,
    own: Annotated[
        bool, typer.Option("--for-own", help="Vouches for addresses in our own domains too.")
    ] = False,
    mozilla: Mozilla = False,
    module: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="With --mozilla: NSS's module of built-in roots.", readable=False
        ),
    ] = None,
) -> None:
    """Trust authorities, of a file or all that Mozilla trusts for mail."""
    if (file is None) != mozilla or (module is not None and not mozilla):
        raise typer.BadParameter("give FILE, or --mozilla and perhaps --module")
    acting, scope = act(context), Scope.of(domains or (), own_domains=own)
    if file is None:
        with opened_store(context) as store:  # a foreign library is not run as root
            _follow_mozilla(store, acting, module, scope if domains or own else None)
        return
    try:
        found = anchors.authorities_of(read_certificate_file(file))
    except StoreError as error:
        raise CommandError(f"{file}: {error}") from None
    with opened_store(context) as store:
        added = anchors.add(store, acting, found, scope)
    for one in added:
        certificate = one.anchor.certificate
        state = "trusted" if one.is_new else "is trusted already"
        tell(f"{certificate.fingerprint[:16]} {certificate.subject}: {state}")
        for warning in one.warnings:
            say(f"warning: {warning}")


@app.command(name="list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the trust anchors."""
    at = act(context).at
    with opened_store(context) as store:
        views = queries.anchor_list(store, at)
    if as_json:
        emit_json(views)
        return
    emit_table(
        ("id", "subject", "for", "source", "since", "until", "issued until"),
        [
            (
                view.certificate.fingerprint[:16],
                view.certificate.subject,
                _whom(view),
                f"{view.source} {view.source_version}".rstrip(),
                view.added_at,
                view.certificate.not_after,
                view.distrust_after,
            )
            for view in views
        ],
    )


@app.command()
def remove(
    context: typer.Context,
    fingerprints: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Fingerprint (SHA-256), or at least 8 digits of it."),
    ] = None,
    *,
    mozilla: Mozilla = False,
) -> None:
    """Trust authorities no more."""
    if bool(fingerprints) == mozilla:
        raise typer.BadParameter("give ID, or --mozilla")
    acting = act(context)
    with opened_store(context) as store:
        for fingerprint in fingerprints or ():
            gone = anchors.remove(store, acting, fingerprint).certificate
            tell(f"{gone.fingerprint[:16]} {gone.subject}: trusted no more")
        if mozilla:
            tell(f"{anchor_list.forget(store, acting)} authorities of Mozilla's list removed")


def _follow_mozilla(store: Store, acting: Act, module: Path | None, scope: Scope | None) -> None:
    try:
        builtin = read_builtin_roots(module)
    except LookupFailed as error:
        raise CommandError(str(error)) from None
    change = anchor_list.follow(store, acting, builtin.version, builtin.roots, scope)
    for verb, some in (("changed", change.changed), ("removed", change.removed)):
        for anchor in some:
            certificate = anchor.certificate
            tell(f"{certificate.fingerprint[:16]} {certificate.subject}: {verb}")
    tell(
        f"{change.total} authorities of Mozilla's list {builtin.version} are trusted for mail:"
        f" {len(change.added)} added, {len(change.changed)} changed,"
        f" {len(change.removed)} removed, {change.kept} as before"
    )
    for line in _remarks(change):
        say(line)


def _remarks(change: ListChange) -> list[str]:
    """Say what trusting a whole list means, and what of it was not taken."""
    said = []
    if change.added:
        if change.scope.domains:
            whom = f"at {', '.join(change.scope.domains)}"
        elif change.scope.own_domains:
            whom = "anywhere, in our own domains too"
        else:
            whom = "anywhere but in our own domains (--for-own adds these)"
        said.append(
            f"warning: every one of these {change.total} authorities can now vouch for any"
            f" address {whom}"
        )
    if change.left:
        said.append(f"{change.left} came by hand before and stay as they are")
    if change.declined:
        said.append(
            f"{change.declined} were removed by hand and stay away: `trust add FILE` brings one"
            " back"
        )
    return said


def _whom(view: AnchorView) -> str:
    named = [*view.domains, *(["own domains"] if view.own_domains and view.domains else [])]
    if named:
        return ", ".join(named)
    return "everywhere" if view.own_domains else "everywhere but own domains"
