"""A token that goes away is said to be away, and used again when it is back."""

import os
import threading

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from smime_proxy.gateway.ports import KeyUnavailable
from smime_proxy.tokens.errors import TokenUnavailable
from smime_proxy.tokens.source import TokenKeys
from smime_proxy.tokens.token import Token
from tests.hsm import LABEL, MODULE, PIN, SoftHsm

from .conftest import rsa_key

PKCS1V15 = padding.PKCS1v15()


def sign(keys: TokenKeys, reference: str = "pkcs11:object=rsa") -> bytes:
    key = keys.key(reference, rsa_key().public_key())
    assert isinstance(key, rsa.RSAPrivateKey)
    return key.sign(b"text", PKCS1V15, hashes.SHA256())


def test_a_token_that_is_away_is_unavailable_and_used_again_when_it_is_back(
    softhsm: SoftHsm, keys: TokenKeys
) -> None:
    before = sign(keys)
    with softhsm.away(), pytest.raises(KeyUnavailable, match="cannot be used"):
        sign(keys)
    assert sign(keys) == before


def test_a_session_that_was_ended_is_made_anew(softhsm: SoftHsm, keys: TokenKeys) -> None:
    before = sign(keys)
    other = softhsm.open()
    other.listing()  # begins the module anew, as another user of it in the process may
    other.close()
    assert sign(keys) == before


def test_a_forked_process_opens_the_token_for_itself(keys: TokenKeys) -> None:
    before = sign(keys)
    child = os.fork()
    if not child:
        os._exit(0 if sign(keys) == before else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sign(keys) == before


def test_threads_take_turns(keys: TokenKeys) -> None:
    expected, made = sign(keys), []
    threads = [threading.Thread(target=lambda: made.append(sign(keys))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [expected] * 8


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("pkcs11:object=nobody", "has no key"),
        ("pkcs11:object=rsa;token=other", "not on the token"),
        ("pkcs11:object=rsa;serial=ffff", "not on the token"),
        ("nonsense", "not a URI"),
    ],
)
def test_a_key_that_is_not_there_is_unavailable(keys: TokenKeys, reference: str, why: str) -> None:
    with pytest.raises(TokenUnavailable, match=why):
        sign(keys, reference)


def test_a_wrong_pin_and_a_wrong_module_are_one_line(softhsm: SoftHsm) -> None:
    del softhsm
    for token in (Token(MODULE, LABEL, "wrong-pin"), Token(MODULE.with_name("no.so"), LABEL, PIN)):
        with pytest.raises(TokenUnavailable) as told:
            TokenKeys(token).listing()
        assert "\n" not in str(told.value)
        assert "wrong-pin" not in str(told.value)


def test_the_keys_are_listed_with_the_uris_that_find_them(keys: TokenKeys) -> None:
    found = {str(key.uri): (key.kind, key.size) for key in keys.listing()}
    assert found[f"pkcs11:token={LABEL};object=rsa"] == ("rsa", 2048)
    assert found[f"pkcs11:token={LABEL};object=master"] == ("aes", 256)
    assert sign(keys, f"pkcs11:token={LABEL};object=rsa")
