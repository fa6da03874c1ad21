"""`cert`: certificates of the people mail is exchanged with.

RFC 8550 3 (the addresses a certificate carries), RFC 7468 (PEM).
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from smime_proxy.admin import queries
from smime_proxy.admin.cli import (
    cert_pending,
    import_report,
    partner_directory,
    partner_import,
)
from smime_proxy.admin.cli import discover as discovery
from smime_proxy.admin.cli.adapters import act, opened_store
from smime_proxy.admin.cli.arguments import Fingerprint, Json, mailbox, to_pem
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.output import emit_fields, emit_json, emit_table, tell
from smime_proxy.admin.cli.program import noun
from smime_proxy.admin.queries import PartnerView
from smime_proxy.stores import capabilities, partner_holdings
from smime_proxy.stores.connection import Store

app = noun("Partner certificates.")

Wanted = Annotated[
    str,
    typer.Argument(metavar="ID", help="An address, a domain, a fingerprint, or 8 digits of one."),
]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", metavar="A", help="Whose it is, whatever it carries itself."),
]


DomainOption = Annotated[
    list[str] | None,
    typer.Option(
        "--domain",
        metavar="D",
        help="It stands for all mailboxes there that have none of their own; repeatable.",
    ),
]


@app.command(name="import")
def import_(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="PEM, DER, PKCS#7, or a directory of such files.", readable=False
        ),
    ],
    address: AddressOption = None,
    domain: DomainOption = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Trust exactly this one, whoever issued it.")
    ] = False,
) -> None:
    """Take in a partner's certificate; further certificates in the file are kept as chain."""
    acting = act(context)
    bound_to = mailbox(address) if address is not None else None
    partner_files = partner_import.read_all(file)
    with opened_store(context) as store:
        partner_import.import_all(
            store, acting, partner_files, bound_to, pinned=trust, domains=tuple(domain or ())
        )


@app.command(name="import-all")
def import_all(
    context: typer.Context,
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIRECTORY", help="Files in PEM, DER or PKCS#7.", readable=False),
    ],
    as_json: Json = False,
) -> None:
    """Take in everybody's certificate of a directory, and report on each file."""
    acting = act(context)
    contents = partner_directory.read_directory(directory)
    with opened_store(context) as store:
        lines = partner_directory.import_directory(store, acting, contents)
    import_report.show(lines, "certificates", as_json=as_json)


@app.command(name="list")
def list_(
    context: typer.Context,
    address: Annotated[
        str | None,
        typer.Argument(metavar="[ADDRESS]", help="Only those for this address or domain."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List partner certificates, the newest first, and say which are usable."""
    at = act(context).at
    with opened_store(context) as store:
        if address is None:
            views = queries.partner_list(store, None, at)
        else:
            views = _serving(store, address, at)
    if as_json:
        emit_json(views)
        return
    emit_table(
        ("id", "addresses", "domains", "usable", "pinned", "source", "until", "reason"),
        [
            (
                view.certificate.fingerprint[:16],
                view.addresses,
                view.domains,
                view.usable,
                view.pinned,
                view.source,
                view.certificate.not_after,
                view.reason,
            )
            for view in views
        ],
    )


@app.command()
def show(context: typer.Context, wanted: Wanted, as_json: Json = False) -> None:
    """Show the partner certificates of an address, or one by its fingerprint."""
    at = act(context).at
    with opened_store(context) as store:
        views = _find(store, wanted, at)
    if as_json:
        emit_json(views if _is_name(wanted) else views[0])
        return
    for number, view in enumerate(views):
        if number:
            typer.echo()
        emit_fields(view)


@app.command()
def export(context: typer.Context, wanted: Wanted) -> None:
    """Print partner certificates as PEM, each with its chain."""
    at = act(context).at
    with opened_store(context) as store:
        views = _find(store, wanted, at)
        found = [partner_holdings.find(store, view.certificate.fingerprint) for view in views]
    for partner in found:
        for certificate in (partner.certificate, *partner.chain):
            typer.echo(to_pem(certificate), nl=False)


@app.command()
def remove(context: typer.Context, fingerprint: Fingerprint) -> None:
    """Forget a partner certificate, its pin and its bindings."""
    acting = act(context)
    with opened_store(context) as store:
        gone = partner_holdings.remove(store, acting, fingerprint)
    everybody = (f"all of {domain}" for domain in gone.domains)
    served = ", ".join((*(mailbox.text for mailbox in gone.addresses), *everybody))
    tell(f"{gone.certificate.fingerprint[:16]} for {served}: removed")


@app.command()
def forget(
    context: typer.Context,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The partner's address.")],
) -> None:
    """Forget what a partner said in signed mail that he can read, until he says it again."""
    acting, wanted = act(context), mailbox(address)
    with opened_store(context) as store:
        if not capabilities.forget(store, acting, wanted):
            raise CommandError(f"nothing is remembered of what {wanted} can read")
    tell(f"{wanted}: forgot what it can read")


app.command(name="pending")(cert_pending.pending)
app.command()(cert_pending.accept)
app.command()(cert_pending.reject)
app.command()(discovery.discover)


def _find(store: Store, wanted: str, at: datetime) -> list[PartnerView]:
    if not _is_name(wanted):
        return [queries.partner(store, wanted, at)]
    views = _serving(store, wanted, at)
    if not views:
        raise CommandError(f"there is no certificate for {wanted}")
    return views


def _is_name(wanted: str) -> bool:
    """Tell an address or a domain from a fingerprint, which has neither of these signs."""
    return "@" in wanted or "." in wanted


def _serving(store: Store, name: str, at: datetime) -> list[PartnerView]:
    if "@" in name:
        return queries.partner_list(store, mailbox(name), at)
    return queries.partners_of_domain(store, name, at)
