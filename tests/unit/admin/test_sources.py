"""What `[discovery]` says becomes what is asked."""

from pathlib import Path

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.sources import discovery, sources
from smime_proxy.settings import Settings, load
from smime_proxy.smtp.errors import TlsSetupError
from smime_proxy.stores.open import open_store
from tests.fakes import FakeMeasures


def settings(tmp_path: Path, more: str = "") -> Settings:
    file = tmp_path / "settings.toml"
    file.write_text(
        '[discovery]\nsources = ["smimea", "ldap:corp"]\n[discovery.ldap.corp]\n'
        f'url = "ldaps://127.0.0.1"\ndomains = ["example.org"]\ntimeout = 2\n{more}'
    )
    return load(file, {})


def test_sources_are_in_the_order_of_the_settings(tmp_path: Path) -> None:
    dns, corp = sources(settings(tmp_path))
    assert (dns.name, corp.name, dns.timeout, corp.timeout) == ("smimea", "ldap:corp", 3.0, 2.0)
    assert not corp.serves(parse_mailbox("x@example.net"))
    assert sources(Settings()) == []


def test_files_are_read_only_where_somebody_is_to_be_asked(tmp_path: Path) -> None:
    ca = settings(tmp_path, f'tls_ca_file = "{tmp_path}/gone.pem"\n')
    with pytest.raises(TlsSetupError, match=r"gone\.pem"):
        sources(ca)
    bound = settings(tmp_path, f'bind_dn = "cn=x"\npassword_file = "{tmp_path}/password"\n')
    with pytest.raises(CommandError):
        sources(bound)
    (tmp_path / "password").write_bytes(b"\xff\n")
    with pytest.raises(CommandError, match="not UTF-8"):
        sources(bound)
    for each in (ca, bound):
        assert [one.name for one in sources(each, only_names=True)] == ["smimea", "ldap:corp"]


def test_without_sources_nothing_is_discovered(tmp_path: Path) -> None:
    store = open_store("sqlite", tmp_path / "state", None, migrate=True).store
    found = settings(tmp_path)
    assert discovery(Settings(), (), store, FakeMeasures(), None) is None
    built = discovery(found, sources(found, only_names=True), store, FakeMeasures(), None)
    assert built is not None
    assert built.sources_for(parse_mailbox("x@example.net")) == ("smimea",)
    store.close()
