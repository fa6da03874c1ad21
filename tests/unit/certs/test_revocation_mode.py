"""The modes have the names of the settings file."""

from smime_proxy.certs.revocation_mode import Mode


def test_the_words_are_those_of_the_settings() -> None:
    assert [mode.value for mode in Mode] == ["off", "soft", "hard"]
