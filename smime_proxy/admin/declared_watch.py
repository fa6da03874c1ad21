"""Follows the key files of declared accounts while mail goes on: what changed is taken in use.

No RFC. Files are read and compared, not watched: secrets of Kubernetes are links that switch,
editors write new files, and copying cuts the old one short first.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import structlog

from smime_proxy.admin.declared import Contents, read_account, read_contents
from smime_proxy.gateway.ports import Measures
from smime_proxy.settings.accounts import AccountTable
from smime_proxy.stores.declared import Declarations, Declared, DeclaredAccount

EVERY_SECONDS = 2.0  # between looks; reading a few files costs nothing
SETTLE_SECONDS = 0.5  # a file being written is longer by then

_log = structlog.get_logger("smime_proxy.declared")


class DeclaredWatch:
    """The declared accounts of a process; made and used in one event loop."""

    def __init__(
        self,
        tables: Mapping[str, AccountTable],
        declarations: Declarations,
        measures: Measures,
    ) -> None:
        """Begin with the settings' tables and what `declarations` has of them."""
        self._tables = tables
        self._declarations = declarations
        self.measures = measures
        self._denied: frozenset[str] = frozenset()

    def gauges(self) -> Mapping[str, float]:
        """Give the number of accounts whose files cannot be used, under its full name."""
        return {"key_files_broken": float(len(self._declarations.current.faults))}

    def exchange(self, tables: Mapping[str, AccountTable], declared: Declared) -> None:
        """Take new settings, and the accounts as they were read for them."""
        self._tables = tables
        self._put(declared)

    async def watch(self) -> None:
        """Look from time to time, until cancelled; the loop never waits for a disk."""
        while True:
            await self.look(datetime.now(UTC))
            await asyncio.sleep(EVERY_SECONDS)

    async def look(self, at: datetime) -> None:
        """Look once, at a time, aware UTC; take what changed and then stayed the same a while."""
        tables, declared = self._tables, self._declarations.current
        changed = await asyncio.to_thread(self._changed, tables, declared)
        if not changed:
            return
        await asyncio.sleep(SETTLE_SECONDS)
        renewed = await asyncio.to_thread(_settled, tables, changed, at, declared)
        if renewed and self._declarations.current is declared:  # else SIGHUP came in between
            self._put(
                Declared(
                    tuple(renewed.get(one.account.address.key, one) for one in declared.accounts)
                )
            )

    def _changed(
        self, tables: Mapping[str, AccountTable], declared: Declared
    ) -> dict[str, Contents]:
        """Give what the files hold now of accounts whose keys were made of something else."""
        by_name = dict(zip(tables, declared.accounts, strict=True))
        found = {name: read_contents(name, table) for name, table in tables.items()}
        self._tell_denied({name: one for name, one in found.items() if one.denied})
        return {
            name: one
            for name, one in found.items()
            if not one.denied and one.digest != by_name[name].digest
        }

    def _tell_denied(self, denied: Mapping[str, Contents]) -> None:
        for name in sorted(denied.keys() - self._denied):
            consequence = "a change is noticed at the next start only"
            _log.warning("key_file_denied", reason=denied[name].fault, consequence=consequence)
        self._denied = frozenset(denied)

    def _put(self, declared: Declared) -> None:
        """Exchange all accounts, and tell of each whose files are others than before."""
        before = self._declarations.current
        self._declarations.current = declared
        for one in declared.accounts:
            known = before.find(one.account.address)
            if known is not None and known.digest != one.digest:
                self._tell(one)

    def _tell(self, one: DeclaredAccount) -> None:
        address = str(one.account.address)
        if one.fault:
            consequence = "keys of before in use"
            _log.error(
                "key_file_broken", account=address, reason=one.fault, consequence=consequence
            )
        else:
            current = [key.key_id for key in one.keys if not key.former]
            _log.info("key_file_taken", account=address, keys=current)
        self.measures.count("key_files", outcome="broken" if one.fault else "taken")


def _settled(
    tables: Mapping[str, AccountTable],
    changed: Mapping[str, Contents],
    at: datetime,
    declared: Declared,
) -> dict[str, DeclaredAccount]:
    """Read the accounts whose files hold what they did a moment ago; by address."""
    found = {}
    for name, before in changed.items():
        if read_contents(name, tables[name]).digest == before.digest:
            account = read_account(name, tables[name], before, at, declared)
            found[account.account.address.key] = account
    return found
