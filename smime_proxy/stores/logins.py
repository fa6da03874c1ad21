"""Passwords of logins, kept as Argon2id hashes; who has no account granted has no login either.

RFC 9106 (Argon2), the PHC string format; parameters after OWASP's Password Storage Cheat Sheet.
"""

import os
from pathlib import Path

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from sqlalchemy import delete, insert, or_, select

from smime_proxy.stores import schema
from smime_proxy.stores.connection import Act, Store, Writing, make_engine, one_line
from smime_proxy.stores.errors import StoreError

MEMORY_KIB = 19456
ITERATIONS = 2
SALT_OCTETS = 16
HASH_OCTETS = 32
MIN_PASSWORD = 8  # characters, NIST SP 800-63B 5.1.1.2

# Costs what a hash of ours costs, and no password is known for it.
_NOBODYS = f"$argon2id$v=19$m={MEMORY_KIB},t={ITERATIONS},p=1${'A' * 22}${'A' * 43}"


def set_password(store: Store, act: Act, login: str, password: str) -> None:
    """Give a login a password, in place of the one before.

    Raises `StoreError` when no account is granted to the login or the password is too short.
    """
    if len(password) < MIN_PASSWORD:
        raise StoreError(f"{login}: a password has at least {MIN_PASSWORD} characters")
    hashed = hash_password(password)
    with store.writing(act) as writing:
        if login not in store.declared.current.logins:
            _require_granted(writing, login)
        writing.connection.execute(delete(schema.login).where(schema.login.c.login == login))
        row = {"login": login, "hash": hashed, "changed_at": act.at}
        writing.connection.execute(insert(schema.login).values(row))
        writing.record("account password", login)


def remove_password(store: Store, act: Act, login: str) -> None:
    """Take a login's password away; raises `StoreError` when it has none."""
    with store.writing(act) as writing:
        table = schema.login
        if not writing.connection.execute(delete(table).where(table.c.login == login)).rowcount:
            raise StoreError(f"{login}: has no password")
        writing.record("account password", f"{login} removed")


class Passwords:
    """Checks passwords against a store's file; opens it at each check, needs no master key."""

    def __init__(self, path: Path, declared: frozenset[str] = frozenset()) -> None:
        """Keep where the store is; nothing is opened yet.

        `declared` are the logins that the settings grant, beside those of the accounts there.
        """
        self._path = path
        self._declared = sorted(declared)
        self._engine = make_engine(path)

    def fits(self, login: str, password: str) -> bool:
        """Tell whether a password is that of a login; takes as long whatever is wrong.

        Costs some 50 ms of a core and 19 MiB. Raises `StoreError` when the store cannot be read.
        """
        hashed = self._find(login)
        return is_hash_of(password, hashed or _NOBODYS) and hashed is not None

    def _find(self, login: str) -> str | None:
        table, granted = schema.login, schema.account_login
        wanted = select(table.c.hash).where(
            table.c.login == login,
            or_(table.c.login.in_(select(granted.c.login)), table.c.login.in_(self._declared)),
        )
        with one_line(self._path), self._engine.begin() as connection:
            found: str | None = connection.execute(wanted).scalar()
            return found


def hash_password(password: str) -> str:
    """Hash a password with a salt of its own; gives a PHC string."""
    return Argon2id(
        salt=os.urandom(SALT_OCTETS),
        length=HASH_OCTETS,
        iterations=ITERATIONS,
        lanes=1,
        memory_cost=MEMORY_KIB,
    ).derive_phc_encoded(password.encode())


def is_hash_of(password: str, hashed: str) -> bool:
    """Tell whether a PHC string is the hash of a password."""
    try:
        Argon2id.verify_phc_encoded(password.encode(), hashed)
    except InvalidKey:
        return False
    return True


def _require_granted(writing: Writing, login: str) -> None:
    table = schema.account_login
    if writing.connection.execute(select(table).where(table.c.login == login)).first() is None:
        raise StoreError(
            f"{login}: is a login of no account; grant one with `account set ADDRESS --login`"
        )
