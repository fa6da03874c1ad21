"""Recipients parted into groups of equal content."""

from dataclasses import replace

from smime_proxy.cms.capabilities import Capabilities
from smime_proxy.policy import rules as policy_rules
from smime_proxy.policy.algorithms import (
    ContentEncryption,
    HeaderProtection,
    KeyTransport,
    Signature,
)
from smime_proxy.policy.effective import effective
from smime_proxy.policy.facts import Facts, MessageFacts, RecipientFacts
from smime_proxy.policy.grouping import group, sent_copy
from smime_proxy.policy.plan import (
    Delivery,
    Encrypt,
    Encryption,
    EncryptionRecipient,
    Relay,
    Sign,
    SignatureForm,
    SigningKey,
    SignThenEncrypt,
)
from smime_proxy.policy.rules import MAX_GROUPS, PartnerRule, Policy, Rules
from smime_proxy.policy.wish import Wish, wish_for
from tests.unit.policy.cases import (
    ALICE,
    CERTIFICATE,
    CERTIFICATE_ON_A_CURVE,
    KEY,
    KEY_ON_A_CURVE,
    sender,
    to,
)

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
    assert len(made.treatment.encryption.recipients) == 1


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


GCM = PartnerRule(content_encryption=ContentEncryption.AES256_GCM)
PSS = PartnerRule(signature=Signature.RSASSA_PSS)
OPAQUE = PartnerRule(opaque=True)
OAEP = PartnerRule(key_transport=KeyTransport.RSAES_OAEP)
BASELINE = PartnerRule(header_protection=HeaderProtection.BASELINE)


def for_b(rule: PartnerRule) -> Rules:
    return Rules(partners={"b@y.org": rule, "d@y.org": rule})


def test_e85_other_algorithms_are_another_group() -> None:
    """E85."""
    for rule in (GCM, PSS, OPAQUE, BASELINE):
        made = group(wishes(A, B, rules=for_b(rule)), THE_KEY, "", untouched=False)
        assert shape(made) == [("SignThenEncrypt", ["a"]), ("SignThenEncrypt", ["b"])], rule
    for rule in (PSS, OPAQUE, BASELINE):
        clear = wishes(CLEAR, to("d@y.org"), rules=for_b(rule))
        assert shape(group(clear, THE_KEY, "", untouched=False)) == [
            ("Sign", ["c"]),
            ("Sign", ["d"]),
        ], rule


def test_what_does_not_show_parts_nobody() -> None:
    clear = wishes(CLEAR, to("d@y.org"), rules=for_b(GCM))
    assert shape(group(clear, THE_KEY, "", untouched=False)) == [("Sign", ["c", "d"])]
    for rule in (PSS, OPAQUE):  # there is no signature
        made = group(wishes(A, B, rules=for_b(rule)), None, "no valid key", untouched=False)
        assert shape(made) == [("Encrypt", ["a", "b"])]
        bare = group(wishes(CLEAR, to("d@y.org"), rules=for_b(rule)), None, "", untouched=False)
        assert shape(bare) == [("Relay", ["c", "d"])]
    bare = group(wishes(CLEAR, to("d@y.org"), rules=for_b(BASELINE)), None, "", untouched=False)
    assert shape(bare) == [("Relay", ["c", "d"])]
    # A key on a curve signs one way, whatever is asked of RSA keys.
    curve = SigningKey(ALICE, KEY_ON_A_CURVE)
    made = group(wishes(A, B, rules=for_b(PSS)), curve, "", untouched=False)
    assert shape(made) == [("SignThenEncrypt", ["a", "b"])]


def test_what_the_client_signed_gets_no_fields_into_it() -> None:
    rules = Rules(Policy(header_protection=HeaderProtection.BASELINE))
    (kept,) = group(wishes(A, rules=rules), None, "signed by the client", untouched=True)
    (made,) = group(wishes(A, rules=rules), None, "no valid key", untouched=False)
    assert isinstance(kept.treatment, Encrypt)
    assert isinstance(made.treatment, Encrypt)
    assert kept.treatment.header_protection is HeaderProtection.OFF
    assert made.treatment.header_protection is HeaderProtection.BASELINE


def test_keys_of_several_types_and_transports_share_one_message() -> None:
    curve = replace(to("c@y.org"), certificate=CERTIFICATE_ON_A_CURVE)
    (made,) = group(wishes(A, curve), THE_KEY, "", untouched=False)
    assert made.treatment == SignThenEncrypt(
        THE_KEY,
        Encryption(
            (
                EncryptionRecipient(CERTIFICATE, KeyTransport.RSAES_PKCS1V15),
                EncryptionRecipient(CERTIFICATE_ON_A_CURVE, None),
            )
        ),
    )


def test_a_treatment_says_all_that_is_demanded() -> None:
    rule = PartnerRule(
        signature=Signature.RSASSA_PSS,
        key_transport=KeyTransport.RSAES_OAEP,
        content_encryption=ContentEncryption.AES128_GCM,
        opaque=True,
        header_protection=HeaderProtection.BASELINE,
    )
    form, protection = SignatureForm(Signature.RSASSA_PSS, opaque=True), HeaderProtection.BASELINE
    (made,) = group(wishes(B, rules=for_b(rule)), THE_KEY, "", untouched=False)
    encryption = Encryption(
        (EncryptionRecipient(CERTIFICATE, KeyTransport.RSAES_OAEP),), ContentEncryption.AES128_GCM
    )
    assert made.treatment == SignThenEncrypt(THE_KEY, encryption, form, protection)
    (clear,) = group(wishes(to("b@y.org"), rules=for_b(rule)), THE_KEY, "", untouched=False)
    assert clear.treatment == Sign(THE_KEY, form, protection)


def test_one_certificate_of_two_recipients_gets_oaep_if_one_is_to_have_it() -> None:
    for pair in ((A, B), (B, A)):
        (made,) = group(wishes(*pair, rules=for_b(OAEP)), THE_KEY, "", untouched=False)
        assert isinstance(made.treatment, SignThenEncrypt)
        (only,) = made.treatment.encryption.recipients
        assert only.key_transport is KeyTransport.RSAES_OAEP


def test_what_a_recipient_reads_puts_him_into_a_group_of_his_own() -> None:
    reads = Capabilities((("2.16.840.1.101.3.4.1.46", b""),))
    made = group(wishes(A, replace(B, capabilities=reads)), THE_KEY, "", untouched=False)
    assert shape(made) == [("SignThenEncrypt", ["a"]), ("SignThenEncrypt", ["b"])]


def test_the_copy_is_signed_as_the_sender_signs_not_as_a_partner_demands() -> None:
    rules = Rules(
        Policy(sent_copy="maildir:///sent", signature=Signature.RSASSA_PSS),
        partners={"a@y.org": PartnerRule(opaque=True, signature=Signature.RSASSA_PKCS1V15)},
    )
    facts = Facts(MessageFacts(), (A,), sender())
    copy = sent_copy(facts, effective(rules, ALICE), wishes(A, rules=rules), THE_KEY)
    assert copy is not None
    assert copy.signature is Signature.RSASSA_PSS


def test_what_recipients_can_read_is_never_why_there_are_too_many_copies() -> None:
    reads = Capabilities((("2.16.840.1.101.3.4.1.46", b""),))
    hidden = [to(f"h{number}@y.org", known=True, visible=False) for number in range(MAX_GROUPS - 2)]
    able = replace(B, capabilities=reads)
    within = group(wishes(A, able, *hidden), THE_KEY, "", untouched=False)
    assert [shape((one,))[0][1] for one in within][:2] == [["a"], ["b"]]
    assert len(within) == MAX_GROUPS
    beyond = (*hidden, to("h@y.org", known=True, visible=False))
    made = group(wishes(A, able, *beyond), THE_KEY, "", untouched=False)
    assert shape(made)[0] == ("SignThenEncrypt", ["a", "b"])
    assert len(made) == MAX_GROUPS
    # What is demanded for a partner is not given up.
    demanded = group(wishes(A, B, *beyond, rules=for_b(GCM)), THE_KEY, "", untouched=False)
    assert len(demanded) == MAX_GROUPS + 1
