"""`cert discover`: asks the directories of the settings now, and says what each one knows.

RFC 8550 2.3, RFC 8162.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer

from smime_proxy.address import Mailbox
from smime_proxy.admin.cli.adapters import act, adapters, opened_store, settings
from smime_proxy.admin.cli.arguments import Json, mailbox
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.output import emit_json, emit_table, tell
from smime_proxy.admin.queries import CertificateView, certificate_view
from smime_proxy.certs.selection import PartnerCertificate, choose_recipient
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.discovered import candidates
from smime_proxy.gateway.ports import Answer, Findings
from smime_proxy.policy.effective import effective, minimum_source, partner_rule

MAX_SHOWN = 100  # characters of a record on a line; the rest is in the JSON


@dataclass(frozen=True, slots=True)
class FoundView:
    """A certificate of an answer; `source` is what it is worth, `reason` why it is not usable."""

    source: str
    usable: bool
    reason: str
    certificate: CertificateView


@dataclass(frozen=True, slots=True)
class AnswerView:
    """What one source says; `outcome` is found, none or unreachable.

    `records` are those of the DNS, as zone files have them; `until` is how long the answer holds.
    """

    source: str
    outcome: str
    reason: str
    until: datetime | None
    records: tuple[str, ...]
    found: tuple[FoundView, ...]


def discover(
    context: typer.Context,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose certificate.")],
    keep: Annotated[
        bool, typer.Option("--keep", help="Remember the answers as if mail had asked.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Ask the directories of [discovery] now, and say what each one knows; stores nothing."""
    at, wanted = act(context).at, mailbox(address)
    loaded = settings(context)
    sources = adapters(context).sources(loaded)
    with opened_store(context, loaded) as store:
        gateway = adapters(context).context(loaded, store, sources)
        findings = ask(gateway, wanted, keep=keep)
        answers = views(gateway, wanted, findings, at)
    if as_json:
        emit_json(answers)
    else:
        show_answers(answers)
    if not any(found.usable for answer in answers for found in answer.found):
        raise CommandError(f"no usable certificate was found for {wanted}")


def ask(gateway: Context, mailbox: Mailbox, *, keep: bool) -> Findings:
    """Ask every source; with `keep` the answers are remembered as if mail had brought them up.

    Raises `CommandError` when the settings name no source.
    """
    discovery = gateway.discovery
    if discovery is None:
        raise CommandError("discovery.sources is empty: nobody is asked for certificates")

    async def asked() -> Findings:
        findings = await discovery.ask_all(mailbox)
        if keep:
            await discovery.keep(findings.answers)
        await discovery.close()
        return findings

    return asyncio.run(asked())


def views(gateway: Context, mailbox: Mailbox, findings: Findings, at: datetime) -> list[AnswerView]:
    """Put what the sources said into words, each judged with all that the others said."""
    directory = gateway.directory()
    judged = {one.certificate: one for one in candidates(findings, directory, mailbox, at)}
    minimum = minimum_source(effective(gateway.rules, None), partner_rule(gateway.rules, mailbox))

    def found(answer: Answer) -> Iterator[FoundView]:
        held = [one for one in (a.certificate() for a in answer.associations) if one is not None]
        for certificate in dict.fromkeys((*answer.certificates, *held)):
            one = judged.get(certificate) or PartnerCertificate(certificate)
            choice = choose_recipient(
                [one], mailbox, at, directory.anchors(), minimum, gateway.revocation
            )
            worth = one.source.value if certificate in judged else ""
            view = certificate_view(certificate, at)
            yield FoundView(worth, choice.chosen is not None, choice.why_none, view)

    answered = [
        AnswerView(
            answer.source,
            "none" if answer.reason else "found",
            answer.reason,
            answer.expires_at,
            tuple(record.text for record in answer.associations),
            tuple(found(answer)),
        )
        for answer in findings.answers
    ]
    silent = [
        AnswerView(one.source, "unreachable", one.reason, None, (), ())
        for one in findings.unreachable
    ]
    return [*answered, *silent]


def show_answers(answers: list[AnswerView]) -> None:
    """Print one line a certificate, and one for each source that has none."""
    emit_table(
        ("source", "outcome", "id", "worth", "usable", "until", "reason"),
        [
            (
                answer.source,
                answer.outcome,
                one.certificate.fingerprint[:16] if one else "",
                one.source if one else "",
                one.usable if one else "",
                one.certificate.not_after if one else "",
                (one.reason if one else "") or answer.reason,
            )
            for answer in answers
            for one in answer.found or (None,)
        ],
    )
    for answer in answers:
        for record in answer.records:
            tell(f"{answer.source}: {record[:MAX_SHOWN]}")
