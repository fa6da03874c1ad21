"""An open store: transactions that are counted and audited, errors that are one line.

No RFC. SQLite's own locking makes one writer at a time; readers never wait.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from smime_proxy.stores import schema
from smime_proxy.stores.declared import Declarations
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.vault import Vault

BUSY_SECONDS = 10  # another process's transaction takes milliseconds, a migration a few seconds

_BEGIN = "smime_proxy_begin"  # execution option: how a transaction starts
_REASONS = {
    "SQLITE_FULL": "the disk is full",
    "SQLITE_BUSY": "another process holds it locked",
    "SQLITE_LOCKED": "another process holds it locked",
    "SQLITE_NOTADB": "it is not an SQLite database; put it back from a backup",
    "SQLITE_CORRUPT": "it is damaged; put it back from a backup",
    "SQLITE_CANTOPEN": "it cannot be opened; check owner and permissions",
    "SQLITE_READONLY": "it cannot be written; check owner and permissions",
    "SQLITE_PERM": "it cannot be accessed; check owner and permissions",
    "SQLITE_IOERR": "the disk reports an error",
}


@dataclass(frozen=True, slots=True)
class Act:
    """Who changes something and when, for the audit."""

    who: str
    at: datetime


@dataclass(slots=True)
class Writing:
    """One writing transaction; what is recorded is audited, and without a record it is undone.

    Private keys are wrapped with its `vault`, which no other process changes meanwhile.
    """

    connection: Connection
    act: Act
    vault: Vault = field(repr=False)
    recorded: bool = False

    def record(self, verb: str, what: str) -> None:
        """Note in the audit what was changed, in words that hold no secret."""
        audit(self.connection, self.act, verb, what)
        self.recorded = True

    def record_all(self, verb: str, whats: Sequence[str]) -> None:
        """Note in the audit several things that were changed in the same way."""
        who = {"at": self.act.at, "who": self.act.who, "verb": verb}
        if whats:
            self.connection.execute(insert(schema.audit), [who | {"what": what} for what in whats])
            self.recorded = True


@dataclass(slots=True)
class Noticing:
    """One transaction of what mail itself brings: nobody's act, so it audits nothing by itself.

    It is undone unless `written`, or `counted`: then processes read the store again.
    """

    connection: Connection
    written: bool = False
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Store:
    """An open store and the master key that opens its private keys.

    `own_domains` are those the settings say are ours; those of the accounts come to them.
    `key_check` is what the vault was found by, `rekeyed` finds the one of another. `declared` are
    the accounts the settings declare, which are not in the store.
    """

    path: Path
    engine: Engine = field(repr=False)
    vault: Vault = field(repr=False)
    own_domains: frozenset[str] = frozenset()
    key_check: bytes = field(default=b"", repr=False)
    rekeyed: Callable[[bytes], Vault] | None = field(default=None, repr=False)
    declared: Declarations = field(default_factory=Declarations, repr=False)

    def vault_now(self, connection: Connection) -> Vault:
        """Give the vault of the master key the store has in this transaction.

        It may have got another since it was opened; raises `StoreError` when that is not found.
        """
        if self.rekeyed is None:
            return self.vault
        check = connection.execute(select(schema.state.c.key_check)).scalar_one()
        return self.vault if check == self.key_check else self.rekeyed(check)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view of the store; raises `StoreError` when it cannot be read."""
        with one_line(self.path), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, act: Act) -> Iterator[Writing]:
        """One transaction, alone among all processes, durable when the block is left.

        Counted in the revision when something was recorded, else undone like one that raises.
        Raises `StoreError` when the store cannot be written.
        """
        with one_line(self.path), writer(self.engine).connect() as connection:
            transaction = connection.begin()
            writing = Writing(connection, act, self.vault_now(connection))
            yield writing
            if writing.recorded:
                _count(connection)
                transaction.commit()

    @contextmanager
    def noticing(self) -> Iterator[Noticing]:
        """One transaction as in `writing`, for what is learnt and not decided.

        Raises `StoreError` when the store cannot be written.
        """
        with one_line(self.path), writer(self.engine).connect() as connection:
            transaction = connection.begin()
            noticing = Noticing(connection)
            yield noticing
            if noticing.counted:
                _count(connection)
            if noticing.counted or noticing.written:
                transaction.commit()

    def close(self) -> None:
        """Let go of the files."""
        self.engine.dispose()
        self.vault.close()


def audit(connection: Connection, act: Act, verb: str, what: str) -> None:
    """Note who did what, in words that hold no secret."""
    row = {"at": act.at, "who": act.who, "verb": verb, "what": what}
    connection.execute(insert(schema.audit).values(row))


def revision(connection: Connection) -> int:
    """Give the number of changes ever made to the store."""
    number: int = connection.execute(select(schema.state.c.revision)).scalar_one()
    return number


def _count(connection: Connection) -> None:
    bump = schema.state.c.revision + 1
    connection.execute(update(schema.state).values(revision=bump))


def make_engine(path: Path) -> Engine:
    """Prepare connections to an SQLite file, one for each use; nothing is opened yet."""
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=NullPool,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def writer(engine: Engine) -> Engine:
    """Give the same engine with transactions that take the write lock when they start."""
    return engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})


def _prepare(connection: sqlite3.Connection, record: Any) -> None:
    del record
    # sqlite3 would otherwise begin and commit by itself, around some statements and not others.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


@contextmanager
def one_line(path: Path) -> Iterator[None]:
    """Turn what the database raises inside the block into a `StoreError` naming the store."""
    try:
        yield
    except IntegrityError as error:
        raise StoreError(f"the store {path} refuses the change: {error.orig}") from error
    except DBAPIError as error:
        raise StoreError(f"the store {path} cannot be used: {_reason(error.orig)}") from error
    except sqlite3.Error as error:
        raise StoreError(f"the store {path} cannot be used: {_reason(error)}") from error


def _reason(error: BaseException | None) -> str:
    name = getattr(error, "sqlite_errorname", "")
    # Extended codes begin with the name of the code they refine: SQLITE_IOERR_WRITE.
    known = (reason for code, reason in _REASONS.items() if name.startswith(code))
    return next(known, " ".join(str(error).split()))
