from dataclasses import fields

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.source import MinimumSource
from smime_proxy.gateway.texts import Language
from smime_proxy.gateway.wording import Wording
from smime_proxy.policy.algorithms import (
    ContentEncryption,
    HeaderProtection,
    KeyTransport,
    Signature,
)
from smime_proxy.policy.rules import Encrypt, PartnerRule, Policy, Rules, Sign
from smime_proxy.settings import Settings
from smime_proxy.settings.rules import to_rules, to_wording
from smime_proxy.smime.gateway_signer import GatewaySigner
from smime_proxy.smime.unwrap import Unwrap


def test_the_default_settings_are_the_default_rules() -> None:
    assert to_rules(Settings()) == Rules()
    assert to_rules(Settings()).default == Policy()


def test_the_address_in_the_subject_counts_where_it_is_set() -> None:
    given = Settings.model_validate({"trust": {"subject_address": True}})
    assert to_rules(given).subject_address


def test_every_override_reaches_the_rules() -> None:
    table = {
        "sign": "never",
        "encrypt": "required",
        "on_missing_key": "reject",
        "on_missing_certificate": "reject_those",
        "on_lapsed_certificate": "send_clear",
        "after_decryption": "policy",
        "internal": "encrypt",
        "sent_copy": "maildir:///srv/{address}",
        "request_by_sensitivity": True,
        "signature": "rsassa_pss",
        "key_transport": "rsaes_oaep",
        "content_encryption": "aes256_gcm",
        "opaque": True,
        "header_protection": "baseline",
        "minimum_source": "manual",
    }
    assert table.keys() == {setting.name for setting in fields(Policy)}
    rules = to_rules(Settings.model_validate({"policy": table, "domains": {"Example.COM": table}}))
    override = rules.domains["example.com"]
    for name, value in table.items():
        for place in (rules.default, override):
            given = getattr(place, name)
            assert getattr(given, "value", given) == value


def test_every_key_of_a_partner_reaches_the_rules() -> None:
    table = {
        "sign": "on_request",
        "encrypt": "required",
        "signature": "PSS",
        "key_transport": "OAEP",
        "content_encryption": "AES-128-GCM",
        "opaque": True,
        "header_protection": "baseline",
        "minimum_source": "verified",
    }
    rules = to_rules(Settings.model_validate({"partners": {"Example.ORG": table}}))
    assert rules.partners["example.org"] == PartnerRule(
        Sign.ON_REQUEST,
        Encrypt.REQUIRED,
        Signature.RSASSA_PSS,
        KeyTransport.RSAES_OAEP,
        ContentEncryption.AES128_GCM,
        opaque=True,
        header_protection=HeaderProtection.BASELINE,
        minimum_source=MinimumSource.VERIFIED,
    )


def test_gateways_reach_the_rules_by_their_domain() -> None:
    partners = {
        "Example.ORG": {"gateway_signer": "Gate@example.org", "gateway_trusted": True},
        "b.org": {"gateway_signer": "g@b.org"},
        "c.org": {"opaque": True},
    }
    assert to_rules(Settings.model_validate({"partners": partners})).gateways == {
        "example.org": GatewaySigner(parse_mailbox("gate@example.org"), trusted=True),
        "b.org": GatewaySigner(parse_mailbox("g@b.org")),
    }


def test_what_is_unwrapped_reaches_the_rules() -> None:
    rules = to_rules(Settings.model_validate({"policy": {"unwrap": ["meetings", "opaque"]}}))
    assert rules.unwrap == {Unwrap.MEETINGS, Unwrap.OPAQUE}


def test_partners_listeners_and_words_reach_the_rules() -> None:
    rules = to_rules(
        Settings.model_validate(
            {
                "partners": {"A@Example.org": {"encrypt": "required"}, "b.org": {"sign": "never"}},
                "upstreams": {"u": {"url": "maildir:///m"}},
                "listeners": {
                    "mx": {
                        "role": "inbound",
                        "bind": "127.0.0.1:1",
                        "upstream": "u",
                        "domains": ["Example.com"],
                        "accounts": ["*@Example.com"],
                        "envelope_match": False,
                    }
                },
                "policy": {"subject_words": {"plain": ""}},
            }
        )
    )
    assert rules.partners["a@example.org"].encrypt is Encrypt.REQUIRED
    assert rules.partners["b.org"].sign is Sign.NEVER
    assert rules.listeners["mx"].domains == frozenset({"example.com"})
    assert rules.listeners["mx"].accounts == ("*@example.com",)
    assert not rules.listeners["mx"].envelope_match
    assert (rules.words.plain, rules.words.sign) == ("", "[sign]")


def test_how_people_are_told_reaches_the_wording() -> None:
    tables = {
        "texts": {"languages": ["de", "en"], "contact": " Büro "},
        "policy": {"subject_words": {"plain": "[klar]"}},
    }
    wording = to_wording(Settings.model_validate(tables))
    assert wording == Wording((Language.GERMAN, Language.ENGLISH), "Büro", "[klar]")
    assert to_wording(Settings()) == Wording()
