from pathlib import Path

import pytest

from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.app.stored import (
    known_decrypted,
    known_revocations,
    open_configured,
    remembering_decrypted,
    token_keys,
)
from smime_proxy.settings import Settings
from tests.pki import NOW

IN = {"role": "inbound", "bind": "127.0.0.1:2", "upstream": "two", "domains": ["example.test"]}


def test_the_domains_listeners_serve_are_our_own(tmp_path: Path) -> None:
    tables = {"upstreams": {"two": {"url": "maildir:///two"}}, "listeners": {"mx": IN}}
    settings = Settings.model_validate(tables | {"service": {"state_dir": str(tmp_path)}})
    store = open_configured(settings).store
    try:
        assert store.own_domains == {"example.test"}
        assert known_revocations(settings, store) is not None
        off = Settings.model_validate({"revocation": {"mode": "off"}})
        assert known_revocations(off, store) is None
    finally:
        store.close()


def test_what_was_decrypted_is_known_where_a_service_ran(tmp_path: Path) -> None:
    settings = Settings.model_validate({"service": {"state_dir": str(tmp_path)}})
    store = open_configured(settings).store
    try:
        assert known_decrypted(store) is None
        serving = remembering_decrypted(store)
        asking = known_decrypted(store)
        assert asking is not None
        assert asking.keys == serving.keys
        serving.remember([b"1@x"], NOW)
        assert (serving.knows([b"1@x"]), asking.knows([b"1@x"])) == (True, False)
    finally:
        store.close()


def test_a_pin_that_is_no_text_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no token is set"):
        token_keys(Settings())
    (tmp_path / "pin").write_bytes(b"\xff\n")
    token = {"module": "/lib/x.so", "token": "one", "pin_file": str(tmp_path / "pin")}
    with pytest.raises(CommandError, match="pin: the PIN is not UTF-8"):
        token_keys(Settings.model_validate({"pkcs11": token}))
