"""`trust`: the authorities whose certificates are believed.

RFC 5280 6.1.1 (d) (trust anchors).
"""

from pathlib import Path
from typing import Annotated

import typer

from smime_proxy.admin import queries
from smime_proxy.admin.cli.adapters import act, opened_store
from smime_proxy.admin.cli.arguments import Fingerprint, Json
from smime_proxy.admin.cli.output import emit_json, emit_table, say, tell
from smime_proxy.admin.cli.partner_import import read_certificate_file
from smime_proxy.admin.cli.program import noun
from smime_proxy.stores import anchors

app = noun("Trust anchors for S/MIME.")


@app.command()
def add(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="PEM, DER or PKCS#7.")],
    domains: Annotated[
        list[str] | None,
        typer.Option("--for", metavar="DOMAIN", help="Vouches only for addresses there."),
    ] = None,
) -> None:
    """Trust the authorities of a file, everywhere or for some domains."""
    acting = act(context)
    found = read_certificate_file(file)
    with opened_store(context) as store:
        added = anchors.add(store, acting, found, domains or ())
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
        ("id", "subject", "for", "until"),
        [
            (
                view.certificate.fingerprint[:16],
                view.certificate.subject,
                view.domains or "everywhere",
                view.certificate.not_after,
            )
            for view in views
        ],
    )


@app.command()
def remove(context: typer.Context, fingerprint: Fingerprint) -> None:
    """Trust an authority no more."""
    acting = act(context)
    with opened_store(context) as store:
        anchors.remove(store, acting, fingerprint)
