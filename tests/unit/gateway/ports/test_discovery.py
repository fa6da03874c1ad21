"""What is said of sources that gave no answer."""

from smime_proxy.gateway.ports import Silence


def test_a_silence_names_its_source_and_the_reason() -> None:
    assert str(Silence("ldap:corp", "it cannot be reached")) == "ldap:corp: it cannot be reached"
