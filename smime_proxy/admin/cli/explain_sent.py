"""`explain --from-sent`: what the rules would do to all mail of a folder, counted and shown.

No RFC: this is for administrators, before anything is enforced. docs/roll-out.md
"""

from pathlib import Path

import typer

from smime_proxy.admin.cli.adapters import act, adapters, opened_store
from smime_proxy.admin.cli.output import emit_json, emit_table, tell
from smime_proxy.admin.cli.ownership import gives_root_up
from smime_proxy.admin.cli.sent_files import reading
from smime_proxy.envelope import Session
from smime_proxy.gateway.forecast import Forecast, Forecasting
from smime_proxy.settings import Settings
from smime_proxy.smtp.intake import normalise
from smime_proxy.stores.declared import Declared

SHOWN = 20  # refusals, recipients and files shown to people; --json has all that are listed


def explain_sent(
    context: typer.Context,
    settings: Settings,
    declared: Declared,
    folder: Path,
    session: Session,
    *,
    as_json: bool,
) -> None:
    """Count what would become of the mail in a folder; sends nothing, changes nothing.

    `declared` are the accounts of the settings, all of whose files can be used.
    """
    acting = act(context)
    limit, state_dir = settings.service.max_message_size, settings.service.state_dir
    with (
        reading(folder, limit, apart=gives_root_up(state_dir)) as found,
        opened_store(context, settings, declared) as store,
    ):
        gateway = adapters(context).context(settings, store, None)
        counting = Forecasting(gateway, session, acting.at)
        for one in found:
            if one.raw is None:
                counting.miss(one.name, one.reason)
            else:
                counting.add(one.name, normalise(one.raw))
    forecast = counting.result()
    if as_json:
        emit_json(forecast)
    else:
        _show(forecast)


def _show(forecast: Forecast) -> None:
    tell(f"{forecast.messages} messages were looked at, {forecast.unreadable} could not be")
    emit_table(
        ("action", "rule", "messages", "recipients"),
        [(one.action, one.rule, one.messages, one.recipients) for one in forecast.outcomes],
    )
    for kind, number in forecast.exemptions.items():
        tell(f"exemption {kind}: {number} messages")
    if forecast.refusals:
        tell("would be refused:")
    emit_table(
        ("messages", "from", "to", "reply"),
        [(one.messages, one.sender, one.recipient, one.reply) for one in forecast.refusals[:SHOWN]],
    )
    _more(len(forecast.refusals) + forecast.refusals_unlisted, "refusals")
    if forecast.without_certificate:
        tell("have no usable certificate, most mail first:")
    emit_table(
        ("messages", "recipient", "remark"),
        [
            (one.messages, one.recipient, one.problem)
            for one in forecast.without_certificate[:SHOWN]
        ],
    )
    _more(len(forecast.without_certificate), "recipients")
    for unread in forecast.unreadable_files[:SHOWN]:
        tell(f"not read: {unread.file}: {unread.reason}")
    _more(forecast.unreadable, "files")


def _more(number: int, what: str) -> None:
    if number > SHOWN:
        tell(f"and {number - SHOWN} more {what}; --json lists them")
