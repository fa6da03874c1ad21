"""Accounts without a key that signs, or soon without one, and keys others will not believe.

RFC 8550 4 (trust in a signer), RFC 8551 2.2 and 4.2 (algorithms and sizes of keys).
"""

from collections.abc import Iterator
from datetime import datetime

from smime_proxy.admin.doctor.finding import HORIZON, Finding, Severity
from smime_proxy.admin.expiry import encryption_key, last_of, signing_key
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.path import ChainStatus, Purpose, validate
from smime_proxy.certs.pool import Pool
from smime_proxy.certs.selection import choose_signing
from smime_proxy.gateway.ports import KeyUnavailable
from smime_proxy.policy.effective import effective
from smime_proxy.policy.rules import Account, Kind, OnMissingKey, Rules, Sign
from smime_proxy.stores.keyring import Entry
from smime_proxy.stores.snapshot import Snapshot

_IMPORT = "order a certificate and give it with `account import-key`"
_INTO_FILE = "order a certificate and put it, with its key, into the account's key_file"


def key_findings(snapshot: Snapshot, rules: Rules, at: datetime) -> Iterator[Finding]:
    """Look at every account and its keys, as they are at a time, aware UTC."""
    for account in snapshot.all_accounts():
        entries = snapshot.keys(account)
        todo = _IMPORT if snapshot.declared.find(account.address) is None else _INTO_FILE
        if account.enabled:
            yield from _signing(account, entries, rules, at, todo)
            yield from _encryption(account, entries, at, todo)
        yield from _unopened(snapshot, account)
        for entry in entries:
            if account.enabled and not entry.former:
                yield from _weak(account, entry)
                yield from _untrusted(snapshot, account, entry, at)


def _signing(
    account: Account, entries: tuple[Entry, ...], rules: Rules, at: datetime, todo: str
) -> Iterator[Finding]:
    policy = effective(rules, account).policy
    if policy.sign is Sign.NEVER:
        return
    refused = policy.on_missing_key is OnMissingKey.REJECT
    then = "its mail is refused" if refused else "its mail leaves unsigned"
    where = f"account {account.address}"
    choice = choose_signing(entries, account.address, at)
    if choice.chosen is None:
        severity = Severity.ERROR if refused else Severity.WARNING
        yield Finding(severity, where, f"no key signs now ({choice.why_none}): {then}", todo)
        return
    last = last_of(signing_key, entries, account, at)
    if last is not None and last.not_after - at < HORIZON:
        what = f"the key expires on {last.not_after:%Y-%m-%d} and no other follows: then {then}"
        yield Finding(Severity.WARNING, where, what, todo)


def _encryption(
    account: Account, entries: tuple[Entry, ...], at: datetime, todo: str
) -> Iterator[Finding]:
    if account.kind is Kind.TEAM:
        return
    last = last_of(encryption_key, entries, account, at)
    signs = last_of(signing_key, entries, account, at)
    if last is None or last == signs:  # said already, or nobody could ever encrypt to it
        return
    if last.not_after - at < HORIZON:
        word = "expired" if last.not_after < at else "expires"
        what = (
            f"the encryption certificate {word} on {last.not_after:%Y-%m-%d} and no other follows:"
            " then partners cannot encrypt to it"
        )
        yield Finding(Severity.WARNING, f"account {account.address}", what, todo)


def _unopened(snapshot: Snapshot, account: Account) -> Iterator[Finding]:
    """Open every key once, as the mail path would."""
    for entry in snapshot.keys(account):
        try:
            snapshot.open_key(account, entry)
        except KeyUnavailable as error:
            yield Finding(
                Severity.ERROR,
                f"key {entry.key_id} of {account.address}",
                f"it cannot be used: {error}",
                "put the store or the master key back from a backup, or import the key again; one"
                " on a token: see that the token is there",
            )


def _weak(account: Account, entry: Entry) -> Iterator[Finding]:
    where = f"key {entry.key_id} of {account.address}"
    todo = "have it certified anew, with a key and a digest of today"
    if entry.certificate.weak:
        yield Finding(Severity.WARNING, where, f"weak: {entry.certificate.weak}", todo)
    for issuer in entry.chain:
        if issuer.weak:
            what = f"its chain is weak: {_named(issuer)}: {issuer.weak}"
            yield Finding(Severity.WARNING, where, what, todo)


def _untrusted(
    snapshot: Snapshot, account: Account, entry: Entry, at: datetime
) -> Iterator[Finding]:
    certificate = entry.certificate
    # One that is not valid yet is judged at the time it will be.
    then = min(max(at, certificate.not_before), certificate.not_after)
    purpose = Purpose.SIGN if certificate.may_sign else Purpose.ENCRYPT
    pool = Pool.of(entry.chain, snapshot.intermediates())
    result = validate(certificate, pool, snapshot.anchors(), then, purpose=purpose)
    if result.status is not ChainStatus.TRUSTED:
        yield Finding(
            Severity.WARNING,
            f"key {entry.key_id} of {account.address}",
            f"its chain is {result.status.value}: {result.reason}; who does not trust it sees a"
            " warning instead of a signature",
            "take a certificate of an authority your partners trust, import the whole chain, or"
            " trust the authority with `trust add`",
        )


def _named(certificate: Certificate) -> str:
    return certificate.subject or certificate.fingerprint[:16]
