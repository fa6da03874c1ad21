from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.app.reloading import InForce, Reloading, needs_restart
from smime_proxy.settings import Settings
from smime_proxy.smtp.errors import SmtpError
from tests import pki
from tests.tls_files import make_tls_files

UPSTREAMS = {"one": {"url": "maildir:///one"}, "two": {"url": "maildir:///two"}}
OUT = {"role": "outbound", "bind": "127.0.0.1:1", "upstream": "one"}


def settings(listener: Mapping[str, Any] = OUT, **more: Any) -> Settings:
    tables = {"upstreams": UPSTREAMS, "listeners": {"out": dict(listener)}} | more
    return Settings.model_validate(tables)


def test_what_can_change_is_put_in_force() -> None:
    after = settings(
        OUT | {"upstream": "two", "mode": "soft"},
        policy={"encrypt": "required"},
        texts={"languages": ["de"]},
        service={"mode": "observe"},
    )
    reloading = Reloading(InForce.read(settings()), lambda: after)
    assert reloading.renew().settings is after
    assert reloading.in_force.settings is after


@pytest.mark.parametrize(
    ("after", "named"),
    [
        (settings(service={"max_message_size": "1MB"}), "service"),
        (settings(status={"bind": "127.0.0.1:9"}, log={"level": "debug"}), "status, log"),
        (settings(OUT | {"bind": "127.0.0.1:3"}), "listeners.out"),
        (settings(OUT | {"role": "inbound", "domains": ["a.example"]}), "listeners.out"),
        (
            settings(OUT | {"proxy_protocol": True, "trusted_peers": ["127.0.0.1"]}),
            "listeners.out",
        ),
        (settings(listeners={}), "listeners.out"),
        (settings(listeners={"out": OUT, "b": OUT | {"bind": "127.0.0.1:3"}}), "listeners.b"),
    ],
)
def test_what_was_made_at_the_start_needs_a_restart(after: Settings, named: str) -> None:
    before = settings()
    reloading = Reloading(InForce.read(before), lambda: after)
    with pytest.raises(CommandError, match=f"^{named}: a change needs a restart"):
        reloading.renew()
    assert reloading.in_force.settings is before


def test_every_table_is_compared() -> None:
    assert needs_restart(settings(), settings()) == ()
    changed = settings(revocation={"mode": "off"}, discovery={}, pkcs11={"token": "one"})
    assert needs_restart(settings(), changed) == ("pkcs11", "revocation")


def test_files_that_cannot_be_used_change_nothing() -> None:
    relay = {"url": "smtp://relay.example.com:587", "username": "us", "password_file": "/nowhere"}
    before = settings()
    after = settings(upstreams=UPSTREAMS | {"relay": relay})
    reloading = Reloading(InForce.read(before), lambda: after)
    with pytest.raises((SmtpError, OSError, CommandError)):
        reloading.renew()
    assert reloading.in_force.settings is before


def test_the_context_an_smtps_socket_has_takes_the_new_certificate(
    tmp_path: Path,
) -> None:
    tls = make_tls_files(tmp_path)
    files = {"tls_certificate": str(tls.certificate), "tls_key": str(tls.key)}
    both = {
        "tls": OUT | {"protocol": "smtps", "bind": "127.0.0.1:4"} | files,
        "starttls": OUT | files,
    }
    before = settings(listeners=both)
    reloading = Reloading(InForce.read(before), lambda: before)
    first = {one.name: one.tls for one in reloading.in_force.listeners}
    second = {one.name: one.tls for one in reloading.renew().listeners}
    assert first["tls"] is second["tls"]
    assert second["starttls"] is not None
    assert second["starttls"] is not first["starttls"]


def test_a_declared_account_needs_a_key_to_begin_with_and_keeps_the_one_it_has(
    tmp_path: Path,
) -> None:
    owner = pki.person(None, "a@example.com", kind="p256")
    key_file = tmp_path / "a.pem"
    declared = settings(accounts={"a@example.com": {"key_file": str(key_file)}})
    reloading = Reloading(InForce.read(settings()), lambda: declared)
    with pytest.raises(
        CommandError, match=r'^accounts\."a@example\.com"\.key_file: .*a\.pem: No such'
    ):
        reloading.renew()
    key_file.write_bytes(owner.key_pem() + owner.pem())
    (first,) = reloading.renew().declared.accounts
    key_file.write_bytes(b"half")
    (after,) = reloading.renew().declared.accounts
    assert (after.keys, bool(after.fault)) == (first.keys, True)
    assert reloading.declared_now().accounts == (after,)
