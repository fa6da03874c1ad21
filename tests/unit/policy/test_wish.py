"""What one recipient is to get, and what happens when he cannot have it."""

from dataclasses import replace

from smime_proxy.policy.effective import effective
from smime_proxy.policy.facts import Facts, MessageFacts, RecipientFacts
from smime_proxy.policy.plan import Refusal, Refused, Why
from smime_proxy.policy.rules import (
    Account,
    Encrypt,
    Internal,
    OnLapsedCertificate,
    OnMissingCertificate,
    PartnerRule,
    Policy,
    Rules,
)
from smime_proxy.policy.wish import (
    Wish,
    algorithms_for,
    lapses,
    settle_missing,
    team_address,
    unreached,
    wish_for,
)
from tests.unit.policy.cases import ALICE, BOB, CERTIFICATE_ON_A_CURVE, TEAM, sender, to

REQUIRED = Policy(encrypt=Encrypt.REQUIRED)


def wish(
    recipient: RecipientFacts, policy: Policy, who: Account = ALICE, *, request: bool = False
) -> Wish:
    facts = Facts(MessageFacts(), (recipient,), sender(who))
    rules = Rules(policy)
    return wish_for(recipient, effective(rules, who), facts, rules, request=request)


def test_a_known_certificate_is_used_where_it_may_be() -> None:
    known = to("x@y.org", known=True)
    assert wish(known, Policy()).encrypted
    assert wish(known, Policy()).rule == "encrypt: policy.encrypt"
    for policy in (Policy(encrypt=Encrypt.NEVER), Policy(encrypt=Encrypt.ON_REQUEST)):
        assert not wish(known, policy).encrypted
        assert wish(known, policy, request=True).encrypted
    assert wish(to("x@y.org"), Policy()).missing is None
    assert wish(to("x@y.org"), Policy()).rule == "sign: policy.sign"


def test_what_is_demanded_and_cannot_be_had_is_said() -> None:
    assert wish(to("x@y.org"), REQUIRED).missing is Why.CERTIFICATE_MISSING
    assert wish(to("x@y.org"), Policy(), request=True).missing is Why.CERTIFICATE_MISSING
    known = to("x@y.org", known=True)
    assert wish(known, REQUIRED, TEAM).missing is Why.TEAM_SENDS_NO_ENCRYPTED
    assert wish(known, Policy(), TEAM).missing is None
    team = to("team@example.test", known=True, who=TEAM)
    outside = Policy(encrypt=Encrypt.REQUIRED, internal=Internal.ENCRYPT)
    assert wish(team, outside).missing is Why.TEAM_GETS_NO_ENCRYPTED
    assert not wish(team, outside).encrypted
    assert wish(team, REQUIRED).missing is None
    assert wish(to("bob@example.test", who=BOB), REQUIRED).missing is None


def settled(
    policy: Policy, *recipients: RecipientFacts, answerable: bool = True
) -> Refusal | tuple[Refused, ...]:
    facts = Facts(MessageFacts(answerable=answerable), recipients, sender())
    rules = Rules(policy)
    chosen = effective(rules, ALICE)
    wishes = tuple(wish_for(item, chosen, facts, rules, request=False) for item in recipients)
    return settle_missing(facts, wishes, chosen)


def test_r11_all_or_those_as_policy_says() -> None:
    """R11, E02."""
    those = Policy(
        encrypt=Encrypt.REQUIRED, on_missing_certificate=OnMissingCertificate.REJECT_THOSE
    )
    known, missing = to("z@y.org", known=True), to("x@y.org")
    assert settled(REQUIRED, known) == ()
    assert isinstance(settled(REQUIRED, known, missing), Refusal)
    several = settled(those, known, missing)
    assert isinstance(several, tuple)
    (refused,) = several
    assert refused.detail == "x@y.org: no certificate"
    assert isinstance(settled(those, missing), Refusal)
    assert isinstance(settled(those, known, missing, answerable=False), Refusal)


def test_a_refusal_names_every_address_that_is_missing() -> None:
    refusal = settled(REQUIRED, to("a@y.org"), to("b@y.org", known=True), to("c@y.org"))
    assert isinstance(refusal, Refusal)
    assert refusal.detail == "a@y.org: no certificate; c@y.org: no certificate"
    assert refusal.rule.startswith("encrypt: policy.encrypt")


def test_the_team_is_named() -> None:
    assert str(team_address(sender(TEAM))) == "team@example.test"
    assert team_address(sender(ALICE)) == "the sender"


def test_what_is_written_for_a_partner_says_nothing_of_our_own_accounts() -> None:
    rule = PartnerRule(encrypt=Encrypt.REQUIRED, opaque=True)
    rules = Rules(partners={"example.test": rule, "y.org": rule})
    chosen = effective(rules, ALICE)
    facts = Facts(MessageFacts(), (), sender())
    own = wish_for(to("bob@example.test", who=BOB), chosen, facts, rules, request=False)
    assert (own.algorithms.opaque, own.missing) == (False, None)
    other = wish_for(to("x@y.org"), chosen, facts, rules, request=False)
    assert (other.algorithms.opaque, other.missing) == (True, Why.CERTIFICATE_MISSING)
    assert other.encrypt.source == 'partners."y.org".encrypt'


def test_the_key_of_the_certificate_decides_what_key_transport_means() -> None:
    chosen = effective(Rules(), ALICE)
    curve = replace(to("x@y.org"), certificate=CERTIFICATE_ON_A_CURVE)
    assert algorithms_for(curve, chosen, Rules()).key_transport is None
    assert algorithms_for(to("x@y.org", known=True), chosen, Rules()).key_transport is not None


ENDED = "its certificate expired on 2026-05-01"
LAPSED = to("x@y.org", lapsed=ENDED)
SEND_CLEAR = Policy(on_lapsed_certificate=OnLapsedCertificate.SEND_CLEAR)


def test_encryption_that_was_possible_does_not_just_stop() -> None:
    assert wish(LAPSED, Policy()).missing is Why.CERTIFICATE_LAPSED
    for policy in (Policy(encrypt=Encrypt.NEVER), Policy(encrypt=Encrypt.ON_REQUEST)):
        assert wish(LAPSED, policy).missing is None
        assert not wish(LAPSED, policy).makeshift
    for policy in (
        REQUIRED,
        replace(REQUIRED, on_lapsed_certificate=OnLapsedCertificate.SEND_CLEAR),
    ):
        assert wish(LAPSED, policy).missing is Why.CERTIFICATE_MISSING
    assert wish(LAPSED, SEND_CLEAR, request=True).missing is Why.CERTIFICATE_MISSING
    assert wish(LAPSED, Policy(), TEAM).missing is None  # a team never encrypted
    assert wish(replace(LAPSED, account=BOB), Policy()).missing is None  # it stays in the house


def test_it_stops_where_the_settings_say_so_and_is_named() -> None:
    sent = wish(LAPSED, SEND_CLEAR)
    assert (sent.missing, sent.encrypted) == (None, False)
    assert lapses((sent,)) == [f"unencrypted: x@y.org: {ENDED}"]
    other = wish(replace(to("x@y.org", known=True), lapsed=ENDED), Policy())
    assert lapses((other,)) == [f"domain certificate: x@y.org: {ENDED}"]
    assert lapses((wish(to("x@y.org", known=True), Policy()), wish(to("x@y.org"), Policy()))) == []


def test_plain_sends_this_one_and_never_what_must_be_encrypted() -> None:
    facts = Facts(MessageFacts(asks_plain=True), (LAPSED,), sender())
    for policy, missing in ((Policy(), None), (REQUIRED, Why.CERTIFICATE_MISSING)):
        rules = Rules(policy)
        found = wish_for(LAPSED, effective(rules, ALICE), facts, rules, request=False)
        assert (found.missing, found.makeshift and not missing) == (missing, False)


def test_who_lapsed_is_refused_with_the_date_all_or_those() -> None:
    known = to("z@y.org", known=True)
    refusal = settled(Policy(), known, LAPSED)
    assert isinstance(refusal, Refusal)
    assert (refusal.why, refusal.detail) == (Why.CERTIFICATE_LAPSED, f"x@y.org: {ENDED}")
    assert refusal.rule == "on_lapsed_certificate: policy.on_lapsed_certificate"
    those = Policy(on_missing_certificate=OnMissingCertificate.REJECT_THOSE)
    several = settled(those, known, LAPSED)
    assert isinstance(several, tuple)
    (refused,) = several
    assert (refused.why, refused.detail) == (Why.CERTIFICATE_LAPSED, f"x@y.org: {ENDED}")
    assert refused.rule == refusal.rule
    assert isinstance(settled(those, LAPSED), Refusal)
    required = settled(REQUIRED, known, LAPSED)
    assert isinstance(required, Refusal)
    assert (required.why, required.detail) == (Why.CERTIFICATE_MISSING, f"x@y.org: {ENDED}")
    assert required.rule == "encrypt: policy.encrypt, certificate missing"


def test_mail_waits_while_nobody_can_tell_whether_a_certificate_was_revoked() -> None:
    """V9, E81: neither clear nor encrypted, whoever else there is."""
    waiting = to("x@y.org", waits=True)
    for policy in (
        Policy(),
        REQUIRED,
        Policy(on_missing_certificate=OnMissingCertificate.REJECT_THOSE),
    ):
        found = wish(waiting, policy)
        assert found.missing is Why.STATUS_UNKNOWN
        other = wish(to("z@y.org", known=True), policy)
        facts = Facts(MessageFacts(), (waiting, other.recipient), sender(ALICE))
        settled = settle_missing(facts, (other, found), effective(Rules(policy), ALICE))
        assert isinstance(settled, Refusal)
        assert (settled.why, settled.rule) == (Why.STATUS_UNKNOWN, "revocation unknown")
        assert "x@y.org" in settled.detail
        assert "z@y.org" not in settled.detail
    assert wish(waiting, Policy(encrypt=Encrypt.NEVER)).missing is None


def test_who_cannot_be_looked_up_is_not_refused_for_good() -> None:
    away = to("x@y.org", unreachable="ldap:corp: it cannot be reached")
    assert wish(away, REQUIRED).missing is Why.DIRECTORY_UNREACHABLE
    assert wish(away, Policy(), request=True).missing is Why.DIRECTORY_UNREACHABLE
    refusal = settled(REQUIRED, away, to("known@y.org", known=True))
    assert isinstance(refusal, Refusal)
    assert refusal.why is Why.DIRECTORY_UNREACHABLE
    assert refusal.detail == "x@y.org: ldap:corp: it cannot be reached"
    assert refusal.rule == "encrypt: policy.encrypt, directory unreachable"


def test_a_refusal_for_good_comes_before_one_for_now_and_a_report_waits() -> None:
    away, gone = to("x@y.org", unreachable="ldap:corp: gone"), to("none@y.org")
    known = to("known@y.org", known=True)
    refusal = settled(REQUIRED, away, gone, known)
    assert isinstance(refusal, Refusal)
    assert (refusal.why, refusal.detail) == (Why.CERTIFICATE_MISSING, "none@y.org: no certificate")
    those = Policy(
        encrypt=Encrypt.REQUIRED, on_missing_certificate=OnMissingCertificate.REJECT_THOSE
    )
    refusal = settled(those, away, gone, known)
    assert isinstance(refusal, Refusal)
    assert refusal.why is Why.DIRECTORY_UNREACHABLE


def test_what_goes_unencrypted_for_a_directory_that_is_away_is_named() -> None:
    away = wish(to("x@y.org", unreachable="ldap:corp: gone"), Policy())
    assert away.missing is None
    assert unreached((away,)) == ["directory unreachable: x@y.org: ldap:corp: gone"]
    assert unreached((wish(to("x@y.org"), Policy()),)) == []
    never = wish(to("x@y.org", unreachable="ldap:corp: gone"), Policy(encrypt=Encrypt.NEVER))
    assert unreached((never,)) == []


def test_who_lapsed_may_have_a_new_one_where_nobody_can_look_now() -> None:
    away = replace(LAPSED, unreachable="ldap:corp: gone")
    assert wish(away, Policy()).missing is Why.DIRECTORY_UNREACHABLE
    assert wish(away, SEND_CLEAR).missing is None
    assert wish(LAPSED, Policy()).lacks_certificate
    assert not wish(to("x@y.org", waits=True), Policy()).lacks_certificate
