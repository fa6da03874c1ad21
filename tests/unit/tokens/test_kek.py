"""The master key on a token opens what it wrapped and nothing else."""

import pytest
from cryptography.exceptions import InvalidTag

from smime_proxy.stores.vault import Vault
from smime_proxy.tokens.errors import TokenUnavailable
from smime_proxy.tokens.source import TokenKeys
from tests.hsm import SoftHsm


def test_what_was_wrapped_opens_under_its_own_name_only(keys: TokenKeys) -> None:
    vault = Vault(keys.cipher("pkcs11:object=master"))
    wrapped = vault.wrap(b"secret", "private-key", "1")
    assert b"secret" not in wrapped
    assert vault.unwrap(wrapped, "private-key", "1") == b"secret"
    assert vault.opens(vault.key_check())
    assert not vault.opens(wrapped)


@pytest.mark.parametrize("cut", [0, 5, 6, 21, -1])
def test_what_was_altered_does_not_open(keys: TokenKeys, cut: int) -> None:
    cipher = keys.cipher("pkcs11:object=master")
    sealed = cipher.encrypt(b"n" * 12, b"secret", b"name")
    with pytest.raises(InvalidTag):
        cipher.decrypt(b"n" * 12, sealed[:cut], b"name")
    with pytest.raises(InvalidTag):
        cipher.decrypt(b"n" * 12, sealed, b"another name")


def test_a_token_that_is_away_is_no_wrong_key(softhsm: SoftHsm, keys: TokenKeys) -> None:
    vault = Vault(keys.cipher("pkcs11:object=master"))
    check = vault.key_check()
    with softhsm.away(), pytest.raises(TokenUnavailable):
        vault.opens(check)
    assert vault.opens(check)


def test_a_key_of_another_kind_is_none(keys: TokenKeys) -> None:
    with pytest.raises(TokenUnavailable, match="has no key"):
        keys.cipher("pkcs11:object=rsa").encrypt(b"n" * 12, b"", b"")
