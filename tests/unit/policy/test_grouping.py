"""Recipients parted into groups of equal content."""

from smime_proxy.policy import rules as policy_rules
from smime_proxy.policy.effective import effective
from smime_proxy.policy.facts import Facts, MessageFacts, RecipientFacts
from smime_proxy.policy.grouping import group, sent_copy
from smime_proxy.policy.plan import Delivery, Encrypt, Relay, Sign, SigningKey, SignThenEncrypt
from smime_proxy.policy.rules import PartnerRule, Policy, Rules
from smime_proxy.policy.wish import Wish, wish_for
from tests.unit.policy.cases import ALICE, KEY, sender, to

THE_KEY = SigningKey(ALICE, KEY)
A, B = to("a@y.org", known=True), to("b@y.org", known=True)
CLEAR = to("c@y.org")


def wishes(*recipients: RecipientFacts, rules: Rules | None = None) -> tuple[Wish, ...]:
    facts = Facts(MessageFacts(), recipients, sender())
    written = rules or Rules()
    chosen = effective(written, ALICE)
    return tuple(wish_for(item, chosen, facts, written, request=False) for item in recipients)


def shape(deliveries: tuple[Delivery, ...]) -> list[tuple[str, list[str]]]:
    return [
        (type(item.treatment).__name__, [mailbox.local for mailbox in item.recipients])
        for item in deliveries
    ]


def test_equal_content_shares_a_group() -> None:
    made = group(wishes(A, CLEAR, B, to("d@y.org")), THE_KEY, "", untouched=False)
    assert shape(made) == [("Sign", ["c", "d"]), ("SignThenEncrypt", ["a", "b"])]


def test_e20_who_is_not_visible_gets_a_copy_of_his_own() -> None:
    """E20, I6: no RecipientInfo of one is in the other's."""
    hidden = [to(f"h{number}@y.org", known=True, visible=False) for number in range(2)]
    made = group(wishes(A, *hidden), THE_KEY, "", untouched=False)
    assert shape(made) == [
        ("SignThenEncrypt", ["a"]),
        ("SignThenEncrypt", ["h0"]),
        ("SignThenEncrypt", ["h1"]),
    ]
    # Of clear content nothing tells who else got it.
    clear = group(wishes(CLEAR, to("h@y.org", visible=False)), THE_KEY, "", untouched=False)
    assert shape(clear) == [("Sign", ["c", "h"])]


def test_one_certificate_for_two_recipients_is_encrypted_to_once() -> None:
    (made,) = group(wishes(A, B), THE_KEY, "", untouched=False)
    assert isinstance(made.treatment, SignThenEncrypt)
    assert len(made.treatment.certificates) == 1


def test_without_a_key_the_rule_says_why_and_encryption_stays() -> None:
    made = group(wishes(A, CLEAR), None, "no valid key", untouched=False)
    assert made[0].treatment == Relay(requests=True)
    assert made[0].rule == "no valid key"
    assert isinstance(made[1].treatment, Encrypt)
    assert made[1].rule == "encrypt: policy.encrypt"
    (kept,) = group(wishes(CLEAR), None, "signed by the client", untouched=True)
    assert kept.treatment == Relay(requests=False)


def test_a_partner_that_wants_no_signature_is_in_another_group() -> None:
    rules = Rules(
        Policy(sign=policy_rules.Sign.ON_REQUEST),
        partners={"b@y.org": PartnerRule(sign=policy_rules.Sign.ALWAYS)},
    )
    made = group(wishes(A, B, rules=rules), THE_KEY, "", untouched=False)
    assert shape(made) == [("Encrypt", ["a"]), ("SignThenEncrypt", ["b"])]
    plain = group(wishes(CLEAR, rules=rules), THE_KEY, "", untouched=False)
    assert shape(plain) == [("Relay", ["c"])]
    assert plain[0].rule == "sign: policy.sign"
    assert not isinstance(plain[0].treatment, Sign)


def test_a_copy_is_filed_of_encrypted_mail_for_an_account_that_wants_one() -> None:
    rules = Rules(Policy(sent_copy="maildir:///sent"))
    chosen, facts = effective(rules, ALICE), Facts(MessageFacts(), (A,), sender())
    copy = sent_copy(facts, chosen, wishes(A), THE_KEY)
    assert copy is not None
    assert (copy.account, copy.url, copy.key) == (ALICE, "maildir:///sent", THE_KEY)
    assert sent_copy(facts, chosen, wishes(CLEAR), THE_KEY) is None
    assert sent_copy(facts, effective(Rules(), ALICE), wishes(A), THE_KEY) is None
    nobody = Facts(MessageFacts(), (A,), sender(None))
    assert sent_copy(nobody, chosen, wishes(A), None) is None
