"""Follows the files of declared accounts and anchors while mail goes on; changes are taken in use.

No RFC. Files are read and compared, not watched: secrets of Kubernetes are links that switch,
editors write new files, and copying cuts the old one short first.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog

from smime_proxy.admin.declared import (
    ID_DIGITS,
    TRUST,
    Contents,
    read_account,
    read_contents,
    read_partner_contents,
    read_partners,
    read_trust,
)
from smime_proxy.gateway.ports import Measures
from smime_proxy.settings.accounts import TABLE
from smime_proxy.settings.model import Settings
from smime_proxy.stores.declared import Declarations, Declared

EVERY_SECONDS = 2.0  # between looks; reading a few files costs nothing
SETTLE_SECONDS = 0.5  # a file being written is longer by then

ANCHORS = "trust anchors"  # in place of an account in the log
PARTNERS_KNOWN = "partner certificates"

_log = structlog.get_logger("smime_proxy.declared")


class DeclaredWatch:
    """The declared accounts and anchors of a process; made and used in one event loop."""

    def __init__(self, settings: Settings, declarations: Declarations, measures: Measures) -> None:
        """Begin with settings and what `declarations` has of them."""
        self._settings = settings
        self._declarations = declarations
        self.measures = measures
        self._denied: frozenset[str] = frozenset()

    def gauges(self) -> Mapping[str, float]:
        """Give the number of accounts whose files cannot be used, under its full name."""
        return {"key_files_broken": float(len(self._declarations.current.faults))}

    def exchange(self, settings: Settings, declared: Declared) -> None:
        """Take new settings, and what was read for them."""
        self._settings = settings
        self._put(declared)

    async def watch(self) -> None:
        """Look from time to time, until cancelled; the loop never waits for a disk."""
        while True:
            await self.look(datetime.now(UTC))
            await asyncio.sleep(EVERY_SECONDS)

    async def look(self, at: datetime) -> None:
        """Look once, at a time, aware UTC; take what changed and then stayed the same a while."""
        settings, declared = self._settings, self._declarations.current
        first = await asyncio.to_thread(_looked_at, settings)
        self._tell_denied({one.fault for one in first if one.denied})
        if not _changed(first, declared):
            return
        await asyncio.sleep(SETTLE_SECONDS)
        renewed = await asyncio.to_thread(_renewed, settings, first, at, declared)
        if self._declarations.current is declared:  # else SIGHUP came in between
            self._put(renewed)

    def _tell_denied(self, denied: set[str]) -> None:
        for reason in sorted(denied - self._denied):
            consequence = "a change is noticed at the next start only"
            _log.warning("key_file_denied", reason=reason, consequence=consequence)
        self._denied = frozenset(denied)

    def _put(self, declared: Declared) -> None:
        """Exchange everything, and tell of what has other files than before."""
        before = self._declarations.current
        if _is_same(before, declared):
            return
        self._declarations.current = declared
        for one in declared.accounts:
            known = before.find(one.account.address)
            if known is not None and known.digest != one.digest:
                current = [key.key_id for key in one.keys if not key.former]
                self._tell(str(one.account.address), one.fault, current)
        if before.trust.digest not in (b"", declared.trust.digest):
            trusted = [one.certificate.fingerprint[:ID_DIGITS] for one in declared.trust.anchors]
            self._tell(ANCHORS, declared.trust.fault, trusted)
        if before.partners.digest not in (b"", declared.partners.digest):
            held = [
                one.certificate.fingerprint[:ID_DIGITS] for one in declared.partners.certificates
            ]
            self._tell(PARTNERS_KNOWN, declared.partners.fault, held)

    def _tell(self, whose: str, fault: str, current: Sequence[str]) -> None:
        if fault:
            consequence = "those of before in use"
            _log.error("key_file_broken", account=whose, reason=fault, consequence=consequence)
        else:
            _log.info("key_file_taken", account=whose, keys=current)
        self.measures.count("key_files", outcome="broken" if fault else "taken")


def _is_same(before: Declared, after: Declared) -> bool:
    """Tell whether nothing was read anew, so that nobody need look again."""
    pairs = zip(before.accounts, after.accounts, strict=False)
    return (
        len(before.accounts) == len(after.accounts)
        and all(one is other for one, other in pairs)
        and before.trust is after.trust
        and before.partners is after.partners
    )


def _looked_at(settings: Settings) -> list[Contents]:
    """Read all files: those of each account, then of the anchors, then of the partners."""
    return [
        *(read_contents((TABLE, name), one.files) for name, one in settings.accounts.items()),
        read_contents(TRUST, settings.trust.files),
        read_partner_contents(settings),
    ]


def _changed(looked_at: Sequence[Contents], declared: Declared) -> bool:
    accounts = (one.digest for one in declared.accounts)
    known = (*accounts, declared.trust.digest, declared.partners.digest)
    pairs = zip(looked_at, known, strict=True)
    return any(not one.denied and one.digest != digest for one, digest in pairs)


def _renewed(
    settings: Settings, first: Sequence[Contents], at: datetime, declared: Declared
) -> Declared:
    """Read again; what holds what it did a moment ago is taken, all else stays as it is."""
    *accounts, trust, partners = zip(first, _looked_at(settings), strict=True)
    named = zip(settings.accounts.items(), accounts, declared.accounts, strict=True)
    return Declared(
        tuple(
            read_account(name, table, now, at, declared) if then.digest == now.digest else known
            for (name, table), (then, now), known in named
        ),
        read_trust(trust[1], settings.trust, declared.trust)
        if trust[0].digest == trust[1].digest
        else declared.trust,
        read_partners(partners[1], settings, declared.partners)
        if partners[0].digest == partners[1].digest
        else declared.partners,
    )
