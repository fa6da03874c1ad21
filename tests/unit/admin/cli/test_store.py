"""`store` as it is typed."""

from smime_proxy.stores.vault import make_master_key

from .conftest import Cli


def test_upgrading_postgresql_is_not_supported_yet(empty: Cli) -> None:
    assert "not supported in this version" in empty.refused("store", "upgrade")


def test_a_new_master_key_is_made_and_the_old_one_named(cli: Cli) -> None:
    path = cli.state / "master.key"
    old = path.read_bytes()
    said = cli.done("store", "rotate-master-key")
    assert said.out == f"4 keys are wrapped with the new master key {path}\n"
    (kept,) = cli.state.glob("master.key.before-*")
    assert str(kept) in said.err
    assert kept.read_bytes() == old != path.read_bytes()
    assert cli("doctor").code == 0


def test_a_new_master_key_can_be_given(cli: Cli) -> None:
    given = cli.directory / "given.key"
    make_master_key(given)
    cli.done("store", "rotate-master-key", "--new-file", given)
    assert (cli.state / "master.key").read_bytes() == given.read_bytes()
    wrong = cli.file("wrong.key", "nothing")
    assert "is not a master key" in cli.refused("store", "rotate-master-key", "--new-file", wrong)


def test_a_master_key_on_a_token_is_not_ours_to_change(cli: Cli) -> None:
    pin = cli.file("pin", "1234")
    cli.settings.write_text(
        cli.settings.read_text()
        + '[keys]\nmaster_key = "pkcs11:object=wrap"\n'
        + f'[pkcs11]\nmodule = "{pin}"\ntoken = "t"\npin_file = "{pin}"\n'
    )
    assert "on the token" in cli.refused("store", "rotate-master-key")
