"""Which setting holds: account over domain over default, and the stricter wish of all."""

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.source import MinimumSource
from smime_proxy.policy.algorithms import ContentEncryption, HeaderProtection, KeyTransport
from smime_proxy.policy.effective import (
    ENCRYPT_POSSIBLE,
    ENCRYPT_REQUEST,
    ENCRYPT_REQUIRED,
    SIGN_REQUEST,
    Level,
    Partner,
    effective,
    encrypt_level,
    minimum_source,
    partner_rule,
    sign_level,
    strictest,
)
from smime_proxy.policy.rules import (
    AfterDecryption,
    Encrypt,
    Internal,
    OnLapsedCertificate,
    OnMissingCertificate,
    OnMissingKey,
    Override,
    PartnerRule,
    Policy,
    Rules,
    Sign,
)
from tests.unit.policy.cases import account

NOBODY = Partner()


def test_account_over_domain_over_default_setting_by_setting() -> None:
    rules = Rules(
        Policy(sign=Sign.NEVER, sent_copy="a"),
        {"x.test": Override(sign=Sign.ON_REQUEST, encrypt=Encrypt.NEVER)},
    )
    chosen = effective(rules, account("a@x.test", sign=Sign.ALWAYS))
    assert (chosen.policy.sign, chosen.policy.encrypt, chosen.policy.sent_copy) == (
        Sign.ALWAYS,
        Encrypt.NEVER,
        "a",
    )
    assert chosen.sources["sign"] == 'accounts."a@x.test".sign'
    assert chosen.sources["encrypt"] == 'domains."x.test".encrypt'
    assert chosen.sources["sent_copy"] == "policy.sent_copy"
    assert effective(rules, None).policy == rules.default


def test_an_override_to_nothing_is_an_override() -> None:
    rules = Rules(Policy(sent_copy="maildir:///x", request_by_sensitivity=True))
    chosen = effective(rules, account("a@x.test", sent_copy="", request_by_sensitivity=False))
    assert (chosen.policy.sent_copy, chosen.policy.request_by_sensitivity) == ("", False)


def test_of_several_accounts_the_strictest_of_each_setting_holds() -> None:
    lenient = account("a@x.test", encrypt=Encrypt.NEVER)
    strict = account(
        "b@x.test",
        encrypt=Encrypt.REQUIRED,
        on_missing_certificate=OnMissingCertificate.REJECT_ALL,
        on_lapsed_certificate=OnLapsedCertificate.REJECT,
        on_missing_key=OnMissingKey.REJECT,
        internal=Internal.ENCRYPT,
        after_decryption=AfterDecryption.ENCRYPT,
        request_by_sensitivity=True,
        content_encryption=ContentEncryption.AES256_GCM,
        key_transport=KeyTransport.RSAES_OAEP,
        header_protection=HeaderProtection.BASELINE,
    )
    lenient_default = Policy(
        on_missing_certificate=OnMissingCertificate.REJECT_THOSE,
        on_lapsed_certificate=OnLapsedCertificate.SEND_CLEAR,
        after_decryption=AfterDecryption.POLICY,
    )
    rules = Rules(lenient_default)
    for pair in ((lenient, strict), (strict, lenient)):
        joined = strictest(effective(rules, who) for who in pair)
        assert joined.policy == effective(rules, strict).policy
        for name in (
            "encrypt",
            "after_decryption",
            "content_encryption",
            "key_transport",
            "header_protection",
        ):
            assert joined.sources[name] == f'accounts."b@x.test".{name}'


def test_of_ciphers_that_are_not_comparable_the_first_stays() -> None:
    one = account("a@x.test", content_encryption=ContentEncryption.AES256_CBC)
    other = account("b@x.test", content_encryption=ContentEncryption.AES128_GCM)
    joined = strictest(effective(Rules(), who) for who in (one, other))
    assert joined.policy.content_encryption is ContentEncryption.AES256_CBC
    assert joined.sources["content_encryption"] == 'accounts."a@x.test".content_encryption'


def test_a_partner_is_found_by_address_then_by_domain() -> None:
    rules = Rules(
        partners={
            "y.org": PartnerRule(Sign.ALWAYS, Encrypt.REQUIRED, opaque=True),
            "z@y.org": PartnerRule(encrypt=Encrypt.NEVER, opaque=False),
        }
    )
    assert partner_rule(rules, parse_mailbox("a@Y.ORG")) == Partner(
        rules.partners["y.org"],
        {name: f'partners."y.org".{name}' for name in ("sign", "encrypt", "opaque")},
    )
    assert partner_rule(rules, parse_mailbox("Z@y.org")) == Partner(
        PartnerRule(Sign.ALWAYS, Encrypt.NEVER, opaque=False),
        {
            "sign": 'partners."y.org".sign',
            "encrypt": 'partners."z@y.org".encrypt',
            "opaque": 'partners."z@y.org".opaque',
        },
    )
    assert partner_rule(rules, parse_mailbox("a@sub.y.org")) == Partner()


LEVELS = [Encrypt.NEVER, Encrypt.ON_REQUEST, Encrypt.WHEN_POSSIBLE, Encrypt.REQUIRED]


@pytest.mark.parametrize("own", LEVELS)
@pytest.mark.parametrize("partner", [None, *LEVELS])
@pytest.mark.parametrize("request_made", [False, True])
@pytest.mark.parametrize("plain", [False, True])
def test_the_stricter_wins_and_plain_only_takes_the_possible(
    own: Encrypt, partner: Encrypt | None, request_made: bool, plain: bool
) -> None:
    chosen = effective(Rules(Policy(encrypt=own)), None)
    written = Partner(PartnerRule(encrypt=partner), {"encrypt": "p.encrypt"})
    level = encrypt_level(chosen, written, request=request_made, plain=plain)
    if Encrypt.REQUIRED in (own, partner):
        assert level.value > ENCRYPT_REQUEST
    elif request_made:
        assert (level.value, level.source) == (ENCRYPT_REQUEST, "request")
    elif Encrypt.WHEN_POSSIBLE in (own, partner):
        assert level.value == (0 if plain else ENCRYPT_POSSIBLE)
    else:
        assert level.value < ENCRYPT_POSSIBLE
    if own is not Encrypt.REQUIRED and partner is Encrypt.REQUIRED:
        assert level.source == "p.encrypt"


def test_signing_has_its_own_order() -> None:
    for sign, request_made, wanted in (
        (Sign.ALWAYS, False, True),
        (Sign.ON_REQUEST, False, False),
        (Sign.ON_REQUEST, True, True),
        (Sign.NEVER, True, True),
        (Sign.NEVER, False, False),
    ):
        chosen = effective(Rules(Policy(sign=sign)), None)
        level = sign_level(chosen, NOBODY, request=request_made)
        assert (level.value >= SIGN_REQUEST) is wanted
    raised = sign_level(
        effective(Rules(Policy(sign=Sign.NEVER)), None),
        Partner(PartnerRule(sign=Sign.ALWAYS), {"sign": "p.sign"}),
        request=False,
    )
    assert raised.source == "p.sign"


@pytest.mark.parametrize(
    ("sender", "partner", "least"),
    [
        ("harvested", None, "harvested"),
        ("harvested", "manual", "manual"),
        ("manual", "discovered", "manual"),
        ("discovered", "verified", "verified"),
    ],
)
def test_the_stricter_least_source_of_sender_and_partner_holds(
    sender: str, partner: str | None, least: str
) -> None:
    rule = PartnerRule(minimum_source=MinimumSource(partner) if partner else None)
    chosen = effective(Rules(Policy(minimum_source=MinimumSource(sender))), None)
    assert minimum_source(chosen, Partner(rule)).value == least


def test_of_several_senders_the_strictest_least_source_holds() -> None:
    rules = Rules(Policy())
    lax = effective(rules, account("a@x.test", minimum_source=MinimumSource.DISCOVERED))
    strict = effective(rules, account("b@x.test", minimum_source=MinimumSource.VERIFIED))
    for order in ((lax, strict), (strict, lax)):
        joined = strictest(order)
        assert joined.policy.minimum_source is MinimumSource.VERIFIED
        assert joined.sources["minimum_source"] == 'accounts."b@x.test".minimum_source'


@pytest.mark.parametrize("request_too", [True, False])
@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("encrypt", [Encrypt.NEVER, Encrypt.ON_REQUEST, Encrypt.WHEN_POSSIBLE])
def test_after_decryption_is_as_good_as_required(
    encrypt: Encrypt, plain: bool, request_too: bool
) -> None:
    asked = {"request": request_too, "plain": plain}
    chosen = effective(Rules(Policy(encrypt=encrypt)), None)
    level = encrypt_level(chosen, NOBODY, **asked, of_conversation=True)
    assert level == Level(ENCRYPT_REQUIRED, "policy.after_decryption", of_conversation=True)
    assert encrypt_level(chosen, NOBODY, **asked).of_conversation is False
    other = Policy(encrypt=encrypt, after_decryption=AfterDecryption.POLICY)
    as_any = encrypt_level(effective(Rules(other), None), NOBODY, **asked, of_conversation=True)
    assert as_any == encrypt_level(effective(Rules(other), None), NOBODY, **asked)


def test_what_is_required_anyway_is_said_to_be_so() -> None:
    chosen = effective(Rules(Policy(encrypt=Encrypt.REQUIRED)), None)
    level = encrypt_level(chosen, NOBODY, request=False, plain=False, of_conversation=True)
    assert level == Level(ENCRYPT_REQUIRED, "policy.encrypt")


def test_after_decryption_may_be_set_for_a_domain() -> None:
    override = Override(after_decryption=AfterDecryption.POLICY)
    chosen = effective(Rules(domains={"x.test": override}), account("a@x.test"))
    assert chosen.policy.after_decryption is AfterDecryption.POLICY
    assert chosen.sources["after_decryption"] == 'domains."x.test".after_decryption'
