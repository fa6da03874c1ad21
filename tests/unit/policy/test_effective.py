"""Which setting holds: account over domain over default, and the stricter wish of all."""

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.policy.effective import (
    ENCRYPT_POSSIBLE,
    ENCRYPT_REQUEST,
    SIGN_REQUEST,
    effective,
    encrypt_level,
    partner_rule,
    sign_level,
    strictest,
)
from smime_proxy.policy.rules import (
    Encrypt,
    Internal,
    OnMissingCertificate,
    OnMissingKey,
    Override,
    PartnerRule,
    Policy,
    Rules,
    Sign,
)
from tests.unit.policy.cases import account

NOBODY = (PartnerRule(), "")


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
        on_missing_key=OnMissingKey.REJECT,
        internal=Internal.ENCRYPT,
        request_by_sensitivity=True,
    )
    rules = Rules(Policy(on_missing_certificate=OnMissingCertificate.REJECT_THOSE))
    for pair in ((lenient, strict), (strict, lenient)):
        joined = strictest(effective(rules, who) for who in pair)
        assert joined.policy == effective(rules, strict).policy
        assert joined.sources["encrypt"] == 'accounts."b@x.test".encrypt'


def test_a_partner_is_found_by_address_then_by_domain() -> None:
    rules = Rules(
        partners={
            "y.org": PartnerRule(Sign.ALWAYS, Encrypt.REQUIRED),
            "z@y.org": PartnerRule(encrypt=Encrypt.NEVER),
        }
    )
    assert partner_rule(rules, parse_mailbox("a@Y.ORG")) == (
        rules.partners["y.org"],
        'partners."y.org"',
    )
    assert partner_rule(rules, parse_mailbox("Z@y.org")) == (
        PartnerRule(Sign.ALWAYS, Encrypt.NEVER),
        'partners."z@y.org"',
    )
    assert partner_rule(rules, parse_mailbox("a@sub.y.org"))[0] == PartnerRule()


LEVELS = [Encrypt.NEVER, Encrypt.ON_REQUEST, Encrypt.WHEN_POSSIBLE, Encrypt.REQUIRED]


@pytest.mark.parametrize("own", LEVELS)
@pytest.mark.parametrize("partner", [None, *LEVELS])
@pytest.mark.parametrize("request_made", [False, True])
@pytest.mark.parametrize("plain", [False, True])
def test_the_stricter_wins_and_plain_only_takes_the_possible(
    own: Encrypt, partner: Encrypt | None, request_made: bool, plain: bool
) -> None:
    chosen = effective(Rules(Policy(encrypt=own)), None)
    level = encrypt_level(
        chosen, (PartnerRule(encrypt=partner), "p"), request=request_made, plain=plain
    )
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
        (PartnerRule(sign=Sign.ALWAYS), "p"),
        request=False,
    )
    assert raised.source == "p.sign"
