"""`cert pending`, `cert accept`, `cert reject`: certificates found in signed mail, and decisions.

No RFC; E06, A13. What carries a warning is decided one by one, by its id.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from smime_proxy.admin import queries
from smime_proxy.admin.cli.adapters import act, opened_store
from smime_proxy.admin.cli.arguments import Json, mailbox
from smime_proxy.admin.cli.output import emit_json, emit_table, say, tell
from smime_proxy.admin.queries import PartnerView
from smime_proxy.certs.path import ChainStatus
from smime_proxy.certs.source import Source
from smime_proxy.smime.status import ID_DIGITS
from smime_proxy.stores import harvest, partners
from smime_proxy.stores.connection import Store
from smime_proxy.stores.pending import PendingKey

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID…", help="Fingerprints, or at least 8 digits of each."),
]


def pending(context: typer.Context, as_json: Json = False) -> None:
    """List the certificates found in signed mail that wait for a decision, the latest first."""
    at = act(context).at
    with opened_store(context) as store:
        views = queries.pending_list(store, at)
    if as_json:
        emit_json(views)
        return
    emit_table(
        ("id", "address", "warning", "chain", "until", "last seen", "mails", "issuer"),
        [
            (
                view.id,
                view.address,
                view.warning,
                view.chain,
                view.certificate.not_after,
                view.last_seen,
                view.count,
                view.certificate.issuer,
            )
            for view in views
        ],
    )


def accept(
    context: typer.Context,
    ids: Ids = None,
    every: Annotated[bool, typer.Option("--all", help="All that wait without a warning.")] = False,
    trusted: Annotated[
        bool, typer.Option("--trusted", help="With --all: only those whose chain is trusted now.")
    ] = False,
    addresses: Annotated[
        list[str] | None,
        typer.Option("--address", metavar="ADDRESS", help="Only for this address; repeatable."),
    ] = None,
) -> None:
    """Take in certificates that wait; from now on mail is encrypted to them."""
    acting, wanted = act(context), ids or []
    if bool(wanted) == every or (trusted and not every):
        raise typer.BadParameter("name certificates by ID, or give --all, which --trusted limits")
    if every and addresses:
        raise typer.BadParameter("--address is for a certificate named by ID")
    mailboxes = [mailbox(text) for text in addresses or []]
    with opened_store(context) as store:
        if every:
            wanted = _unsuspicious(store, acting.at, trusted=trusted)
        accepted = harvest.accept(store, acting, wanted, mailboxes) if wanted else ()
        for one in accepted:
            tell(f"{_named(one.key)}: accepted{' and pinned' if one.pinned else ''}")
        _warn(store, [one.key for one in accepted], acting.at)
        left = len(harvest.listing(store)) if every else 0
    if not accepted:
        tell("nothing accepted: no certificate waits that --all takes")
    if left:
        say(f"{left} left to be decided by ID; `cert pending` shows them")


def reject(context: typer.Context, ids: Ids = None) -> None:
    """Refuse certificates that wait; nobody is asked about them again."""
    acting = act(context)
    if not ids:
        raise typer.BadParameter("name certificates by ID")
    with opened_store(context) as store:
        for key in harvest.reject(store, acting, ids):
            tell(f"{_named(key)}: rejected")


def _unsuspicious(store: Store, at: datetime, *, trusted: bool) -> list[str]:
    """Give the fingerprints of all that wait without a warning for any of their addresses.

    Not of those that are pinned for another: they would be for these too.
    """
    views = queries.pending_list(store, at)
    doubtful = {view.certificate.fingerprint for view in views if view.warning}
    doubtful |= {one.certificate.fingerprint for one in partners.listing(store) if one.pinned}
    if trusted:
        standing = ChainStatus.TRUSTED.value
        doubtful |= {view.certificate.fingerprint for view in views if view.chain != standing}
    found = dict.fromkeys(view.certificate.fingerprint for view in views)
    return [fingerprint for fingerprint in found if fingerprint not in doubtful]


def _warn(store: Store, accepted: Sequence[PendingKey], at: datetime) -> None:
    """Say which of the accepted mail is not encrypted to as things stand, and why."""
    views = queries.partner_list(store, None, at) if accepted else []
    for key in accepted:
        mine = [view for view in views if key.mailbox.text in view.addresses]
        new = next(v for v in mine if v.certificate.fingerprint == key.certificate.fingerprint)
        if not new.usable:
            say(f"warning: {_named(key)} is not used: {new.reason}")
            continue
        for other in mine:
            if other.usable and _goes_before(other, new, key.mailbox.text):
                source = other.sources[key.mailbox.text]
                older = other.certificate.fingerprint[:ID_DIGITS]
                say(
                    f"warning: mail to {key.mailbox} goes to {source} {older} while that is"
                    f" usable; `cert remove {older}` ends it"
                )


def _goes_before(other: PartnerView, new: PartnerView, address: str) -> bool:
    ranks = [Source(view.sources[address]).rank for view in (other, new)]
    dates = [view.certificate.not_before for view in (other, new)]
    return (ranks[0], dates[0]) > (ranks[1], dates[1])


def _named(key: PendingKey) -> str:
    return f"{key.certificate.fingerprint[:ID_DIGITS]} for {key.mailbox}"
