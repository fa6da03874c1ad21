"""`explain`: says which rule decides what for each recipient of a message, and sends nothing.

The very steps of the mail path; RFC 5321 2.3.1 (envelope).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from smime_proxy.admin.cli import files
from smime_proxy.admin.cli.adapters import act, adapters, opened_store, settings
from smime_proxy.admin.cli.arguments import Json, mailbox
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.explain_sent import explain_sent
from smime_proxy.admin.cli.inspect import without_mbox_line
from smime_proxy.admin.cli.output import emit_json, emit_table, tell
from smime_proxy.admin.cli.program import noun
from smime_proxy.admin.declared import read_declared
from smime_proxy.envelope import Envelope, ForwardPath, Role, Session
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.discovered import Found
from smime_proxy.gateway.explain import Explained, Explanation, to_look_up
from smime_proxy.gateway.explain import explain as explain_envelope
from smime_proxy.gateway.modes import Mode
from smime_proxy.policy.algorithms import HeaderProtection
from smime_proxy.settings import Settings
from smime_proxy.settings.checks import NOT_ENFORCED
from smime_proxy.smtp.intake import normalise
from smime_proxy.stores.declared import Declared

app = noun()

File = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="A message; - for stdin.", readable=False)
]
Sender = Annotated[
    str | None, typer.Option("--from", metavar="A", help="Reverse-path; empty for the null one.")
]
Recipients = Annotated[
    list[str] | None, typer.Option("--to", metavar="B", help="A recipient; repeatable.")
]
FromSent = Annotated[
    Path | None,
    typer.Option(
        "--from-sent",
        metavar="MAILDIR",
        help="Count what would become of mail sent already: a Maildir, *.eml, or an mbox.",
        readable=False,
    ),
]


@app.command()
def explain(
    context: typer.Context,
    file: File = None,
    *,
    sender: Sender = None,
    recipients: Recipients = None,
    from_sent: FromSent = None,
    listener: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="As if it came there; default the first outbound one."),
    ] = None,
    login: Annotated[
        str | None,
        typer.Option("--login", metavar="NAME", help="As if NAME had logged in; default: trusted."),
    ] = None,
    discover: Annotated[
        bool, typer.Option("--discover", help="Ask the directories of [discovery] too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say which rule decides what for each recipient; sends nothing."""
    if from_sent is not None:
        alone = {"FILE": file, "--from": sender, "--to": recipients, "--login": login}
        _refuse_mixed(alone | {"--discover": discover or None})
        loaded = settings(context)
        session = _session(loaded, listener, None)
        declared = _declared(loaded, act(context).at)
        explain_sent(context, loaded, declared, from_sent, session, as_json=as_json)
        return
    if file is None or sender is None or not recipients:
        raise typer.BadParameter("--from A --to B FILE are needed, or --from-sent MAILDIR alone")
    loaded, acting = settings(context), act(context)
    declared = _declared(loaded, acting.at)
    sources = adapters(context).sources(loaded) if discover else None
    envelope = Envelope(
        identifier="explain",
        session=_session(loaded, listener, login),
        reverse_path=mailbox(sender) if sender and sender != "<>" else None,
        forward_paths=tuple(ForwardPath(mailbox(text)) for text in recipients),
        content=normalise(without_mbox_line(files.read(file))),
        received_at=acting.at,
    )
    with opened_store(context, loaded, declared) as store:
        gateway = adapters(context).context(loaded, store, sources)
        looked_up = asyncio.run(_look_up(gateway, envelope)) if discover else None
        found = explain_envelope(gateway, envelope, looked_up)
    order = [str(path.mailbox) for path in envelope.forward_paths]
    in_order = sorted(found.recipients, key=lambda one: order.index(one.recipient))
    found = replace(found, recipients=tuple(in_order))
    if as_json:
        emit_json(found)
        return
    _show(found)
    known = declared.find(envelope.reverse_path) if envelope.reverse_path else None
    if known is not None:
        tell(f"the account {known.account.address} is declared in the settings")
    if meaning := NOT_ENFORCED.get(Mode(found.mode)):
        tell(f"the listener {envelope.session.listener} is in mode {found.mode}: {meaning}")


def _declared(loaded: Settings, at: datetime) -> Declared:
    """Read the declared accounts; what would be said without their keys is never true."""
    declared = read_declared(loaded, at)
    if declared.faults:
        raise CommandError("\n".join(declared.faults))
    return declared


def _refuse_mixed(others: Mapping[str, object]) -> None:
    given = [name for name, value in others.items() if value is not None and value != []]
    if given:
        raise typer.BadParameter(
            f"--from-sent takes senders and recipients from the mail: leave out {', '.join(given)}"
        )


async def _look_up(gateway: Context, envelope: Envelope) -> Found:
    """Ask the directories as the mail path would."""
    discovery = gateway.discovery
    if discovery is None:
        return {}
    found = await discovery.find(to_look_up(gateway, envelope), gateway.directory())
    await discovery.close()
    return found


def _session(settings: Settings, name: str | None, login: str | None) -> Session:
    """Give the session of a client of a listener: one that logged in, or a trusted one."""
    outbound = [key for key, one in settings.listeners.items() if one.role is Role.OUTBOUND]
    chosen = name or next(iter(outbound), "")
    if chosen not in settings.listeners:
        raise CommandError(
            f"there is no listener {name!r} in the settings"
            if name
            else "the settings have no outbound listener"
        )
    role = settings.listeners[chosen].role
    trusted = login is None
    here = "127.0.0.1"
    return Session(chosen, role, peer=here, helo="localhost", login=login, trusted=trusted)


def _show(found: Explained) -> None:
    emit_table(
        ("recipient", "action", "group", "rule", "algorithms", "certificates", "remark"),
        [
            (
                one.recipient,
                one.action,
                one.group or "",
                one.rule,
                _algorithms(one),
                [fingerprint[:16] for fingerprint in one.certificates],
                one.reply or one.problem,
            )
            for one in found.recipients
        ],
    )
    for exemption in found.exemptions:
        tell(f"exemption: {exemption}")
    for name, source in found.sources.items():
        tell(f"{name}: from {source}")
    for one in found.recipients:
        if one.certificate_source:
            tell(f"the certificate of {one.recipient} is {one.certificate_source}")
        if one.opened_with:
            tell(f"opened for {one.recipient} with keys of {', '.join(one.opened_with)}")
        if one.lookups:
            tell(f"{one.recipient} would be looked up in {', '.join(one.lookups)} (--discover)")
        if one.reads:
            tell(f"{one.recipient} can read {', '.join(one.reads)}")
        for name, source in one.sources.items():
            if source != found.sources.get(name):
                tell(f"{name} for {one.recipient}: from {source}")


def _algorithms(one: Explanation) -> list[str]:
    """Name the algorithms of one recipient's copy; what is off goes without saying."""
    named = {"opaque": "opaque", "header_protection": "header protection"}
    return [
        named.get(name, value)
        for name, value in one.algorithms.items()
        if value not in {"no", HeaderProtection.OFF.value}
    ]
