"""What is wrapped opens only with the same key, as the same thing, under the same name."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.vault import (
    AUTHORITY_KEY,
    PRIVATE_KEY,
    Vault,
    make_master_key,
    read_master_key,
)

VAULT = Vault.from_key(bytes(range(32)))


@given(st.binary(max_size=3000), st.text(max_size=20))
def test_what_is_wrapped_comes_back(plain: bytes, identifier: str) -> None:
    wrapped = VAULT.wrap(plain, PRIVATE_KEY, identifier)
    assert VAULT.unwrap(wrapped, PRIVATE_KEY, identifier) == plain


def test_the_same_key_wrapped_twice_looks_different() -> None:
    assert VAULT.wrap(b"key", PRIVATE_KEY, "a") != VAULT.wrap(b"key", PRIVATE_KEY, "a")


@given(st.integers(min_value=0))
def test_any_flipped_bit_is_noticed(position: int) -> None:
    wrapped = bytearray(VAULT.wrap(b"secret", PRIVATE_KEY, "a"))
    wrapped[position // 8 % len(wrapped)] ^= 1 << position % 8
    with pytest.raises(StoreError, match="private key a does not open"):
        VAULT.unwrap(bytes(wrapped), PRIVATE_KEY, "a")


@pytest.mark.parametrize("octets", [0, 11, 12, 27])
def test_what_is_cut_short_is_noticed(octets: int) -> None:
    wrapped = VAULT.wrap(b"secret", PRIVATE_KEY, "a")[:octets]
    with pytest.raises(StoreError, match="does not open"):
        VAULT.unwrap(wrapped, PRIVATE_KEY, "a")


@pytest.mark.parametrize(
    ("purpose", "identifier", "version"),
    [(AUTHORITY_KEY, "a", 1), (PRIVATE_KEY, "b", 1), (PRIVATE_KEY, "a", 2)],
)
def test_a_wrapped_key_opens_as_nothing_else(purpose: str, identifier: str, version: int) -> None:
    wrapped = VAULT.wrap(b"secret", PRIVATE_KEY, "a")
    with pytest.raises(StoreError):
        VAULT.unwrap(wrapped, purpose, identifier, version)


def test_a_key_check_tells_another_master_key() -> None:
    assert VAULT.opens(VAULT.key_check())
    assert not Vault.from_key(bytes(32)).opens(VAULT.key_check())


def test_a_made_master_key_is_the_owners_only_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master.key"
    made = make_master_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [p.name for p in path.parent.iterdir()] == ["master.key"]
    assert read_master_key(path).opens(made.key_check())


def test_two_made_master_keys_differ(tmp_path: Path) -> None:
    first, second = make_master_key(tmp_path / "1"), make_master_key(tmp_path / "2")
    assert not first.opens(second.key_check())


def test_a_master_key_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_text("precious")
    with pytest.raises(StoreError, match="cannot be written"):
        make_master_key(path)
    assert path.read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["master.key"]


def test_a_master_key_needs_no_comment_and_no_line_end(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_text("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    assert read_master_key(path).opens(VAULT.key_check())


@pytest.mark.parametrize(
    "text",
    ["", "# only a comment\n", "AAECAw==", "not base64 at all!", "AAECAw==\nAAECAw==", "A" * 5000],
)
def test_what_is_no_master_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "master.key"
    path.write_text(text)
    with pytest.raises(StoreError, match="not a master key"):
        read_master_key(path)


def test_a_missing_master_key_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="put it back from its backup"):
        read_master_key(tmp_path / "master.key")


def test_an_unreadable_master_key_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read: Is a directory"):
        read_master_key(tmp_path)


def test_no_repr_shows_the_key() -> None:
    assert repr(VAULT) == "Vault()"


def test_what_is_derived_is_the_same_for_the_same_key_and_purpose_only() -> None:
    again = Vault.from_key(bytes(range(32)))
    other = Vault.from_key(bytes(32))
    derived = VAULT.derive("ledger")
    assert len(derived) == 32
    assert again.derive("ledger") == derived
    assert derived not in {VAULT.derive("another"), other.derive("ledger"), bytes(range(32))}
