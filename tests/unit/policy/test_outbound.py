"""Outgoing mail: who signs, what is encrypted, what is refused, and by which rule."""

from dataclasses import replace

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.policy.facts import MessageFacts, SenderFacts
from smime_proxy.policy.plan import Plan, Relay, Why
from smime_proxy.policy.rules import (
    AfterDecryption,
    Encrypt,
    Internal,
    Kind,
    ListenerRule,
    OnMissingCertificate,
    OnMissingKey,
    PartnerRule,
    Policy,
    Rules,
    Sign,
)
from tests.unit.policy.cases import (
    ALICE,
    BOB,
    TEAM,
    account,
    outbound,
    refusal,
    sender,
    to,
    treatments,
)

REQUIRED = Policy(encrypt=Encrypt.REQUIRED)
REJECT_THOSE = replace(REQUIRED, on_missing_certificate=OnMissingCertificate.REJECT_THOSE)
ASKS = MessageFacts(asks_encrypt=True)


def test_an_account_with_a_key_signs() -> None:
    assert treatments(outbound(to("x@y.org"))) == {"x@y.org": "Sign"}


def test_a_known_certificate_is_encrypted_to_and_the_others_are_not() -> None:
    decision = outbound(to("x@y.org"), to("z@y.org", known=True))
    assert treatments(decision) == {"x@y.org": "Sign", "z@y.org": "SignThenEncrypt"}


def test_a_from_that_names_no_account_is_relayed_untouched() -> None:
    decision = outbound(to("x@y.org", known=True), who=sender(None))
    assert isinstance(decision, Plan)
    assert decision.deliveries[0].treatment == Relay()
    assert decision.deliveries[0].rule == "From names no account"


def test_a_request_to_encrypt_holds_for_a_from_that_names_no_account() -> None:
    assert treatments(outbound(to("x@y.org", known=True), who=sender(None), message=ASKS)) == {
        "x@y.org": "Encrypt"
    }
    decision = outbound(to("x@y.org"), who=sender(None), message=ASKS)
    assert refusal(decision).why is Why.CERTIFICATE_MISSING


def test_a_from_that_does_not_qualify_is_unsigned_and_its_encryption_still_holds() -> None:
    """E03, M7: two mailboxes in From sign nothing and weaken nothing."""
    strict = account("alice@example.test", encrypt=Encrypt.REQUIRED)
    doubtful = SenderFacts(problem="two mailboxes", named=(BOB, strict))
    assert treatments(outbound(to("x@y.org", known=True), who=doubtful)) == {"x@y.org": "Encrypt"}
    assert refusal(outbound(to("x@y.org"), who=doubtful)).why is Why.CERTIFICATE_MISSING


def test_a_reverse_path_of_somebody_else_signs_nothing() -> None:
    """E01: a forwarder in a trusted network does not use the key."""
    decision = outbound(to("x@y.org"), reverse_path="list@elsewhere.org")
    assert treatments(decision) == {"x@y.org": "Relay"}
    assert isinstance(decision, Plan)
    assert decision.exemptions == ("unsigned: the reverse-path is not the From mailbox",)


def test_envelope_match_may_be_switched_off_for_a_listener() -> None:
    rules = Rules(listeners={"out": ListenerRule(envelope_match=False)})
    decision = outbound(to("x@y.org"), reverse_path="other@example.test", rules=rules)
    assert treatments(decision) == {"x@y.org": "Sign"}


def test_an_alias_of_the_account_is_a_fitting_reverse_path() -> None:
    alias = replace(ALICE, aliases=frozenset({parse_mailbox("a.l@example.test")}))
    decision = outbound(to("x@y.org"), who=sender(alias), reverse_path="a.l@example.test")
    assert treatments(decision) == {"x@y.org": "Sign"}


def test_the_null_reverse_path_is_never_signed_and_not_rewritten() -> None:
    """E71: reports and receipts are encrypted, passed or refused."""
    decision = outbound(to("x@y.org"), reverse_path=None)
    assert isinstance(decision, Plan)
    assert decision.deliveries[0].treatment == Relay(requests=False)
    assert treatments(outbound(to("x@y.org", known=True), reverse_path=None)) == {
        "x@y.org": "Encrypt"
    }


@pytest.mark.parametrize(
    ("entry", "treatment"),
    [
        ("*", "Sign"),
        ("*@example.test", "Sign"),
        ("alice@example.test", "Sign"),
        ("bob@example.test", "Relay"),
        ("*@other.test", "Relay"),
    ],
)
def test_only_the_listed_accounts_sign_on_a_listener(entry: str, treatment: str) -> None:
    rules = Rules(listeners={"out": ListenerRule(accounts=(entry,))})
    assert treatments(outbound(to("x@y.org"), rules=rules)) == {"x@y.org": treatment}


def test_a_stranger_outside_the_trusted_networks_signs_nothing() -> None:
    assert treatments(outbound(to("x@y.org"), trusted=False)) == {"x@y.org": "Relay"}


def test_a_granted_login_signs_from_anywhere_and_another_is_refused() -> None:
    """I7: key use needs the grant."""
    granted = outbound(to("x@y.org"), trusted=False, login="alice", reverse_path="z@y.org")
    assert treatments(granted) == {"x@y.org": "Sign"}
    assert refusal(outbound(to("x@y.org"), login="bob")).why is Why.FROM_NOT_GRANTED


def test_mail_of_a_shared_network_without_our_mark_is_refused_whatever_it_is() -> None:
    """Row A03: before any key is used, and never relayed; who authenticated needs no mark."""
    for message in (
        MessageFacts(lacks_field="X-Org"),
        MessageFacts(lacks_field="X-Org", meeting="REQUEST"),
        MessageFacts(lacks_field="X-Org", encrypted=True),
    ):
        refused = refusal(outbound(to("x@y.org"), message=message))
        assert refused.why is Why.FIELD_REQUIRED
        assert "X-Org" in refused.detail
    known = outbound(to("x@y.org"), message=MessageFacts(lacks_field="X-Org"), login="alice")
    assert treatments(known) == {"x@y.org": "Sign"}


def test_a_disabled_account_signs_no_more() -> None:
    off = sender(replace(ALICE, enabled=False))
    assert treatments(outbound(to("x@y.org"), who=off)) == {"x@y.org": "Relay"}


def test_without_a_key_mail_goes_unsigned_or_back_as_policy_says() -> None:
    keyless = sender(entry=None, key_problem="expired")
    assert treatments(outbound(to("x@y.org"), who=keyless)) == {"x@y.org": "Relay"}
    reject = Policy(on_missing_key=OnMissingKey.REJECT)
    assert refusal(outbound(to("x@y.org"), who=keyless, policy=reject)).why is Why.KEY_MISSING


def test_a_key_that_cannot_be_loaded_is_never_sent_anyway() -> None:
    broken = sender(entry=None, key_problem="not loaded", key_unavailable=True)
    assert refusal(outbound(to("x@y.org"), who=broken)).why is Why.KEY_UNAVAILABLE


def test_signing_follows_policy_request_and_partner() -> None:
    on_request = Policy(sign=Sign.ON_REQUEST)
    assert treatments(outbound(to("x@y.org"), policy=on_request)) == {"x@y.org": "Relay"}
    asked = MessageFacts(asks_sign=True)
    assert treatments(outbound(to("x@y.org"), policy=on_request, message=asked)) == {
        "x@y.org": "Sign"
    }
    rules = Rules(Policy(sign=Sign.NEVER), partners={"y.org": PartnerRule(sign=Sign.ALWAYS)})
    decision = outbound(to("x@y.org"), to("x@z.org"), rules=rules)
    assert treatments(decision) == {"x@y.org": "Sign", "x@z.org": "Relay"}


@pytest.mark.parametrize(
    "message", [MessageFacts(meeting="REQUEST"), MessageFacts(meeting="REPLY")]
)
def test_meetings_pass_untouched_whatever_policy_says(message: MessageFacts) -> None:
    """E23-E30."""
    decision = outbound(to("x@y.org", known=True), message=message, policy=REQUIRED)
    assert isinstance(decision, Plan)
    assert decision.deliveries[0].treatment == Relay()
    assert decision.exemptions == ("meeting",)


def test_a_meeting_with_a_request_to_encrypt_is_refused() -> None:
    message = MessageFacts(meeting="REQUEST", asks_encrypt=True)
    assert refusal(outbound(to("x@y.org"), message=message)).why is Why.MEETING_NOT_ENCRYPTED


def test_a_ciphertext_that_says_it_is_a_meeting_is_no_way_round_the_rule_for_teams() -> None:
    """E66: `Content-Class` stands outside the encryption, where anybody can write it."""
    message = MessageFacts(smime=True, encrypted=True, meeting="CONTENT-CLASS")
    partner, team = to("x@y.org", known=True), to("team@example.test", who=TEAM)
    assert treatments(outbound(partner, message=message)) == {"x@y.org": "Relay"}
    sends = refusal(outbound(partner, who=sender(TEAM), message=message))
    assert sends.why is Why.TEAM_SENDS_NO_ENCRYPTED
    assert refusal(outbound(team, message=message)).why is Why.TEAM_GETS_NO_ENCRYPTED


def test_mail_signed_by_the_client_is_not_signed_again_but_encrypted() -> None:
    """E33."""
    message = MessageFacts(smime=True, signed=True)
    decision = outbound(to("x@y.org"), to("z@y.org", known=True), message=message)
    assert treatments(decision) == {"x@y.org": "Relay", "z@y.org": "Encrypt"}
    assert isinstance(decision, Plan)
    assert decision.exemptions == ()


def test_mail_encrypted_by_the_client_is_relayed() -> None:
    for message in (MessageFacts(smime=True, encrypted=True), MessageFacts(pgp_encrypted=True)):
        decision = outbound(to("x@y.org", known=True), message=message, policy=REQUIRED)
        assert treatments(decision) == {"x@y.org": "Relay"}


def test_i5_mail_encrypted_by_its_label_alone_gets_what_policy_says() -> None:
    """I5: not touched where nothing is demanded, never clear where encryption is."""
    label = MessageFacts(smime=True, signed=True, encrypted=True, sealed=False)
    known, unknown = to("x@y.org", known=True), to("z@y.org")
    assert treatments(outbound(known, message=label, policy=REQUIRED)) == {"x@y.org": "Encrypt"}
    assert treatments(outbound(unknown, message=label)) == {"z@y.org": "Relay"}
    refused = refusal(outbound(known, unknown, message=label, policy=REQUIRED))
    assert refused.why is Why.CERTIFICATE_MISSING
    team = refusal(outbound(known, who=sender(TEAM), message=label))
    assert team.why is Why.TEAM_SENDS_NO_ENCRYPTED


def test_i5_text_among_the_header_fields_is_refused_where_it_would_stay_clear() -> None:
    """I5: a mail without the empty line behind its header."""
    loose = MessageFacts(loose_header=True)
    refused = refusal(outbound(to("x@y.org", known=True), message=loose))
    assert refused.why is Why.MALFORMED
    assert treatments(outbound(to("z@y.org"), message=loose)) == {"z@y.org": "Sign"}


def test_encryption_required_without_a_certificate_refuses_all() -> None:
    """E02, R11."""
    decision = refusal(outbound(to("x@y.org"), to("z@y.org", known=True), policy=REQUIRED))
    assert decision.why is Why.CERTIFICATE_MISSING
    assert "x@y.org: no certificate" in decision.detail
    assert "z@y.org" not in decision.detail


def test_reject_those_sends_to_the_others_and_reports_the_rest() -> None:
    decision = outbound(to("x@y.org"), to("z@y.org", known=True), policy=REJECT_THOSE)
    assert treatments(decision) == {"x@y.org": "refused", "z@y.org": "SignThenEncrypt"}


def test_reject_those_refuses_all_when_no_report_may_be_sent() -> None:
    recipients = (to("x@y.org"), to("z@y.org", known=True))
    assert refusal(outbound(*recipients, policy=REJECT_THOSE, may_report=False)).rule
    automatic = MessageFacts(answerable=False)
    assert refusal(outbound(*recipients, policy=REJECT_THOSE, message=automatic)).rule


def test_reject_those_holds_for_a_request_as_for_a_requirement() -> None:
    """Each recipient gets it encrypted or not at all, and the sender is told of those."""
    lenient = Policy(on_missing_certificate=OnMissingCertificate.REJECT_THOSE)
    decision = outbound(to("x@y.org"), to("z@y.org", known=True), policy=lenient, message=ASKS)
    assert treatments(decision) == {"x@y.org": "refused", "z@y.org": "SignThenEncrypt"}
    assert refusal(outbound(to("x@y.org"), policy=lenient, message=ASKS)).rule


def test_a_request_overrules_an_account_that_never_encrypts() -> None:
    never = Policy(encrypt=Encrypt.NEVER)
    assert treatments(outbound(to("x@y.org", known=True), policy=never)) == {"x@y.org": "Sign"}
    decision = outbound(to("x@y.org", known=True), policy=never, message=ASKS)
    assert treatments(decision) == {"x@y.org": "SignThenEncrypt"}


def test_plain_turns_off_what_is_possible_and_never_what_is_required() -> None:
    plain = MessageFacts(asks_plain=True)
    known = to("x@y.org", known=True)
    assert treatments(outbound(known, message=plain)) == {"x@y.org": "Sign"}
    assert treatments(outbound(known, message=plain, policy=REQUIRED)) == {
        "x@y.org": "SignThenEncrypt"
    }


def test_sensitivity_asks_only_where_policy_lets_it() -> None:
    sensitive = MessageFacts(sensitive=True)
    assert treatments(outbound(to("x@y.org"), message=sensitive)) == {"x@y.org": "Sign"}
    policy = Policy(request_by_sensitivity=True)
    assert refusal(outbound(to("x@y.org"), message=sensitive, policy=policy)).rule


def test_a_partner_may_demand_encryption() -> None:
    rules = Rules(partners={"y.org": PartnerRule(encrypt=Encrypt.REQUIRED)})
    assert refusal(outbound(to("x@y.org"), rules=rules)).why is Why.CERTIFICATE_MISSING
    assert treatments(outbound(to("x@z.org"), rules=rules)) == {"x@z.org": "Sign"}


def test_a_partner_never_weakens_what_the_account_demands() -> None:
    rules = Rules(REQUIRED, partners={"y.org": PartnerRule(encrypt=Encrypt.NEVER)})
    assert refusal(outbound(to("x@y.org"), rules=rules)).why is Why.CERTIFICATE_MISSING


def test_team_accounts_sign_and_never_send_encrypted() -> None:
    who = sender(TEAM)
    path = "team@example.test"
    known = to("x@y.org", known=True)
    assert treatments(outbound(known, who=who, reverse_path=path)) == {"x@y.org": "Sign"}
    for policy, message in ((REQUIRED, None), (Policy(), ASKS)):
        decision = outbound(known, who=who, reverse_path=path, policy=policy, message=message)
        assert refusal(decision).why is Why.TEAM_SENDS_NO_ENCRYPTED
    encrypted = MessageFacts(smime=True, encrypted=True)
    decision = outbound(known, who=who, reverse_path=path, message=encrypted)
    assert refusal(decision).why is Why.TEAM_SENDS_NO_ENCRYPTED


def test_mail_the_client_encrypted_to_a_team_is_refused_outbound_too() -> None:
    encrypted = MessageFacts(smime=True, encrypted=True)
    team = to("team@example.test", who=TEAM)
    assert refusal(outbound(team, message=encrypted)).why is Why.TEAM_GETS_NO_ENCRYPTED
    decision = outbound(team, to("x@y.org"), message=encrypted)
    assert treatments(decision) == {"team@example.test": "refused", "x@y.org": "Relay"}
    pgp = outbound(team, message=MessageFacts(pgp_encrypted=True))
    assert treatments(pgp) == {"team@example.test": "Relay"}


def test_internal_recipients_count_as_served_by_the_signature() -> None:
    bob = to("bob@example.test", who=BOB)
    team = to("team@example.test", who=TEAM)
    decision = outbound(bob, team, to("x@y.org", known=True), policy=REQUIRED)
    assert treatments(decision) == {
        "bob@example.test": "Sign",
        "team@example.test": "Sign",
        "x@y.org": "SignThenEncrypt",
    }


def test_internal_mail_that_comes_back_from_outside_is_encrypted_but_never_to_teams() -> None:
    policy = Policy(internal=Internal.ENCRYPT)
    bob, team = to("bob@example.test", known=True, who=BOB), to("team@example.test", who=TEAM)
    decision = outbound(bob, team, policy=policy)
    assert treatments(decision) == {
        "bob@example.test": "SignThenEncrypt",
        "team@example.test": "Sign",
    }
    strict = replace(policy, encrypt=Encrypt.REQUIRED)
    assert refusal(outbound(team, policy=strict)).why is Why.TEAM_GETS_NO_ENCRYPTED


def test_blind_recipients_of_encrypted_mail_get_copies_of_their_own() -> None:
    """E20, A17."""
    decision = outbound(
        to("a@y.org", known=True),
        to("b@y.org", known=True),
        to("bcc1@y.org", known=True, visible=False),
        to("bcc2@y.org", known=True, visible=False),
        to("c@y.org"),
        to("bcc3@y.org", visible=False),
    )
    assert isinstance(decision, Plan)
    groups = [sorted(map(str, delivery.recipients)) for delivery in decision.deliveries]
    assert groups == [
        ["bcc3@y.org", "c@y.org"],
        ["a@y.org", "b@y.org"],
        ["bcc1@y.org"],
        ["bcc2@y.org"],
    ]


def test_a_sent_copy_is_made_of_encrypted_mail_only() -> None:
    policy = Policy(sent_copy="maildir:///sent")
    sealed = outbound(to("x@y.org", known=True), policy=policy)
    assert isinstance(sealed, Plan)
    assert sealed.sent_copy is not None
    assert (sealed.sent_copy.url, sealed.sent_copy.key is not None) == ("maildir:///sent", True)
    clear = outbound(to("x@y.org"), policy=policy)
    assert isinstance(clear, Plan)
    assert clear.sent_copy is None


def test_account_goes_over_domain_and_domain_over_policy() -> None:
    who = account("alice@example.test", sign=Sign.NEVER)
    rules = Rules(domains={"example.test": replace(BOB.override, sign=Sign.ALWAYS)})
    assert treatments(outbound(to("x@y.org"), who=sender(who), rules=rules)) == {"x@y.org": "Relay"}
    silent = account("alice@example.test", Kind.PERSONAL)
    rules = Rules(domains={"example.test": replace(BOB.override, sign=Sign.NEVER)})
    decision = outbound(to("x@y.org"), who=sender(silent), rules=rules)
    assert treatments(decision) == {"x@y.org": "Relay"}
    assert isinstance(decision, Plan)
    assert decision.deliveries[0].rule == 'sign: domains."example.test".sign'


def test_a_request_word_leaves_with_mail_that_names_no_account() -> None:
    for message in (MessageFacts(asks_sign=True), MessageFacts(asks_plain=True)):
        decision = outbound(to("x@y.org", known=True), who=sender(None), message=message)
        assert isinstance(decision, Plan)
        assert decision.deliveries[0].treatment == Relay(requests=True)


def test_e71_null_sender_mail_is_never_rewritten() -> None:
    """E71: whatever its From is; but what must be encrypted is."""
    unclear = SenderFacts(problem="two From fields", named=(ALICE,))
    for who in (sender(), unclear):
        decision = outbound(to("x@y.org"), who=who, reverse_path=None)
        assert isinstance(decision, Plan)
        assert decision.deliveries[0].treatment == Relay(requests=False)
        sealed = outbound(to("x@y.org", known=True), who=who, reverse_path=None, policy=REQUIRED)
        assert treatments(sealed) == {"x@y.org": "Encrypt"}
        assert refusal(outbound(to("x@y.org"), who=who, reverse_path=None, policy=REQUIRED)).rule


def test_what_is_unsigned_is_counted_only_where_a_signature_was_wanted() -> None:
    keyless = sender(entry=None, key_problem="expired")
    decision = outbound(to("x@y.org"), who=keyless)
    assert isinstance(decision, Plan)
    assert decision.exemptions == ("unsigned: no valid key: expired",)
    silent = outbound(to("x@y.org"), who=keyless, policy=Policy(sign=Sign.NEVER))
    assert isinstance(silent, Plan)
    assert silent.exemptions == ()


def test_the_rule_of_a_refusal_begins_without_an_address() -> None:
    """Counters are labelled with what stands before the colon."""
    strict = account("alice@example.test", on_missing_key=OnMissingKey.REJECT)
    keyless = sender(strict, entry=None, key_problem="expired")
    rule = refusal(outbound(to("x@y.org"), who=keyless)).rule
    assert rule.partition(":")[0] == "on_missing_key"


ANSWER = MessageFacts(conversation="answers mail that came encrypted")
AS_ANY = Policy(after_decryption=AfterDecryption.POLICY)


def test_what_answers_decrypted_mail_is_encrypted_or_refused_whatever_policy_says() -> None:
    """E13: required for everybody outside, [plain] and an account that never encrypts or not."""
    for policy in (Policy(), Policy(encrypt=Encrypt.NEVER)):
        for message in (ANSWER, replace(ANSWER, asks_plain=True)):
            known = outbound(to("x@y.org", known=True), policy=policy, message=message)
            assert treatments(known) == {"x@y.org": "SignThenEncrypt"}
            assert isinstance(known, Plan)
            assert known.deliveries[0].rule == "after_decryption: policy.after_decryption"
            refused = refusal(outbound(to("x@y.org"), policy=policy, message=message))
            assert refused.why is Why.AFTER_DECRYPTION
            assert refused.detail == (
                "x@y.org: no certificate, and the mail answers mail that came encrypted"
            )
            assert refused.rule == "after_decryption: policy.after_decryption, certificate missing"


def test_after_decryption_policy_sends_it_as_any_other() -> None:
    assert treatments(outbound(to("x@y.org"), policy=AS_ANY, message=ANSWER)) == {"x@y.org": "Sign"}
    foreign = outbound(to("x@y.org"), who=sender(None), policy=AS_ANY, message=ANSWER)
    assert isinstance(foreign, Plan)
    assert foreign.deliveries[0].rule == "From names no account"


@pytest.mark.parametrize("path", [None, "eve@elsewhere.org"])
def test_what_was_decrypted_is_not_forwarded_in_clear_in_a_foreign_name(path: str | None) -> None:
    """E13: a redirect keeps From and often the reverse-path, a report has none."""
    who = sender(None)
    refused = refusal(outbound(to("x@y.org"), who=who, message=ANSWER, reverse_path=path))
    assert refused.why is Why.AFTER_DECRYPTION
    known = to("x@y.org", known=True)
    assert treatments(outbound(known, who=who, message=ANSWER, reverse_path=path)) == {
        "x@y.org": "Encrypt"
    }


def test_a_null_reverse_path_does_not_let_an_answer_out() -> None:
    refused = outbound(to("x@y.org"), message=ANSWER, reverse_path=None)
    assert refusal(refused).why is Why.AFTER_DECRYPTION


def test_an_answer_to_those_who_can_read_it_and_a_report_of_the_others() -> None:
    lenient = Policy(on_missing_certificate=OnMissingCertificate.REJECT_THOSE)
    both = (to("x@y.org"), to("z@y.org", known=True))
    decision = outbound(*both, policy=lenient, message=ANSWER)
    assert treatments(decision) == {"x@y.org": "refused", "z@y.org": "SignThenEncrypt"}
    assert refusal(outbound(*both, message=ANSWER)).why is Why.AFTER_DECRYPTION


def test_internal_recipients_of_an_answer_are_served_as_internal_says() -> None:
    bob = to("bob@example.test", known=True, who=BOB)
    assert treatments(outbound(bob, message=ANSWER)) == {"bob@example.test": "Sign"}
    strict = Policy(internal=Internal.ENCRYPT)
    assert treatments(outbound(bob, policy=strict, message=ANSWER)) == {
        "bob@example.test": "SignThenEncrypt"
    }


def test_teams_have_no_part_in_what_was_decrypted() -> None:
    known, team = to("x@y.org", known=True), to("team@example.test", who=TEAM)
    sent = outbound(known, who=sender(TEAM), reverse_path="team@example.test", message=ANSWER)
    assert refusal(sent).why is Why.TEAM_AFTER_DECRYPTION
    assert refusal(sent).detail.startswith("team@example.test is a team account, and the mail ans")
    got = outbound(team, policy=Policy(internal=Internal.ENCRYPT), message=ANSWER)
    assert refusal(got).why is Why.TEAM_AFTER_DECRYPTION
    assert refusal(got).detail.startswith("team@example.test is a team account, and the mail ans")


def test_invitations_and_what_the_client_encrypted_pass_all_the_same() -> None:
    for passing in (
        replace(ANSWER, meeting="REPLY"),
        replace(ANSWER, smime=True, encrypted=True),
        replace(ANSWER, pgp_encrypted=True),
    ):
        assert treatments(outbound(to("x@y.org"), message=passing)) == {"x@y.org": "Relay"}
    labelled = replace(ANSWER, smime=True, encrypted=True, sealed=False)
    assert refusal(outbound(to("x@y.org"), message=labelled)).why is Why.AFTER_DECRYPTION
