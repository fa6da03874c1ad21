from pathlib import Path

import pytest

from tests import pki

from .conftest import BILLS, Cli


def test_the_first_command_makes_the_store_and_says_where_the_master_key_is(empty: Cli) -> None:
    added = empty.done("account", "add", "a@example.test")
    assert added.out == "a@example.test: added\n"
    assert added.err.count("\n") == 1
    assert str(empty.state / "master.key") in added.err
    assert empty.done("account", "list").err == ""


def test_adding_an_identical_account_again_is_no_error(empty: Cli) -> None:
    line = ("account", "add", "a@example.test", "--sign", "never", "--alias", "b@example.test")
    empty.done(*line)
    assert "is there already" in empty.done(*line).out
    assert "account set" in empty.refused("account", "add", "a@example.test")


def test_what_is_added_is_shown(empty: Cli) -> None:
    empty.done(
        "account",
        "add",
        "A@example.test",
        "--kind",
        "team",
        "--sign",
        "on_request",
        "--encrypt",
        "never",
        "--alias",
        "b@example.test",
        "--alias",
        "c@example.test",
        "--login",
        "anna",
        "--sent-copy",
        "upstream:outside",
    )
    shown = empty.done("account", "show", "b@example.test", "--json").json
    del shown["created_at"]
    assert shown == {
        "address": "A@example.test",
        "kind": "team",
        "enabled": True,
        "aliases": ["b@example.test", "c@example.test"],
        "logins": ["anna"],
        "sign": "on_request",
        "encrypt": "never",
        "sent_copy": "upstream:outside",
        "refusal_text": "",
        "keys": 0,
        "former_keys": 0,
        "signs_until": None,
        "origin": "store",
        "key_list": [],
    }


def test_the_login_defaults_to_the_address(empty: Cli) -> None:
    empty.done("account", "add", "a@example.test")
    assert empty.done("account", "show", "a@example.test", "--json").json["logins"] == [
        "a@example.test"
    ]


def test_set_changes_what_is_given_and_nothing_else(empty: Cli) -> None:
    empty.done("account", "add", "a@example.test", "--sign", "never", "--alias", "b@example.test")
    empty.done("account", "set", "a@example.test", "--encrypt", "required")
    shown = empty.done("account", "show", "a@example.test", "--json").json
    assert (shown["sign"], shown["encrypt"]) == ("never", "required")
    assert shown["aliases"] == ["b@example.test"]
    empty.done("account", "set", "a@example.test", "--sign", "default", "--alias", "")
    shown = empty.done("account", "show", "a@example.test", "--json").json
    assert (shown["sign"], shown["aliases"]) == ("", [])


def test_a_disabled_account_can_be_enabled_again(cli: Cli) -> None:
    cli.done("account", "disable", "alice@example.test")
    shown = cli.done("account", "show", "alice@example.test", "--json").json
    assert (shown["enabled"], shown["signs_until"]) == (False, None)
    cli.done("account", "set", "alice@example.test", "--enable")
    assert cli.done("account", "show", "alice@example.test", "--json").json["signs_until"]


def test_an_account_with_keys_is_removed_only_with_the_flag(cli: Cli) -> None:
    assert "--destroy-keys" in cli.refused("account", "remove", "alice@example.test")
    cli.done("account", "remove", "alice@example.test", "--destroy-keys")
    assert "no account" in cli.refused("account", "show", "alice@example.test")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("add", "nobody"), "is not an address"),
        (("add", "a@example.test", "--alias", "x y@z"), "is not an address"),
        (("add", "a@example.test", "--reader", "b@example.test"), "not supported"),
        (("add", "a@example.test", "--sent-copy", "imap://x"), "--sent-copy must be"),
        (("add", "a@example.test", "--sent-copy", "upstream:x"), "no upstream 'x'"),
        (("add", "other@example.test", "--alias", "al@example.test"), "already belongs"),
        (("show", "nobody@example.test"), "no account"),
        (("retire-key", "alice@example.test", "00000000"), "no key"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    cli: Cli, arguments: tuple[str, ...], reason: str
) -> None:
    assert reason in cli.refused("account", *arguments)


def test_accounts_are_listed_for_people_and_programs(cli: Cli) -> None:
    lines = cli.done("account", "list").out.splitlines()
    assert lines[0].split()[:3] == ["ADDRESS", "KIND", "ENABLED"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["alice@example.test", "personal"],
        ["team@example.test", "team"],
    ]
    listed = cli.done("account", "list", "--json").json
    assert [entry["address"] for entry in listed] == ["alice@example.test", "team@example.test"]


def test_keys_are_listed_and_retired(cli: Cli) -> None:
    (key,) = cli.done("account", "keys", "alice@example.test", "--json").json
    assert (key["state"], key["provenance"]) == ("current", "issued")
    assert key["certificate"]["addresses"] == ["alice@example.test"]
    told = cli.done("account", "retire-key", "alice@example.test", key["id"]).out
    assert told == f"alice@example.test: key {key['id']} is a former one, which only decrypts\n"
    assert cli.done("account", "keys", "alice@example.test").out.splitlines()[1].split()[1] == (
        "former"
    )


def test_a_key_file_comes_in_with_its_chain(cli: Cli) -> None:
    cli.done("account", "add", "carol@example.test")
    password = cli.file("password", "secret\nsecond line\n")
    out = cli.directory / "carol.p12"
    cli.done("ca", "issue", "carol@example.test", "--out", out, "--password-file", password)
    (issued,) = cli.done("account", "keys", "carol@example.test", "--json").json
    cli.done("account", "remove", "carol@example.test", "--destroy-keys")
    cli.done("account", "add", "carol@example.test")
    line = ("account", "import-key", "carol@example.test", out, "--password-file", password)
    assert "imported" in cli.done(*line).out
    assert "is there already" in cli.done(*line).out
    (key,) = cli.done("account", "keys", "carol@example.test", "--json").json
    assert key["certificate"]["fingerprint"] == issued["certificate"]["fingerprint"]
    assert key["provenance"] == "imported"


@pytest.mark.parametrize(
    ("kind", "described"), [("ed25519", "ed25519 256"), ("mldsa65", "mldsa65")]
)
def test_keys_that_only_sign_come_in_and_sign(cli: Cli, kind: str, described: str) -> None:
    """E72."""
    cli.done("account", "add", "carol@example.test")
    carol = pki.person(None, "carol@example.test", kind=kind)
    file = cli.file("carol.pem", carol.key_pem() + carol.pem())
    assert "only signs" in cli.done("account", "import-key", "carol@example.test", file).err
    (key,) = cli.done("account", "keys", "carol@example.test", "--json").json
    assert (key["state"], key["certificate"]["key"]) == ("current", described)
    mail = cli.file("mail.eml", "From: carol@example.test\r\nSubject: x\r\n\r\nx\r\n")
    line = ("explain", "--from", "carol@example.test", "--to", "x@example.net", mail, "--json")
    (decision,) = cli.done(*line).json["recipients"]
    assert decision["action"] == "sign"


def test_passwords_appear_nowhere(cli: Cli, tmp_path: Path) -> None:
    password = cli.file("password", "hunter2-canary\n")
    out = tmp_path / "alice.p12"
    issued = cli.done(
        "ca", "issue", "alice@example.test", "--out", out, "--password-file", password
    )
    wrong = cli.file("wrong", "hunter3-canary\n")
    line = ("account", "import-key", "alice@example.test", out, "--password-file", wrong)
    shown = issued.out + issued.err + cli.refused(*line)
    assert "canary" not in shown


def test_every_change_is_told_in_one_line(cli: Cli) -> None:
    alice, out = "alice@example.test", cli.directory / "public.pem"
    assert cli.done("account", "set", alice, "--sign", "never").out == (
        f"{alice}: set; `account show` says how it is now\n"
    )
    assert cli.done("account", "export-public", alice, "--out", out).out == (
        f"{out}: the certificates of {alice}\n"
    )
    assert cli.done("account", "disable", alice).out == (
        f"{alice}: disabled; it signs no more and still decrypts\n"
    )
    assert cli.done("account", "remove", alice, "--destroy-keys").out == f"{alice}: removed\n"


def test_a_declared_account_is_shown_with_where_it_is_from(declared: Cli) -> None:
    listed = declared.done("account", "list", "--json").json
    assert {one["address"]: one["origin"] for one in listed} == {
        "alice@example.test": "store",
        BILLS: "settings",
        "team@example.test": "store",
    }
    shown = declared.done("account", "show", "bill@example.test", "--json").json
    (key,) = shown["key_list"]
    assert (shown["address"], shown["keys"], shown["created_at"]) == (BILLS, 1, None)
    assert (key["state"], key["provenance"]) == ("current", "declared")
    assert key["origin"] == str(declared.directory / "bills.pem")
    assert "settings" in declared.done("account", "list").out
    assert key["origin"] in declared.done("account", "keys", BILLS).out
    assert "BEGIN CERTIFICATE" in declared.done("account", "export-public", BILLS).out
    assert "SMIMEA" in declared.done("account", "smimea", BILLS).out


def test_no_command_changes_a_declared_account(declared: Cli) -> None:
    pem = declared.directory / "bills.pem"
    for line in (
        ("account", "add", BILLS),
        ("account", "set", BILLS, "--sign", "never"),
        ("account", "disable", BILLS),
        ("account", "remove", BILLS),
        ("account", "import-key", BILLS, pem),
        ("account", "retire-key", BILLS, "1234"),
        ("ca", "issue", BILLS),
    ):
        assert declared.refused(*line) == (
            f'{BILLS} is declared in the settings, [accounts."{BILLS}"]: change it there'
        )
    said = declared.refused("account", "set", "alice@example.test", "--alias", "bill@example.test")
    assert f"bill@example.test is an alias of {BILLS}, which is declared" in said
    directory = declared.directory / "keys"
    directory.mkdir()
    pem.rename(directory / "bills.pem")
    pem.symlink_to(directory / "bills.pem")
    report = declared("account", "import-keys", directory)
    assert report.code == 1
    assert "is declared in the settings" in report.err


def test_a_broken_key_file_is_a_warning_where_nothing_needs_it(declared: Cli) -> None:
    (declared.directory / "bills.pem").write_text("nothing")
    listed = declared.done("account", "list")
    assert listed.err.startswith(f'warning: accounts."{BILLS}".key_file: ')
    assert BILLS in listed.out


def test_a_declared_login_can_have_a_password(declared: Cli) -> None:
    password = declared.file("password", "correct horse")
    declared.done("account", "password", BILLS, "--password-file", password)
    assert "no account" in declared.refused(
        "account", "password", "bill", "--password-file", password
    )
