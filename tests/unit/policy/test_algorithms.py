"""Which content encryption is stronger than which."""

import itertools

from smime_proxy.cms.envelop import is_authenticated
from smime_proxy.policy.algorithms import ContentEncryption


def test_the_names_are_those_the_message_is_written_by() -> None:
    for one in ContentEncryption:
        assert is_authenticated(one.value) is one.strength[0]


def test_longer_keys_do_not_make_up_for_missing_authentication_nor_the_reverse() -> None:
    stronger = {
        (one.value, other.value)
        for one, other in itertools.permutations(ContentEncryption, 2)
        if one.is_at_least(other)
    }
    assert ("aes256_gcm", "aes256_cbc") in stronger
    assert ("aes256_gcm", "chacha20_poly1305") in stronger
    assert ("chacha20_poly1305", "aes256_gcm") in stronger
    assert ("aes192_cbc", "aes128_cbc") in stronger
    assert ("aes128_gcm", "aes128_cbc") in stronger
    assert not {("aes128_gcm", "aes256_cbc"), ("aes256_cbc", "aes128_gcm")} & stronger
    assert not {("aes128_cbc", "aes192_cbc"), ("aes256_cbc", "aes256_gcm")} & stronger
