"""`account password`: passwords come by file, and only logins that are granted have one."""

from smime_proxy.stores.logins import Passwords
from smime_proxy.stores.open import STORE_FILE

from .conftest import Cli

SECRET = "canary of a"


def test_a_password_is_set_and_taken_away(empty: Cli) -> None:
    empty.done("account", "add", "a@example.test", "--login", "anna")
    file = empty.file("password", f"{SECRET}\nsecond line\n")
    said = empty.done("account", "password", "anna", "--password-file", file)
    assert said.out == "anna: has a password\n"
    passwords = Passwords(empty.state / STORE_FILE)
    assert passwords.fits("anna", SECRET)
    assert empty.done("account", "password", "anna", "--remove").out.startswith("anna: has no")
    assert not passwords.fits("anna", SECRET)
    assert empty.refused("account", "password", "anna", "--remove") == "anna: has no password"


def test_what_cannot_be_is_refused(empty: Cli) -> None:
    empty.done("account", "add", "a@example.test")
    file = empty.file("password", f"{SECRET}\n")
    line = ("account", "password", "bob@example.test", "--password-file", file)
    assert "is a login of no account" in empty.refused(*line)
    odd = empty.file("odd", b"\xff\xff\xff\xff\xff\xff\xff\xff\n")
    line = ("account", "password", "a@example.test", "--password-file", odd)
    assert "not UTF-8" in empty.refused(*line)
    both = ("account", "password", "a@example.test", "--remove", "--password-file", file)
    assert "--remove takes no" in empty.refused(*both)
    assert "use --password-file" in empty.refused("account", "password", "a@example.test")
