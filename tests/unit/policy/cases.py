"""Short ways to say facts, rules and envelopes in policy tests."""

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.selection import PartnerCertificate
from smime_proxy.envelope import Role
from smime_proxy.policy.decide import decide
from smime_proxy.policy.facts import Facts, MessageFacts, RecipientFacts, SenderFacts
from smime_proxy.policy.plan import Decision, Decrypt, Plan, Refusal
from smime_proxy.policy.rules import Account, Kind, Override, Policy, Rules
from tests import pki
from tests.fakes import FakeKey, envelope

ALICE = Account(parse_mailbox("alice@example.test"), logins=frozenset({"alice"}))
BOB = Account(parse_mailbox("bob@example.test"))
TEAM = Account(parse_mailbox("team@example.test"), Kind.TEAM)
_IDENTITY = pki.person(None, "anyone@example.org")
_ON_A_CURVE = pki.person(None, "curve@example.org", kind="p256")
KEY = FakeKey(_IDENTITY)
KEY_ON_A_CURVE = FakeKey(_ON_A_CURVE)
CERTIFICATE = PartnerCertificate(_IDENTITY.certificate)
CERTIFICATE_ON_A_CURVE = PartnerCertificate(_ON_A_CURVE.certificate)


def account(address: str, kind: Kind = Kind.PERSONAL, **override: object) -> Account:
    return Account(parse_mailbox(address), kind, override=Override(**override))  # type: ignore[arg-type]


def sender(who: Account | None = ALICE, **more: object) -> SenderFacts:
    if who is None:
        return SenderFacts(parse_mailbox("eve@elsewhere.org"), **more)  # type: ignore[arg-type]
    values: dict[str, object] = {"named": (who,), "entry": KEY, **more}
    return SenderFacts(who.address, "", who, **values)  # type: ignore[arg-type]


def to(
    address: str, *, known: bool = False, who: Account | None = None, **more: object
) -> RecipientFacts:
    certificate = CERTIFICATE if known else None
    problem = "" if known else "no certificate"
    return RecipientFacts(parse_mailbox(address), who, certificate, problem, **more)  # type: ignore[arg-type]


def outbound(
    *recipients: RecipientFacts,
    who: SenderFacts | None = None,
    message: MessageFacts | None = None,
    policy: Policy | None = None,
    rules: Rules | None = None,
    reverse_path: str | None = "alice@example.test",
    may_report: bool = True,
    **session: object,
) -> Decision:
    facts = Facts(message or MessageFacts(), recipients, who or sender(), may_report)
    addresses = [str(item.mailbox) for item in recipients]
    return decide(
        envelope(b"", reverse_path, *addresses, **session),  # type: ignore[arg-type]
        facts,
        rules or Rules(default=policy or Policy()),
    )


def inbound(
    *recipients: RecipientFacts, message: MessageFacts, may_report: bool = True
) -> Decision:
    facts = Facts(message, recipients, may_report=may_report)
    addresses = [str(item.mailbox) for item in recipients]
    return decide(envelope(b"", "x@y.org", *addresses, role=Role.INBOUND), facts, Rules())


def treatments(decision: Decision) -> dict[str, str]:
    """Give, by recipient, the name of the treatment, or `refused`."""
    assert isinstance(decision, Plan), decision
    found = {
        str(mailbox): type(delivery.treatment).__name__
        for delivery in decision.deliveries
        for mailbox in delivery.recipients
    }
    return found | {str(item.recipient): "refused" for item in decision.refused}


def refusal(decision: Decision) -> Refusal:
    assert isinstance(decision, Refusal), decision
    return decision


def opened_for(decision: Decision) -> dict[str, str]:
    """Give, by recipient, the accounts whose keys open the mail for him."""
    assert isinstance(decision, Plan)
    return {
        str(mailbox): " ".join(str(account.address) for account in delivery.treatment.accounts)
        for delivery in decision.deliveries
        if isinstance(delivery.treatment, Decrypt)
        for mailbox in delivery.recipients
    }
