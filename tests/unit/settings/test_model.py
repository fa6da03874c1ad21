import pytest
from pydantic import ValidationError

from smime_proxy.settings import Settings
from smime_proxy.settings.model import distinct, read_partner


def test_partners_are_addresses_or_domains() -> None:
    assert read_partner("A@Example.org") == "a@example.org"
    assert read_partner("Example.org") == "example.org"


def test_a_partner_written_with_a_star_is_refused_and_the_domain_named() -> None:
    with pytest.raises(ValueError, match=r"write 'example\.org' for all its addresses"):
        read_partner("*@example.org")
    with pytest.raises(ValueError, match="must be an address or a domain"):
        read_partner("*@exam ple")


def test_two_spellings_of_one_name_are_refused() -> None:
    assert distinct({"a": 1, "b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="which are the same"):
        distinct({"a": 1, "A": 2})


def test_names_of_listeners_are_short_words() -> None:
    table = {"url": "maildir:///m"}
    assert Settings.model_validate({"upstreams": {"relay-2": table}}).upstreams
    for name in ("", "a b", "-a", "a" * 33):
        with pytest.raises(ValidationError):
            Settings.model_validate({"upstreams": {name: table}})
