import tomllib

from smime_proxy.settings import Settings
from smime_proxy.settings.loading import validate
from smime_proxy.settings.shown import effective, to_toml

TREE = {
    "service": {"hostname": "mx.example"},
    "upstreams": {"relay": {"url": "smtp://relay.example"}},
    "listeners": {"out": {"role": "outbound", "bind": "[::1]:25", "upstream": "relay"}},
    "partners": {"bücher.example": {"encrypt": "required"}},
}


def test_what_is_shown_loads_to_the_same_settings() -> None:
    settings = Settings.model_validate(TREE)
    shown = to_toml(effective(settings))
    again, faults = validate(tomllib.loads(shown))
    assert faults == []
    assert again is not None
    assert effective(again) == effective(settings)


def test_defaults_that_depend_on_others_are_filled_in() -> None:
    shown = effective(Settings.model_validate(TREE))
    assert shown["service"]["authserv_id"] == "mx.example"
    assert shown["service"]["max_message_size"] == "50MB"
    assert shown["listeners"]["out"]["trusted_networks"] == ["127.0.0.0/8", "::1/128"]


def test_toml_has_a_section_for_each_table() -> None:
    text = to_toml({"a": {"b": 1, "c d": {"e": "x"}}})
    assert text == '[a]\nb = 1\n\n[a."c d"]\ne = "x"'
