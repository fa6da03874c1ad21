"""`ca`: the built-in certificate authority, for internal use and trials.

RFC 5280 4 (certificates) and 5 (revocation lists); what is made is in `ca_issue`.
"""

from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from smime_proxy.admin import queries
from smime_proxy.admin.cli import ca_issue, files
from smime_proxy.admin.cli.adapters import act, opened_store, settings
from smime_proxy.admin.cli.arguments import Address, Json, PasswordFile, mailbox, to_pem
from smime_proxy.admin.cli.ca_issue import Target
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.output import emit_json, emit_table, say, tell
from smime_proxy.admin.cli.program import noun
from smime_proxy.certs.authority import Issuer, KeyUses, may_certify_authorities
from smime_proxy.certs.crl import Reason
from smime_proxy.stores import authority, issued, revocation_lists

app = noun("The built-in certificate authority.")

Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write key, certificate and chain there too: .p12 or .pfx with a password, else"
        " PEM. Without an account of that address this is the only place.",
        readable=False,
    ),
]
Domains = Annotated[
    list[str] | None,
    typer.Option("--domain", metavar="D", help="It may speak for addresses there alone."),
]


@app.command()
def init(
    context: typer.Context,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Common name of the authority.")
    ] = "smime-proxy internal CA",
    domains: Domains = None,
) -> None:
    """Make the authority, trust it, and print its root as PEM; again: print it."""
    loaded, acting, limits = settings(context), act(context), ca_issue.folded(domains or ())
    with opened_store(context, loaded) as store:
        known = authority.find_root(store)
        if known is None:
            root = ca_issue.mint_root(name, acting.at)
            below = f"{name} issuing 1"
            issuing = ca_issue.mint_issuing(root, below, acting.at, limits, loaded.authority.url)
            authority.init(store, acting, root, issuing)
            certificate = root.certificate
            say(f"made the authority {certificate.subject} and trust it")
        else:
            certificate = known.certificate
            say(f"the authority {certificate.subject} is there already")
        revocation_lists.sign_due(store, acting.at)
    typer.echo(to_pem(certificate), nl=False)


@app.command()
def renew(
    context: typer.Context,
    domains: Domains = None,
    *,
    new_root: Annotated[
        bool, typer.Option("--root", help="Make a new root too, which others have to trust.")
    ] = False,
) -> None:
    """Make a new issuing authority, which issues from now on, and print its root as PEM.

    Where the root is of an older version and leaves no room for one below it, or has no more than
    a year left, that is a new root. What was issued before stays valid.
    """
    loaded, acting, limits = settings(context), act(context), ca_issue.folded(domains or ())
    with opened_store(context, loaded) as store:
        known = authority.find_root(store)
        if known is None:
            raise CommandError("there is no authority: make it with `ca init`")
        base, roots, below = authority.names(store)
        root = Issuer(known.certificate, known.private_key)
        ends = known.certificate.not_after - acting.at < ca_issue.ROOT_LEFT
        new_root = new_root or ends or not may_certify_authorities(known.certificate)
        if new_root:
            root = ca_issue.mint_root(f"{base} {roots + 1}", acting.at)
            say(f"made the root {root.certificate.subject} and trust it; others have to be told")
        name = f"{base} issuing {below + 1}"
        issuing = ca_issue.mint_issuing(root, name, acting.at, limits, loaded.authority.url)
        authority.renew(store, acting, issuing, root if new_root else None)
        revocation_lists.sign_due(store, acting.at)
        say(f"{issuing.certificate.subject} issues from now on")
    typer.echo(to_pem(root.certificate), nl=False)


@app.command(name="issue")
def issue_(
    context: typer.Context,
    address: Address,
    *,
    signing_only: Annotated[
        bool,
        typer.Option("--signing-only", help="Not for encryption; team accounts always get this."),
    ] = False,
    encryption_only: Annotated[
        bool, typer.Option("--encryption-only", help="Not for signing: beside one that is.")
    ] = False,
    out: Out = None,
    password_file: PasswordFile = None,
) -> None:
    """Certify a new key, give it to the account, and print the certificate as PEM."""
    if signing_only and encryption_only:
        raise typer.BadParameter("--signing-only and --encryption-only: give one")
    uses = KeyUses.SIGNING if signing_only else KeyUses.BOTH
    uses = KeyUses.ENCRYPTION if encryption_only else uses
    loaded, acting, wanted = settings(context), act(context), mailbox(address)
    target = Target.open(out, password_file) if out is not None else None
    with opened_store(context, loaded) as store:
        ca_issue.issuer(store)
        owner = ca_issue.account(store, wanted, required=target is None)
        uses = ca_issue.fitting(uses, owner)
        bundle = ca_issue.certify(store, acting, wanted, uses, owner, loaded.authority.url)
    if target is not None:
        target.write(bundle)
    typer.echo(to_pem(bundle.certificate), nl=False)


@app.command()
def reissue(
    context: typer.Context,
    address: Address,
    *,
    revoke_former: Annotated[
        bool, typer.Option("--revoke", help="Revoke what the address had, as superseded.")
    ] = False,
    out: Out = None,
    password_file: PasswordFile = None,
) -> None:
    """Issue again what an address has, for new keys, and print the certificates as PEM."""
    loaded, acting, wanted = settings(context), act(context), mailbox(address)
    target = Target.open(out, password_file) if out is not None else None
    with opened_store(context, loaded) as store:
        ca_issue.issuer(store)
        several = ca_issue.uses_of(issued.listing(store, wanted))
        if not several:
            raise CommandError(f"nothing was issued to {wanted}: see `ca issue`")
        if target is not None and len(several) > 1:
            raise CommandError(
                f"{wanted} has certificates for signing and for encryption: `ca issue` makes one"
                " at a time for a file"
            )
        owner = ca_issue.account(store, wanted, required=target is None)
        bundles = [
            ca_issue.certify(store, acting, wanted, uses, owner, loaded.authority.url)
            for uses in dict.fromkeys(ca_issue.fitting(one, owner) for one in several)
        ]
        if revoke_former:
            kept = [bundle.certificate for bundle in bundles]
            number = issued.revoke_former(store, acting, wanted, kept)
            say(f"{wanted}: {number} former certificate{'' if number == 1 else 's'} revoked")
    if target is not None:
        target.write(bundles[0])
    for bundle in bundles:
        typer.echo(to_pem(bundle.certificate), nl=False)


@app.command(name="list")
def list_(
    context: typer.Context,
    address: Annotated[
        str | None, typer.Argument(metavar="ADDRESS", help="Only what was issued to it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List what the authority issued, the newest first."""
    at, wanted = act(context).at, None if address is None else mailbox(address)
    with opened_store(context) as store:
        views = queries.issued_list(store, wanted, at)
    if as_json:
        emit_json(views)
        return
    emit_table(
        ("id", "address", "for", "state", "issued", "until", "serial"),
        [
            (
                view.certificate.fingerprint[:16],
                view.address or view.certificate.subject,
                view.uses,
                f"{view.state} ({view.reason})" if view.reason else view.state,
                view.issued_at,
                view.certificate.not_after,
                view.certificate.serial,
            )
            for view in views
        ],
    )


@app.command()
def revoke(
    context: typer.Context,
    identifier: Annotated[
        str,
        typer.Argument(metavar="ID", help="Serial number, or fingerprint or 8 digits of it."),
    ],
    reason: Annotated[
        Reason, typer.Option("--reason", help="What the list says of it.")
    ] = Reason.UNSPECIFIED,
) -> None:
    """Revoke a certificate: its key signs no more here, and the list says so to others."""
    acting = act(context)
    with opened_store(context) as store:
        found, is_new = issued.revoke(store, acting, identifier, reason)
    name = found.address or found.certificate.subject
    state = "revoked" if is_new else f"is revoked since {found.revoked_at:%Y-%m-%d}"
    tell(f"{name}: {found.certificate.fingerprint[:16]} {state}")


@app.command()
def crl(
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it there and not to the output.", readable=False),
    ] = None,
) -> None:
    """Print the revocation lists as PEM, that of the newest issuing authority first."""
    acting = act(context)
    descriptor = files.open_private(out) if out is not None else None
    with opened_store(context) as store:
        ca_issue.any_authority(store)
        revocation_lists.sign_due(store, acting.at)
        ders = revocation_lists.current(store)
    pem = b"".join(x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in ders)
    if descriptor is None:
        typer.echo(pem.decode(), nl=False)
    else:
        files.write(descriptor, pem)
        tell(f"{out}: {len(ders)} revocation list{'s' if len(ders) > 1 else ''}")
