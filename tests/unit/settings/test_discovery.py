"""The tables of `[discovery]`."""

from pathlib import Path

import pytest

from smime_proxy.settings import Settings, SettingsError, load
from smime_proxy.settings.checks import check_serving
from smime_proxy.settings.discovery import read_ldap_url

CORP = '[discovery.ldap.corp]\nurl = "ldaps://ldap.example.org"\n'


def loaded(tmp_path: Path, text: str, **variables: str) -> Settings:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    return load(file, {f"SMIME_PROXY_{name}": value for name, value in variables.items()})


def faults(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, text)
    return [str(fault) for fault in caught.value.faults]


def test_nobody_is_asked_by_default() -> None:
    assert Settings().discovery.sources == ()


def test_sources_are_taken_in_their_order(tmp_path: Path) -> None:
    found = loaded(tmp_path, f'[discovery]\nsources = ["smimea", "ldap:corp"]\n{CORP}').discovery
    assert found.sources == ("smimea", "ldap:corp")
    corp = found.ldap["corp"]
    assert (str(corp.url), corp.filter, corp.timeout) == (
        "ldaps://ldap.example.org:636",
        "(mail={address})",
        3.0,
    )


def test_a_directory_can_be_set_by_variables(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        CORP,
        DISCOVERY__SOURCES="ldap:corp,smimea",
        DISCOVERY__LDAP__CORP__BASE="dc=example",
        DISCOVERY__LDAP__NEW__URL="ldap://127.0.0.1:3890",
        DISCOVERY__SMIMEA__RESOLVER="[::1]:5353",
    ).discovery
    assert found.sources == ("ldap:corp", "smimea")
    assert found.ldap["corp"].base == "dc=example"
    assert str(found.ldap["new"].url) == "ldap://127.0.0.1:3890"
    assert found.smimea.resolver is not None
    assert found.smimea.resolver.port == 5353


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[discovery]\nsources = ["ldap:gone"]', "there is no 'ldap:gone' (known: smimea)"),
        ('[discovery]\nsources = ["corp"]\n' + CORP, "there is no 'corp'"),
        ('[discovery]\nsources = ["smimea", "smimea"]', "names a source twice"),
        (CORP + 'bind_dn = "cn=x"', "ldap.corp.password_file: must be set"),
        (CORP + 'password_file = "/p"', "ldap.corp.bind_dn: must be set"),
        (CORP + 'tls = "never"', "tls: must be required with ldaps://"),
        (CORP + "filter = '(mail=*)'", "filter: must hold {address}"),
        (CORP + "filter = '(mail={address}'", "filter: has a parenthesis that is not closed"),
        (CORP + "timeout = 0", "timeout"),
        ("[discovery]\nbudget = 61", "budget"),
        ("[discovery]\nkeep = 59", "keep"),
        (
            '[discovery]\nsources = ["smimea"]\n[discovery.smimea]\nresolver = "192.0.2.1:53"',
            "192.0.2.1 is in none of the trusted_networks",
        ),
        (
            '[discovery]\nsources = ["smimea"]\n[discovery.smimea]\nresolver = "dns.example:53"',
            "must be the IP address",
        ),
        (
            '[discovery]\nsources = ["smimea"]\n[discovery.smimea]\nresolver = ""',
            "must be the IP address",
        ),
    ],
)
def test_what_does_not_fit_together_is_named(tmp_path: Path, text: str, fault: str) -> None:
    assert any(fault in found for found in faults(tmp_path, text)), faults(tmp_path, text)


def test_a_password_is_never_sent_in_clear_text(tmp_path: Path) -> None:
    text = (
        '[discovery.ldap.corp]\nurl = "ldap://127.0.0.1"\ntls = "never"\n'
        'bind_dn = "cn=x"\npassword_file = "/p"'
    )
    assert "never sent in clear text" in "\n".join(faults(tmp_path, text))


def test_a_resolver_elsewhere_needs_a_word_that_its_network_is_trusted(tmp_path: Path) -> None:
    smimea = '[discovery.smimea]\nresolver = "192.0.2.1:53"\ntrusted_networks = ["192.0.2.0/24"]'
    found = loaded(tmp_path, f'[discovery]\nsources = ["smimea"]\n{smimea}')
    assert str(found.discovery.smimea.resolver) == "192.0.2.1:53"


@pytest.mark.parametrize(
    "url",
    [
        "http://x",
        "ldap://",
        "ldap://x:0",
        "ldap://x:99999",
        "ldap://u@x",
        "ldap://x/dc=y",
        "ldapi:///s",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be ldap|is not a URL"):
        read_ldap_url(url)


def test_files_that_are_named_have_to_be_there(tmp_path: Path) -> None:
    text = f'{CORP}tls_ca_file = "{tmp_path}/gone.pem"'
    assert "discovery.ldap.corp.tls_ca_file" in "\n".join(
        str(fault) for fault in check_serving(loaded(tmp_path, text))
    )
