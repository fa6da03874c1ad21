from smime_proxy.policy.rules import Encrypt, Policy, Rules, Sign
from smime_proxy.settings import Settings
from smime_proxy.settings.rules import to_rules


def test_the_default_settings_are_the_default_rules() -> None:
    assert to_rules(Settings()) == Rules()
    assert to_rules(Settings()).default == Policy()


def test_every_override_reaches_the_rules() -> None:
    table = {
        "sign": "never",
        "encrypt": "required",
        "on_missing_key": "reject",
        "on_missing_certificate": "reject_those",
        "internal": "encrypt",
        "sent_copy": "maildir:///srv/{address}",
        "request_by_sensitivity": True,
    }
    rules = to_rules(Settings.model_validate({"policy": table, "domains": {"Example.COM": table}}))
    override = rules.domains["example.com"]
    for name, value in table.items():
        for place in (rules.default, override):
            given = getattr(place, name)
            assert getattr(given, "value", given) == value


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
