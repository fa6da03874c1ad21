"""Deciding is total: any facts and rules give a plan that names every recipient exactly once."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import Role
from smime_proxy.policy import rules as policy_rules
from smime_proxy.policy.decide import decide
from smime_proxy.policy.facts import Facts, MessageFacts, RecipientFacts, SenderFacts
from smime_proxy.policy.plan import (
    Decision,
    Decrypt,
    Encrypt,
    Plan,
    Refusal,
    Relay,
    Sign,
    SignThenEncrypt,
)
from smime_proxy.policy.rules import (
    Account,
    AfterDecryption,
    Internal,
    Kind,
    ListenerRule,
    OnMissingCertificate,
    OnMissingKey,
    Override,
    PartnerRule,
    Policy,
    Rules,
)
from tests.fakes import envelope
from tests.unit.policy.cases import CERTIFICATE, KEY

ADDRESSES = [f"{name}@{domain}" for name in ("a", "b", "c") for domain in ("ours.test", "y.org")]
mailboxes = st.sampled_from(ADDRESSES).map(parse_mailbox)
signs = st.sampled_from(policy_rules.Sign)
encrypts = st.sampled_from(policy_rules.Encrypt)
maybe_sign = st.none() | signs
maybe_encrypt = st.none() | encrypts
policies = st.builds(
    Policy,
    signs,
    encrypts,
    st.sampled_from(OnMissingKey),
    st.sampled_from(OnMissingCertificate),
    st.sampled_from(Internal),
    st.sampled_from(["", "maildir:///sent"]),
    st.booleans(),
    after_decryption=st.sampled_from(AfterDecryption),
)
overrides = st.builds(
    Override,
    maybe_sign,
    maybe_encrypt,
    after_decryption=st.none() | st.sampled_from(AfterDecryption),
)
accounts = st.builds(
    Account,
    mailboxes,
    st.sampled_from(Kind),
    logins=st.sampled_from([frozenset(), frozenset({"login"})]),
    override=overrides,
    enabled=st.booleans(),
)
maybe_account = st.none() | accounts
rules = st.builds(
    Rules,
    policies,
    st.dictionaries(st.sampled_from(["ours.test", "y.org"]), overrides),
    st.dictionaries(
        st.sampled_from([*ADDRESSES, "y.org"]),
        st.builds(PartnerRule, maybe_sign, maybe_encrypt),
        max_size=2,
    ),
    st.dictionaries(
        st.just("out"),
        st.builds(ListenerRule, st.sampled_from([("*",), (), ("*@ours.test",)]), st.booleans()),
    ),
)
messages = st.builds(
    MessageFacts,
    st.sampled_from(["", "", "", "REQUEST"]),
    *[st.booleans()] * 9,
    conversation=st.sampled_from(["", "", "answers mail that came encrypted"]),
)
recipients = st.lists(
    st.builds(
        RecipientFacts,
        mailboxes,
        maybe_account,
        st.sampled_from([None, CERTIFICATE]),
        st.just("why not"),
        visible=st.booleans(),
        openers=st.lists(accounts, max_size=2, unique_by=lambda one: one.address).map(tuple),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda item: item.mailbox,
).map(tuple)


@st.composite
def senders(draw: st.DrawFn) -> SenderFacts:
    mailbox, account = draw(st.none() | mailboxes), draw(maybe_account)
    found = draw(st.lists(accounts, max_size=2, unique_by=lambda one: one.address))
    # One address is one account.
    named = tuple(one for one in found if account is None or one.address != account.address)
    if mailbox is None:
        return SenderFacts(None, "two From fields", None, named)
    if account is None:
        return SenderFacts(mailbox, "", None, named)
    entry = draw(st.sampled_from([None, KEY]))
    unavailable = entry is None and draw(st.booleans())
    return SenderFacts(mailbox, "", account, (account, *named), entry, "no key", unavailable)


everything = st.builds(Facts, messages, recipients, senders(), st.booleans())


def decided(facts: Facts, written: Rules, role: Role, *, login: str | None, null: bool) -> Decision:
    session = {"login": login, "trusted": login is None}
    addresses = [str(item.mailbox) for item in facts.recipients]
    path = None if null else str(facts.sender.mailbox or "z@y.org")
    return decide(envelope(b"", path, *addresses, role=role, **session), facts, written)


@given(
    everything,
    rules,
    st.sampled_from(Role),
    st.sampled_from([None, "login", "other"]),
    st.booleans(),
)
@settings(max_examples=150)
def test_any_facts_and_rules_give_a_refusal_or_each_recipient_once(
    facts: Facts, written: Rules, role: Role, login: str | None, null: bool
) -> None:
    decision = decided(facts, written, role, login=login, null=null)
    wanted = Counter(item.mailbox for item in facts.recipients)
    if isinstance(decision, Refusal):
        assert decision.detail
        assert decision.rule
        return
    named = [mailbox for delivery in decision.deliveries for mailbox in delivery.recipients]
    assert Counter([*named, *(item.recipient for item in decision.refused)]) == wanted
    assert decision.deliveries
    for delivery in decision.deliveries:
        assert delivery.recipients
        assert delivery.rule
    if decision.refused:  # who is refused silently is lost
        assert facts.may_report
        assert facts.message.answerable


def must_stay_secret(facts: Facts, written: Rules) -> bool:
    """Tell whether a policy that holds for From keeps what was decrypted from leaving in clear."""
    for account in facts.sender.named:
        domain = written.domains.get(account.address.domain, Override())
        value = account.override.after_decryption or domain.after_decryption
        if (value or written.default.after_decryption) is AfterDecryption.ENCRYPT:
            return True
    default = written.default.after_decryption is AfterDecryption.ENCRYPT
    return default and not facts.sender.named


def demands(facts: Facts, written: Rules, item: RecipientFacts) -> bool:
    """Tell, written a second time and plainly, whether encryption must not be left out."""
    message, required = facts.message, policy_rules.Encrypt.REQUIRED
    if message.asks_encrypt or (message.conversation and must_stay_secret(facts, written)):
        return True
    for account in facts.sender.named:
        domain = written.domains.get(account.address.domain, Override())
        value = account.override.encrypt or domain.encrypt or written.default.encrypt
        sensitivity = written.default.request_by_sensitivity and message.sensitive
        if value is required or sensitivity:
            return True
    if not facts.sender.named or item.account is not None:
        return False
    partner = written.partners.get(item.mailbox.key, PartnerRule())
    above = written.partners.get(item.mailbox.domain, PartnerRule())
    return (partner.encrypt or above.encrypt) is required


@given(everything, rules, st.sampled_from([None, "login"]), st.booleans())
@settings(max_examples=200)
def test_i5_what_demands_encryption_is_never_sent_clear(
    facts: Facts, written: Rules, login: str | None, null: bool
) -> None:
    """I5, E02: but for what never is: internal mail, invitations, what the client encrypted."""
    decision = decided(facts, written, Role.OUTBOUND, login=login, null=null)
    by_mailbox = {item.mailbox: item for item in facts.recipients}
    if isinstance(decision, Refusal):
        return
    if facts.message.meeting or facts.message.encrypted or facts.message.pgp_encrypted:
        assert not (facts.message.meeting and facts.message.asks_encrypt)
        return
    internal = any(
        (account.override.internal or written.default.internal) is Internal.SIGN
        for account in facts.sender.named
    ) or (not facts.sender.named and written.default.internal is Internal.SIGN)
    for delivery in decision.deliveries:
        if not isinstance(delivery.treatment, Relay | Sign):
            continue
        for mailbox in delivery.recipients:
            item = by_mailbox[mailbox]
            assert not demands(facts, written, item) or (item.account is not None and internal)


@given(everything, rules, st.sampled_from([None, "login"]), st.booleans())
@settings(max_examples=100)
def test_teams_neither_send_nor_get_what_we_encrypt(
    facts: Facts, written: Rules, login: str | None, null: bool
) -> None:
    """V25: and nobody's ciphertext names a recipient of another group, E20, I6."""
    decision = decided(facts, written, Role.OUTBOUND, login=login, null=null)
    if isinstance(decision, Refusal):
        return
    by_mailbox = {item.mailbox: item for item in facts.recipients}
    for delivery in decision.deliveries:
        if not isinstance(delivery.treatment, Encrypt | SignThenEncrypt):
            continue
        assert not any(account.kind is Kind.TEAM for account in facts.sender.named)
        members = [by_mailbox[mailbox] for mailbox in delivery.recipients]
        assert all(item.certificate is not None for item in members)
        assert not any(item.account and item.account.kind is Kind.TEAM for item in members)
        assert len(members) == 1 or all(item.visible for item in members)
    if facts.message.encrypted and (facts.message.sealed or not facts.message.meeting):
        assert not any(account.kind is Kind.TEAM for account in facts.sender.named)


@given(everything, rules, st.sampled_from([None, "login", "other"]), st.booleans())
@settings(max_examples=100)
def test_i7_a_key_signs_only_for_who_may_use_it(
    facts: Facts, written: Rules, login: str | None, null: bool
) -> None:
    """I7, E01."""
    decision = decided(facts, written, Role.OUTBOUND, login=login, null=null)
    if isinstance(decision, Refusal):
        return
    keys = [
        delivery.treatment.key
        for delivery in decision.deliveries
        if isinstance(delivery.treatment, Sign | SignThenEncrypt)
    ]
    copy = decision.sent_copy
    keys += [copy.key] if copy is not None and copy.key is not None else []
    account = facts.sender.account
    for key in keys:
        assert account is not None
        assert key.account == account
        assert account.enabled
        assert not null
        assert login is None or login in account.logins
        assert not facts.message.signed


@given(everything)
@settings(max_examples=100)
def test_i6_text_is_opened_only_with_keys_for_the_recipient_and_never_for_a_team(
    facts: Facts,
) -> None:
    """I6."""
    decision = decided(facts, Rules(), Role.INBOUND, login=None, null=False)
    if isinstance(decision, Refusal):
        assert facts.message.encrypted
        return
    by_mailbox = {item.mailbox: item for item in facts.recipients}
    for delivery in decision.deliveries:
        treatment = delivery.treatment
        if not isinstance(treatment, Decrypt):
            continue
        assert treatment.accounts
        assert all(account.kind is Kind.PERSONAL for account in treatment.accounts)
        for mailbox in delivery.recipients:
            item = by_mailbox[mailbox]
            assert set(treatment.accounts) <= set(item.openers)
            assert item.account is None or item.account.kind is Kind.PERSONAL


@pytest.mark.parametrize("role", list(Role))
def test_e01_the_listener_alone_decides_the_direction(role: Role) -> None:
    """E01: mail from our own address that comes in from outside is not signed."""
    who = Account(parse_mailbox("a@ours.test"))
    facts = Facts(
        MessageFacts(),
        (RecipientFacts(parse_mailbox("b@ours.test"), who),),
        SenderFacts(who.address, "", who, (who,), KEY),
    )
    decision = decided(facts, Rules(), role, login=None, null=False)
    assert isinstance(decision, Plan)
    expected = Sign if role is Role.OUTBOUND else Relay
    assert isinstance(decision.deliveries[0].treatment, expected)
