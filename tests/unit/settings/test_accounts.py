from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from smime_proxy.address import parse_mailbox
from smime_proxy.policy.rules import Account, Encrypt, Kind, Override, Sign
from smime_proxy.settings.accounts import AccountTable, account_faults, to_account

KEY = "/run/secrets/invoices.p12"


def table(**keys: Any) -> AccountTable:
    return AccountTable.model_validate({"key_file": KEY} | keys)


def faults(**accounts: AccountTable) -> list[tuple[tuple[str, ...], str]]:
    return list(account_faults({f"{name}@example.com": one for name, one in accounts.items()}))


def test_a_key_file_alone_makes_an_account_that_follows_the_policy() -> None:
    invoices = parse_mailbox("Invoices@Example.com")
    account = to_account("Invoices@Example.com", table())
    assert account == Account(invoices, logins=frozenset({"Invoices@Example.com"}))
    assert account.address.text == "Invoices@Example.com"


def test_every_key_of_the_table_reaches_the_account() -> None:
    account = to_account(
        "invoices@example.com",
        table(
            kind="team",
            sign="on_request",
            encrypt="required",
            aliases="billing@example.com, invoices@example.com",
            logins=["erp"],
            sent_copy="upstream:relay",
            refusal_text="Ask Bob.",
        ),
    )
    assert account == Account(
        parse_mailbox("invoices@example.com"),
        Kind.TEAM,
        aliases=frozenset({parse_mailbox("billing@example.com")}),
        logins=frozenset({"erp"}),
        override=Override(Sign.ON_REQUEST, Encrypt.REQUIRED, sent_copy="upstream:relay"),
        refusal_text="Ask Bob.",
    )


def test_its_files_are_named_by_their_keys() -> None:
    found = table(password_file="/pw", former_key_files='["/old.p12", "/older.p12"]').files
    assert found == (
        ("key_file", Path(KEY)),
        ("password_file", Path("/pw")),
        ("former_key_files", Path("/old.p12")),
        ("former_key_files", Path("/older.p12")),
    )


@pytest.mark.parametrize(
    "keys",
    [
        {"key_file": ""},
        {"former_key_files": [""]},
        {"aliases": ["nobody"]},
        {"kind": "robot"},
        {"refusal_text": "two\nlines"},
        {"key": "x"},
    ],
)
def test_what_cannot_be_meant_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        table(**keys)


def test_an_address_has_one_declared_account() -> None:
    assert faults(a=table(aliases=["c@example.com"]), b=table()) == []
    (fault,) = faults(a=table(aliases=["B@example.com"]), b=table())
    path = ("accounts", "a@example.com", "aliases")
    assert fault == (path, 'B@example.com belongs to accounts."b@example.com" already')
    shared = table(aliases=["c@example.com"])
    ((_, text),) = faults(a=shared, b=shared)
    assert text == 'c@example.com belongs to accounts."a@example.com" already'
