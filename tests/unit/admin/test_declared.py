"""Key files become keys of declared accounts, or one line that says which file and why not."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.admin.declared import Contents, read_account, read_contents, read_declared
from smime_proxy.policy.rules import Kind
from smime_proxy.settings import Settings
from smime_proxy.settings.accounts import AccountTable
from smime_proxy.stores.declared import (
    NO_ANCHORS,
    NOTHING,
    Declared,
    DeclaredAccount,
    DeclaredAnchors,
)
from tests import pki
from tests.pki import NOT_AFTER, NOW

ROOT = pki.root(kind="p256")
MIDDLE = pki.intermediate(ROOT, kind="p256")
ADDRESS = "bills@example.com"
BILLS = pki.person(MIDDLE, ADDRESS, kind="p256")
NEXT = pki.person(MIDDLE, ADDRESS, kind="p256", label="next")
STRANGER = pki.person(MIDDLE, "stranger@example.com", kind="p256")


def read(folder: Path, before: Declared = NOTHING, **keys: Any) -> DeclaredAccount:
    table = {"key_file": str(folder / "key.p12")} | keys
    settings = Settings.model_validate({"accounts": {ADDRESS: table}})
    (found,) = read_declared(settings, NOW, before).accounts
    return found


def write(folder: Path, raw: bytes, name: str = "key.p12") -> str:
    path = folder / name
    path.write_bytes(raw)
    return str(path)


def test_a_key_file_gives_key_certificate_and_chain_without_the_root(tmp_path: Path) -> None:
    write(tmp_path, BILLS.pkcs12())
    password = write(tmp_path, b"secret\r\nmore\n", "password")
    found = read(tmp_path, password_file=password)
    (key,) = found.keys
    assert (key.certificate, key.chain) == (BILLS.certificate, (MIDDLE.certificate,))
    assert (key.former, key.key_id) == (False, BILLS.certificate.fingerprint[:16])
    assert str(key.origin) == str(tmp_path / "key.p12")
    assert (found.fault, found.remarks) == ("", ())


def test_pem_without_a_password_will_do(tmp_path: Path) -> None:
    write(tmp_path, BILLS.key_pem() + BILLS.chain_pem())
    assert read(tmp_path).keys[0].certificate == BILLS.certificate


def test_former_files_and_expired_certificates_only_decrypt(tmp_path: Path) -> None:
    write(tmp_path, NEXT.key_pem() + NEXT.pem())
    old = write(tmp_path, BILLS.key_pem() + BILLS.pem(), "old.pem")
    found = read(tmp_path, former_key_files=[old])
    assert [(key.certificate, key.former) for key in found.keys] == [
        (NEXT.certificate, False),
        (BILLS.certificate, True),
    ]
    ended = pki.person(
        MIDDLE, ADDRESS, kind="p256", not_before=NOW - timedelta(9), not_after=NOW - timedelta(1)
    )
    write(tmp_path, ended.key_pem() + ended.pem())
    (found,) = (read(tmp_path),)
    assert found.keys[0].former
    assert "key.p12: the certificate expired on" in found.remarks[0]
    assert NOT_AFTER > NOW


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (None, "key.p12: No such file or directory"),
        (b"", "key.p12: the file is neither PEM nor PKCS #12"),
        (BILLS.pkcs12(b"other"), "key.p12: the password is missing"),
        (BILLS.chain_pem(), "key.p12: the file holds no private key"),
        (BILLS.key_pem(), "key.p12: the file holds no certificate that fits"),
        (STRANGER.key_pem() + STRANGER.pem(), "carries stranger@example.com, not bills@"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, raw: bytes | None, said: str
) -> None:
    if raw is not None:
        write(tmp_path, raw)
    found = read(tmp_path)
    assert found.keys == ()
    assert found.fault.startswith(f'accounts."{ADDRESS}".key_file: {tmp_path}/key.p12: ')
    assert said in found.fault
    assert "\n" not in found.fault


def test_the_key_that_names_the_bad_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, BILLS.pkcs12())
    gone = read(tmp_path, password_file="/nowhere")
    assert gone.fault.startswith(f'accounts."{ADDRESS}".password_file: /nowhere: No such file')
    password = write(tmp_path, b"wrong\n", "password")
    assert read(tmp_path, password_file=password).fault.endswith("key.p12: the password is wrong")
    write(tmp_path, b"secret\n", "password")
    former = read(tmp_path, password_file=password, former_key_files=[password])
    assert former.fault.startswith(f'accounts."{ADDRESS}".former_key_files: {password}: ')


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key.p12")
    assert read(tmp_path).fault.endswith("key.p12: not a file")


def test_a_broken_file_leaves_the_keys_of_before(tmp_path: Path) -> None:
    whole = BILLS.key_pem() + BILLS.pem()
    write(tmp_path, whole)
    before = read(tmp_path)
    write(tmp_path, whole[: len(whole) // 2])
    broken = read(tmp_path, Declared((before,)), kind="team")
    assert broken.keys == before.keys
    assert broken.fault
    assert broken.account.kind.value == "team"
    write(tmp_path, whole)
    mended = read(tmp_path, Declared((broken,)))
    assert (mended.fault, mended.digest) == ("", before.digest)
    assert [key.key_id for key in mended.keys] == [key.key_id for key in before.keys]


def test_what_is_as_before_is_not_read_again(tmp_path: Path) -> None:
    whole = BILLS.key_pem() + BILLS.pem()
    write(tmp_path, whole)
    before = Declared((read(tmp_path),))
    assert read(tmp_path, before) is before.accounts[0]
    assert read(tmp_path, before, logins=["erp"]) is not before.accounts[0]
    other = write(tmp_path, whole, "other.pem")
    assert read(tmp_path, before, key_file=other).keys[0].origin == Path(other)


def test_an_alias_that_becomes_an_account_inherits_no_key(tmp_path: Path) -> None:
    write(tmp_path, BILLS.key_pem() + BILLS.pem())
    shop = {"key_file": str(tmp_path / "key.p12"), "aliases": [ADDRESS]}
    settings = Settings.model_validate({"accounts": {"shop@example.com": shop}})
    before = read_declared(settings, NOW)
    write(tmp_path, NEXT.key_pem() + NEXT.pem())
    assert [key.certificate for key in read(tmp_path, before).keys] == [NEXT.certificate]


def test_what_a_file_no_longer_holds_goes_on_decrypting(tmp_path: Path) -> None:
    write(tmp_path, BILLS.key_pem() + BILLS.pem())
    first = read(tmp_path)
    write(tmp_path, NEXT.key_pem() + NEXT.pem())
    second = read(tmp_path, Declared((first,)))
    assert [(key.certificate, key.former) for key in second.keys] == [
        (NEXT.certificate, False),
        (BILLS.certificate, True),
    ]
    write(tmp_path, BILLS.key_pem() + BILLS.pem())
    back = read(tmp_path, Declared((second,)))
    assert [key.former for key in back.keys] == [False, True]
    assert back.keys[0].certificate == BILLS.certificate


def test_an_alias_is_enough_for_the_certificate(tmp_path: Path) -> None:
    write(tmp_path, STRANGER.key_pem() + STRANGER.pem())
    found = read(tmp_path, aliases=["stranger@example.com"])
    assert found.keys[0].certificate == STRANGER.certificate
    assert parse_mailbox("stranger@example.com") in found.account.aliases


def test_a_file_that_may_not_be_read_any_more_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, BILLS.key_pem() + BILLS.pem())
    before = read(tmp_path)
    table = AccountTable(key_file=tmp_path / "key.p12", kind=Kind.TEAM)
    denied = Contents({}, b"other", "Permission denied", denied=True)
    after = read_account(ADDRESS, table, denied, NOW, Declared((before,)))
    assert (after.keys, after.fault, after.digest) == (before.keys, "", before.digest)
    assert after.account.kind is Kind.TEAM
    assert read_account(ADDRESS, table, denied, NOW, NOTHING).fault == "Permission denied"


def test_the_same_octets_have_the_same_digest_and_no_secret_is_shown(tmp_path: Path) -> None:
    write(tmp_path, BILLS.key_pem())
    table = AccountTable(key_file=tmp_path / "key.p12")
    first = read_contents(("accounts", ADDRESS), table.files)
    (tmp_path / "key.p12").unlink()
    gone = read_contents(("accounts", ADDRESS), table.files)
    assert gone.fault
    write(tmp_path, BILLS.key_pem())
    assert read_contents(("accounts", ADDRESS), table.files).digest == first.digest != gone.digest
    assert repr(first) == "Contents(fault='', denied=False)"


def trusted(folder: Path, before: DeclaredAnchors = NO_ANCHORS, **keys: Any) -> DeclaredAnchors:
    settings = Settings.model_validate({"trust": keys})
    return read_declared(settings, NOW, Declared(trust=before)).trust


def test_authorities_of_files_are_anchors_and_in_both_kinds_vouch_for_our_own_too(
    tmp_path: Path,
) -> None:
    other = pki.root("Other", kind="p256", label="other")
    both = write(tmp_path, ROOT.pem() + other.pem() + BILLS.pem(), "both.pem")
    own = write(tmp_path, ROOT.der, "own.der")
    found = trusted(tmp_path, anchor_files=[both], own_anchor_files=[own])
    assert {(one.certificate, one.own_domains, str(one.origin)) for one in found.anchors} == {
        (ROOT.certificate, True, own),
        (other.certificate, False, both),
    }
    assert trusted(tmp_path, found, anchor_files=[both], own_anchor_files=[own]) is found


def test_a_file_without_an_authority_is_named_and_anchors_of_before_stay(tmp_path: Path) -> None:
    file = write(tmp_path, ROOT.pem(), "root.pem")
    before = trusted(tmp_path, anchor_files=file)
    for raw, reason in (
        (BILLS.pem(), "holds no certificate of an authority"),
        (b"", "root.pem: "),
        (None, "root.pem: No such file or directory"),
    ):
        if raw is None:
            Path(file).unlink()
        else:
            Path(file).write_bytes(raw)
        after = trusted(tmp_path, before, anchor_files=[file])
        assert after.anchors == before.anchors
        assert after.fault.startswith(f"trust.anchor_files: {file}: ")
        assert reason in after.fault
        assert Declared(trust=after).fatal == ()
        first = Declared(trust=trusted(tmp_path, anchor_files=[file]))
        assert first.fatal == first.faults == (after.fault,)
